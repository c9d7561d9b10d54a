"""An exposure compared with others of the same field."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ...preprocess.background import measure_background
from .registration import moved_image
from .star_shapes import cutouts_around, star_places

__all__ = ["ExposureComparison", "compare_exposure"]

#: Fewest stars for a measurement of the seeing: where cosmic rays are dense, some of
#: two exposures coincide.
MIN_STARS = 10


class ExposureComparison(NamedTuple):
    """An exposure compared with the others.

    All are ``(ny, nx)``: ``light`` is the exposure and ``reference`` what the others
    have there, both over the background; ``excess`` is their difference, ``variance``
    that of its noise, and ``strength`` the excess in sigma, with allowance for slopes
    and changes of seeing. ``unknown`` is bool, True where nothing can be compared.
    ``seeing`` is the residual of a star after a change of seeing, as a fraction of its
    range in 5x5 px.
    """

    light: np.ndarray
    reference: np.ndarray
    excess: np.ndarray
    variance: np.ndarray
    strength: np.ndarray
    unknown: np.ndarray
    seeing: float


def compare_exposure(
    number: int, frames: list, bads: list, shifts: list
) -> ExposureComparison:
    """Compare an exposure with the median of the others.

    Parameters
    ----------
    number : int
        Which.
    frames, bads : list of `~numpy.ndarray`
        ``(ny, nx)``, the exposures, finite, and where they are bad.
    shifts : list of (dy, dx)
        How far each is shifted against the first, in px.
    """
    frame = frames[number]
    sky, sigma = measure_background(frame, bads[number]).at()
    others, hidden = [], []
    for other, shift in enumerate(shifts):
        if other == number:
            continue
        move = np.subtract(shifts[number], shift)
        other_sky, _ = measure_background(frames[other], bads[other]).at()
        level = moved_image(frames[other] - other_sky, move, np.nan)
        spoiled = moved_image(bads[other].astype(np.float32), move, 1.0) > 0.01
        others.append(np.where(spoiled, np.nan, level))
        hidden.append(spoiled | np.isnan(level))
    stack = np.stack(others)
    known = ~np.stack(hidden)
    # The median; of an even number, the mean of the middle two if they agree, and the
    # lower if not, as the higher may have a cosmic ray.
    values = np.where(known, stack, np.inf)
    values.sort(axis=0)
    count = known.sum(axis=0)
    low, high = (
        np.take_along_axis(values, place[None], axis=0)[0]
        for place in (
            np.maximum(count - 1, 0) // 2,
            np.minimum(count, len(stack) - 1) // 2,
        )
    )
    agree = high <= low + 4 * sigma
    reference = np.where(agree, (low + np.where(agree, high, low)) / 2, low)
    unknown = bads[number] | (count == 0)
    reference[count == 0] = 0
    light = np.maximum(ndimage.median_filter(reference, 3), 0)
    slope = ndimage.maximum_filter(reference, 3) - ndimage.minimum_filter(reference, 3)
    drift = max(np.abs(np.subtract(shifts, shifts[number])).max() % 1, 0.05)
    noise = (sigma**2 + light) * (1 + 1 / np.maximum(count, 1))
    fraction = 0.15 + 0.3 * min(drift, 0.5)
    variance = noise + (fraction * np.where(slope > 6 * sigma, slope, 0)) ** 2
    excess = frame - sky - reference
    # What is left of a sky that changed from one exposure to the next.
    excess -= measure_background(excess, unknown, dark=False).at()[0]
    light = reference + excess
    seeing = _seeing_residual(light, reference, noise, variance, unknown)
    if seeing:
        variance += (seeing * _local_range(reference)) ** 2
    strength = excess / np.sqrt(variance)
    return ExposureComparison(
        light, reference, excess, noise, strength, unknown, seeing
    )


def _seeing_residual(
    light: np.ndarray,
    reference: np.ndarray,
    noise: np.ndarray,
    variance: np.ndarray,
    unknown: np.ndarray,
) -> float:
    """Measure the residual of stars after a change of seeing, relative to their range.

    One sigma; 0 if noise and slopes, which are in the variance, explain all, or there
    are too few stars.
    """
    places = star_places(light, reference, noise, unknown)
    if len(places) < MIN_STARS:
        return 0.0
    beyond = np.abs(light - reference) - 2.5 * np.sqrt(variance)
    steep = np.maximum(_local_range(reference), np.sqrt(variance))
    fractions = cutouts_around(beyond / steep, places, 2)
    # In most stars, as cosmic rays are in few.
    return max(float(np.quantile(fractions, 0.75, axis=0).max()), 0.0) / 2.5


def _local_range(image: np.ndarray) -> np.ndarray:
    """Return the range of an image in 5x5 px."""
    return ndimage.maximum_filter(image, 5) - ndimage.minimum_filter(image, 5)
