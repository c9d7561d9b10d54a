"""Rewrite a FITS file: change pixels of some images, copy all else byte for byte."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from astropy.io import fits

from ..fits_layout import Segment, open_fits
from ..header_checks import FITS_BLOCK
from ..stream import new_stream, read_image
from .change import Change
from .checksum import SummingWriter, renew_sums
from .header_cards import edit_header, has_card

__all__ = ["PIECE_BYTES", "add_image", "rewrite"]

#: Bytes of a file that are copied at a time: they fit into the processor's cache.
PIECE_BYTES = 1 << 20
#: Cards that say what stored numbers mean.
SCALING = ("BSCALE", "BZERO", "BLANK")
#: Cards of checksums, until these are known.
SUMS = {"CHECKSUM": ("0", "HDU checksum"), "DATASUM": ("0", "data unit checksum")}


def rewrite(
    open_source: Callable[[], BinaryIO],
    target: Path,
    layout: list[Segment],
    changes: dict[int, Change],
    added: list[tuple[fits.Header, Change]],
) -> None:
    """Write a changed copy of a FITS file.

    Parameters
    ----------
    open_source : callable
        Returns a new binary stream of the file, not gzipped.
    target : path
        Where to.
    layout : list of Segment
        From `deepcr_ccd.io.fits_layout.read_layout`.
    changes : dict
        What becomes of images, by their place in the file.
    added : list of (`~astropy.io.fits.Header`, Change)
        Image extensions to add at the end: of zeros, with these changes.

    Raises
    ------
    ValueError
        If a bit does not fit into an image.
    OSError
        If the file cannot be written.
    """
    kinds = {key for key in SUMS if any(key in segment.header for segment in layout)}
    if "CHECKSUM" in kinds:
        kinds.add("DATASUM")
    with open_source() as source, open(target, "w+b") as file:
        for index, segment in enumerate(layout):
            if index not in changes:
                _copy_bytes(source, file, segment.start, segment.end)
                continue
            change = changes[index]
            if segment.compressed:
                _recompress(open_source(), index, segment.header, change, file)
                continue
            header = segment.header
            if segment.data_offset == segment.end:
                _fill_constant(change.apply_header(header), change, file)
                continue
            keywords = list(change.keywords)
            source.seek(segment.start)
            raw = source.read(segment.data_offset - segment.start)
            if has_card(raw, "CHECKSUM") and not has_card(raw, "DATASUM"):
                keywords.append(("DATASUM", *SUMS["DATASUM"]))
            start = file.tell()
            file.write(edit_header(raw, keywords, extend=bool(added) and index == 0))
            data = file.tell()
            summing = any(has_card(raw, key) for key in SUMS)
            writer = SummingWriter(file) if summing else file
            _write_changed(writer, header, change, source)
            _copy_bytes(source, writer, source.tell(), segment.end)
            if isinstance(writer, SummingWriter):
                renew_sums(file, start, data, writer.total)
        for plain, change in added:
            header = plain.copy()
            header.update({key: card for key, card in SUMS.items() if key in kinds})
            add_image(file, header, change)
    with open_source() as source, open(target, "ab") as file:
        # What is behind the last HDU, and is none.
        _copy_bytes(source, file, layout[-1].end, None)


def _copy_bytes(
    source: BinaryIO, target: BinaryIO | SummingWriter, start: int, end: int | None
) -> None:
    source.seek(start)
    if end is None:
        shutil.copyfileobj(source, target)
        return
    left = end - start
    while left:
        # Some writers leave out the padding of the last block.
        block = source.read(min(left, PIECE_BYTES)) or bytes(min(left, FITS_BLOCK))
        target.write(block)
        left -= len(block)


def _write_changed(
    file: BinaryIO | SummingWriter,
    header: fits.Header,
    change: Change,
    source: BinaryIO | None = None,
) -> int:
    """Write the pixels of an image with some changed, and return their bytes.

    They are zeros if there is no source.
    """
    dtype = np.dtype(fits.BITPIX2DTYPE[header["BITPIX"]]).newbyteorder(">")
    # Files have readinto(), though BinaryIO does not say so.
    reader = cast(io.BufferedIOBase | None, source)
    # A dictionary: astropy's headers take longer to look into than a piece to change.
    scaling = {key: header[key] for key in SCALING if key in header}
    written = 0
    for length, part in change.parts(header, dtype, PIECE_BYTES):
        stored = bytearray(length)
        if reader is not None and reader.readinto(stored) != length:
            raise OSError("the file ends within an image")
        if part.where[0].size:
            part.apply_data(np.frombuffer(stored, dtype=dtype), scaling)
        file.write(stored)
        written += length
    return written


def add_image(file: BinaryIO, header: fits.Header, change: Change) -> None:
    """Write an image of zeros with changes, where a file ends.

    Parameters
    ----------
    file : binary file
        Open for reading and writing, at its end.
    header : `~astropy.io.fits.Header`
        Header of the image; checksums in it are renewed.
    change : Change
        The pixels that are not zero.
    """
    start = file.tell()
    file.write(header.tostring().encode("ascii"))
    data = file.tell()
    summing = any(key in header for key in SUMS)
    writer = SummingWriter(file) if summing else file
    length = _write_changed(writer, header, change)
    writer.write(bytes(-length % FITS_BLOCK))
    if isinstance(writer, SummingWriter):
        renew_sums(file, start, data, writer.total)


def _fill_constant(header: fits.Header, change: Change, target: BinaryIO) -> None:
    """Write one of HST's constant arrays, made explicit and changed.

    Such an extension stores no pixels: NPIX1, NPIX2 and PIXVALUE stand for them.
    """
    shape = (header["NPIX2"], header["NPIX1"])
    dtype = np.int16 if change.values is None else np.float32
    data = np.full(shape, header.get("PIXVALUE", 0), dtype=dtype)
    for key in ("NPIX1", "NPIX2", "PIXVALUE"):
        header.remove(key, ignore_missing=True)
    change.apply_data(data, header)
    _write_extension(fits.ImageHDU(data, header), target, header)


def _recompress(
    source: BinaryIO, index: int, table: fits.Header, change: Change, target: BinaryIO
) -> None:
    """Write a tile-compressed image with pixels changed.

    Nothing but these pixels changes: integers are compressed as they were. Floats
    that were quantised would all move if quantised again, and are kept as they read
    by gzip without quantisation.
    """
    with open_fits(source, do_not_scale_image_data=True) as hdus:
        data = np.require(read_image(hdus[index], scaled=False), requirements="W")
        header = change.apply_header(hdus[index].header)
    if "ZBLANK" in table and data.dtype.kind != "f":
        header.setdefault("BLANK", table["ZBLANK"])
    change.apply_data(data, header)
    # They are of the image before compression, whose header is not known.
    header.remove("CHECKSUM", ignore_missing=True)
    if "DATASUM" in header:
        plain = fits.ImageHDU(data)
        plain.add_datasum()
        header["DATASUM"] = plain.header["DATASUM"]
    options = {"compression_type": table["ZCMPTYPE"]}
    if data.dtype.kind == "f":
        options = {"compression_type": "GZIP_2", "quantize_level": 0.0}
    hdu = fits.CompImageHDU(
        data,
        header,
        tile_shape=tuple(table[f"ZTILE{i}"] for i in range(data.ndim, 0, -1)),
        do_not_scale_image_data=True,
        **options,
    )
    # The constructor takes the numbers as physical and drops their scaling.
    for key in SCALING:
        if key in header:
            hdu.header[key] = header[key]
    _write_extension(hdu, target, table)


def _write_extension(
    hdu: fits.ImageHDU | fits.CompImageHDU, target: BinaryIO, before: fits.Header
) -> None:
    """Write an extension as it stands in a file, with checksums if it had some."""
    checksum = "CHECKSUM" in before or ("datasum" if "DATASUM" in before else False)
    with new_stream(hdu.data.nbytes) as stream:
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(stream, checksum=checksum)
        # An empty primary HDU is one block.
        stream.seek(FITS_BLOCK)
        shutil.copyfileobj(stream, target, PIECE_BYTES)
