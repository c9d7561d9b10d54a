"""Star templates: cutouts of the stars in a block of a frame.

A cosmic ray on the core of a sharp star hides what the pixels around it cannot tell:
the height of the star. The other stars of the frame tell it, as all are seen through
the same point spread function.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .cutouts import noise_from_neighbours
from .feature_layout import PROFILE_RADIUS, PROFILE_SIZE, SCATTER_RADIUS

__all__ = ["StarTemplates", "find_star_templates"]

#: Half-width in px of the cutout in which a star is measured.
STAR_RADIUS = 5
#: Width in px of the cells of a block, a power of two, in each of which there is one
#: candidate; and how many candidates there are: those of the cells with the largest
#: range of values.
CELL_SIZE = 8
MAX_CANDIDATES = 256
#: Stars that are used at most: evenly from the brightest to the faintest, as the
#: brightest may be saturated.
MAX_STARS = 64
#: The noise is this quantile of that of the candidates, which others have wings in.
NOISE_QUANTILE = 0.1
#: The peak of a star is this many times the noise, and the four pixels beside it have
#: this fraction of its height on average; those of hot pixels have not.
MIN_SIGNAL_TO_NOISE = 30.0
MIN_WIDTH = 0.05


class StarTemplates(NamedTuple):
    """Stars of a block of a frame, over their surroundings, in units of their peaks.

    Attributes
    ----------
    profile : `~numpy.ndarray`
        float32, ``(PROFILE_SIZE,)``: the median of the stars, by rows; their standard
        deviation at the centre; and the natural logarithm of one more than their
        number. Zeros if there are none.
    images : `~numpy.ndarray`
        float32, ``(n, 2 * PROFILE_RADIUS + 1, 2 * PROFILE_RADIUS + 1)``, the stars.
    noise : float
        The noise around them, in the unit of the frame.
    """

    profile: np.ndarray
    images: np.ndarray
    noise: float


def find_star_templates(data: np.ndarray, hidden: np.ndarray) -> StarTemplates:
    """Find stars in a block of a frame, and cut them out.

    Parameters
    ----------
    data : `~numpy.ndarray`
        float, ``(ny, nx)``, in any unit.
    hidden : `~numpy.ndarray`
        bool, ``(ny, nx)``, True where ``data`` is not to be used.

    Returns
    -------
    StarTemplates
    """
    profile = np.zeros(PROFILE_SIZE, dtype=np.float32)
    stars, noise = _select_stars(_cut_out_candidates(data, hidden))
    inner, centre = (
        slice(STAR_RADIUS - radius, STAR_RADIUS + radius + 1)
        for radius in (PROFILE_RADIUS, SCATTER_RADIUS)
    )
    images = stars[:, inner, inner]
    if len(stars):
        scatter = stars[:, centre, centre].std(axis=0)
        number = np.array([np.log1p(len(stars))])
        median = np.median(images, axis=0)
        profile[:] = np.concatenate([median.ravel(), scatter.ravel(), number])
    return StarTemplates(profile, images.astype(np.float32), noise)


def _cut_out_candidates(data: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Return cutouts around the highest pixels of the cells of the largest range."""
    width = 2 * STAR_RADIUS + 1
    ny, nx = (size // CELL_SIZE * CELL_SIZE for size in data.shape)
    if min(ny, nx) < width:
        return np.empty((0, width, width), dtype=np.float32)
    inside = data[:ny, :nx]
    with np.errstate(invalid="ignore", over="ignore"):
        extent = _by_cells(np.maximum, inside, 2) - _by_cells(np.minimum, inside, 2)
    # As numbers: these are reduced several at a time.
    partly_hidden = _by_cells(np.maximum, hidden[:ny, :nx].view(np.uint8)) > 0
    usable = np.flatnonzero(~partly_hidden & (extent > 0))
    if usable.size > MAX_CANDIDATES:
        order = np.argpartition(extent.ravel()[usable], -MAX_CANDIDATES)
        usable = np.sort(usable[order[-MAX_CANDIDATES:]])
    rows, columns = (cell * CELL_SIZE for cell in np.divmod(usable, extent.shape[1]))
    cells = sliding_window_view(data, (CELL_SIZE, CELL_SIZE))[rows, columns]
    y, x = np.divmod(cells.reshape(-1, CELL_SIZE**2).argmax(axis=1), CELL_SIZE)
    y, x = rows + y - STAR_RADIUS, columns + x - STAR_RADIUS
    whole = (y >= 0) & (y <= data.shape[0] - width)
    whole &= (x >= 0) & (x <= data.shape[1] - width)
    y, x = y[whole], x[whole]
    seen = ~sliding_window_view(hidden, (width, width))[y, x].any(axis=(1, 2))
    return sliding_window_view(data, (width, width))[y[seen], x[seen]]


def _by_cells(function: np.ufunc, plane: np.ndarray, step: int = 1) -> np.ndarray:
    """Reduce cells, or some of their rows, to a number each.

    Rows come first, which goes along memory; then pairs of columns, again and again,
    which takes a fifth of the time of a reduction of eight at a time.
    """
    ny, nx = plane.shape
    bands = plane.reshape(ny // CELL_SIZE, CELL_SIZE, nx)[:, ::step]
    reduced = function.reduce(bands, axis=1)
    while reduced.shape[1] > nx // CELL_SIZE:
        reduced = function(reduced[:, ::2], reduced[:, 1::2])
    return reduced


def _select_stars(candidates: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the stars, over their medians, in units of their peaks; and the noise."""
    if not len(candidates):
        return candidates, 0.0
    candidates = candidates - np.median(candidates, axis=(1, 2), keepdims=True)
    inner = slice(STAR_RADIUS - 1, STAR_RADIUS + 2)
    core = candidates[:, inner, inner].reshape(-1, 9)
    peaks = core[:, 4]
    flat = candidates.reshape(len(candidates), -1)
    noise = noise_from_neighbours(flat, np.ones(flat.shape, dtype=bool))
    is_star = (np.delete(core, 4, axis=1) < peaks[:, None]).all(axis=1)
    is_star &= core[:, 1::2].mean(axis=1) > MIN_WIDTH * peaks
    is_star &= peaks > MIN_SIGNAL_TO_NOISE * noise
    which = np.flatnonzero(is_star)
    which = which[np.argsort(-peaks[which], kind="stable")]
    which = which[_evenly_spaced(which.size, MAX_STARS)]
    # It is zero where not all pixels are finite.
    measured = noise[noise > 0]
    usual = float(np.quantile(measured, NOISE_QUANTILE)) if measured.size else 0.0
    return candidates[which] / peaks[which, None, None], usual


def _evenly_spaced(number: int, most: int) -> np.ndarray:
    """Return at most so many of the first indices, from the first to the last."""
    return np.linspace(0, number - 1, min(number, most)).astype(int)
