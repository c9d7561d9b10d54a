"""Which extensions of a file change where an image was cleaned, and how."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .fits_image import CleanedImage, Image
from .rewriting.change import Change

__all__ = ["image_changes", "stale_noise"]


def image_changes(image: Image, result: CleanedImage) -> dict[int, Change]:
    """Return what becomes of an image, its noise and its flags.

    Parameters
    ----------
    image : Image
        The image.
    result : CleanedImage
        What is new about it.

    Returns
    -------
    dict
        Changes by the place of the extension in the file.
    """
    changes = {
        image.index: Change(result.flagged, result.values, keywords=result.cards)
    }
    changes |= _noise_changes(image, result)
    if image.flags:
        plane = image.flags[0]
        where = _pixels_of_plane(result.flagged, image.shape, plane.shape)
        filled = result.values is not None
        number = plane.convention.number(filled)
        if plane.convention.codes:
            code = np.full(len(where[0]), number)
            changes[plane.index] = Change(where, values=code)
        else:
            source = plane.convention.source(filled)
            change = Change(where, bit=number, name=plane.name, source=source)
            changes[plane.index] = change
    return changes


def _noise_changes(image: Image, result: CleanedImage) -> dict[int, Change]:
    # Neighbours that are all equal say nothing of the noise: what is there stays.
    if result.sigma is None or not (known := result.sigma > 0).any():
        return {}
    where, sigma = tuple(axis[known] for axis in result.flagged), result.sigma[known]
    return {
        plane.index: Change(where, plane.values(sigma), noise=True)
        for plane in image.noise
        if not plane.problem
    }


def _pixels_of_plane(
    where: tuple[np.ndarray, ...], shape: tuple[int, ...], plane: tuple[int, ...]
) -> tuple[np.ndarray, ...]:
    """Return where pixels of an image are in its plane of flags, in order.

    Parameters
    ----------
    where : tuple of `~numpy.ndarray`
        Places of the pixels in the image, an index array an axis.
    shape, plane : tuple of int
        Shapes of the image and of the plane of flags.
    """
    if plane == shape:
        return where
    flat = np.ravel_multi_index(where, shape)
    if math.prod(plane) < math.prod(shape):
        # It serves all planes of a stack.
        flat = np.unique(flat % math.prod(plane))
    return np.unravel_index(flat, plane)


def stale_noise(
    images: Sequence[Image], results: Sequence[CleanedImage]
) -> dict[str, list[str]]:
    """Return the extensions of noise that are not updated at filled pixels.

    Parameters
    ----------
    images : sequence of Image
        The images of a file.
    results : sequence of CleanedImage
        What is new about each.

    Returns
    -------
    dict
        Titles of extensions by the reason.
    """
    stale: dict[str, list[str]] = {}
    for image, result in zip(images, results, strict=True):
        if result.sigma is not None and result.sigma.size:
            for plane in image.noise:
                if plane.problem:
                    stale.setdefault(plane.problem, []).append(plane.title)
    return stale
