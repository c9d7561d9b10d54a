"""A convention of data-quality flags: which numbers mean what."""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ["MAX_BITS", "DQConvention", "check_bits", "check_whole_number"]

#: All bits but the sign of the largest integers in FITS.
MAX_BITS = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class DQConvention:
    """What the numbers of a plane of data-quality flags mean.

    Parameters
    ----------
    name : str
        For messages.
    cosmic_ray : int
        Bit of pixels that are affected by a cosmic ray and keep their values, or
        several bits; 0 if there is none.
    bad : int, tuple of int, or None
        Bits of pixels that are excluded; codes, if ``codes``. None: all that are not
        zero.
    replaced : int
        Bits of pixels whose cosmic ray was replaced by a fill, in place of
        ``cosmic_ray``.
    codes : bool
        Whether each number is one code, and no sum of bits.
    sources : tuple of str
        Where ``cosmic_ray`` and ``replaced`` come from, for messages; empty if ``name``
        says so.
    """

    name: str
    cosmic_ray: int
    bad: int | tuple[int, ...] | None
    replaced: int
    codes: bool = False
    sources: tuple[str, str] = dataclasses.field(default=("", ""), compare=False)

    @property
    def title(self) -> str:
        """The user's argument, for messages."""
        return "dq" if self.name == "dict" else f"dq={self.name!r}"

    def source(self, filled: bool) -> str:
        """Return where the number of flagged pixels comes from, for messages.

        Parameters
        ----------
        filled : bool
            Whether their values were replaced.
        """
        return self.sources[filled] or (
            f"{self.title}: the number {self.number(filled)} of cosmic rays"
        )

    def too_large(self, most: int) -> str:
        """Return what is too large for a plane, or an empty text.

        Parameters
        ----------
        most : int
            The largest number that fits into it.
        """
        for filled in (False, True):
            if self.number(filled) > most:
                return self.source(filled)
        return ""

    def number(self, filled: bool) -> int:
        """Return the bits, or the code, of flagged pixels.

        Parameters
        ----------
        filled : bool
            Whether their values were replaced.
        """
        return self.replaced if filled else self.cosmic_ray

    def is_bad(self, flags: np.ndarray) -> np.ndarray:
        """Return where pixels are bad.

        Parameters
        ----------
        flags : `~numpy.ndarray`
            The plane, or some of its rows. What is no number, or too large for an
            integer, is bad.

        Returns
        -------
        `~numpy.ndarray`
            bool, of the same shape.
        """
        if self.bad is None:
            return flags != 0
        if flags.dtype.kind == "f":
            known = np.abs(flags) < MAX_BITS
            return self._is_bad(np.where(known, flags, 0).astype(np.int64)) | ~known
        return self._is_bad(flags)

    def _is_bad(self, numbers: np.ndarray) -> np.ndarray:
        """Return where integers are bad; those with a sign are bits of their width."""
        if isinstance(self.bad, tuple):
            limits = np.iinfo(numbers.dtype)
            codes = [code for code in self.bad if limits.min <= code <= limits.max]
            return np.isin(numbers, np.array(codes, numbers.dtype))
        unsigned = np.dtype(f"u{numbers.dtype.itemsize}")
        bits = unsigned.type((self.bad or 0) & np.iinfo(unsigned).max)
        order = numbers.dtype.byteorder
        return (numbers.view(unsigned.newbyteorder(order)) & bits) != 0

    def flag(self, flags: np.ndarray, crmask: np.ndarray, filled: bool) -> np.ndarray:
        """Return flags in which cosmic rays are entered.

        Parameters
        ----------
        flags : `~numpy.ndarray`
            Integers that have room for the number; they are not modified.
        crmask : `~numpy.ndarray`
            bool, of the same shape.
        filled : bool
            Whether values of these pixels were replaced.
        """
        result = flags.copy()
        value = flags.dtype.type(self.number(filled))
        result[crmask] = value if self.codes else result[crmask] | value
        return result


def check_whole_number(name: str, value: int) -> None:
    """Raise a TypeError if a value is no whole number.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : int
        What the user gave.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}={value!r} must be a whole number")


def check_bits(name: str, value: int) -> None:
    """Raise an error if a number cannot be the bits of pixels to exclude.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : int
        What the user gave; negative numbers are all bits but some.

    Raises
    ------
    TypeError, ValueError
        If it is no whole number, or too large for FITS.
    """
    check_whole_number(name, value)
    if not -MAX_BITS - 1 <= value <= MAX_BITS:
        raise ValueError(f"{name}={value!r} must be from -2**63 to 2**63 - 1")
