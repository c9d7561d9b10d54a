"""What the bits of a plane of flags mean: which pixels are bad, which bit is a CR's."""

from __future__ import annotations

import dataclasses

import numpy as np
from astropy.io import fits

from ...nddata.data_quality import DQLike, convention_for, read_convention
from ...nddata.dq_convention import (
    MAX_BITS,
    DQConvention,
    check_bits,
    check_whole_number,
)
from ...nddata.header import header_value
from ...nddata.observatories import CONVENTIONS, planes_convention

__all__ = [
    "FLAG_KINDS",
    "FlagPlane",
    "check_dq_bit",
    "read_flag_options",
    "read_flag_plane",
]

#: Kinds of planes of flags; the first that an image has gets its cosmic rays.
FLAG_KINDS = ("DQ", "MASK", "BPM")
#: The cosmic-ray bit, where neither user nor header names one: HST's in DQ, that of
#: LCO's BANZAI in BPM, and in MASK, which is 1 where a pixel is bad.
CR_BITS = {"DQ": 4096, "BPM": 8, "MASK": 1}
#: The largest number that this compression of tiles can store.
PLIO_MOST = 2**24 - 1


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


def read_flag_options(
    dq: DQLike | None, bad_bits: int | None, dq_bit: int | None
) -> DQConvention | None:
    """Check what a user says that flags mean.

    Parameters
    ----------
    dq : str, mapping or None
        The convention, as for `~deepcr_ccd.nddata.data_quality.read_convention`.
    bad_bits, dq_bit : int or None
        Bits in place of the convention's.

    Returns
    -------
    `~deepcr_ccd.nddata.dq_convention.DQConvention` or None
        The convention, if one is given.

    Raises
    ------
    TypeError, ValueError
        If one is not what is allowed, or bits are given for codes.
    """
    convention = read_convention(dq)
    if dq_bit is not None:
        check_dq_bit(dq_bit)
    if bad_bits is not None:
        check_bits("bad_bits", bad_bits)
    if convention is not None and convention.codes:
        for name, value in (("bad_bits", bad_bits), ("dq_bit", dq_bit)):
            if value is not None:
                raise ValueError(
                    f"{name}={value!r} is of bits, and dq={dq!r} has codes: "
                    "give a dictionary of codes"
                )
    return convention


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
    convention : `~deepcr_ccd.nddata.dq_convention.DQConvention`
        What its numbers mean.
    is_sure : bool
        Whether user, header or camera says what the bits mean.
    compression : str
        Of its tiles, such as PLIO_1; empty if it is not compressed.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    convention: DQConvention
    is_sure: bool
    compression: str = ""

    def check_bit(self) -> None:
        """Raise an error if the cosmic-ray bit cannot be set.

        Raises
        ------
        ValueError
            If there is none, or the number format has no room for it.
        """
        if not self.convention.cosmic_ray:
            problem = self.convention.sources[0] or "none of them MP_CR"
            raise ValueError(
                f"{self.name} names its bit planes, and {problem}: dq_bit= chooses a "
                "bit for cosmic rays"
            )
        if self.dtype.kind == "f":
            # All smaller bits have to fit as well.
            most = 2 ** (np.finfo(self.dtype).nmant + 1) - 1
        else:
            most = int(np.iinfo(self.dtype).max)
        compressed = ""
        if self.compression == "PLIO_1":
            most, compressed = min(most, PLIO_MOST), " in PLIO_1, which has 24 bits"
        if source := self.convention.too_large(most):
            raise ValueError(
                f"{source} does not fit into {self.name} of {self.dtype.name}"
                f"{compressed}"
            )


def read_flag_plane(
    hdu: fits.ImageHDU,
    index: int,
    kind: str,
    shape: tuple[int, ...],
    *,
    observatory: str | None = None,
    dq: DQLike | None = None,
    bad_bits: int | None = None,
    dq_bit: int | None = None,
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
    observatory : str, optional
        The convention of the telescope that the image's header names; it holds for DQ.
    dq : str or mapping, optional
        The convention that the user names.
    bad_bits, dq_bit : int, optional
        What the user says of bits, whatever the convention.

    Returns
    -------
    FlagPlane

    Raises
    ------
    ValueError
        If one, and not zero, is good in it; or if the header does not name the bits
        that ``dq`` takes from it.
    """
    header = hdu.header
    if str(header_value(header, "HDUCLAS3", "")).strip().upper() == "MASKONE":
        raise ValueError(
            f"{hdu.name} is one where pixels are good (HDUCLAS3); allowed "
            "are masks that are zero there"
        )
    named = planes_convention(header)
    chosen = read_flag_options(dq, bad_bits, dq_bit)
    known = named
    if chosen is not None:
        known = convention_for(chosen, header, f"the header of {hdu.name}")
    elif named is None and kind == "DQ" and observatory is not None:
        known = CONVENTIONS[observatory]
        source = f"{known.cosmic_ray}, the number of cosmic rays of {known.name!r},"
        known = dataclasses.replace(known, sources=(source, source))
    is_sure = known is not None or bad_bits is not None
    convention = known or _default(kind, dq_bit)
    convention = _changed(convention, bad_bits, dq_bit)
    dtype, compression = _dtype_of(header), getattr(hdu, "compression_type", "")
    return FlagPlane(index, hdu.name, shape, dtype, convention, is_sure, compression)


def _default(kind: str, dq_bit: int | None) -> DQConvention:
    """Return what is assumed where nothing says what the bits mean."""
    bit = dq_bit or CR_BITS[kind]
    # All but the cosmic-ray bit are bad; in a mask, all that is not zero.
    bad = None if kind == "MASK" and bit == 1 else ~bit
    source = f"{bit}, the number of cosmic rays unless dq= or dq_bit= names another,"
    return DQConvention(kind, bit, bad, bit, sources=(source, source))


def _changed(
    convention: DQConvention, bad_bits: int | None, dq_bit: int | None
) -> DQConvention:
    """Return a convention with the bits that a user names."""
    if dq_bit is not None:
        # A bit that tells that a pixel was replaced is set as before.
        other = convention.replaced & ~convention.cosmic_ray
        replaced, source = dq_bit | other, f"dq_bit={dq_bit}"
        sources = (source, convention.source(filled=True) if other else source)
        bad = convention.bad
        bad = bad & ~dq_bit if isinstance(bad, int) else bad
        convention = dataclasses.replace(
            convention,
            cosmic_ray=dq_bit,
            bad=bad,
            replaced=replaced,
            sources=sources,
        )
    if bad_bits is not None:
        convention = dataclasses.replace(convention, bad=bad_bits)
    return convention


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
