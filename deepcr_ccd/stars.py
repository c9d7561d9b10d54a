"""What the stars of a frame look like: a measure of what hides behind a struck pixel.

A cosmic ray that falls on the core of a sharp star hides what the window around it
cannot tell: how far the star rises. Other stars of the frame know, as all are seen
through the same point spread function.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .windows import neighbours_noise

__all__ = ["PROFILE", "star_profile"]

#: Half-width in px of the stamp in which a star is looked at, of what is told of it,
#: and of the part whose scatter from star to star is told as well.
REACH = 5
SHOWN = 3
SCATTERED = 1
#: How many numbers `star_profile` gives.
PROFILE = (2 * SHOWN + 1) ** 2 + (2 * SCATTERED + 1) ** 2 + 1
#: A star is looked for in each cell of so many px, in the cells of the largest range.
CELL = 8
CANDIDATES = 256
#: Stars that are used at most: evenly from the brightest to the faintest, as the
#: brightest may be saturated.
STARS = 64
#: A star rises by so many times the noise, and the pixels beside its peak by such a
#: share of that: hot pixels have none there.
SIGNIFICANT = 30.0
SHARPEST = 0.05


def star_profile(data: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Measure what stars look like.

    Parameters
    ----------
    data : `~numpy.ndarray`
        float, ``(ny, nx)``, a part of a frame, in any unit.
    hidden : `~numpy.ndarray`
        bool, ``(ny, nx)``, True where ``data`` is not to be used.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(PROFILE,)``: the median of the stars over their surroundings, in
        units of their peaks, around these; its scatter in the middle; and the
        logarithm of one more than their number. Zeros if there are none.
    """
    profile = np.zeros(PROFILE, dtype=np.float32)
    stamps = _stars(_candidates(data, hidden))
    if not len(stamps):
        return profile
    told, inner = (slice(REACH - r, REACH + r + 1) for r in (SHOWN, SCATTERED))
    numbers = (
        np.median(stamps[:, told, told], axis=0).ravel(),
        stamps[:, inner, inner].std(axis=0).ravel(),
        [np.log1p(len(stamps))],
    )
    profile[:] = np.concatenate(numbers)
    return profile


def _candidates(data: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return stamps around the highest pixels of the cells of the largest range."""
    width = 2 * REACH + 1
    ny, nx = (size // CELL * CELL for size in data.shape)
    if min(ny, nx) < width:
        return np.empty((0, width, width), dtype=np.float32)
    inside = data[:ny, :nx]
    with np.errstate(invalid="ignore", over="ignore"):
        extent = _by_cells(np.maximum, inside, 2) - _by_cells(np.minimum, inside, 2)
    # As numbers: these are reduced several at a time.
    spoilt = _by_cells(np.maximum, hidden[:ny, :nx].view(np.uint8)) > 0
    usable = np.flatnonzero(~spoilt & (extent > 0))
    if usable.size > CANDIDATES:
        order = np.argpartition(extent.ravel()[usable], -CANDIDATES)[-CANDIDATES:]
        usable = np.sort(usable[order])
    rows, columns = np.divmod(usable, extent.shape[1])
    cells = sliding_window_view(data, (CELL, CELL))[rows * CELL, columns * CELL]
    y, x = np.divmod(cells.reshape(-1, CELL**2).argmax(axis=1), CELL)
    y, x = rows * CELL + y - REACH, columns * CELL + x - REACH
    whole = (y >= 0) & (y <= data.shape[0] - width)
    whole &= (x >= 0) & (x <= data.shape[1] - width)
    y, x = y[whole], x[whole]
    seen = ~sliding_window_view(hidden, (width, width))[y, x].any(axis=(1, 2))
    return sliding_window_view(data, (width, width))[y[seen], x[seen]]


def _by_cells(function: np.ufunc, plane: np.ndarray, step: int = 1) -> np.ndarray:
    """Reduce cells, or some of their rows, to a number each.

    Rows come first, which goes along memory.
    """
    ny, nx = plane.shape
    rows = function.reduce(plane.reshape(ny // CELL, CELL, nx)[:, ::step], axis=1)
    return function.reduce(rows.reshape(ny // CELL, nx // CELL, CELL), axis=2)


def _stars(stamps: np.ndarray) -> np.ndarray:
    """Return the stamps that show stars, over their medians, in units of the peaks."""
    if not len(stamps):
        return stamps
    stamps = stamps - np.median(stamps, axis=(1, 2), keepdims=True)
    near = stamps[:, REACH - 1 : REACH + 2, REACH - 1 : REACH + 2].reshape(-1, 9)
    peaks = near[:, 4]
    flat = stamps.reshape(len(stamps), -1)
    noise = neighbours_noise(flat, np.ones(flat.shape, dtype=bool))
    kept = (np.delete(near, 4, axis=1) < peaks[:, None]).all(axis=1)
    kept &= near[:, 1::2].mean(axis=1) > SHARPEST * peaks
    kept &= peaks > SIGNIFICANT * noise
    which = np.flatnonzero(kept)
    which = which[np.argsort(-peaks[which], kind="stable")]
    if which.size > STARS:
        which = which[np.linspace(0, which.size - 1, STARS).astype(int)]
    return stamps[which] / peaks[which, None, None]
