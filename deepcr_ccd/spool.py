"""Large images of compressed files: kept on disk, and mapped into memory."""

from __future__ import annotations

import io
import math
import tempfile
from typing import BinaryIO

import numpy as np
from astropy.io import fits

__all__ = ["LARGE", "new_stream", "read_image"]

#: What takes more bytes than this goes to disk, into the folder for temporary files.
LARGE = 1 << 28


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
