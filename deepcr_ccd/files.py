"""FITS files: find the science images, and write results without touching the rest.

A file is taken apart into its header and data units. Those that do not change are
copied byte for byte; of an image that changes, only the struck pixels are written
anew, in the number format of the file.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import warnings
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty

from .atomic import atomic_path
from .rewriting import Change, check_length, read_gzipped, rewrite

__all__ = ["FitsFile", "Image", "parse_unit", "write_masks"]

#: DQ bits of HST cameras that make a pixel useless: fill, bad, hot, saturated.
#: Cosmic rays found before (4096, 8192), and warm or trap pixels, are examined.
HST_BAD_BITS = 1 | 2 | 4 | 8 | 16 | 256 | 512 | 2048
DQ_BIT = 4096
#: How units are written in BUNIT, where astropy does not read them so.
WORDS = {
    "electrons": "electron",
    "e-": "electron",
    "e": "electron",
    "counts": "adu",
    "dn": "adu",
}


class Image(NamedTuple):
    """A science image of a file.

    ``ccd`` has the pixels in physical units, the mask that DQ or MASK tells, ERR
    as uncertainty, and the header with the primary header's keywords under it;
    ``index``, ``dq`` and ``mask`` are places in the file, None where absent.
    """

    name: str
    extver: int
    index: int
    dq: int | None
    mask: int | None
    ccd: CCDData

    def struck(self, result: CCDData) -> np.ndarray:
        """Return what a result masks and the image did not.

        Parameters
        ----------
        result : `~astropy.nddata.CCDData`
            The image, cleaned.
        """
        return result.mask if self.ccd.mask is None else result.mask & ~self.ccd.mask


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


class FitsFile:
    """A FITS file whose science images can be read, and written back cleaned.

    Parameters
    ----------
    path : str or path-like
        The file; it may be gzipped, and its images tile-compressed.
    unit : str, optional
        Unit of images that have no BUNIT.
    bad_bits : int, optional
        DQ bits of pixels that are not examined. By default those that make a
        pixel useless for HST, and all but the cosmic-ray bit elsewhere.
    dq_bit : int
        The cosmic-ray bit of DQ, a power of two.

    Raises
    ------
    FileNotFoundError, OSError
        If there is no such file, or it is not a whole FITS file.
    ValueError
        If there is no image in it, or a unit is unknown.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        unit: str | None = None,
        bad_bits: int | None = None,
        dq_bit: int = DQ_BIT,
    ):
        self.path = Path(path)
        if dq_bit < 1 or dq_bit & (dq_bit - 1):
            raise ValueError(f"dq_bit={dq_bit!r} must be a power of two, such as 4096")
        self.dq_bit = dq_bit
        self._content = read_gzipped(self.path)
        self._unit = unit
        self._bad_bits = bad_bits
        source = self.path if self._content is None else io.BytesIO(self._content)
        with warnings.catch_warnings():
            # It is checked here, and an error; padding may be missing.
            warnings.filterwarnings("ignore", "File may have been truncated")
            try:
                with self._stream() as stream:
                    check_length(stream)
            except OSError as error:
                raise OSError(f"{self.path}: {error}") from error
            with fits.open(source) as hdus:
                self.images = self._find_images(hdus)

    def _find_images(self, hdus: fits.HDUList) -> list[Image]:
        found = [
            i for i, hdu in enumerate(hdus) if hdu.name == "SCI" and _is_image(hdu)
        ]
        if not found:
            found = [i for i, hdu in enumerate(hdus) if _is_image(hdu)][:1]
        if not found:
            raise ValueError(f"{self.path} holds no image of two or three dimensions")
        return [self._read_image(hdus, index) for index in found]

    def _read_image(self, hdus: fits.HDUList, index: int) -> Image:
        hdu = hdus[index]
        shape, extver = hdu.shape, hdu.ver
        where = f"{self.path.name}[{hdu.name or 'PRIMARY'},{extver}]"
        header = hdu.header.copy(strip=True)
        header.extend(hdus[0].header.copy(strip=True), unique=True, end=True)
        bunit = str(header.get("BUNIT") or "").strip() or self._unit
        try:
            unit = parse_unit(bunit) if bunit else u.dimensionless_unscaled
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        places = {}
        for name in ("DQ", "MASK", "ERR"):
            place = _index_of(hdus, name, extver)
            if place is not None and place != index:
                if _full_shape(hdus[place]) == shape:
                    places[name] = place
        data = hdu.data
        mask = uncertainty = None
        if "DQ" in places:
            bits = self._bad_bits
            if bits is None:
                hst = header.get("TELESCOP") == "HST"
                bits = HST_BAD_BITS if hst else ~self.dq_bit
            mask = (_full_data(hdus[places["DQ"]]).astype(np.int64) & bits) != 0
        elif "MASK" in places:
            mask = _full_data(hdus[places["MASK"]]) != 0
        if "ERR" in places:
            uncertainty = StdDevUncertainty(_full_data(hdus[places["ERR"]]))
        ccd = CCDData(data, unit=unit, mask=mask, uncertainty=uncertainty, meta=header)
        name = hdu.name or "PRIMARY"
        return Image(name, extver, index, places.get("DQ"), places.get("MASK"), ccd)

    def write(
        self,
        path: str | os.PathLike,
        results: list[CCDData],
        keywords: tuple[str, ...],
        *,
        overwrite: bool = False,
    ) -> None:
        """Write the file with cleaned images, whole or not at all.

        Struck pixels are those that a result masks and its image did not. Their
        values are replaced, the cosmic-ray bit is set in DQ (or 1 in MASK; where
        there is neither, a MASK extension is added), and the keywords are copied
        into the image's header. All else stays as it is, byte for byte.

        Parameters
        ----------
        path : str or path-like
            Where to; gzipped if the name ends in ``.gz``.
        results : list of `~astropy.nddata.CCDData`
            One an image, cleaned.
        keywords : tuple of str
            Keywords to copy from the results' headers.
        overwrite : bool
            Replace a file that is there.

        Raises
        ------
        FileExistsError
            If the file is there and must not be replaced.
        ValueError
            If DQ cannot hold the cosmic-ray bit.
        """
        changes: dict[int, Change] = {}
        added: list[fits.ImageHDU] = []
        for image, result in zip(self.images, results, strict=True):
            struck = image.struck(result)
            changes[image.index] = Change(
                struck, result.data[struck], keywords=_cards(result, keywords)
            )
            if image.dq is not None:
                changes[image.dq] = Change(struck, bit=self.dq_bit)
            elif image.mask is not None:
                changes[image.mask] = Change(struck, bit=1)
            else:
                added.append(_mask_extension(result.mask, "MASK", image.extver))
        with atomic_path(Path(path), overwrite=overwrite) as partial:
            rewrite(self._stream, partial, changes, added)

    def _stream(self) -> BinaryIO:
        if self._content is not None:
            return io.BytesIO(self._content)
        return open(self.path, "rb")


