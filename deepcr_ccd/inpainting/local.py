"""Fill pixels from the good ones around them, and say how far the fill may be off.

Every method looks at a square window around the pixel, which grows until it holds
enough good pixels. The one-sigma that comes with a fill is the spread of these good
pixels about it, widened for their finite number: the error to expect of one pixel
that is predicted from its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from .cutouts import (
    ENOUGH,
    good_pixels,
    mask_positions,
    noise_from_neighbours,
    read_cutouts,
    working_dtype,
)

__all__ = [
    "FILLS",
    "fill_pixels",
    "limit_to_pixel_value",
    "limit_to_neighbours",
    "median5",
]

#: Half-widths of the windows, in px, tried in turn.
RADII = (2, 3, 5, 8)
#: Scale length of the weights of "interpolate", in px.
KERNEL = 1.25
#: Half-width in px of the window from which a struck pixel's noise is taken; and how
#: far, in units of it, a fill may rise above what the pixel holds.
NEAR = 6
MARGIN = 2

Window = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _median(values: np.ndarray, good: np.ndarray, dy, dx):  # noqa: ARG001
    values = np.where(good, values, np.inf)
    values.sort(axis=1)
    count = good.sum(axis=1)
    row = np.arange(len(values))
    return (values[row, (count - 1) // 2] + values[row, count // 2]) / 2, None, 1


def _mean(values: np.ndarray, good: np.ndarray, dy, dx):  # noqa: ARG001
    return _weighted(values, good.astype(values.dtype)), None, 1


def _idw(values: np.ndarray, good: np.ndarray, dy: np.ndarray, dx: np.ndarray):
    weights = np.where(good, 1 / np.maximum(np.hypot(dy, dx), 0.5), 0)
    weights = weights.astype(values.dtype)
    return _weighted(values, weights), weights, 1


def _interpolate(values: np.ndarray, good: np.ndarray, dy: np.ndarray, dx: np.ndarray):
    """Fit a plane to the window, with Gaussian weights, and take it at the pixel."""
    # The kernel widens with the distance of the nearest good pixel, as the window
    # does, so that a hole is bridged from its rim.
    squares = (dy**2 + dx**2).astype(float)
    nearest = np.where(good, squares, np.inf).min(axis=1, keepdims=True)
    weights = np.where(good, np.exp((nearest - squares) / (2 * KERNEL**2)), 0)
    centre = _weighted(values.astype(float), weights)[:, None]
    terms = np.stack(np.broadcast_arrays(1.0, dy, dx))
    weighted = terms * weights
    matrix = np.einsum("inw,jnw->nij", weighted, terms)
    # A little ridge on the slopes: windows with good pixels on one line only then
    # fall back to the mean.
    matrix[:, 1, 1] += 1e-3 + 1e-3 * matrix[:, 0, 0]
    matrix[:, 2, 2] += 1e-3 + 1e-3 * matrix[:, 0, 0]
    vector = np.einsum("inw,nw->ni", weighted, np.where(good, values - centre, 0))
    fit = np.linalg.solve(matrix, vector[..., None])[..., 0]
    return (fit[:, 0] + centre[:, 0]).astype(values.dtype), weights, 3


def _weighted(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.einsum("nw,nw->n", np.where(weights > 0, values, 0), weights)
    return total / weights.sum(axis=1)


#: Methods by name: a window in; out come the fill, the weights of its spread (None
#: if they are equal), and the number of parameters that were fitted.
FILLS: dict[str, Callable] = {
    "median": _median,
    "mean": _mean,
    "idw": _idw,
    "interpolate": _interpolate,
}


def fill_pixels(
    data: np.ndarray,
    targets: np.ndarray,
    bad: np.ndarray | None,
    method: str = "median",
) -> tuple[np.ndarray, np.ndarray]:
    """Compute fills for pixels from the good pixels around them.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype and unit. Genuine zeros are data.
    targets : `~numpy.ndarray`
        bool, ``(ny, nx)``, True where a fill is wanted.
    bad : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, True where ``data`` must not be used; targets and
        non-finite pixels are never used.
    method : {"median", "mean", "idw", "interpolate"}
        The median or mean of the window, its mean with weights of one over the
        distance, or a plane fitted to it with Gaussian weights.

    Returns
    -------
    fill, sigma : `~numpy.ndarray`
        One value a target, in the order of ``data[targets]``; in the unit of
        ``data``. NaN if the frame has no good pixel at all.
    """

    def summarise(window: Window, row: np.ndarray):  # noqa: ARG001
        fill, weights, n_fitted = FILLS[method](*window)
        return fill, _spread(window, fill, weights, n_fitted)

    return _over_windows(data, targets, bad, summarise)


def limit_to_neighbours(
    data: np.ndarray,
    targets: np.ndarray,
    bad: np.ndarray | None,
    fill: np.ndarray,
    least: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Limit fills that come from elsewhere, such as a network, and give their sigma.

    A network can be far off where it has seen nothing like it, beside a hugely
    saturated star for instance. A fill may leave the range of the good pixels around
    it by the width of that range above (for the core of a star), and by half of it
    below.

    Parameters
    ----------
    data, targets, bad : `~numpy.ndarray`
        As for `fill_pixels`.
    fill : `~numpy.ndarray`
        The fills, one a target; NaN where there is none, which gets the median.
    least : `~numpy.ndarray`, optional
        What the fill is at least with near certainty, one a target: fills may be as
        high as this, however far out.

    Returns
    -------
    fill, sigma : `~numpy.ndarray`
        One value a target.
    """

    def summarise(window: Window, row: np.ndarray):
        values, good, _, _ = window
        low = np.where(good, values, np.inf).min(axis=1)
        high = np.where(good, values, -np.inf).max(axis=1)
        width = high - low
        highest = high + width
        if least is not None:
            highest = np.fmax(highest, least[row])
        limited = np.clip(fill[row], low - width / 2, highest)
        unknown = np.isnan(limited)
        if unknown.any():
            limited[unknown] = _median(*window)[0][unknown]
        return limited, _spread(window, limited, None, 1)

    return _over_windows(data, targets, bad, summarise)


