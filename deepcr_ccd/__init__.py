"""Find and fill cosmic rays in single CCD frames with a neural network."""

from importlib.metadata import version as _version

from .batch import clean_files
from .ccd import cosmicray_deepcr, cosmicray_probability
from .inpainting import inpaint
from .notices import DeepCRWarning
from .original import deepCR
from .scrappy import detect_cosmics
from .zoo import list_models, load_model

__version__ = _version("deepcr_ccd")

__all__ = [
    "DeepCRWarning",
    "clean_files",
    "cosmicray_deepcr",
    "cosmicray_probability",
    "deepCR",
    "detect_cosmics",
    "inpaint",
    "list_models",
    "load_model",
]
