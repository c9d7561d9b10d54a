"""Point-like sources of a frame, each measured alone.

Candidates are bright local maxima. The sigma of one is that across its narrowest axis,
from the second derivatives of the logarithm of its pixels, which for a Gaussian are
the same at every position within a pixel. So trailed stars, and traces of spectra, have
the width across the trail.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from .background import BackgroundMap

__all__ = ["MARGIN", "SIGMAS", "find_sources", "measure_sources"]

#: Of each block of this width in px, the highest pixel is a candidate.
BLOCK = 16
#: Candidates exceed the background by this factor of its noise.
MIN_PEAK = 15.0
#: About how many candidates are measured, and how many pixels are searched for them.
MAX_CANDIDATES = 3000
MAX_SEARCHED = 4_000_000
#: Distances in px at which pixels around a candidate are compared, how many pixels are
#: summed along each axis for it, and the largest sigma in px that is measured so.
LAGS = ((1, 1, 1.2), (2, 3, 3.0), (4, 5, np.inf))
#: Pixels that are needed around a candidate.
MARGIN = 8
#: At so many times the lag from its middle, though within MARGIN, a source has fallen
#: below this fraction of its peak on both sides. The noise of a bright surface has not.
FALLEN_AT, FALLEN_TO = 3, 0.5
#: Rows that are read at a time; a multiple of BLOCK.
BAND = 64
#: Sigma in px of what is a source, and largest relative error of it.
SIGMAS = (0.2, 6.0)
MAX_ERROR = 0.15


def find_sources(
    frame: Any, bad: np.ndarray | None, noise: BackgroundMap
) -> tuple[np.ndarray, int]:
    """Measure the sources of a frame.

    Parameters
    ----------
    frame : `~numpy.ndarray` or alike
        ``(ny, nx)``, in any unit; read some rows at a time.
    bad : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, pixels without valid value.
    noise : BackgroundMap
        Background and noise of the frame.

    Returns
    -------
    sources : `~numpy.ndarray`
        ``(n, 4)``: sigma across the narrowest axis in px, its relative error, the
        charge over the noise, and the axis ratio.
    candidates : int
        How many maxima were there, those of bright surfaces left out.
    """
    ny, nx = noise.shape
    # Of a large frame, some bands of rows.
    starts = np.arange(0, ny // BLOCK * BLOCK, BAND)
    searched = max(1, round(MAX_SEARCHED / (BAND * nx)))
    if len(starts) > searched:
        starts = starts[
            ((np.arange(searched) + 0.5) * len(starts) / searched).astype(int)
        ]
    cutouts, total = [], 0
    for start in starts:
        found = _candidates(frame, bad, noise, int(start))
        total += len(found)
        cutouts.append(found)
    every = np.concatenate(cutouts) if cutouts else np.zeros((0, 17, 17))
    if len(every) > MAX_CANDIDATES:
        every = every[np.linspace(0, len(every) - 1, MAX_CANDIDATES).astype(int)]
    sources, surfaces = measure_sources(every)
    return sources, total - round(surfaces * total / max(len(every), 1))


def _candidates(
    frame: Any, bad: np.ndarray | None, noise: BackgroundMap, start: int
) -> np.ndarray:
    """Return cutouts around the maxima of a band of rows, over the noise."""
    ny, nx = noise.shape
    size = 2 * MARGIN + 1
    first = max(0, start - MARGIN)
    last = min(ny, start + BAND + MARGIN)
    rows = np.asarray(frame[first:last], dtype=np.float32)
    inner = rows[start - first :][:BAND]
    n, m = inner.shape[0] // BLOCK, nx // BLOCK
    blocks = inner[: n * BLOCK, : m * BLOCK].reshape(n, BLOCK, m, BLOCK)
    # The highest row of each column of a block, then the highest column.
    columns = blocks.max(axis=1)
    column = columns.argmax(axis=2)
    peak = np.take_along_axis(columns, column[..., None], 2)[..., 0]
    centre_y = start + BLOCK * np.arange(n) + BLOCK // 2
    centre_x = BLOCK * np.arange(m) + BLOCK // 2
    level, sigma = _at(noise, centre_y, centre_x)
    with np.errstate(invalid="ignore", over="ignore"):
        bright = (peak - level > MIN_PEAK * sigma) & np.isfinite(peak)
    i, j = np.nonzero(bright)
    x = j * BLOCK + column[i, j]
    strips = np.lib.stride_tricks.sliding_window_view(inner, (BLOCK, 1))
    y = start + i * BLOCK + strips[i * BLOCK, x, :, 0].argmax(axis=1)
    keep = (y >= MARGIN) & (y < ny - MARGIN) & (x >= MARGIN) & (x < nx - MARGIN)
    keep &= (y - MARGIN >= first) & (y + MARGIN < last)
    y, x, i, j = y[keep], x[keep], i[keep], j[keep]
    if not len(y):
        return np.zeros((0, size, size), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(rows, (size, size))
    with np.errstate(invalid="ignore", over="ignore"):
        cut = windows[y - first - MARGIN, x - MARGIN] - level[i, j][:, None, None]
        cut = cut / sigma[i, j][:, None, None]
    if bad is not None:
        near = slice(MARGIN - 4, MARGIN + 5)
        marks = np.asarray(bad[first:last], dtype=bool)
        marked = np.lib.stride_tricks.sliding_window_view(marks, (size, size))
        cut = cut[~marked[y - first - MARGIN, x - MARGIN][:, near, near].any((1, 2))]
    return cut[np.isfinite(cut).all((1, 2))]


def _at(
    noise: BackgroundMap, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return background and noise, as of the nearest cells, at rows and columns."""
    ny, nx = noise.shape
    n, m = noise.background.shape
    i = np.minimum(rows * n // ny, n - 1)[:, None]
    j = np.minimum(columns * m // nx, m - 1)
    return noise.background[i, j], noise.rms[i, j]


def measure_sources(cutouts: np.ndarray) -> tuple[np.ndarray, int]:
    """Measure sources in the middle of cutouts.

    Parameters
    ----------
    cutouts : `~numpy.ndarray`
        ``(n, 2 * MARGIN + 1, 2 * MARGIN + 1)``, above the background, over the noise.

    Returns
    -------
    sources : `~numpy.ndarray`
        ``(m, 4)``, as of `find_sources`, of those that are sources.
    surfaces : int
        How many are maxima of the noise of a bright surface.
    """
    if not len(cutouts):
        return np.zeros((0, 4)), 0
    sigma, error, ratio, valid = _sigma(cutouts, 1, 1)
    surface = np.zeros(len(cutouts), dtype=bool)
    for (_, _, limit), (lag, box, _) in itertools.pairwise(LAGS):
        wide = ~(sigma < limit)
        *measured, its_valid = _sigma(cutouts[wide], lag, box)
        surface[wide] |= ~_stands_out(cutouts[wide], lag)
        for values, its in zip((sigma, error, ratio), measured, strict=True):
            values[wide] = np.where(its_valid, its, values[wide])
    with np.errstate(invalid="ignore"):
        valid &= (error < MAX_ERROR) & (sigma > SIGMAS[0]) & (sigma < SIGMAS[1])
    valid &= ~surface
    near = slice(MARGIN - 2, MARGIN + 3)
    charge = cutouts[:, near, near].sum(axis=(1, 2))
    sources = np.stack([sigma, error, charge, ratio], axis=1)[valid].astype(float)
    return sources, int(surface.sum())


def _stands_out(cutouts: np.ndarray, lag: int) -> np.ndarray:
    """Return which sources fall off on both sides, along one of four axes."""
    distance = min(FALLEN_AT * lag, MARGIN - 1)
    means = np.lib.stride_tricks.sliding_window_view(cutouts, (3, 3), axis=(1, 2))
    middle = MARGIN - 1  # of these means
    first, last = middle - distance, middle + distance
    axes = (
        ((first, middle), (last, middle)),
        ((middle, first), (middle, last)),
        ((first, first), (last, last)),
        ((first, last), (last, first)),
    )
    higher = [
        np.maximum(*(means[:, y, x].mean(axis=(1, 2)) for y, x in sides))
        for sides in axes
    ]
    peak = means[:, middle, middle].mean(axis=(1, 2))
    return np.min(higher, axis=0) < FALLEN_TO * peak


def _sigma(
    cutouts: np.ndarray, lag: int, box: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Measure sources by 3x3 means of ``box`` px squared that are ``lag`` px apart.

    Returns
    -------
    sigma, error : `~numpy.ndarray`
        ``(n,)``, the sigma in px across the narrowest axis, and its relative error.
    ratio : `~numpy.ndarray`
        The axis ratio, 1 or more.
    valid : `~numpy.ndarray`
        bool, ``(n,)``, whether the middle is highest and all are above the noise.
    """
    first = MARGIN - lag - box // 2
    inner = cutouts[:, first : first + 2 * lag + box, first : first + 2 * lag + box]
    boxes = np.lib.stride_tricks.sliding_window_view(inner, (box, box), axis=(1, 2))
    pixels = boxes[:, ::lag, ::lag].mean(axis=(3, 4)).reshape(-1, 9).astype(float)
    valid = (pixels > 2 / box).all(axis=1) & (pixels[:, 4:5] >= pixels).all(axis=1)
    pixels = np.maximum(pixels, 1e-3)
    logs = np.log(pixels)
    vertical = (logs[:, 1] + logs[:, 7] - 2 * logs[:, 4]) / lag**2
    horizontal = (logs[:, 3] + logs[:, 5] - 2 * logs[:, 4]) / lag**2
    mixed = (logs[:, 0] + logs[:, 8] - logs[:, 2] - logs[:, 6]) / (4 * lag**2)
    middle = (vertical + horizontal) / 2
    difference = np.hypot((vertical - horizontal) / 2, mixed)
    steepest = middle - difference
    valid &= steepest < 0
    with np.errstate(divide="ignore", invalid="ignore"):
        # A mean over pixels widens a source.
        excess = (box**2 - 1) / 12
        sigma = np.sqrt(np.maximum(-1 / steepest - excess, 0))
        # The noise of a pixel is one in these units.
        around = (1 / pixels[:, [1, 3, 5, 7]] ** 2).mean(axis=1)
        variance = (2 * around + 4 / pixels[:, 4] ** 2) / (lag**2 * box) ** 2
        error = 0.5 * np.sqrt(variance) / -steepest
        error *= -1 / steepest / sigma**2
        ratio = np.sqrt(steepest / np.minimum(middle + difference, -1e-3))
    return sigma, error, ratio, valid
