"""What is large and compressed: kept on disk, and mapped into memory."""

from __future__ import annotations

import contextlib
import gzip
import io
import math
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from astropy.io import fits

__all__ = ["LARGE", "Source", "new_stream", "read_image"]

#: What takes more bytes than this goes to disk, into the folder for temporary files.
LARGE = 1 << 28
GZIP_MAGIC = b"\x1f\x8b"


class Source:
    """A file to read; one that is gzipped is uncompressed once.

    What is large goes into a temporary file, which goes when this object goes.

    Parameters
    ----------
    path : path
        The file.

    Raises
    ------
    OSError
        If it is gzipped and not whole, or the disk is full.
    """

    def __init__(self, path: Path):
        #: Where its bytes are, uncompressed; None if they are in memory.
        self.path: Path | None = path
        self._content = b""
        with open(path, "rb") as file:
            if file.read(2) != GZIP_MAGIC:
                return
        try:
            with gzip.open(path) as file:
                self._content = file.read(LARGE)
                rest = file.read(1)
                if not rest:
                    self.path = None
                    return
                with contextlib.ExitStack() as stack:
                    spooled = tempfile.NamedTemporaryFile(suffix=".fits")
                    stack.enter_context(spooled)
                    spooled.write(self._content + rest)
                    shutil.copyfileobj(file, spooled)
                    spooled.flush()
                    # It stays for as long as it is known here.
                    self._file, _ = spooled, stack.pop_all()
        except (EOFError, zlib.error) as error:
            raise OSError(f"{path} is truncated or corrupt: {error}") from error
        self.path, self._content = Path(spooled.name), b""

    def open(self) -> BinaryIO:
        """Return a new stream of its bytes, uncompressed."""
        if self.path is None:
            return io.BytesIO(self._content)
        return self.path.open("rb")


def read_image(hdu) -> np.ndarray:
    """Return the pixels of an image; those of a large compressed one from disk.

    They are uncompressed some rows of tiles at a time, into a temporary file without
    a name, which goes when the array goes.

    Parameters
    ----------
    hdu : `~astropy.io.fits.ImageHDU` or `~astropy.io.fits.CompImageHDU`
        The image, open for reading.

    Returns
    -------
    `~numpy.ndarray`
        What ``hdu.data`` gives; if from disk, what is changed in it stays in memory.
    """
    if not isinstance(hdu, fits.CompImageHDU):
        return hdu.data
    # Not HDU.size, which in Astropy 6.1 is that of what is compressed.
    if math.prod(hdu.shape) * abs(hdu.header["BITPIX"]) // 8 <= LARGE:
        return hdu.data
    step = hdu.tile_shape[0]
    with tempfile.TemporaryFile() as file:
        for start in range(0, hdu.shape[0], step):
            rows = hdu.section[start : start + step]
            file.write(rows.tobytes())
        file.flush()
        return np.memmap(file, dtype=rows.dtype, mode="c", shape=hdu.shape)


def new_stream(size: int) -> BinaryIO:
    """Return an empty file: in memory, or on disk for what is large.

    Parameters
    ----------
    size : int
        Bytes that are worked on.
    """
    return tempfile.TemporaryFile() if size > LARGE else io.BytesIO()
