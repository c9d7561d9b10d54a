"""Tile-compressed images whose reader can crash: read in a separate process."""

from __future__ import annotations

import subprocess
import sys
import tempfile

import numpy as np
from astropy.io import fits

__all__ = ["FRAGILE", "read_apart"]

#: Compressions whose reader in astropy writes beyond its memory on damaged data.
FRAGILE = ("HCOMPRESS_1",)
#: Seconds that reading may take: for any image, and for each of its megabytes.
PATIENCE = (60, 1)
#: What the process runs.
CODE = """
import io, sys
import numpy as np
from astropy.io import fits

content = io.BytesIO(sys.stdin.buffer.read())
with fits.open(content, do_not_scale_image_data=sys.argv[1] == "stored") as hdus:
    data = np.ascontiguousarray(hdus[1].data)
np.lib.format.write_array(sys.stdout.buffer, data, version=(1, 0))
"""


def read_apart(hdu: fits.CompImageHDU, scaled: bool, mapped: bool) -> np.ndarray:
    """Return the pixels of a compressed image, read by another process.

    Parameters
    ----------
    hdu : `~astropy.io.fits.CompImageHDU`
        The image, of an open file.
    scaled : bool
        Whether to return physical values, or numbers as they are stored.
    mapped : bool
        Whether to keep them on disk, and map them into memory.

    Raises
    ------
    OSError
        If they cannot be read, or that takes too long.
    """
    info = hdu.fileinfo()
    size = abs(hdu.header["BITPIX"]) // 8 * int(np.prod(hdu.shape))
    how = "scaled" if scaled else "stored"
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as result:
        given.write(fits.PrimaryHDU().header.tostring().encode("ascii"))
        info["file"].seek(info["hdrLoc"])
        given.write(
            info["file"].read(info["datLoc"] + info["datSpan"] - info["hdrLoc"])
        )
        given.seek(0)
        try:
            done = subprocess.run(
                [sys.executable, "-c", CODE, how],
                stdin=given,
                stdout=result,
                stderr=subprocess.PIPE,
                timeout=PATIENCE[0] + PATIENCE[1] * size / 1e6,
            )
        except subprocess.TimeoutExpired as error:
            raise OSError("reading a compressed image takes too long") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            why = said[-1] if said and done.returncode > 0 else "its reader crashed"
            raise OSError(f"a compressed image cannot be read: {why}")
        result.seek(0)
        if not mapped:
            return np.lib.format.read_array(result)
        np.lib.format.read_magic(result)
        shape, _, dtype = np.lib.format.read_array_header_1_0(result)
        return np.memmap(result, dtype, "c", result.tell(), shape)
