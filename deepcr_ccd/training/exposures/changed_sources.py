"""Sources that move or change from one exposure to the next, known by their shape.

An asteroid, a flaring star, and the residual of a star after a change of seeing are as
wide as the stars of the frame, or trailed. Cosmic rays are sharper, or irregular.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ...segmentation.connected import EIGHT_CONNECTED
from .comparison import ExposureComparison
from .registration import moved_image
from .star_shapes import (
    REACH,
    SHARP,
    WIDE,
    cutouts_around,
    normalised,
    star_places,
    star_shapes,
    unlike_stars,
)

__all__ = ["changed_sources"]

#: The best fit of a star to a single pixel leaves a fraction of the power of its cutout
#: unexplained. A group is like a star if it leaves this fraction of that, and no more
#: than the second number. Where a single pixel leaves less than the third, stars are
#: undersampled, and their shape does not distinguish them.
UNEXPLAINED_FRACTION = 0.25
MAX_UNEXPLAINED = 0.15
UNDERSAMPLED = 0.12
#: Limits for a source whose shape alone does not distinguish it from a cosmic ray: its
#: motion between exposures in px, the relative change of its flux, and the correlation
#: of its cutouts.
MAX_MOTION = 10.0
MAX_FLUX_CHANGE = 0.2
MIN_CORRELATION = 0.75
#: A source that moves by less than its width covers this number of pixels or more:
#: single pixels coincide by chance.
MIN_PIXELS = 3


class _Groups(NamedTuple):
    """Groups of pixels that differ in an exposure, ``n``.

    ``places`` are their peaks, ``(n, 2)``; ``flux`` is the excess in a cutout around
    these; ``shape`` that as a vector; ``unlike`` the fraction of its power that no
    star explains, at the typical peak of a group. ``stars`` is bool, ``(ny, nx)``: True
    around single peaks that are like stars.
    """

    places: np.ndarray
    flux: np.ndarray
    shape: np.ndarray
    unlike: np.ndarray
    stars: np.ndarray


def _measure_groups(
    groups: np.ndarray,
    number: int,
    one: ExposureComparison,
    stars: np.ndarray,
    limit: float,
) -> _Groups:
    """Measure numbered groups of pixels."""
    inside = groups > 0
    noise = np.where(one.unknown, 0, one.variance)
    unlike, like = [], np.zeros(groups.shape, dtype=bool)
    # The exposure itself, and the excess: a source that moves by less than its width
    # hides most of its own excess.
    for image in (one.light, one.excess):
        known = np.where(one.unknown, 0, image)
        within = np.where(inside, known, -np.inf)
        peaks = inside & (within == ndimage.maximum_filter(within, 5))
        places = np.argwhere(peaks)
        height = np.sqrt(np.maximum(known[peaks], 0))
        cutouts = cutouts_around(known, places, REACH)
        error = cutouts_around(noise, places, REACH).sum(axis=(1, 2))
        unexplained = unlike_stars(cutouts, error, stars)
        unlike.append(_typical(unexplained, height, groups[peaks], number))
        like[tuple(places[unexplained < limit].T)] = True
    order = np.argsort(height)
    highest = np.zeros(number, dtype=int)
    highest[groups[peaks][order] - 1] = order
    cutouts = cutouts[highest]
    flux = cutouts.sum(axis=(1, 2))
    # A group in the wing of a brighter one has no peak of its own.
    flux[np.bincount(groups[peaks], minlength=number + 1)[1:] == 0] = np.nan
    like = ndimage.binary_dilation(like, EIGHT_CONNECTED, iterations=REACH) & inside
    shape = normalised(cutouts)
    return _Groups(places[highest], flux, shape, np.minimum(*unlike), like)


def _typical(
    values: np.ndarray, weights: np.ndarray, groups: np.ndarray, number: int
) -> np.ndarray:
    """Return the weighted median of the values of each group; 1 where there is none."""
    order = np.lexsort((values, groups))
    values, weights, groups = values[order], weights[order], groups[order]
    sums = np.cumsum(weights)
    total = np.bincount(groups, weights, minlength=number + 1)
    before = np.cumsum(total) - total
    middle = (sums - before[groups] >= 0.5 * total[groups]) & (total[groups] > 0)
    typical = np.ones(number + 1)
    # The first that is in the middle, or beyond, last.
    typical[groups[middle][::-1]] = values[middle][::-1]
    return typical[1:]


def changed_sources(
    comparisons: Sequence[ExposureComparison],
    truths: Sequence[np.ndarray],
    shifts: Sequence[tuple[float, float]],
    core: float,
) -> list[np.ndarray]:
    """Return which groups of labelled pixels are sources that moved or changed.

    Parameters
    ----------
    comparisons : sequence of ExposureComparison
        One an exposure.
    truths : sequence of `~numpy.ndarray`
        bool, ``(ny, nx)``, pixels that differ from the other exposures.
    shifts : sequence of (dy, dx)
        How far exposures are shifted against the first, in px.
    core : float
        Sigma that an excess has at its peak.

    Returns
    -------
    list of `~numpy.ndarray`
        int, ``(ny, nx)``, one an exposure: the number of the source, or 0.

    Notes
    -----
    A group is such a source if its excess, or the exposure itself around its peak, has
    the shape of a star of these exposures, trailed or not. If it has so roughly, or
    stars are so sharp that a single pixel looks like one, or there are no stars to
    compare with, it must come again in the exposures before and after.
    """
    cutouts = [
        cutouts_around(
            one.light,
            star_places(one.light, one.reference, one.variance, one.unknown),
            WIDE,
        )
        for one in comparisons
    ]
    # Two stars, in each exposure.
    stars = star_shapes(np.concatenate(cutouts), 2 * len(comparisons))
    # The fraction that stars leave unexplained of a single pixel.
    sharpest = 1 - np.max(stars @ SHARP[0], initial=0) ** 2
    # Whether the shape alone distinguishes stars.
    distinct = len(stars) > 0 and sharpest > UNDERSAMPLED
    limit = UNEXPLAINED_FRACTION * max(sharpest, UNDERSAMPLED)
    limit = min(limit, MAX_UNEXPLAINED)
    numbered = [ndimage.label(truth, EIGHT_CONNECTED) for truth in truths]
    measured = [
        _measure_groups(groups, count, one, stars, limit)
        for (groups, count), one in zip(numbered, comparisons, strict=True)
    ]
    changed = []
    for number, one in enumerate(measured):
        again = _comes_again(number, measured, shifts)
        near = _stays_near(number, numbered, comparisons, shifts, core)
        if distinct:
            here = (one.unlike < limit) | ((near | again) & (one.unlike < 2 * limit))
        else:
            here = again & (one.unlike < limit if len(stars) else True)
            here |= near
        whole = np.concatenate([[False], here])[numbered[number][0]]
        # And stars that a cosmic ray touches.
        if distinct:
            whole |= one.stars
        changed.append(ndimage.label(whole, EIGHT_CONNECTED)[0])
    return changed


def _comes_again(number: int, groups: list, shifts: Sequence) -> np.ndarray:
    """Return which groups come again before and after, nearby, alike and as bright."""
    one = groups[number]
    again = np.ones(len(one.places), dtype=bool)
    for other in _neighbours(number, groups):
        there = groups[other]
        places = there.places + np.subtract(shifts[number], shifts[other])
        pairs = cKDTree(one.places).sparse_distance_matrix(
            cKDTree(places), MAX_MOTION, output_type="ndarray"
        )
        here, match = pairs["i"], pairs["j"]
        flux = one.flux[here]
        differ = np.abs(there.flux[match] - flux) / np.maximum(np.abs(flux), 1e-30)
        alike = (one.shape[here] * there.shape[match]).sum(axis=1) > MIN_CORRELATION
        found = here[(differ < MAX_FLUX_CHANGE) & alike]
        again &= np.isin(np.arange(len(again)), found)
    return again


def _stays_near(
    number: int,
    numbered: list,
    comparisons: Sequence[ExposureComparison],
    shifts: Sequence,
    core: float,
) -> np.ndarray:
    """Return which groups have an excess next to them before and after.

    Of a source that moves by less than its width, little more is seen.
    """
    groups, count = numbered[number]
    near = np.ones(groups.shape, dtype=bool)
    for other in _neighbours(number, numbered):
        move = np.subtract(shifts[number], shifts[other])
        bright = (comparisons[other].strength > core).astype(np.float32)
        near &= ndimage.maximum_filter(moved_image(bright, move, 0.0) > 0.5, 7)
    hits, sizes = (
        np.bincount(groups[where], minlength=count + 1)[1:]
        for where in (near, groups > 0)
    )
    return (hits > 0) & (sizes >= MIN_PIXELS) & (len(numbered) > 2)


def _neighbours(number: int, series: Sequence) -> list[int]:
    """Return which exposures are before and after one, as far as there are any."""
    return [other for other in (number - 1, number + 1) if 0 <= other < len(series)]
