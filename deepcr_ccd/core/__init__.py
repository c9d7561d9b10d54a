"""CCDData in, CCDData out: the functions that users call on a frame."""

from .cosmicray import cosmicray_deepcr, cosmicray_probability
from .filling import inpaint

__all__ = ["cosmicray_deepcr", "cosmicray_probability", "inpaint"]
