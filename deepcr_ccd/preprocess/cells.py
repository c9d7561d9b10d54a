"""Maps of cells over a frame: where samples are taken, statistics, interpolation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage

from ..tiling.tiles import Tile, reflect_indices
from ..tiling.torch_settings import neutral_torch_state

__all__ = [
    "all_of",
    "complete",
    "interpolate",
    "interpolate_maps",
    "median",
    "sample",
    "scatter",
]

#: Values are clipped here, so that no difference of them overflows float32.
LARGEST = np.float32(1e36)
#: From the median of absolute values to the standard deviation, for a Gaussian.
MAD_TO_SIGMA = 1.4826
#: Pixels of a cell, along each axis, that are measured.
SAMPLES = 24


def interpolate(
    maps: tuple[np.ndarray, ...], shape: tuple[int, int], tile: Tile | None
) -> list[np.ndarray]:
    """Interpolate maps of cells to the pixels of a tile, or of the frame.

    Parameters
    ----------
    maps : tuple of `~numpy.ndarray`
        float32, ``(n, m)``.
    shape : tuple of int
        Of the frame.
    tile : Tile or None
        From `~deepcr_ccd.tiling.tiles.plan_tiles` for the frame.
    """
    read = tile.read if tile else tuple((0, size) for size in shape)
    pixels = [
        reflect_indices(*span, size) for span, size in zip(read, shape, strict=True)
    ]
    return interpolate_maps(maps, pixels, shape)


@neutral_torch_state()
def interpolate_maps(
    maps: tuple[np.ndarray, ...],
    pixels: Sequence[np.ndarray],
    shape: tuple[int, int],
) -> list[np.ndarray]:
    """Interpolate maps of cells to rows and columns of pixels of a frame.

    Parameters
    ----------
    maps : tuple of `~numpy.ndarray`
        float32, ``(n, m)``.
    pixels : sequence of `~numpy.ndarray`
        Rows and columns.
    shape : tuple of int
        Of the frame.
    """
    (rows, left), (columns, right) = (
        _weights(places, size, cells)
        for places, size, cells in zip(pixels, shape, maps[0].shape, strict=True)
    )
    # Not by numpy, whose own threads would get in the way of those of the tiles.
    return [
        (left @ (torch.from_numpy(values[rows, columns]) @ right.T)).numpy()
        for values in maps
    ]


def _weights(pixels: np.ndarray, size: int, cells: int) -> tuple[slice, torch.Tensor]:
    """Return cells, and the matrix that interpolates linearly from them to pixels."""
    place = (pixels + 0.5) / size * cells - 0.5
    place = np.clip(place, 0, cells - 1)
    low = np.minimum(place.astype(int), max(cells - 2, 0))
    used = slice(low.min(), low.max() + min(cells, 2))
    weights = np.zeros((pixels.size, used.stop - used.start), dtype=np.float32)
    row = np.arange(pixels.size)
    weights[row, low - used.start] = 1 - (place - low)
    if cells > 1:
        weights[row, low - used.start + 1] += place - low
    return used, torch.from_numpy(weights)


def sample(size: int, count: int) -> np.ndarray:
    """Return places along an axis, ``(cells, samples)``, spread over each cell.

    Parameters
    ----------
    size, count : int
        Length of the axis in px, and number of cells.
    """
    samples = min(SAMPLES, -(-size // count))
    steps = (np.arange(samples) + 0.5) / samples
    places = (np.arange(count)[:, None] + steps) * size / count
    return np.clip(places.astype(int), min(1, size - 1), max(size - 2, 0))


def median(values: np.ndarray, good: np.ndarray | None) -> np.ndarray:
    """Return the median of the good values along the last axis; NaN of none.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Of any shape.
    good : `~numpy.ndarray` or None
        bool; None for all.
    """
    every = values.shape[-1]
    if good is None:
        ordered, number = values.copy(), np.full((*values.shape[:-1], 1), every)
    else:
        ordered = np.where(good, values, np.inf)
        number = good.sum(axis=-1, keepdims=True)
    ordered.sort(axis=-1)
    low = np.take_along_axis(ordered, np.maximum(number - 1, 0) // 2, -1)
    high = np.take_along_axis(ordered, np.minimum(number, every - 1) // 2, -1)
    middle = (low + high)[..., 0].astype(np.float64) / 2
    return np.where(number[..., 0] > 0, middle, np.nan)


def complete(values: np.ndarray, fallback: float) -> np.ndarray:
    """Fill cells that could not be measured from the nearest one that could.

    Parameters
    ----------
    values : `~numpy.ndarray`
        ``(n, m)``, not finite where that is so.
    fallback : float
        Where none could.
    """
    missing = ~np.isfinite(values)
    if missing.all():
        return np.full(values.shape, fallback)
    if missing.any():
        nearest = ndimage.distance_transform_edt(
            missing, return_distances=False, return_indices=True
        )
        values = values[tuple(nearest)]
    return values


def scatter(size: np.ndarray, good: np.ndarray | None) -> np.ndarray:
    """Return the robust scatter of differences, given their absolute values.

    Parameters
    ----------
    size : `~numpy.ndarray`
        Absolute differences, along the last axis.
    good : `~numpy.ndarray` or None
        bool; None for all.
    """
    found = MAD_TO_SIGMA * median(size, good)
    coarse = found == 0
    if coarse.any():
        # More than half are zero, as digits are coarse: clip the largest, take the rms.
        part = (size if good is None else np.where(good, size, 0))[coarse]
        limit = np.percentile(part, 95, axis=-1, keepdims=True)
        kept = part <= limit
        squares = np.where(kept, np.square(part, dtype=np.float64), 0)
        found[coarse] = np.sqrt(squares.sum(axis=-1) / kept.sum(axis=-1))
    return found


def all_of(*conditions: np.ndarray | None) -> np.ndarray | None:
    """Return where all of the conditions hold that there are; None if none are.

    Parameters
    ----------
    *conditions : `~numpy.ndarray` or None
        bool.
    """
    known = [condition for condition in conditions if condition is not None]
    return np.logical_and.reduce(known) if known else None