def _is_image(hdu) -> bool:
    image = isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU)
    return image and len(hdu.shape) in (2, 3) and 0 not in hdu.shape


def _index_of(hdus: fits.HDUList, name: str, extver: int) -> int | None:
    return next(
        (i for i, hdu in enumerate(hdus) if hdu.name == name and hdu.ver == extver),
        None,
    )


def _full_shape(hdu) -> tuple[int, ...]:
    """Return the shape, also of HST's constant arrays that store no pixels."""
    header = hdu.header
    if not hdu.shape and "NPIX1" in header and "NPIX2" in header:
        return (header["NPIX2"], header["NPIX1"])
    return hdu.shape


def _full_data(hdu) -> np.ndarray:
    if not hdu.shape:
        return np.full(_full_shape(hdu), hdu.header.get("PIXVALUE", 0))
    return hdu.data


def _cards(result: CCDData, keywords: tuple[str, ...]) -> list[tuple]:
    header = result.header
    cards = [(key, header[key], header.comments[key]) for key in keywords]
    return [*cards, ("HISTORY", list(header["HISTORY"])[-1], "")]


def _mask_extension(mask: np.ndarray, name: str, extver: int) -> fits.ImageHDU:
    hdu = fits.ImageHDU(mask.astype(np.uint8), name=name)
    hdu.ver = extver
    return hdu


def write_masks(
    path: str | os.PathLike,
    images: list[Image],
    results: list[CCDData],
    keywords: tuple[str, ...],
    *,
    overwrite: bool = False,
) -> None:
    """Write a FITS file of masks only, one CRMASK extension an image.

    Parameters
    ----------
    path : str or path-like
        Where to; gzipped if the name ends in ``.gz``.
    images : list of Image
        What was cleaned.
    results : list of `~astropy.nddata.CCDData`
        The images, cleaned; what they mask anew is written, as 1 in uint8.
    keywords : tuple of str
        Keywords to copy from their headers.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    FileExistsError
        If the file is there and must not be replaced.
    """
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for image, result in zip(images, results, strict=True):
        hdu = _mask_extension(image.struck(result), "CRMASK", image.extver)
        change = Change(hdu.data, keywords=_cards(result, keywords))
        hdu.header = change.apply_header(hdu.header)
        hdu.header["CREXT"] = (image.name, "extension that the mask belongs to")
        hdus.append(hdu)
    with (
        atomic_path(Path(path), overwrite=overwrite) as partial,
        open(partial, "wb") as file,
    ):
        hdus.writeto(file)
