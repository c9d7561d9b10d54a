"""What to do with each file of a batch: the options, checked once."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence

import numpy as np
from astropy import units as u

from .io.extensions.find_images import read_choice
from .models.model import Model
from .models.zoo import DEFAULT_MODEL, load_model
from .nddata.gain import number_from, resolve_gain, resolve_readnoise
from .nddata.units import parse_unit
from .pipeline.clean import check_grow
from .pipeline.fill import METHODS, load_fill
from .tiling.run import check_tile_size

__all__ = ["CleanOptions"]

#: How names of header keywords look.
KEYWORD = re.compile(r"[A-Za-z_][\w-]*([ .][\w-]+)*", re.ASCII)

#: All bits but the sign of the largest integers in FITS.
MOST_BITS = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class CleanOptions:
    """What to do with each file; the fields are options of the ``clean`` command."""

    model: str | os.PathLike | Model = DEFAULT_MODEL
    gain: float | str | None = None
    readnoise: float | str | None = None
    threshold: float | None = None
    extend_threshold: float | None = None
    target_fpr: float | None = None
    grow: float = 0
    inpaint: str | None = "auto"
    satlevel: float | str | None = None
    unit: str | None = None
    bad_bits: int | None = None
    dq_bit: int | None = None
    ext: str | int | Sequence[str | int] | None = None
    device: str | None = None
    precision: str | None = None
    engine: str | None = None
    tile_size: int | None = None
    masks_only: bool = False
    probability: bool = False

    def __post_init__(self):
        # One form for all ways to say the same, which the digest holds.
        object.__setattr__(self, "ext", read_choice(self.ext))

    def load_model(self) -> Model:
        """Load the model that finds cosmic rays.

        Raises
        ------
        ValueError, FileNotFoundError, ImportError
            As `deepcr_ccd.load_model`.
        """
        return load_model(
            self.model,
            device=self.device,
            task="mask",
            precision=self.precision,
            engine=self.engine,
        )

    def load_fill(self, model: Model) -> Model | None:
        """Load the model that fills, if one may be used.

        Parameters
        ----------
        model : Model
            For task "mask".

        Raises
        ------
        ValueError, ImportError
            If a network is asked for and there is none.
        """
        if self.masks_only or self.inpaint not in ("auto", "network"):
            return None
        return load_fill(model, self.inpaint)

    def check(self, model: Model) -> None:
        """Check all that can be checked without a file.

        Parameters
        ----------
        model : Model
            For task "mask".

        Raises
        ------
        TypeError, ValueError, ImportError
            If an option is not what is allowed.
        """
        asked = self.threshold, self.extend_threshold, self.target_fpr
        model.card.thresholds(*asked)
        check_grow(self.grow)
        if self.tile_size is not None:
            check_tile_size(self.tile_size)
        if self.inpaint not in (None, False, "none", *METHODS):
            raise ValueError(
                f"inpaint={self.inpaint!r} is unknown; allowed are "
                f"{', '.join(METHODS)} and none"
            )
        self.load_fill(model)
        self._check_numbers()
        if self.unit is not None:
            parse_unit(self.unit)
        if self.dq_bit is not None:
            check_bit(self.dq_bit)
        if self.bad_bits is not None:
            _check_whole("bad_bits", self.bad_bits)
            if not -MOST_BITS - 1 <= self.bad_bits <= MOST_BITS:
                raise ValueError(
                    f"bad_bits={self.bad_bits!r} must be from -2**63 to 2**63 - 1"
                )
        if self.probability and not self.masks_only:
            raise ValueError("probability=True needs masks_only=True")

    def _check_numbers(self) -> None:
        """Check what is a number, or a keyword that each header has or has not."""
        for name in ("gain", "readnoise", "satlevel"):
            value = getattr(self, name)
            if value is None or (name == "satlevel" and value in (np.inf, "inf")):
                continue
            if not isinstance(value, str):
                number_from(value, name, None)
            elif not KEYWORD.fullmatch(value):
                raise ValueError(
                    f"{name}={value!r} is neither a number nor a header keyword"
                )
        if not isinstance(self.gain, str):
            resolve_gain(self.gain)
        if not isinstance(self.readnoise, str | u.Quantity):
            resolve_readnoise(self.readnoise)


def check_bit(dq_bit: int) -> None:
    """Check the bit of DQ that stands for cosmic rays.

    Parameters
    ----------
    dq_bit : int
        A power of two.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    _check_whole("dq_bit", dq_bit)
    if dq_bit < 1 or dq_bit & (dq_bit - 1):
        raise ValueError(f"dq_bit={dq_bit!r} must be a power of two, such as 4096")
    if dq_bit > MOST_BITS:
        raise ValueError(f"dq_bit={dq_bit!r} must be 2**62 or less: FITS has no larger")


def _check_whole(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}={value!r} must be a whole number")
