"""Where the values of a frame pile up, as they do at the level of saturation.

Stars and cosmic rays have fewer pixels the brighter they are, per logarithmic interval.
So more pixels at a level than below it, and above all equal values, mean that the
detector or its converter was full.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..preprocess.cells import MAD_TO_SIGMA

__all__ = [
    "ABOVE",
    "Background",
    "EQUAL",
    "Level",
    "find_levels",
    "sample_background",
    "sample_step",
]

#: Pixels that are sampled for the background.
BACKGROUND_SAMPLES = 60_000
#: A saturation level is more than so many sigma above the background.
ABOVE = 10
#: The brightest fraction of a frame in which levels are searched, and the most pixels.
BRIGHTEST_FRACTION, MOST_BRIGHT = 0.02, 4_000_000
#: So many equal values are a level, if they are this fraction of those down to 85 % of
#: it, and so many times more frequent than the other values there.
EQUAL, EQUAL_FRACTION, MORE_FREQUENT = 5, 0.2, 5.0
#: So many values within 5 % are a level, if they are so many times denser than those
#: below.
NEAR, DENSER = 12, 2.0
#: The most levels of a frame; those with several are mostly mosaics of amplifiers.
MOST_LEVELS = 8
#: No level is lower than this fraction of the value that so many pixels exceed.
LOWEST_FRACTION, BRIGHT_PIXELS = 0.1, 20


class Background(NamedTuple):
    """Median and scatter of a frame, and the value where its brightest pixels begin."""

    level: float
    sigma: float
    brightest: float


class Level(NamedTuple):
    """A value at which pixels pile up, and whether they are equal there."""

    value: float
    equal: bool


def sample_step(shape: tuple[int, int]) -> int:
    """Return the step between the rows and columns of a frame that are sampled.

    Parameters
    ----------
    shape : tuple of int
        Of the frame.
    """
    return max(1, int(np.sqrt(shape[0] * shape[1] / BACKGROUND_SAMPLES)))


def sample_background(sample: np.ndarray, size: int) -> Background | None:
    """Measure the background of a frame, given some of its good pixels.

    Parameters
    ----------
    sample : `~numpy.ndarray`
        ``(n,)``, any real dtype.
    size : int
        Number of pixels of the frame.

    Returns
    -------
    Background or None
        None if there is no sample.
    """
    if not sample.size:
        return None
    values = sample.astype(np.float64)
    level, sigma = _middle(values)
    rest = values[values != level]
    if sigma == 0 and rest.size > 0.1 * values.size:
        # Most of the frame is an empty border.
        level, sigma = _middle(rest)
    if sample.dtype.kind in "iu":
        sigma = max(sigma, 1.0)
    fraction = min(BRIGHTEST_FRACTION, MOST_BRIGHT / size)
    brightest = float(np.quantile(values, 1 - fraction, method="lower"))
    return Background(level, sigma, brightest)


def _middle(values: np.ndarray) -> tuple[float, float]:
    level = float(np.median(values))
    return level, MAD_TO_SIGMA * float(np.median(np.abs(values - level)))


def find_levels(order: np.ndarray, background: Background, floor: float) -> list[Level]:
    """Return the values at which the brightest pixels pile up, highest first.

    Parameters
    ----------
    order : `~numpy.ndarray`
        Values above ``floor``, ascending.
    background : Background
        Of the frame.
    floor : float
        No value below it is in ``order``.
    """
    if not order.size:
        return []
    height = order - background.level
    levels: list[tuple[float, float, bool]] = []
    unique, first, counts = np.unique(order, return_index=True, return_counts=True)
    values = unique - background.level
    for k in np.flatnonzero(counts >= EQUAL):
        value, start, count = values[k], first[k], counts[k]
        if value < values[-1] and 0.85 * value < floor - background.level:
            continue
        below = start - np.searchsorted(height, 0.85 * value)
        others = max(k - np.searchsorted(values, 0.85 * value), 1)
        if (
            count >= EQUAL_FRACTION * (below + count)
            and count >= MORE_FREQUENT * below / others
        ):
            levels.append((count, unique[k], True))
    low = (floor - background.level) / 0.55
    if low < height[-1] and low > 0:
        grid = np.geomspace(
            low, height[-1], max(2, int(np.log(height[-1] / low) / 0.01))
        )
        near, under = (
            np.searchsorted(height, b * grid, side="right")
            - np.searchsorted(height, a * grid)
            for a, b in ((0.95, 1.05), (0.55, 0.85))
        )
        density, below = near / np.log(1.05 / 0.95), under / np.log(0.85 / 0.55)
        piled = (near >= NEAR) & (density >= DENSER * below)
        grid += background.level
        levels += [(near[k], grid[k], False) for k in np.flatnonzero(piled)]
    # A level of saturation is not far below what is brightest, but for a few pixels.
    lowest = LOWEST_FRACTION * height[-min(BRIGHT_PIXELS, height.size)]
    levels = [one for one in levels if one[1] - background.level >= lowest]
    chosen: list[Level] = []
    # Where levels of both kinds are near each other, that of equal values is exact.
    for _, value, equal in sorted(levels, key=lambda one: (one[2], one[0]))[::-1]:
        if len(chosen) < MOST_LEVELS and all(
            abs(value - c.value) > 0.08 * (c.value - background.level) for c in chosen
        ):
            chosen.append(Level(value, equal))
    return sorted(chosen, reverse=True)
