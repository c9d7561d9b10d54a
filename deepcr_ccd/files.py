"""FITS files: find the science images, and write results without touching the rest.

A file is taken apart into its header and data units. Those that do not change are
copied byte for byte; of an image that changes, only the struck pixels are written
anew, in the number format of the file. Images are read one at a time, as they are asked
for, so that a mosaic of many chips needs the memory of one.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from astropy import units as u
from astropy.io import fits

from .atomic import atomic_path
from .images import Cleaned, Image, full_shape, parse_unit
from .layout import open_fits, read_layout
from .rewriting import BLOCK, Change, add_image, rewrite
from .spool import Source
from .tiling import row_blocks

__all__ = ["FitsFile", "write_masks"]

#: DQ bits of HST cameras that make a pixel useless: fill, bad, hot, saturated.
#: Cosmic rays found before (4096, 8192), and warm or trap pixels, are examined.
HST_BAD_BITS = 1 | 2 | 4 | 8 | 16 | 256 | 512 | 2048
DQ_BIT = 4096
#: Images of no more bytes are read into memory; larger ones are copied, and mapped.
READ_WHOLE = 1 << 30


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
        self._source = Source(self.path)
        self._unit = unit
        self._bad_bits = bad_bits
        try:
            with (
                self._source.open() as stream,
                open_fits(stream, disable_image_compression=True) as hdus,
            ):
                self._layout = read_layout(stream, hdus)
                largest = max(s.end - s.data for s in self._layout)
                packed = any(segment.compressed for segment in self._layout)
                if not packed:
                    self.images = self._find_images(hdus)
        except OSError as error:
            raise OSError(f"{self.path}: {error}") from error
        if largest > READ_WHOLE:
            self._source.make_private()
        if packed:
            with _open(self._source) as hdus:
                self.images = self._find_images(hdus)

    def _find_images(self, hdus: fits.HDUList) -> list[Image]:
        found = [
            i for i, hdu in enumerate(hdus) if hdu.name == "SCI" and _is_image(hdu)
        ]
        if not found:
            found = [i for i, hdu in enumerate(hdus) if _is_image(hdu)][:1]
        if not found:
            raise ValueError(f"{self.path} holds no image of two or three dimensions")
        return [self._describe(hdus, index) for index in found]

    def _describe(self, hdus: fits.HDUList, index: int) -> Image:
        hdu = hdus[index]
        name, shape, extver = hdu.name or "PRIMARY", hdu.shape, hdu.ver
        header = hdu.header.copy(strip=True)
        # By a set: Header.extend would look for each keyword anew.
        known = {"", "COMMENT", "HISTORY", *header}
        general = hdus[0].header.copy(strip=True).cards
        header.extend([card for card in general if card.keyword not in known], end=True)
        bunit = str(header.get("BUNIT") or "").strip() or self._unit
        try:
            unit = parse_unit(bunit) if bunit else u.dimensionless_unscaled
        except ValueError as error:
            where = f"{self.path.name}[{name},{extver}]"
            raise ValueError(f"{where}: {error}") from None
        places = {}
        for kind in ("DQ", "MASK", "ERR"):
            place = _index_of(hdus, kind, extver)
            if place is not None and place != index:
                if full_shape(hdus[place]) == shape:
                    places[kind.lower()] = place
        bits = self._bad_bits
        if bits is None:
            hst = header.get("TELESCOP") == "HST"
            bits = HST_BAD_BITS if hst else ~self.dq_bit
        # It knows the source and not this object, which would keep both alive.
        opened = functools.partial(_open, self._source)
        return Image(
            opened, name, extver, shape, unit, header, index, bad_bits=bits, **places
        )

    def count_units(self, masks_only: bool = False, probability: bool = False) -> int:
        """Return how many header and data units a result has.

        Parameters
        ----------
        masks_only, probability : bool
            Whether it is one of `write_masks`, with probabilities.
        """
        if masks_only:
            return 1 + len(self.images) * (2 if probability else 1)
        new = [image.dq is None and image.mask is None for image in self.images]
        return len(self._layout) + sum(new)

    def write(
        self,
        path: str | os.PathLike,
        results: list[Cleaned],
        *,
        overwrite: bool = False,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Write the file with cleaned images, whole or not at all.

        Values of struck pixels are replaced, and their uncertainties in ERR; the
        cosmic-ray bit is set in DQ (or 1 in MASK; where there is neither, a MASK
        extension is added), and the keywords are put into the image's header. All else
        stays as it is, byte for byte.

        Parameters
        ----------
        path : str or path-like
            Where to; gzipped if the name ends in ``.gz``.
        results : list of Cleaned
            One an image.
        overwrite : bool
            Replace a file that is there.
        check : callable, optional
            Called before it is replaced; an error that it raises keeps it.

        Raises
        ------
        FileExistsError
            If the file is there and must not be replaced.
        ValueError
            If DQ cannot hold the cosmic-ray bit.
        """
        changes: dict[int, Change] = {}
        added = []
        for image, result in zip(self.images, results, strict=True):
            struck = result.struck
            changes[image.index] = Change(struck, result.values, keywords=result.cards)
            if image.err is not None and result.errors is not None:
                changes[image.err] = Change(struck, result.errors)
            if image.dq is not None:
                changes[image.dq] = Change(struck, bit=self.dq_bit)
            elif image.mask is not None:
                changes[image.mask] = Change(struck, bit=1)
            else:
                added.append((_mask_header(image, "MASK"), Change(struck, bit=1)))
        target = atomic_path(
            Path(path), overwrite=overwrite, like=self.path, check=check
        )
        with target as partial:
            rewrite(self._source.open, partial, self._layout, changes, added)


