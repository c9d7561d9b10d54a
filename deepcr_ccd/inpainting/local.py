"""Fill pixels from the good pixels around them, and give the one-sigma of the fills.

Every method uses a square cutout around the pixel, which grows until it holds enough
good pixels. The one-sigma of a fill is the spread of these pixels about it, widened for
their finite number: the error to expect of one pixel that is predicted from its
neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from .cutouts import (
    MIN_GOOD_PIXELS,
    TypedPixels,
    noise_from_neighbours,
    read_cutouts,
    working_dtype,
)
from .pixel_flags import good_pixels, mask_positions

__all__ = [
    "LOCAL_METHODS",
    "fill_pixels",
    "limit_to_neighbours",
    "limit_to_pixel_value",
    "median5",
]

#: Half-widths in px of the cutouts, tried one after the other; and of those around the
#: nearest good pixel, where none of these has enough of them.
RADII = (2, 3, 5, 8)
LAST_RADIUS = 3
#: Standard deviation in px of the weights of "interpolate".
KERNEL_SCALE = 1.25
#: Ridge on the slopes of the plane of "interpolate", absolute and relative.
RIDGE = 1e-3
#: Half-width in px of the cutout in which the noise around a CR-affected pixel is
#: measured; and how far a fill may be above the pixel, in units of that noise.
NOISE_RADIUS = 6
NOISE_MARGIN = 2


class Neighbourhood(NamedTuple):
    """Cutouts around ``n`` pixels.

    ``values`` and ``good`` are ``(n, k * k)``; ``dy`` and ``dx`` are the distances of
    their pixels from the one in question along columns and rows, in px, ``(n, k * k)``
    or ``(1, k * k)``.
    """

    values: np.ndarray
    good: np.ndarray
    dy: np.ndarray
    dx: np.ndarray


class LocalFill(NamedTuple):
    """Fills, ``(n,)``, and what their one-sigma depends on.

    ``weights`` are ``(n, k * k)``, or None for equal ones; ``n_parameters`` is the
    number of parameters that were fitted.
    """

    fill: np.ndarray
    weights: np.ndarray | None
    n_parameters: int


def _median(near: Neighbourhood) -> LocalFill:
    return LocalFill(_good_median(near.values, near.good), None, 1)


def _good_median(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    values = np.where(good, values, np.inf)
    values.sort(axis=1)
    count = good.sum(axis=1)
    row = np.arange(len(values))
    return (values[row, (count - 1) // 2] + values[row, count // 2]) / 2


def _mean(near: Neighbourhood) -> LocalFill:
    fill = _weighted_mean(near.values, near.good.astype(near.values.dtype))
    return LocalFill(fill, None, 1)


def _inverse_distance(near: Neighbourhood) -> LocalFill:
    distance = np.maximum(np.hypot(near.dy, near.dx), 0.5)
    weights = np.where(near.good, 1 / distance, 0).astype(near.values.dtype)
    return LocalFill(_weighted_mean(near.values, weights), weights, 1)


def _interpolate(near: Neighbourhood) -> LocalFill:
    """Fit a plane to the cutout, with Gaussian weights, and take it at the pixel."""
    values, good, dy, dx = near
    # The kernel widens with the distance of the nearest good pixel, as the cutout does,
    # so that a hole is bridged from its rim.
    squares = (dy**2 + dx**2).astype(float)
    nearest = np.where(good, squares, np.inf).min(axis=1, keepdims=True)
    weights = np.where(good, np.exp((nearest - squares) / (2 * KERNEL_SCALE**2)), 0)
    centre = _weighted_mean(values.astype(float), weights)[:, None]
    terms = np.stack(np.broadcast_arrays(1.0, dy, dx))
    weighted = terms * weights
    matrix = np.einsum("inw,jnw->nij", weighted, terms)
    # Cutouts with good pixels on one line only fall back to the mean.
    for slope in (1, 2):
        matrix[:, slope, slope] += RIDGE + RIDGE * matrix[:, 0, 0]
    vector = np.einsum("inw,nw->ni", weighted, np.where(good, values - centre, 0))
    fit = np.linalg.solve(matrix, vector[..., None])[..., 0]
    fill = (fit[:, 0] + centre[:, 0]).astype(values.dtype)
    return LocalFill(fill, weights, 3)


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.einsum("nw,nw->n", np.where(weights > 0, values, 0), weights)
    return total / weights.sum(axis=1)


#: Methods by name.
LOCAL_METHODS: dict[str, Callable[[Neighbourhood], LocalFill]] = {
    "median": _median,
    "mean": _mean,
    "idw": _inverse_distance,
    "interpolate": _interpolate,
}


def fill_pixels(
    data: TypedPixels,
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
        The median or the mean of the cutout, its mean with weights of one over the
        distance, or a plane fitted to it with Gaussian weights.

    Returns
    -------
    fill, sigma : `~numpy.ndarray`
        One value a target, in the order of ``data[targets]``; in the unit of
        ``data``. NaN if the frame has no good pixel at all.
    """

    def summarise(
        near: Neighbourhood,
        row: np.ndarray,  # noqa: ARG001
    ) -> tuple[np.ndarray, np.ndarray]:
        filled = LOCAL_METHODS[method](near)
        return filled.fill, _spread(near, filled)

    return _over_targets(data, targets, bad, summarise)


