"""What a FITS file consists of, and whether it is whole."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from astropy.io import fits

from ..notices import ignored
from ..tiling.forking import ChildSafeLock
from .given_paths import FITS_FILE, given_path
from .header_checks import check_headers
from .stream import Source

__all__ = ["Segment", "check_whole", "open_fits", "read_layout"]

#: Taken while astropy reads headers: version 6.1 keeps disable_image_compression in a
#: variable of its module, which threads would set for each other.
_READING = ChildSafeLock()


class Segment(NamedTuple):
    """A header and data unit, and where it is in the file.

    Offsets are in bytes from the start of the file: ``start`` of the header,
    ``data_offset`` of the data, and ``end`` of what follows the data.
    """

    header: fits.Header
    start: int
    data_offset: int
    end: int

    @property
    def compressed(self) -> bool:
        """Whether it holds a tile-compressed image."""
        return "ZCMPTYPE" in self.header


@contextlib.contextmanager
def open_fits(source: str | Path | BinaryIO, **options: Any) -> Iterator[fits.HDUList]:
    """Open a FITS file, and read all of its headers; for use by many threads.

    They are checked before, as it is one at a time that reads them.

    Parameters
    ----------
    source : path or binary file
        The file.
    **options
        As for `astropy.io.fits.open`.

    Yields
    ------
    `~astropy.io.fits.HDUList`

    Raises
    ------
    OSError
        If it is truncated, or no FITS file, or cards are damaged that give sizes.
    """
    check_headers(source)
    with contextlib.ExitStack() as stack:
        # Whether it is whole is checked here, and an error.
        with _READING, ignored("File may have been truncated"):
            hdus = stack.enter_context(fits.open(source, **options))
            # Else they would be read when they are first looked at.
            len(hdus)
        yield hdus


def check_whole(path: str | os.PathLike) -> None:
    """Raise an error if a FITS file is not whole.

    Parameters
    ----------
    path : str or path-like
        The file; it may be gzipped.

    Raises
    ------
    OSError
        If it is truncated.
    """
    source = Source(given_path(path, "path", FITS_FILE))
    with (
        source.open() as stream,
        open_fits(stream, disable_image_compression=True) as hdus,
    ):
        read_layout(stream, hdus)


def read_layout(stream: BinaryIO, hdus: fits.HDUList) -> list[Segment]:
    """Return what a FITS file consists of.

    Parameters
    ----------
    stream : binary file
        Open for reading, not compressed.
    hdus : `~astropy.io.fits.HDUList`
        Of the stream, tile-compressed images as tables.

    Raises
    ------
    OSError
        If it is truncated.
    """
    # Where an HDU is not whole, astropy takes it for the last.
    layout = []
    for hdu in hdus:
        info = hdu.fileinfo()
        data = info["datLoc"]
        layout.append(Segment(hdu.header, info["hdrLoc"], data, data + info["datSpan"]))
    end = layout[-1].data_offset + hdus[-1].size
    length = stream.seek(0, io.SEEK_END)
    if end > length:
        raise OSError(
            f"is truncated: HDU {len(layout) - 1} should end at byte {end}, and the "
            f"file has {length}"
        )
    stream.seek(layout[-1].end)
    if stream.read(8) == b"XTENSION":
        raise OSError(f"is truncated in the header of HDU {len(layout)}")
    return layout
