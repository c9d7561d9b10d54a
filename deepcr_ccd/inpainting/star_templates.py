"""What the stars of a frame look like: a measure of what hides behind a struck pixel.

A cosmic ray that falls on the core of a sharp star hides what the window around it
cannot tell: how far the star rises. Other stars of the frame know, as all are seen
through the same point spread function.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .cutouts import noise_from_neighbours
from .feature_layout import PROFILE, SCATTERED, SHOWN

__all__ = ["StarTemplates", "find_star_templates"]

#: Half-width in px of the stamp in which a star is looked at, of what is told of it,
#: and of the part whose scatter from star to star is told as well.
REACH = 5
#: A star is looked for in each cell of so many px, in the cells of the largest range.
CELL = 8
CANDIDATES = 256
#: Stars that are used at most: evenly from the brightest to the faintest, as the
#: brightest may be saturated.
STARS = 64
#: The share of stamps that show the noise as it is.
QUIETEST = 0.1
#: A star rises by so many times the noise, and the pixels beside its peak by such a
#: share of that: hot pixels have none there.
SIGNIFICANT = 30.0
SHARPEST = 0.05


class StarTemplates(NamedTuple):
    """What the stars of a part of a frame look like.

    ``profile`` is float32, ``(PROFILE,)``: the median of the stars over their
    surroundings, in units of their peaks, around these; its scatter in the middle; and
    the logarithm of one more than their number. Zeros if there are none.
    ``shapes`` are these stars, float32, ``(n, 2 * SHOWN + 1, 2 * SHOWN + 1)``, in the
    same units.
    ``noise`` is that around them, in the unit of the frame.
    """

    profile: np.ndarray
    shapes: np.ndarray
    noise: float


def find_star_templates(data: np.ndarray, hidden: np.ndarray) -> StarTemplates:
    """Measure what stars look like.

    Parameters
    ----------
    data : `~numpy.ndarray`
        float, ``(ny, nx)``, a part of a frame, in any unit.
    hidden : `~numpy.ndarray`
        bool, ``(ny, nx)``, True where ``data`` is not to be used.

    Returns
    -------
    Stars
    """
    profile = np.zeros(PROFILE, dtype=np.float32)
    stamps, noise = _stars(_candidates(data, hidden))
    told, inner = (slice(REACH - r, REACH + r + 1) for r in (SHOWN, SCATTERED))
    shown = stamps[:, told, told]
    if len(stamps):
        numbers = (
            np.median(shown, axis=0).ravel(),
            stamps[:, inner, inner].std(axis=0).ravel(),
            [np.log1p(len(stamps))],
        )
        profile[:] = np.concatenate(numbers)
    return StarTemplates(profile, shown.astype(np.float32), noise)


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


def _stars(stamps: np.ndarray) -> tuple[np.ndarray, float]:
    """Return stamps that show stars, over medians, in units of peaks; and the noise."""
    if not len(stamps):
        return stamps, 0.0
    stamps = stamps - np.median(stamps, axis=(1, 2), keepdims=True)
    near = stamps[:, REACH - 1 : REACH + 2, REACH - 1 : REACH + 2].reshape(-1, 9)
    peaks = near[:, 4]
    flat = stamps.reshape(len(stamps), -1)
    noise = noise_from_neighbours(flat, np.ones(flat.shape, dtype=bool))
    kept = (np.delete(near, 4, axis=1) < peaks[:, None]).all(axis=1)
    kept &= near[:, 1::2].mean(axis=1) > SHARPEST * peaks
    kept &= peaks > SIGNIFICANT * noise
    which = np.flatnonzero(kept)
    which = which[np.argsort(-peaks[which], kind="stable")]
    which = which[_evenly(which.size, STARS)]
    # Where the wings of stars are in the way, there is more of it; and none where not
    # all is finite.
    measured = noise[noise > 0]
    around = float(np.quantile(measured, QUIETEST)) if measured.size else 0.0
    return stamps[which] / peaks[which, None, None], around


def _evenly(number: int, most: int) -> np.ndarray:
    """Return some of so many places, from the first to the last."""
    return np.linspace(0, number - 1, min(number, most)).astype(int)