def limit_to_neighbours(
    data: TypedPixels,
    targets: np.ndarray,
    bad: np.ndarray | None,
    fill: np.ndarray,
    lower_limit: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Limit fills of a network to values near those of the good pixels around.

    A network can be far off where it was not trained for what it sees, beside a hugely
    saturated star for instance. A fill may leave the range of the good pixels around it
    by the width of that range above (for the core of a star), and by half of it below.

    Parameters
    ----------
    data, targets, bad : `~numpy.ndarray`
        As for `fill_pixels`.
    fill : `~numpy.ndarray`
        The fills, one a target; NaN where there is none, which gets the median.
    lower_limit : `~numpy.ndarray`, optional
        What the true value is at least with near certainty, one a target: fills may be
        as high as this.

    Returns
    -------
    fill, sigma : `~numpy.ndarray`
        One value a target, in the unit of ``data``.
    """

    def summarise(
        near: Neighbourhood, row: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        low = np.where(near.good, near.values, np.inf).min(axis=1)
        high = np.where(near.good, near.values, -np.inf).max(axis=1)
        width = high - low
        highest = high + width
        if lower_limit is not None:
            highest = np.fmax(highest, lower_limit[row])
        limited = np.clip(fill[row], low - width / 2, highest)
        unknown = np.isnan(limited)
        if unknown.any():
            limited[unknown] = _good_median(near.values, near.good)[unknown]
        return limited, _spread(near, LocalFill(limited, None, 1))

    return _over_targets(data, targets, bad, summarise)


def limit_to_pixel_value(
    data: TypedPixels,
    targets: np.ndarray,
    bad: np.ndarray | None,
    fill: np.ndarray,
    cr_affected: np.ndarray,
) -> np.ndarray:
    """Limit fills to the values of CR-affected pixels, as cosmic rays only add to them.

    A network cannot know how high the hidden core of a sharp star is; the value of the
    pixel is an upper limit, but for the noise. That is taken from the smaller half of
    the differences between neighbours, which are due to noise even beside a star.

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
    pixel = data[rows, columns]
    above = np.flatnonzero(cr_affected[rows, columns] & (fill > pixel))
    if not above.size:
        return fill
    good = good_pixels(targets, bad)
    at = rows[above], columns[above]
    for cutouts in read_cutouts(data, good, *at, NOISE_RADIUS):
        these = above[cutouts.which]
        noise = noise_from_neighbours(cutouts.values, cutouts.flags)
        fill[these] = np.minimum(fill[these], pixel[these] + NOISE_MARGIN * noise)
    return fill


def median5(data: TypedPixels, targets: np.ndarray) -> np.ndarray:
    """Return the plain 5x5 median around some pixels, CR-affected ones included.

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
    for cutouts in read_cutouts(data, every, rows, columns, 2):
        fill[cutouts.which] = _good_median(cutouts.values, cutouts.flags)
    return fill


def _spread(near: Neighbourhood, filled: LocalFill) -> np.ndarray:
    """Return the one-sigma of fills."""
    values, good = near.values, near.good
    weights = filled.weights
    if weights is None:
        weights = good.astype(values.dtype)
    residual = np.where(good, values - filled.fill[:, None], 0)
    total = weights.sum(axis=1)
    effective = total**2 / np.einsum("nw,nw->n", weights, weights)
    variance = np.einsum("nw,nw,nw->n", weights, residual, residual) / total
    # Too few values fix no spread: they are given half a degree of freedom.
    freedom = np.maximum(effective - filled.n_parameters, 0.5)
    return np.sqrt(variance * effective / freedom * (1 + 1 / effective))


def _over_targets(
    data: TypedPixels,
    targets: np.ndarray,
    bad: np.ndarray | None,
    summarise: Callable[[Neighbourhood, np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Summarise the cutout around every target, once it is wide enough."""
    rows, columns = mask_positions(targets)
    dtype = working_dtype(data.dtype)
    fill, sigma = (np.full(rows.size, np.nan, dtype=dtype) for _ in range(2))
    if not rows.size:
        return fill, sigma
    good = good_pixels(targets, bad)
    left = np.arange(rows.size)
    for radius in RADII:
        after = []
        for values, usable, which in read_cutouts(
            data, good, rows[left], columns[left], radius
        ):
            enough = usable.sum(axis=1) >= MIN_GOOD_PIXELS
            after.append(left[which[~enough]])
            if not enough.all():
                values, usable, which = values[enough], usable[enough], which[enough]
            if which.size:
                near = Neighbourhood(values, usable, *_offsets(radius))
                these = left[which]
                fill[these], sigma[these] = summarise(near, these)
        left = np.concatenate(after)
        if not left.size:
            return fill, sigma
    # The middle of a wide hole: the cutout is put around the nearest good pixel.
    good &= np.isfinite(data[:])
    if not good.any():
        return fill, sigma
    nearest = ndimage.distance_transform_edt(
        ~good, return_distances=False, return_indices=True
    )
    y, x = (index[rows[left], columns[left]] for index in nearest)
    for values, usable, which in read_cutouts(data, good, y, x, LAST_RADIUS):
        these = left[which]
        dy, dx = (
            offset + (at[which] - own[these])[:, None]
            for offset, at, own in zip(
                _offsets(LAST_RADIUS), (y, x), (rows, columns), strict=True
            )
        )
        near = Neighbourhood(values, usable, dy, dx)
        fill[these], sigma[these] = summarise(near, these)
    return fill, sigma


def _offsets(radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how far the pixels of a cutout are from its centre, in y and in x."""
    line = np.arange(-radius, radius + 1)
    dy, dx = np.meshgrid(line, line, indexing="ij")
    return dy.reshape(1, -1), dx.reshape(1, -1)
