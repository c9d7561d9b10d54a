"""Images of FITS files: how they are read, and what becomes of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData

from ..notices import warn_user
from ..tiling.tiles import row_blocks
from .extensions.flag_planes import FlagPlane
from .extensions.noise_planes import NoisePlane
from .stream import read_image

__all__ = ["CleanedImage", "Image", "full_shape"]

#: Fraction of bad pixels above which it is doubtful that all bits mean bad ones.
DOUBTFUL_FRACTION = 0.5


@dataclasses.dataclass(frozen=True)
class Image:
    """A science image of a file; its pixels are read when they are asked for.

    ``opener`` opens the file, as a context that gives a `~astropy.io.fits.HDUList`;
    ``name`` is "" where an extension has none; ``index`` is its place in the file;
    ``noise`` are the extensions that hold its noise, the one to be read first;
    ``flags`` are its planes of flags, into the first of which
    cosmic rays go; ``blank`` is the value of pixels that have none; ``header`` has the
    primary header's keywords under its own.
    """

    opener: Callable = dataclasses.field(repr=False)
    name: str
    extver: int
    shape: tuple[int, ...]
    unit: u.UnitBase
    header: fits.Header = dataclasses.field(repr=False)
    index: int
    flags: tuple[FlagPlane, ...] = ()
    noise: tuple[NoisePlane, ...] = ()
    blank: int | None = None

    @property
    def title(self) -> str:
        """Name and version of its extension, or its number."""
        return f"{self.name},{self.extver}" if self.name else str(self.index)

    def read(self, *, noise: bool = True) -> CCDData:
        """Read the image.

        Parameters
        ----------
        noise : bool
            Whether to read its noise.

        Returns
        -------
        `~astropy.nddata.CCDData`
            Pixels in physical units (mapped into memory where the file's format
            allows it), the mask by DQ, MASK, BPM and BLANK, and the noise
            as uncertainty.

        Warns
        -----
        AstropyUserWarning
            If most pixels are bad by bits whose meaning is not known.
        """
        mask = uncertainty = None
        with self.opener() as hdus:
            data = read_image(hdus[self.index])
            for plane in self.flags:
                bad = _read_bad(hdus[plane.index], plane, self.shape)
                mask = bad if mask is None else mask | bad
            # Where astropy reads floats, it makes NaN of them.
            if self.blank is not None and data.dtype.kind in "iu":
                blank = data == self.blank
                mask = blank if mask is None else mask | blank
            known = [plane for plane in self.noise if noise and not plane.problem]
            if known:
                array = _full_data(hdus[known[0].index])
                uncertainty = known[0].uncertainty(array, self.unit)
        return CCDData(
            data,
            unit=self.unit,
            mask=mask,
            uncertainty=uncertainty,
            meta=self.header.copy(),
        )


class CleanedImage(NamedTuple):
    """What is new about an image: all that is written.

    ``flagged`` holds the places of flagged pixels, one index array an axis; ``values``
    what they are replaced by, and ``sigma`` the one-sigma of that (0 where it is not
    known), None where they stay; ``cards`` keywords with values and comments;
    ``probability`` that of each pixel where it is to be written, or None.
    """

    flagged: tuple[np.ndarray, ...]
    values: np.ndarray | None
    sigma: np.ndarray | None
    cards: list[tuple]
    probability: np.ndarray | None = None


def full_shape(hdu: fits.ImageHDU) -> tuple[int, ...]:
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


def _full_data(hdu: fits.ImageHDU) -> np.ndarray:
    if not hdu.shape:
        return np.full(full_shape(hdu), hdu.header.get("PIXVALUE", 0))
    return read_image(hdu)


def _read_bad(
    hdu: fits.ImageHDU, plane: FlagPlane, shape: tuple[int, ...]
) -> np.ndarray:
    """Return where an image of some shape is bad, looking at some rows at a time."""
    flags = _full_data(hdu)
    rows = flags.reshape(-1, flags.shape[-1])
    found = np.empty(rows.shape, dtype=bool)
    several = False
    for part in row_blocks(rows.shape):
        found[part] = plane.convention.is_bad(rows[part])
        several = several or bool((rows[part] > 1).any())
    fraction = found.mean()
    if fraction > DOUBTFUL_FRACTION and several and not plane.is_sure:
        warn_user(
            f"{plane.name} hides {100 * fraction:.0f} % of the pixels, as nothing says "
            "what its bits mean; dq= names a convention, bad_bits= those that are bad",
        )
    # One plane of flags may serve a stack.
    own = found.reshape(shape if found.size == math.prod(shape) else shape[-2:])
    return np.broadcast_to(own, shape)
