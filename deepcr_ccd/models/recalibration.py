"""From what a network says to how often that is so: a rising curve of a few points.

A network's probabilities order pixels well, and yet of those with 0.5 more or less than
half may be struck. A curve, measured once and kept in the model's card, mends that. As
it rises, it changes no order: no ROC curve, and no mask whose threshold goes with it.
"""

from __future__ import annotations

import functools

import numpy as np

__all__ = ["check_points", "network_threshold", "recalibrate"]

Points = tuple[tuple[float, float], ...]


def check_points(points) -> Points:
    """Return the points of a curve as tuples.

    Parameters
    ----------
    points : sequence of (float, float)
        What a network says, and how often it is so; none for a network that is right.

    Raises
    ------
    ValueError
        If they do not rise within [0, 1], or do not begin and end on the diagonal.
    """
    curve = tuple((float(said), float(true)) for said, true in points)
    if not curve:
        return curve
    said, true = np.transpose(curve)
    rising = (np.diff(said) > 0).all() and (np.diff(true) >= 0).all()
    ends = curve[0][0] == curve[0][1] >= 0 and curve[-1] == (1, 1)
    if not rising or not ends:
        raise ValueError(
            f"recalibration={list(curve)!r} must be points that rise from one with "
            "equal coordinates to (1, 1)"
        )
    return curve


def recalibrate(probability: np.ndarray, points: Points) -> np.ndarray:
    """Return probabilities that are what they say, in place of what a network says.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        float32; it is changed. NaN stays.
    points : tuple of (float, float)
        From `check_points`; between them the curve is straight, and below the first one
        it is the diagonal.
    """
    if points:
        there = probability > points[0][0]
        probability[there] = np.interp(probability[there], *np.transpose(points))
    return probability


@functools.lru_cache(maxsize=64)
def network_threshold(threshold: float, points: Points) -> float:
    """Return where to cut what a network says, to cut its recalibrated probability.

    Parameters
    ----------
    threshold : float
        Of the probability.
    points : tuple of (float, float)
        As for `recalibrate`.

    Returns
    -------
    float
        The highest number of float32 in [0, 1] that is not taken above the threshold:
        no rounding makes a difference.
    """
    if not points:
        return threshold
    # Numbers of float32 that are not negative are in the order of their bits.
    low, high = 0, int(np.float32(1).view(np.int32))
    while low < high:
        middle = (low + high + 1) // 2
        said = np.array([middle], dtype=np.int32).view(np.float32)
        if recalibrate(said, points)[0] > np.float32(threshold):
            high = middle - 1
        else:
            low = middle
    return float(np.int32(low).view(np.float32))