def limit_to_pixel_value(
    data: np.ndarray,
    targets: np.ndarray,
    bad: np.ndarray | None,
    fill: np.ndarray,
    cr_affected: np.ndarray,
) -> np.ndarray:
    """Limit fills to what struck pixels hold, as cosmic rays only add to a pixel.

    A network cannot know how far the core of a sharp star rises that is hidden from
    it; the pixel itself says how far at most, but for its noise. That is taken from
    the smaller half of the differences between neighbours, which are the noise's even
    beside a star.

    Parameters
    ----------
    data, targets, bad, fill
        As for `limit_to_neighbours`.
    cr_affected : `~numpy.ndarray`
        bool, ``(ny, nx)``, True where a cosmic ray added to what was there.

    Returns
    -------
    `~numpy.ndarray`
        A new array, one value a target.
    """
    fill = fill.copy()
    rows, columns = mask_positions(targets)
    held = data[rows, columns]
    above = np.flatnonzero(cr_affected[rows, columns] & (fill > held))
    if not above.size:
        return fill
    at = rows[above], columns[above]
    for values, good, which in read_cutouts(data, good_pixels(targets, bad), *at, NEAR):
        these = above[which]
        highest = held[these] + MARGIN * noise_from_neighbours(values, good)
        fill[these] = np.minimum(fill[these], highest)
    return fill


def median5(data: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the plain 5x5 median at some pixels, struck ones included.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``.
    targets : `~numpy.ndarray`
        bool, ``(ny, nx)``.

    Returns
    -------
    `~numpy.ndarray`
        One value a target; astroscrappy's cleantype "median".
    """
    rows, columns = mask_positions(targets)
    fill = np.empty(rows.size, dtype=working_dtype(data.dtype))
    every = np.ones(data.shape, dtype=bool)
    for values, good, which in read_cutouts(data, every, rows, columns, 2):
        fill[which] = _median(values, good, None, None)[0]
    return fill


def _spread(
    window: Window, fill: np.ndarray, weights: np.ndarray | None, n_fitted: int
) -> np.ndarray:
    values, good, _, _ = window
    if weights is None:
        weights = good.astype(values.dtype)
    residual = np.where(good, values - fill[:, None], 0)
    total = weights.sum(axis=1)
    effective = total**2 / np.einsum("nw,nw->n", weights, weights)
    variance = np.einsum("nw,nw,nw->n", weights, residual, residual) / total
    # Too few values fix no spread: they are given half a degree of freedom.
    freedom = np.maximum(effective - n_fitted, 0.5)
    return np.sqrt(variance * effective / freedom * (1 + 1 / effective))


def _over_windows(
    data: np.ndarray, targets: np.ndarray, bad: np.ndarray | None, summarise: Callable
) -> tuple[np.ndarray, np.ndarray]:
    """Run a summary on every target's window, once it is wide enough."""
    rows, columns = mask_positions(targets)
    dtype = working_dtype(data.dtype)
    results = tuple(np.full(rows.size, np.nan, dtype=dtype) for _ in range(2))
    if not rows.size:
        return results
    good = good_pixels(targets, bad)
    left = np.arange(rows.size)
    for radius in RADII:
        after = []
        for values, usable, which in read_cutouts(
            data, good, rows[left], columns[left], radius
        ):
            served = usable.sum(axis=1) >= ENOUGH
            after.append(left[which[~served]])
            if not served.all():
                values, usable, which = values[served], usable[served], which[served]
            if which.size:
                window = (values, usable, *_offsets(radius))
                _keep(results, left[which], summarise(window, left[which]))
        left = np.concatenate(after)
        if not left.size:
            return results
    # The middle of a wide hole: the window is put around the nearest good pixel.
    good &= np.isfinite(data[:])
    if not good.any():
        return results
    nearest = ndimage.distance_transform_edt(
        ~good, return_distances=False, return_indices=True
    )
    there = [index[rows[left], columns[left]] for index in nearest]
    for values, usable, which in read_cutouts(data, good, *there, 3):
        dy, dx = (
            offset + (at[which] - own[left[which]])[:, None]
            for offset, at, own in zip(_offsets(3), there, (rows, columns), strict=True)
        )
        window = values, usable, dy, dx
        _keep(results, left[which], summarise(window, left[which]))
    return results


def _offsets(radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how far a window's pixels are from its centre, in y and in x."""
    line = np.arange(-radius, radius + 1)
    return tuple(axis.reshape(1, -1) for axis in np.meshgrid(line, line, indexing="ij"))


def _keep(results: tuple, which: np.ndarray, values: tuple) -> None:
    for result, value in zip(results, values, strict=True):
        result[which] = value
