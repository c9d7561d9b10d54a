"""What the bits of a plane of flags mean: which pixels are bad, which bit is a CR's."""

from __future__ import annotations

import dataclasses

import numpy as np
from astropy.io import fits

from ...nddata.header import header_value

__all__ = [
    "DQ_BIT",
    "HST_BAD_BITS",
    "MAX_BITS",
    "FlagPlane",
    "check_dq_bit",
    "check_whole_number",
    "read_flag_plane",
]

#: DQ bits of HST cameras that make a pixel useless: fill, bad, hot, saturated.
#: Pixels flagged as CRs before (4096, 8192), and warm or trap pixels, are not excluded.
HST_BAD_BITS = 1 | 2 | 4 | 8 | 16 | 256 | 512 | 2048
DQ_BIT = 4096
#: Kinds of planes of flags; the first that an image has gets its cosmic rays.
FLAG_KINDS = ("DQ", "MASK", "BPM")
#: The cosmic-ray bit, where neither user nor header names one: HST's in DQ, that of
#: LCO's BANZAI in BPM, and in MASK, which is 1 where a pixel is bad.
CR_BITS = {"DQ": DQ_BIT, "BPM": 8, "MASK": 1}
#: LSST: keywords MP_NAME hold the numbers of bits.
PREFIX = "MP_"
#: Planes of LSST whose pixels hold no measurement; the pipeline's own search for
#: cosmic rays leaves out all but the last two. Other planes tell what is seen in a
#: pixel (DETECTED) or how it was treated (CROSSTALK, SUSPECT).
LSST_BAD_PLANES = ("BAD", "SAT", "INTRP", "NO_DATA", "EDGE", "UNMASKEDNAN")
#: All bits but the sign of the largest integers in FITS.
MAX_BITS = 2**63 - 1


def check_dq_bit(dq_bit: int) -> None:
    """Raise an error if a number cannot be the cosmic-ray bit of a plane of flags.

    Parameters
    ----------
    dq_bit : int
        A power of two.

    Raises
    ------
    TypeError, ValueError
        If it is none, or too large for FITS.
    """
    check_whole_number("dq_bit", dq_bit)
    if dq_bit < 1 or dq_bit & (dq_bit - 1):
        raise ValueError(f"dq_bit={dq_bit!r} must be a power of two, such as 4096")
    if dq_bit > MAX_BITS:
        raise ValueError(f"dq_bit={dq_bit!r} must be 2**62 or less: FITS has no larger")


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


@dataclasses.dataclass(frozen=True)
class FlagPlane:
    """A plane of flags of an image.

    Parameters
    ----------
    index : int
        Its place in the file.
    name : str
        Of the extension.
    shape : tuple of int
        That of the image, or of one plane of a stack.
    dtype : `~numpy.dtype`
        Of its numbers, unsigned where BZERO says so.
    bad_bits : int or None
        Bits of pixels that are bad; None: all pixels that are not zero.
    bit : int
        The cosmic-ray bit; 0 if the header names all planes and no such.
    is_sure : bool
        Whether user, header or camera says what the bits mean.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    bad_bits: int | None
    bit: int
    is_sure: bool

    def check_bit(self) -> None:
        """Raise an error if the cosmic-ray bit cannot be set.

        Raises
        ------
        ValueError
            If there is none, or the number format has no room for it.
        """
        if not self.bit:
            raise ValueError(
                f"{self.name} names its bit planes, and none of them {PREFIX}CR: "
                "dq_bit= chooses a bit for cosmic rays"
            )
        if self.dtype.kind == "f":
            # All smaller bits have to fit as well.
            most = 2 ** (np.finfo(self.dtype).nmant + 1) - 1
        else:
            most = int(np.iinfo(self.dtype).max)
        if self.bit > most:
            raise ValueError(
                f"dq_bit={self.bit} does not fit into {self.name} of {self.dtype.name}"
            )

    def is_bad(self, flags: np.ndarray) -> np.ndarray:
        """Return where pixels are bad.

        Parameters
        ----------
        flags : `~numpy.ndarray`
            The plane, or some of its rows.
        """
        if self.bad_bits is None:
            return flags != 0
        if flags.dtype.kind != "f":
            return (flags.astype(np.int64) & self.bad_bits) != 0
        known = np.isfinite(flags)
        bits = np.where(known, flags, 0).astype(np.int64)
        return ((bits & self.bad_bits) != 0) | ~known


def read_flag_plane(
    hdu: fits.ImageHDU,
    index: int,
    kind: str,
    shape: tuple[int, ...],
    *,
    is_hst: bool,
    bad_bits: int | None,
    dq_bit: int | None,
) -> FlagPlane:
    """Find out what the bits of a plane of flags mean.

    Parameters
    ----------
    hdu : `~astropy.io.fits.ImageHDU`
        The plane; its pixels are not read.
    index : int
        Its place in the file.
    kind : {"DQ", "MASK", "BPM"}
        What it is.
    shape : tuple of int
        Its shape.
    is_hst : bool
        Whether the image is one of HST.
    bad_bits, dq_bit : int or None
        What the user says.

    Returns
    -------
    FlagPlane

    Raises
    ------
    ValueError
        If one, and not zero, is good in it.
    """
    header = hdu.header
    if str(header_value(header, "HDUCLAS3", "")).strip().upper() == "MASKONE":
        raise ValueError(
            f"{hdu.name} is one where pixels are good (HDUCLAS3); allowed "
            "are masks that are zero there"
        )
    named = _named_planes(header)
    bit = dq_bit or CR_BITS[kind]
    # By default all but the cosmic-ray bit are bad.
    bits: int | None = ~bit
    if named:
        bit = dq_bit or (1 << named["CR"] if "CR" in named else 0)
        bits = sum({1 << named[name] for name in LSST_BAD_PLANES if name in named})
        bits &= ~bit
    elif kind == "DQ" and is_hst:
        bits = HST_BAD_BITS
    elif kind == "MASK" and bit == 1:
        bits = None
    is_sure = bool(named) or bad_bits is not None or (kind == "DQ" and is_hst)
    bits = bits if bad_bits is None else bad_bits
    return FlagPlane(index, hdu.name, shape, _dtype_of(header), bits, bit, is_sure)


def _named_planes(header: fits.Header) -> dict[str, int]:
    """Return the numbers of the bits that a header names."""
    return {
        key.upper().removeprefix(PREFIX): number
        for key in header
        if key.upper().startswith(PREFIX)
        and type(number := header_value(header, key)) is int
        and 0 <= number < 63
    }


def _dtype_of(header: fits.Header) -> np.dtype:
    """Return the type of an image's numbers as they read."""
    if "NPIX1" in header and not header.get("NAXIS"):
        # One of HST's constant arrays, which becomes one of these when it changes.
        return np.dtype(np.int16)
    dtype = np.dtype(fits.BITPIX2DTYPE[header["BITPIX"]])
    if dtype.kind == "i" and header.get("BZERO", 0) == 2 ** (8 * dtype.itemsize - 1):
        return np.dtype(f"u{dtype.itemsize}")
    if dtype == np.uint8 and header.get("BZERO", 0) == -128:
        return np.dtype(np.int8)
    return dtype
