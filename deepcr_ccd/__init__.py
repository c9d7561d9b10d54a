"""Find and fill cosmic rays in single CCD frames with a neural network."""

from typing import TYPE_CHECKING

from .lazy import lazy_names

# Processes that are forked from this one are prepared from now on.
from .tiling import forking as _forking  # noqa: F401

if TYPE_CHECKING:
    from .batch.files import clean_files
    from .compat.astroscrappy import detect_cosmics
    from .compat.deepcr import deepCR
    from .core import cosmicray_deepcr, cosmicray_probability, inpaint
    from .inspection import inspect
    from .models.zoo import list_models, load_model
    from .notices import DeepCRWarning

    __version__: str
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "DeepCRWarning": ".notices",
            "__version__": ".version",
            "clean_files": ".batch.files",
            "cosmicray_deepcr": ".core.cosmicray",
            "cosmicray_probability": ".core.cosmicray",
            "deepCR": ".compat.deepcr",
            "detect_cosmics": ".compat.astroscrappy",
            "inpaint": ".core.filling",
            "inspect": ".inspection.session",
            "list_models": ".models.zoo",
            "load_model": ".models.zoo",
        },
        # Those of the reference.
        ["demo", "evaluation", "models", "plot", "simulation", "training"],
    )

__all__ = [
    "DeepCRWarning",
    "clean_files",
    "cosmicray_deepcr",
    "cosmicray_probability",
    "deepCR",
    "detect_cosmics",
    "inpaint",
    "inspect",
    "list_models",
    "load_model",
]
