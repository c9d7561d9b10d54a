"""CCDData in, CCDData out: the functions that users call on a frame."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .cosmicray import cosmicray_deepcr, cosmicray_probability
    from .filling import inpaint
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "cosmicray_deepcr": ".cosmicray",
            "cosmicray_probability": ".cosmicray",
            "inpaint": ".filling",
        },
    )

__all__ = ["cosmicray_deepcr", "cosmicray_probability", "inpaint"]
