"""Find and fill cosmic rays in single CCD frames with a neural network."""

from importlib.metadata import version as _version

from .batch.files import clean_files
from .compat.astroscrappy import detect_cosmics
from .compat.deepcr import deepCR
from .core import cosmicray_deepcr, cosmicray_probability, inpaint
from .inspection import inspect
from .models.zoo import list_models, load_model
from .notices import DeepCRWarning

__version__ = _version("deepcr_ccd")

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
