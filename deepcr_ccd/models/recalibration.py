"""Recalibrate a network's output to probabilities, by a rising curve of a few points.

A network's output ranks pixels well, and yet of those with 0.5 more or less than half
may be affected by cosmic rays. A curve, measured once and kept in the model's card,
corrects that. As it rises, ranks stay: ROC curves do not change, nor do masks if the
threshold is taken along.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["check_points", "network_threshold", "recalibrate"]

Points = tuple[tuple[float, float], ...]


def check_points(points: Iterable[Sequence[float]]) -> Points:
    """Return the points of a curve as tuples.

    Parameters
    ----------
    points : sequence of (float, float)
        Output of the network, and the fraction of cosmic rays among such pixels; none
        for a network whose output is that fraction.

    Raises
    ------
    ValueError
        If they do not rise within [0, 1], or do not begin and end on the diagonal.
    """
    curve = tuple((float(output), float(true)) for output, true in points)
    if not curve:
        return curve
    output, true = np.transpose(curve)
    rising = (np.diff(output) > 0).all() and (np.diff(true) >= 0).all()
    ends = curve[0][0] == curve[0][1] >= 0 and curve[-1] == (1, 1)
    if not rising or not ends:
        raise ValueError(
            f"recalibration={list(curve)!r} must be points that rise from one with "
            "equal coordinates to (1, 1)"
        )
    return curve


def recalibrate(probability: np.ndarray, points: Points) -> np.ndarray:
    """Return probabilities, given the output of a network.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        float32, of any shape, the output of the network. It is modified; NaN stays.
    points : tuple of (float, float)
        From `check_points`; the curve is linear between them, and the diagonal below
        the first one.
    """
    if points:
        above = probability > points[0][0]
        probability[above] = np.interp(probability[above], *np.transpose(points))
    return probability


@functools.lru_cache(maxsize=64)
def network_threshold(threshold: float, points: Points) -> float:
    """Return the threshold of a network's output, given that of the probability.

    Parameters
    ----------
    threshold : float
        Threshold of the recalibrated probability.
    points : tuple of (float, float)
        As for `recalibrate`.

    Returns
    -------
    float
        The highest number of float32 in [0, 1] whose probability is not above the
        threshold, so that rounding makes no difference.
    """
    if not points:
        return threshold
    # Non-negative float32 numbers are in the order of their bits.
    low, high = 0, int(np.float32(1).view(np.int32))
    while low < high:
        middle = (low + high + 1) // 2
        output = np.array([middle], dtype=np.int32).view(np.float32)
        if recalibrate(output, points)[0] > np.float32(threshold):
            high = middle - 1
        else:
            low = middle
    return float(np.int32(low).view(np.float32))
