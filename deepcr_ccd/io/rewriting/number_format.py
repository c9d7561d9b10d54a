"""The numbers of a FITS image as they are stored, and what they stand for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["NumberFormat", "blank_value"]


@dataclasses.dataclass(frozen=True)
class NumberFormat:
    """How an image stores its numbers: what is stored, times scale, plus zero.

    ``dtype`` is that of what is stored; ``blank`` the stored number that stands for
    no value, or None.
    """

    dtype: np.dtype
    scale: float = 1
    zero: float = 0
    blank: int | None = None

    @classmethod
    def of(cls, header: Mapping[str, Any], dtype: np.dtype) -> NumberFormat:
        """Return the format of an image.

        Parameters
        ----------
        header : `~astropy.io.fits.Header`
            The image's header, for BSCALE, BZERO and BLANK.
        dtype : `~numpy.dtype`
            Of the stored numbers.

        Raises
        ------
        ValueError
            If BSCALE is 0, or BSCALE or BZERO is no finite number.
        """
        scale, zero = header.get("BSCALE", 1), header.get("BZERO", 0)
        numbers = all(isinstance(number, int | float) for number in (scale, zero))
        if not numbers or scale == 0 or not np.isfinite([scale, zero]).all():
            raise ValueError(f"BSCALE={scale!r} and BZERO={zero!r} give no numbers")
        dtype, blank = np.dtype(dtype), header.get("BLANK")
        # In images of floats, BLANK means nothing.
        if dtype.kind not in "iu" or not isinstance(blank, int | float):
            return cls(dtype, scale, zero)
        return cls(dtype, scale, zero, int(blank))

    @property
    def _whole(self) -> bool:
        """Whether what is stored differs from its value by a whole number only."""
        return self.scale == 1 and float(self.zero).is_integer()

    def read(self, stored: np.ndarray) -> np.ndarray:
        """Return the values of stored numbers, as float64.

        Parameters
        ----------
        stored : `~numpy.ndarray`
            Of this format's dtype.

        Returns
        -------
        `~numpy.ndarray`
            NaN where blank.
        """
        values = stored.astype(np.float64) * self.scale + self.zero
        if self._whole and self.dtype.itemsize == 8 and self.dtype.kind != "f":
            zero = int(self.zero)
            values = np.array([n + zero for n in stored.tolist()], dtype=np.float64)
        if self.blank is not None:
            values[stored == self.blank] = np.nan
        return values

    def store(self, values: np.ndarray, *, zero_allowed: bool = True) -> np.ndarray:
        """Return values as they are stored.

        Integers are rounded, and kept in the range of the format; a value does not
        become BLANK by that, but the next number to it.

        Parameters
        ----------
        values : `~numpy.ndarray`
            ``(n,)``, float; finite for a format of integers.
        zero_allowed : bool
            If False, what is not 0 does not become 0 by rounding either.

        Returns
        -------
        `~numpy.ndarray`
            Of this format's dtype.
        """
        values = values.astype(np.float64)
        if self.dtype.kind == "f":
            limit = np.finfo(self.dtype).max
            stored = (values - self.zero) / self.scale
            # What was infinite stays so.
            finite = np.isfinite(stored)
            stored[finite] = np.clip(stored[finite], -limit, limit)
            return stored.astype(self.dtype)
        # Beyond 2**53 a float64 does not hold each integer, and zero comes last.
        zero = int(self.zero) if self._whole else 0
        exact = values if self._whole else (values - self.zero) / self.scale
        rounded = np.rint(exact)
        left = exact - rounded
        if self.dtype.itemsize == 8:
            rounded = np.array([int(n) for n in rounded.tolist()], dtype=object)
        rounded = rounded - zero
        limits = np.iinfo(self.dtype)
        rounded = np.clip(rounded, limits.min, limits.max)
        avoided = [] if self.blank is None else [self.blank]
        if not zero_allowed:
            avoided.insert(0, self._stored_zero)
        for number in avoided:
            equal = rounded == number
            step = np.where(left[equal] < 0, -1, 1)
            step[(number + step < limits.min) | (number + step > limits.max)] *= -1
            rounded[equal] = number + step
        return rounded.astype(self.dtype)

    @property
    def _stored_zero(self) -> int:
        """The stored number that stands for 0, or the nearest."""
        return -int(self.zero) if self._whole else round(-self.zero / self.scale)

    def set_bit(
        self, stored: np.ndarray, bit: int, name: str = "DQ", source: str = ""
    ) -> np.ndarray:
        """Return stored flags with a bit set.

        Parameters
        ----------
        stored : `~numpy.ndarray`
            ``(n,)``, of this format's dtype.
        bit : int
            A power of two, or a sum of several.
        name : str
            Of the extension, for messages.
        source : str
            Where the bit comes from, for messages.

        Returns
        -------
        `~numpy.ndarray`
            Of this format's dtype; what is no number stays so.

        Raises
        ------
        ValueError
            If the format cannot hold the bit, or a number with this bit.
        """
        if self.dtype.kind != "f" and self._whole:
            # Integers of Python, which do not overflow.
            zero, limits = int(self.zero), np.iinfo(self.dtype)
            present, places = np.unique(stored, return_inverse=True)
            before = [number + zero for number in present.tolist()]
            flags = [(number | bit) - zero for number in before]
            fits = bit <= limits.max + zero
            if fits and max(flags) <= limits.max:
                return np.array(flags, dtype=self.dtype)[places.reshape(stored.shape)]
            wrong = [n for n in before if (n | bit) - zero > limits.max]
        else:
            known = np.isfinite(stored)
            values = stored[known].astype(np.float64) * self.scale + self.zero
            sums = np.abs(values) < 2**53
            whole = np.rint(np.where(sums, values, 0)).astype(np.int64)
            wanted = whole | bit
            changed = self.store(wanted)
            sums &= self._equal(changed, wanted)
            sums &= np.isclose(values, whole, rtol=0, atol=1e-3)
            if sums.all():
                result = stored.copy()
                result[known] = changed
                return result
            one = np.array([bit])
            fits = bool(self._equal(self.store(one), one)[0])
            wrong = values[~sums].tolist()
        scaled = "" if self.scale == 1 else f" with BSCALE={self.scale}"
        kind = f"{name} of {self.dtype.name}{scaled}"
        source = source or f"dq_bit={bit}"
        if not fits:
            raise ValueError(f"{source} does not fit into {kind}")
        raise ValueError(
            f"{name} is {wrong[0]!r} at a cosmic ray; allowed are whole numbers "
            f"that have room for {source} in {kind}"
        )

    def _equal(self, stored: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Return where stored numbers read as wanted."""
        reached = stored.astype(np.float64) * self.scale + self.zero
        return np.isclose(reached, wanted, rtol=0, atol=1e-3)


def blank_value(header: Mapping[str, Any], table: Mapping[str, Any]) -> int | None:
    """Return what BLANK stands for, where astropy reads pixels as integers.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        The image's own, as it was before its pixels were read.
    table : `~astropy.io.fits.Header`
        That of the table, if the image is tile-compressed.

    Returns
    -------
    int or None
        None where there is no BLANK.
    """
    blank = header.get("BLANK", table.get("ZBLANK"))
    if not isinstance(blank, int | float) or header.get("BITPIX", 0) < 0:
        return None
    return int(blank) + int(header.get("BZERO", 0))
