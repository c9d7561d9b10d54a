"""The version of this package."""

from importlib import metadata

__all__ = ["__version__"]

#: Of the distribution that is installed.
__version__ = metadata.version("deepcr_ccd")
