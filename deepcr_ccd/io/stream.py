"""Input files: opened, uncompressed, and copied to disk where they are large.

Files of users are read, and not mapped into memory: one that is cut short while it is
mapped ends the process. Of what is too large for memory, a copy is mapped.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import shutil
import stat
import sys
import tempfile
import weakref
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits

from .atomic import is_left_over, process_tag
from .compression import open_packed
from .tile_compression import FRAGILE, read_apart

__all__ = ["LARGEST_IN_MEMORY", "Source", "new_stream", "open_regular", "read_image"]

#: More bytes than these go to disk, into the folder for temporary files.
LARGEST_IN_MEMORY = 1 << 28
#: So many bytes are uncompressed to see whether it is FITS.
BEGIN = 2880
#: How names of temporary copies begin, where they need names.
PREFIX = "deepcr_ccd."
#: Where an open file without a name can be opened once more.
DESCRIPTORS = Path("/proc/self/fd")


def open_regular(path: str | os.PathLike) -> io.BufferedReader:
    """Open a file for reading, if it is one: no device, pipe, socket or folder.

    Parameters
    ----------
    path : str or path-like
        The file.

    Raises
    ------
    OSError
        If it is none, or it is empty.
    """
    # Without waiting for a process that writes into a pipe.
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a regular file")
        if not status.st_size:
            raise OSError(f"{path} is empty")
        return os.fdopen(file, "rb")
    except OSError:
        os.close(file)
        raise


_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class Source:
    """A file to read; one that is compressed is uncompressed once.

    What is large goes into a temporary file, which goes when this object goes.

    Parameters
    ----------
    path : path
        The file.

    Raises
    ------
    OSError
        If it is no regular file, it is compressed and not whole, or the disk is full.
    ValueError
        If it is compressed, and what it holds is not FITS.
    """

    def __init__(self, path: Path):
        #: Where its bytes are, uncompressed; None if they are in memory.
        self.path: Path | None = path
        #: Whether these are a copy, which no other process changes.
        self.private = False
        self._content = b""
        with open_regular(path) as file:
            packed = open_packed(file)
            if packed is None:
                return
            stream, damage = packed
            try:
                with stream:
                    self._read(path, stream)
            except damage as error:
                if getattr(error, "errno", None) is not None:
                    raise
                raise OSError(f"{path} is truncated or corrupt: {error}") from error
        self.private = True

    def _read(self, path: Path, stream: BinaryIO) -> None:
        begin = stream.read(BEGIN)
        if not begin.startswith(b"SIMPLE"):
            raise ValueError(f"{path} is no FITS file: it does not begin with SIMPLE")
        content = begin + stream.read(max(LARGEST_IN_MEMORY - len(begin), 0))
        rest = stream.read(1)
        if rest:
            self._spool(content + rest, stream)
        else:
            self.path, self._content = None, content

    def make_private(self) -> None:
        """Copy what is read, so that it can be mapped whatever becomes of the file."""
        if not self.private and self.path is not None:
            with open_regular(self.path) as file:
                self._spool(b"", file)
            self.private = True

    def open(self) -> BinaryIO:
        """Return a new stream of its bytes, uncompressed."""
        if self.path is None:
            return io.BytesIO(self._content)
        return open_regular(self.path)

    def _spool(self, begin: bytes, rest: BinaryIO) -> None:
        """Copy to a temporary file: without a name, where the system allows that."""
        with contextlib.ExitStack() as stack:
            if DESCRIPTORS.is_dir():
                spooled: Any = stack.enter_context(tempfile.TemporaryFile())
                path = DESCRIPTORS / str(spooled.fileno())
            else:
                _remove_old_copies()
                spooled = stack.enter_context(
                    tempfile.NamedTemporaryFile(
                        prefix=f"{PREFIX}{process_tag()}", suffix=".fits"
                    )
                )
                path = Path(spooled.name)
            spooled.write(begin)
            shutil.copyfileobj(rest, spooled, 1 << 20)
            spooled.flush()
            # It stays for as long as this object.
            weakref.finalize(self, stack.pop_all().close)
        self.path = path


def _remove_old_copies() -> None:
    """Remove temporary copies of processes that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*.fits"):
        if is_left_over(path.name[len(PREFIX) :]):
            with contextlib.suppress(OSError):
                path.unlink()


def read_image(
    hdu: fits.ImageHDU | fits.CompImageHDU, scaled: bool = True
) -> np.ndarray:
    """Return the pixels of an image; those of a large compressed one from disk.

    They are uncompressed some rows of tiles at a time, into a temporary file without
    a name, which goes when the array goes.

    Parameters
    ----------
    hdu : `~astropy.io.fits.ImageHDU` or `~astropy.io.fits.CompImageHDU`
        The image, open for reading.
    scaled : bool
        Whether its file was opened so that physical values are read, and not those that
        are stored.

    Returns
    -------
    `~numpy.ndarray`
        What ``hdu.data`` gives; if from disk, what is changed in it stays in memory.
    """
    if not isinstance(hdu, fits.CompImageHDU):
        return hdu.data
    # Not HDU.size, which in Astropy 6.1 is that of what is compressed.
    large = math.prod(hdu.shape) * abs(hdu.header["BITPIX"]) // 8 > LARGEST_IN_MEMORY
    if hdu.compression_type in FRAGILE and hdu.fileinfo() and sys.executable:
        return read_apart(hdu, scaled, large)
    if not large:
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
    return tempfile.TemporaryFile() if size > LARGEST_IN_MEMORY else io.BytesIO()
