"""What becomes of one image of a file: keywords, and values or a bit of some pixels."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from astropy.io import fits

from .number_format import NumberFormat

__all__ = ["Change"]


@dataclasses.dataclass
class Change:
    """What becomes of one image: keywords, and values or a bit at some pixels.

    Parameters
    ----------
    where : tuple of `~numpy.ndarray`
        Places of the pixels that change, an index array an axis; in the order in which
        they are stored.
    values : `~numpy.ndarray` or None
        Their new physical values; None if values stay.
    bit : int
        The bit to set in them; 0 to set none.
    noise : bool
        Whether values are of the noise: then pixels stay of which nothing is known,
        those that hold 0 or no number, and others do not become 0 by rounding.
    keywords : list of (str, value, str)
        Keywords to set, with value and comment; HISTORY is added.
    name, source : str
        Of the extension with the bit, and where this comes from, for messages.
    """

    where: tuple[np.ndarray, ...]
    values: np.ndarray | None = None
    bit: int = 0
    noise: bool = False
    keywords: list[tuple] = dataclasses.field(default_factory=list)
    name: str = "MASK"
    source: str = ""

    def apply_header(self, header: fits.Header) -> fits.Header:
        """Return a copy of a header with the keywords set.

        Parameters
        ----------
        header : `~astropy.io.fits.Header`
            The image's header.
        """
        header = header.copy()
        for key, value, comment in self.keywords:
            if key == "HISTORY":
                header.add_history(value)
            else:
                header[key] = (value, comment)
        return header

    def parts(self, header: fits.Header, dtype: np.dtype, size: int) -> Iterator[tuple]:
        """Part the change as the image is parted that is stored.

        Parameters
        ----------
        header : `~astropy.io.fits.Header`
            The image's header.
        dtype : `~numpy.dtype`
            Of the stored numbers.
        size : int
            Bytes of a part.

        Yields
        ------
        length : int
            Bytes of the image that come next.
        change : Change
            What becomes of these, as an array of one axis.
        """
        shape = tuple(header[f"NAXIS{i}"] for i in range(header["NAXIS"], 0, -1))
        flat = np.ravel_multi_index(self.where, shape)
        step, count = size // dtype.itemsize, math.prod(shape)
        for start in range(0, count, step):
            stop = min(start + step, count)
            part = slice(*np.searchsorted(flat, [start, stop]))
            values = None if self.values is None else self.values[part]
            where = (flat[part] - start,)
            change = dataclasses.replace(self, where=where, values=values, keywords=[])
            yield (stop - start) * dtype.itemsize, change

    def apply_data(self, data: np.ndarray, header: Mapping[str, Any]) -> None:
        """Change stored numbers in place.

        Parameters
        ----------
        data : `~numpy.ndarray`
            The image as stored, unscaled.
        header : mapping
            Its header, or as much of it as says BSCALE, BZERO and BLANK.

        Raises
        ------
        ValueError
            If the bit does not fit into the image's number format.
        """
        if not self.where[0].size:
            return
        form, stored = NumberFormat.of(header, data.dtype), data[self.where]
        if self.bit:
            data[self.where] = form.set_bit(stored, self.bit, self.name, self.source)
        if self.values is None:
            return
        known = np.ones(len(stored), dtype=bool)
        if data.dtype.kind != "f":
            known &= np.isfinite(self.values)
        if self.noise:
            before = form.read(stored)
            known &= (before > 0) & np.isfinite(before)
        stored[known] = form.store(self.values[known], zero_allowed=not self.noise)
        data[self.where] = stored
