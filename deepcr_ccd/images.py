"""Images of FITS files: how they are read, and what becomes of them."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty

from .spool import read_image
from .tiling import row_blocks

__all__ = ["Cleaned", "Image", "full_shape", "parse_unit"]

#: How units are written in BUNIT, where astropy does not read them so.
WORDS = {
    "electrons": "electron",
    "e-": "electron",
    "e": "electron",
    "counts": "adu",
    "dn": "adu",
}


def parse_unit(text: str) -> u.UnitBase:
    """Read a unit as FITS headers and users write it.

    Parameters
    ----------
    text : str
        Such as ``"ELECTRONS"``, ``"electron/s"``, ``"COUNTS"`` or ``"adu"``.

    Raises
    ------
    ValueError
        If it is no unit.
    """
    words = re.split(r"([\s/*()]+)", text.strip())
    known = "".join(WORDS.get(word.lower(), word) for word in words)
    # In capitals, S is the second and not the siemens.
    attempts = [known, known.lower()]
    for attempt in reversed(attempts) if text.isupper() else attempts:
        with contextlib.suppress(ValueError):
            return u.Unit(attempt)
    raise ValueError(f"unit {text!r} is unknown; use electron, adu or another unit")


@dataclasses.dataclass(frozen=True)
class Image:
    """A science image of a file; its pixels are read when they are asked for.

    ``open`` opens the file, as a context that gives a `~astropy.io.fits.HDUList`;
    ``index``, ``dq``, ``mask`` and ``err`` are places in the file, None where absent;
    ``header`` has the primary header's keywords under its own.
    """

    open: Callable = dataclasses.field(repr=False)
    name: str
    extver: int
    shape: tuple[int, ...]
    unit: u.UnitBase
    header: fits.Header = dataclasses.field(repr=False)
    index: int
    dq: int | None = None
    mask: int | None = None
    err: int | None = None
    bad_bits: int = 0

    @property
    def title(self) -> str:
        """Name and version of its extension."""
        return f"{self.name},{self.extver}"

    def read(self) -> CCDData:
        """Read the image.

        Returns
        -------
        `~astropy.nddata.CCDData`
            Pixels in physical units (mapped into memory where the file's format
            allows it), the mask that DQ or MASK tells, and ERR as uncertainty.
        """
        mask = uncertainty = None
        with self.open() as hdus:
            data = read_image(hdus[self.index])
            if self.dq is not None:
                mask = _has_bits(_full_data(hdus[self.dq]), self.bad_bits)
            elif self.mask is not None:
                mask = _full_data(hdus[self.mask]) != 0
            if self.err is not None:
                uncertainty = StdDevUncertainty(_full_data(hdus[self.err]))
        return CCDData(
            data,
            unit=self.unit,
            mask=mask,
            uncertainty=uncertainty,
            meta=self.header.copy(),
        )


class Cleaned(NamedTuple):
    """What is new about an image: all that is written.

    ``struck`` holds the places of struck pixels, one index array an axis; ``values``
    what they are replaced by; ``errors`` their uncertainties where these changed, or
    None; ``cards`` keywords with values and comments; ``probability`` that of each
    pixel where it is to be written, or None.
    """

    struck: tuple[np.ndarray, ...]
    values: np.ndarray
    errors: np.ndarray | None
    cards: list[tuple]
    probability: np.ndarray | None = None


def full_shape(hdu) -> tuple[int, ...]:
    """Return the shape, also of HST's constant arrays that store no pixels.

    Parameters
    ----------
    hdu : `~astropy.io.fits.ImageHDU`
        The image.
    """
    header = hdu.header
    if not hdu.shape and "NPIX1" in header and "NPIX2" in header:
        return (header["NPIX2"], header["NPIX1"])
    return hdu.shape


def _full_data(hdu) -> np.ndarray:
    if not hdu.shape:
        return np.full(full_shape(hdu), hdu.header.get("PIXVALUE", 0))
    return read_image(hdu)


def _has_bits(flags: np.ndarray, bits: int) -> np.ndarray:
    """Return where any of some bits is set, looking at some rows at a time."""
    found = np.empty(flags.shape, dtype=bool)
    rows, out = (a.reshape(-1, flags.shape[-1]) for a in (flags, found))
    for part in row_blocks(rows.shape):
        out[part] = (rows[part].astype(np.int64) & bits) != 0
    return found
