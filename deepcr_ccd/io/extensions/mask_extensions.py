"""Masks as extensions of FITS files: their names, and files that hold masks only."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from astropy.io import fits

from ...tiling.tiles import row_blocks
from ..atomic import atomic_path
from ..fits_image import CleanedImage, Image
from ..given_paths import given_path
from ..header_checks import FITS_BLOCK
from ..rewriting.change import Change
from ..rewriting.rewrite import add_image

__all__ = ["mask_header", "mask_names", "write_masks"]


def mask_names(images: Sequence[tuple[str, int]], kind: str) -> list[tuple[str, int]]:
    """Return names and versions for masks, which show the image of each.

    The versions are those of the images if these tell them apart; else the names do,
    if they can; else the masks are numbered.

    Parameters
    ----------
    images : sequence of (str, int)
        EXTNAME and EXTVER of the images, in order.
    kind : {"MASK", "CRMASK", "CRPROB"}
        What the masks are called.

    Returns
    -------
    list of (str, int)
        EXTNAME and EXTVER, one an image.
    """
    names, versions = [name for name, _ in images], [ver for _, ver in images]
    if len(set(versions)) == len(images):
        return [(kind, version) for version in versions]
    if all(names) and len(set(names)) == len(images):
        return [(f"{name}_{kind}", 1) for name in names]
    return [(kind, number) for number, _ in enumerate(images, start=1)]


def mask_header(
    image: Image, name: str, version: int, dtype: type[np.generic] = np.uint8
) -> fits.Header:
    """Return the header of a mask extension for an image.

    CREXT is the image's name (or its number, if it has none), and CRHDU its place in
    the file, 0 for the first.

    Parameters
    ----------
    image : Image
        The image.
    name : str
        EXTNAME.
    version : int
        EXTVER.
    dtype : type
        Of its numbers.
    """
    # One zero stands for them all.
    hdu = fits.ImageHDU(np.broadcast_to(dtype(0), image.shape), name=name)
    hdu.ver = version
    own = image.name or str(image.index)
    hdu.header["CREXT"] = (own, "extension that it belongs to")
    hdu.header["CRHDU"] = (image.index, "its number in the file, from 0")
    return hdu.header


def write_masks(
    path: str | os.PathLike,
    images: list[Image],
    results: list[CleanedImage],
    *,
    overwrite: bool = False,
    like: Path | None = None,
    check: Callable[[], None] | None = None,
) -> None:
    """Write a FITS file of masks only, one CRMASK extension an image.

    Behind it comes the probability, as CRPROB, where the result holds it: float32, NaN
    where a pixel is excluded. Headers name the image, see `mask_header`.

    Parameters
    ----------
    path : str or path-like
        Where to; gzipped if the name ends in ``.gz``.
    images : list of Image
        What was cleaned.
    results : list of CleanedImage
        What is new about them; flagged pixels are written as 1 in uint8.
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
    target = atomic_path(
        given_path(path, "path"), overwrite=overwrite, like=like, check=check
    )
    with (
        target as partial,
        open(partial, "w+b") as file,
    ):
        fits.PrimaryHDU().writeto(file)
        known = [(image.name, image.extver) for image in images]
        names, others = mask_names(known, "CRMASK"), mask_names(known, "CRPROB")
        for image, result, name, other in zip(
            images, results, names, others, strict=True
        ):
            change = Change(result.flagged, bit=1, keywords=result.cards)
            header = change.apply_header(mask_header(image, *name))
            add_image(file, header, change)
            if result.probability is not None:
                header = mask_header(image, *other, dtype=np.float32)
                _add_probability(file, header, result.probability)


def _add_probability(
    file: BinaryIO, header: fits.Header, probability: np.ndarray
) -> None:
    """Write the probability of each pixel, where a file ends."""
    file.write(header.tostring().encode("ascii"))
    rows = probability.reshape(-1, probability.shape[-1])
    for part in row_blocks(rows.shape):
        file.write(rows[part].astype(">f4").tobytes())
    file.write(bytes(-probability.size * 4 % FITS_BLOCK))
