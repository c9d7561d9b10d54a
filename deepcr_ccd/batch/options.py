"""How files are cleaned: the options of frames, and those of FITS files."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from ..io.extensions.find_images import read_choice
from ..io.extensions.flag_planes import read_flag_options
from ..models.model import Model
from ..nddata.units import parse_unit
from ..options import CleanOptions
from ..pipeline.fill import load_fill

__all__ = ["FileOptions"]

#: How names of header keywords look.
KEYWORD = re.compile(r"[A-Za-z_][\w-]*([ .][\w-]+)*", re.ASCII)


@dataclasses.dataclass(frozen=True)
class FileOptions(CleanOptions):
    """How FITS files are cleaned; the fields are options of `~deepcr_ccd.clean_files`.

    Raises
    ------
    TypeError, ValueError
        If an option is not of an allowed kind or value.
    """

    unit: str | None = None
    bad_bits: int | None = None
    dq_bit: int | None = None
    ext: str | int | Sequence[str | int] | None = None
    masks_only: bool = False
    probability: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        # One form for all ways to say the same, which goes into the digest.
        object.__setattr__(self, "ext", read_choice(self.ext))
        for name in ("gain", "readnoise", "satlevel"):
            value = getattr(self, name)
            if isinstance(value, str) and not KEYWORD.fullmatch(value):
                raise ValueError(
                    f"{name}={value!r} is neither a number nor a header keyword"
                )
        if self.unit is not None:
            parse_unit(self.unit)
        read_flag_options(self.dq, self.bad_bits, self.dq_bit)
        if self.probability and not self.masks_only:
            raise ValueError("probability=True needs masks_only=True")

    def _keeps_pixels(self) -> bool:
        # The command has a word where Python has None.
        return self.inpaint == "none" or super()._keeps_pixels()

    @property
    def fill_method(self) -> str | None:
        """The method that fills CR-affected pixels, or None if they stay."""
        return None if self.masks_only else super().fill_method

    def load_fill(self, model: Model) -> Model | None:
        """Load the inpainting model, if one may be used.

        Parameters
        ----------
        model : Model
            For task "mask".

        Raises
        ------
        ValueError, ImportError
            If a network is asked for and there is none.
        """
        if self.fill_method not in ("auto", "network"):
            return None
        return load_fill(model, self.fill_method)

    def check_model(self, model: Model) -> None:
        """Check what depends on the model, before a file is read.

        Parameters
        ----------
        model : Model
            For task "mask".

        Raises
        ------
        TypeError, ValueError, ImportError
            If the thresholds or the inpainting network are not what is allowed.
        """
        self.thresholds(model)
        self.load_fill(model)
