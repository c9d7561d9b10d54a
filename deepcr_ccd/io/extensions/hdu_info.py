"""What the header of a header and data unit (HDU) says of it."""

from __future__ import annotations

import dataclasses
from typing import Any

from astropy.io import fits

from ...nddata.header import header_value
from ..fits_image import full_shape
from .names import Label, read_name

__all__ = ["HduInfo", "read_hdu_info"]


@dataclasses.dataclass(frozen=True)
class HduInfo:
    """What a header says of a header and data unit.

    ``ver`` is 1 where EXTVER is absent, and ``has_ver`` False; ``shape`` is () where
    there are no pixels. Of ESO's conventions, ``companions`` has the names of other
    extensions by the keyword, SCIDATA, ERRDATA or QUALDATA; ``role`` is HDUCLAS2, and
    ``form`` HDUCLAS3. ``owner`` is the image that it is the mask of, by CRHDU and CREXT
    that this package writes: place and name.
    """

    index: int
    name: str = ""
    ver: int = 1
    has_ver: bool = False
    shape: tuple[int, ...] = ()
    is_image: bool = True
    is_integer: bool = False
    is_byte: bool = False
    companions: dict[str, str] = dataclasses.field(default_factory=dict)
    role: str = ""
    form: str = ""
    owner: tuple[int, str] | None = None

    @property
    def title(self) -> str:
        """Name and version, as one gives them to astropy; else its number."""
        return f"{self.name},{self.ver}" if self.name else str(self.index)

    @property
    def label(self) -> Label:
        """What its name says, or HDUCLAS2 where the name says nothing."""
        label = read_name(self.name)
        if label.kind == "unknown":
            kind = "other" if self.role in ("ERROR", "QUALITY") else label.kind
            return dataclasses.replace(label, kind=kind)
        return label

    @property
    def is_frame(self) -> bool:
        """Whether it is an image of two dimensions, or of three: a stack."""
        return self.is_image and len(self.shape) in (2, 3) and 0 not in self.shape

    @property
    def width(self) -> int:
        """Pixels along its shorter side."""
        return min(self.shape[-2:])


def read_hdu_info(hdu: Any, index: int) -> HduInfo:
    """Read what a header says.

    Parameters
    ----------
    hdu : header and data unit of astropy
        Its pixels are not read.
    index : int
        Its place in the file.

    Returns
    -------
    HduInfo
    """
    header = hdu.header
    is_image = isinstance(
        hdu, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU
    ) and not isinstance(hdu, fits.GroupsHDU)
    scale, zero = header.get("BSCALE", 1), header.get("BZERO", 0)
    bitpix = header.get("BITPIX", 0)
    whole = scale == 1 and isinstance(zero, int | float) and zero % 1 == 0
    owner = header_value(header, "CRHDU"), str(header_value(header, "CREXT"))
    version = header_value(header, "EXTVER")
    has_ver = type(version) is int
    return HduInfo(
        index,
        hdu.name.strip(),
        version if has_ver else 1,
        has_ver=has_ver,
        shape=full_shape(hdu) if is_image else (),
        is_image=is_image,
        is_integer=is_image and bitpix > 0 and whole,
        is_byte=is_image and bitpix == 8 and whole,
        companions={
            key: str(value).strip()
            for key in ("SCIDATA", "ERRDATA", "QUALDATA")
            if (value := header_value(header, key)) is not None
        },
        role=str(header_value(header, "HDUCLAS2", "")).strip().upper(),
        form=str(header_value(header, "HDUCLAS3", "")).strip().upper(),
        owner=owner if type(owner[0]) is int else None,
    )
