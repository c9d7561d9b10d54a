"""Probabilities as 8-bit codes, which decide as the probabilities do.

The sliders of the page stand at thresholds of a grid of at most `MOST` values. The code
of a pixel is the number of these that its probability exceeds. So a probability is
above a threshold of the grid exactly if its code is above the place of the threshold
in it: nothing is rounded that decides.
"""

from __future__ import annotations

import bisect

import numpy as np

from ..segmentation.hysteresis import CERTAIN_PROBABILITY, Thresholds
from ..tiling.tiles import row_blocks

__all__ = ["EXCLUDED", "MOST", "encode", "grid_cuts", "threshold_grid"]

#: Code of excluded pixels, and the most thresholds in a grid.
EXCLUDED, MOST = 255, 254
#: Steps of the grid, and finer ones near 0 and 1.
COARSE = [n / 200 for n in range(1, 201)]
FINE = [n / 1000 for n in (*range(1, 5), *range(991, 1000))]


def threshold_grid(*wanted: float) -> list[float]:
    """Return the thresholds at which sliders can stand.

    Parameters
    ----------
    *wanted : float
        Probabilities that must be among them, such as the defaults of the model.

    Returns
    -------
    list of float
        Ascending.
    """
    grid = sorted({*COARSE, *FINE, CERTAIN_PROBABILITY, *map(float, wanted)})
    if len(grid) > MOST:
        raise ValueError(f"{len(wanted)} thresholds are too many for the page")
    return grid


def encode(probability: np.ndarray, grid: list[float]) -> np.ndarray:
    """Return the codes of probabilities.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        float32, ``(ny, nx)``; NaN where excluded.
    grid : list of float
        From `threshold_grid`.

    Returns
    -------
    `~numpy.ndarray`
        uint8, ``(ny, nx)``: how many thresholds of the grid a probability exceeds;
        `EXCLUDED` where it is NaN.
    """
    # Thresholds are compared with float32 in float32.
    cuts = np.array(grid, dtype=np.float32)
    codes = np.empty(probability.shape, dtype=np.uint8)
    for rows in row_blocks(probability.shape):
        codes[rows] = np.searchsorted(cuts, probability[rows], side="left")
        codes[rows][np.isnan(probability[rows])] = EXCLUDED
    return codes


def grid_cuts(grid: list[float], thresholds: Thresholds) -> tuple[int, ...]:
    """Return the cuts of thresholds as codes.

    Parameters
    ----------
    grid : list of float
        From `threshold_grid`.
    thresholds : `~deepcr_ccd.segmentation.hysteresis.Thresholds`
        Of the grid.

    Returns
    -------
    tuple of int
        As ``thresholds.cuts``, for
        `~deepcr_ccd.segmentation.hysteresis.threshold_levels` of codes.
    """
    places = tuple(bisect.bisect_left(grid, cut) for cut in thresholds.cuts)
    if any(
        grid[min(p, len(grid) - 1)] != cut
        for p, cut in zip(places, thresholds.cuts, strict=True)
    ):
        raise ValueError(f"{thresholds} is not of the grid")
    return places
