"""What becomes of the extensions that tell the noise, where pixels are filled."""

from __future__ import annotations

from collections.abc import Sequence

from ..fits_image import CleanedImage, Image
from ..rewriting.rewrite import Change

__all__ = ["noise_changes", "stale_noise"]


def noise_changes(image: Image, result: CleanedImage) -> dict[int, Change]:
    """Return what becomes of the extensions that tell an image's noise.

    Parameters
    ----------
    image : Image
        The image.
    result : CleanedImage
        What is new about it.

    Returns
    -------
    dict
        Changes by the place of the extension.
    """
    # Neighbours that are all equal say nothing of the noise: what is there stays.
    if result.sigma is None or not (known := result.sigma > 0).any():
        return {}
    where, sigma = tuple(axis[known] for axis in result.flagged), result.sigma[known]
    return {
        plane.index: Change(where, plane.values(sigma), noise=True)
        for plane in image.noise
        if not plane.problem
    }


def stale_noise(
    images: Sequence[Image], results: Sequence[CleanedImage]
) -> dict[str, list[str]]:
    """Return the extensions that tell the noise of filled pixels and do not follow.

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