@contextlib.contextmanager
def _open(source: Source) -> Iterator[fits.HDUList]:
    """Open a file, to be read; data that were read stay readable afterwards."""
    # A file that is mapped, and cut short, would end the process.
    with open_fits(source.path or source.open(), memmap=source.private) as hdus:
        yield hdus


def _is_image(hdu) -> bool:
    image = isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU)
    return image and len(hdu.shape) in (2, 3) and 0 not in hdu.shape


def _index_of(hdus: fits.HDUList, name: str, extver: int) -> int | None:
    return next(
        (i for i, hdu in enumerate(hdus) if hdu.name == name and hdu.ver == extver),
        None,
    )


def _mask_header(image: Image, name: str) -> fits.Header:
    """Return the header of a mask extension for an image."""
    # One zero stands for them all.
    hdu = fits.ImageHDU(np.broadcast_to(np.uint8(0), image.shape), name=name)
    hdu.ver = image.extver
    return hdu.header


def write_masks(
    path: str | os.PathLike,
    images: list[Image],
    results: list[Cleaned],
    *,
    overwrite: bool = False,
    like: Path | None = None,
    check: Callable[[], None] | None = None,
) -> None:
    """Write a FITS file of masks only, one CRMASK extension an image.

    Behind it comes the probability, as CRPROB, where the result holds it: float32, NaN
    where a pixel was not examined.

    Parameters
    ----------
    path : str or path-like
        Where to; gzipped if the name ends in ``.gz``.
    images : list of Image
        What was cleaned.
    results : list of Cleaned
        What is new about them; struck pixels are written as 1 in uint8.
    overwrite : bool
        Replace a file that is there.
    like : path, optional
        A file whose mode the new one gets, where the umask allows.
    check : callable, optional
        Called before a file is replaced; an error that it raises keeps it.

    Raises
    ------
    FileExistsError
        If the file is there and must not be replaced.
    """
    target = atomic_path(Path(path), overwrite=overwrite, like=like, check=check)
    with (
        target as partial,
        open(partial, "w+b") as file,
    ):
        fits.PrimaryHDU().writeto(file)
        for image, result in zip(images, results, strict=True):
            change = Change(result.struck, bit=1, keywords=result.cards)
            header = change.apply_header(_mask_header(image, "CRMASK"))
            header["CREXT"] = (image.name, "extension that the mask belongs to")
            add_image(file, header, change)
            if result.probability is not None:
                _add_probability(file, image, result.probability)


def _add_probability(file: BinaryIO, image: Image, probability: np.ndarray) -> None:
    """Write the probability of each pixel, where a file ends."""
    header = fits.ImageHDU(np.broadcast_to(np.float32(0), image.shape)).header
    header["EXTNAME"], header["EXTVER"] = "CRPROB", image.extver
    header["CREXT"] = (image.name, "extension that it belongs to")
    file.write(header.tostring().encode("ascii"))
    rows = probability.reshape(-1, image.shape[-1])
    for part in row_blocks(rows.shape):
        file.write(rows[part].astype(">f4").tobytes())
    file.write(bytes(-probability.size * 4 % BLOCK))
