"""``python -m deepcr_ccd`` is the ``deepcr-ccd`` command."""

import sys

from .cli import main

sys.exit(main())
