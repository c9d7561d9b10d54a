"""Cells of a frame: places of samples, robust statistics, interpolation of maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from scipy import ndimage

from ..tiling.tiles import Tile, reflect_indices
from ..tiling.torch_settings import neutral_torch_state

__all__ = [
    "FrameLike",
    "MAD_TO_SIGMA",
    "all_where_given",
    "fill_missing",
    "interpolate",
    "interpolate_maps",
    "median",
    "sample_places",
    "robust_scatter",
]

#: Values are clipped here, so that differences do not overflow float32.
MAX_VALUE = np.float32(1e36)
#: From the median of absolute values to the standard deviation, for a Gaussian.
MAD_TO_SIGMA = 1.4826
#: Number of samples of a cell along each axis.
SAMPLES = 24


class FrameLike(Protocol):
    """A frame in memory or not: it has a shape, and its rows can be read."""

    @property
    def shape(self) -> tuple[int, int]:
        """``(ny, nx)``."""

    def __getitem__(self, index: Any, /) -> Any:
        """Return the pixels of an index, as an array."""


def interpolate(
    maps: tuple[np.ndarray, ...], shape: tuple[int, int], tile: Tile | None
) -> list[np.ndarray]:
    """Interpolate maps of cells to the pixels of a tile, or of the frame.

    Parameters
    ----------
    maps : tuple of `~numpy.ndarray`
        float32, ``(n, m)``.
    shape : tuple of int
        ``(ny, nx)`` of the frame, in px.
    tile : Tile or None
        From `~deepcr_ccd.tiling.tiles.plan_tiles` for the frame.

    Returns
    -------
    list of `~numpy.ndarray`
        float32, of the shape of the tile's read.
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
        Rows and columns, in px.
    shape : tuple of int
        ``(ny, nx)`` of the frame, in px.

    Returns
    -------
    list of `~numpy.ndarray`
        float32, ``(rows, columns)``.
    """
    (rows, left), (columns, right) = (
        _weights(places, size, cells)
        for places, size, cells in zip(pixels, shape, maps[0].shape, strict=True)
    )
    # By torch and not numpy, whose threads would compete with those of the tiles.
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


def sample_places(size: int, count: int) -> np.ndarray:
    """Return places of samples along an axis, spread evenly over each cell.

    Parameters
    ----------
    size, count : int
        Length of the axis in px, and number of cells.

    Returns
    -------
    `~numpy.ndarray`
        int, ``(cells, samples)``.
    """
    samples = min(SAMPLES, -(-size // count))
    steps = (np.arange(samples) + 0.5) / samples
    places = (np.arange(count)[:, None] + steps) * size / count
    return np.clip(places.astype(int), min(1, size - 1), max(size - 2, 0))


def median(values: np.ndarray, good: np.ndarray | None) -> np.ndarray:
    """Return the median of the good values along the last axis; NaN if there are none.

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


def fill_missing(values: np.ndarray, fallback: float) -> np.ndarray:
    """Fill cells that could not be measured with the nearest measured one.

    Parameters
    ----------
    values : `~numpy.ndarray`
        ``(n, m)``, not finite where a cell could not be measured.
    fallback : float
        The value where no cell could be measured.
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


def robust_scatter(size: np.ndarray, good: np.ndarray | None) -> np.ndarray:
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
        # Coarse quantization: more than half are zero. Clip the largest, take the rms.
        part = (size if good is None else np.where(good, size, 0))[coarse]
        limit = np.percentile(part, 95, axis=-1, keepdims=True)
        kept = part <= limit
        squares = np.where(kept, np.square(part, dtype=np.float64), 0)
        found[coarse] = np.sqrt(squares.sum(axis=-1) / kept.sum(axis=-1))
    return found


def all_where_given(*conditions: np.ndarray | None) -> np.ndarray | None:
    """Return where all given conditions hold; None if none is given.

    Parameters
    ----------
    *conditions : `~numpy.ndarray` or None
        bool.
    """
    known = [condition for condition in conditions if condition is not None]
    return np.logical_and.reduce(known) if known else None
