"""Sky and noise of a frame, from the frame itself.

Both are measured in square cells, robustly, and interpolated between them. The sky is
a mode estimated from clipped median and mean (as SExtractor does: Bertin & Arnouts
1996, A&AS 117, 393). The noise is the scatter of second differences between neighbours,
in which smooth structure cancels, along the axis where it is smallest. Where parts of a
cell are dark (vignetting, a field stop, an overscan), the sky goes down there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from .devices import tile_threads
from .tiling import Tile, reflect_indices

__all__ = ["NoiseMap", "measure_noise"]

#: From the median of absolute values to the standard deviation, for a Gaussian.
MAD_TO_SIGMA = 1.4826
#: Values are clipped here, so that no difference of them overflows float32.
LARGEST = np.float32(1e36)
#: A noise that float32 holds, and parts of it as well.
SMALLEST = 1e4 * float(np.finfo(np.float32).tiny)
#: Width of a cell in px.
CELL = 64
#: Pixels of a cell, along each axis, that are measured.
SAMPLES = 24
#: Samples that are worked on at a time.
BAND = 300_000
#: The fraction of a cell that must be good.
ENOUGH = 0.3
#: Parts of a cell, along each axis, in which the sky may be lower; and how far below
#: the sky of the cells, in units of the noise, the median of a part is let be.
PARTS = 8
DARK = 3.0


class NoiseMap(NamedTuple):
    """Sky and one-sigma noise at the centres of cells.

    ``sky`` and ``sigma`` are ``(n, m)``, in the frame's unit; ``shape`` is that of the
    frame. ``dip`` is ``(PARTS * n, PARTS * m)``: what is to be added to the sky in
    parts of cells, zero or less; or None if there is nothing.
    """

    sky: np.ndarray
    sigma: np.ndarray
    shape: tuple[int, int]
    dip: np.ndarray | None = None

    def at(self, tile: Tile | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Interpolate to the pixels of a tile, or of the frame.

        Parameters
        ----------
        tile : Tile, optional
            From `~deepcr_ccd.tiling.plan_tiles` for the frame.

        Returns
        -------
        sky, sigma : `~numpy.ndarray`
            float32, of the shape of the tile's read.
        """
        sky, sigma = interpolate((self.sky, self.sigma), self.shape, tile)
        if self.dip is not None:
            sky += interpolate((self.dip,), self.shape, tile)[0]
        return sky, sigma


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
        From `~deepcr_ccd.tiling.plan_tiles` for the frame.
    """
    read = tile.read if tile else tuple((0, size) for size in shape)
    pixels = [
        reflect_indices(*span, size) for span, size in zip(read, shape, strict=True)
    ]
    return interpolate_maps(maps, pixels, shape)


def interpolate_maps(
    maps: tuple[np.ndarray, ...],
    pixels: Sequence[np.ndarray],
    shape: tuple[int, int],
) -> list[np.ndarray]:
    """Interpolate maps of cells to rows and columns of pixels of a frame."""
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


def measure_noise(
    frame: np.ndarray,
    bad: np.ndarray | None = None,
    *,
    cell: int = CELL,
    unit: np.ndarray | None = None,
) -> NoiseMap:
    """Measure sky and noise of a frame.

    Parameters
    ----------
    frame : `~numpy.ndarray`
        ``(ny, nx)``, finite, in any unit.
    bad : `~numpy.ndarray`, optional
        bool, pixels to leave out.
    cell : int
        Width of a cell in px, about.
    unit : `~numpy.ndarray`, optional
        ``(ny, nx)``, the one-sigma that pixels shall have, NaN where unknown: the noise
        is that of the frame in units of it.

    Returns
    -------
    NoiseMap
        Its sigma is positive everywhere.
    """
    counts = [max(1, round(size / cell)) for size in frame.shape]
    rows, columns = (
        sample(size, count) for size, count in zip(frame.shape, counts, strict=True)
    )
    # A band of cells at a time, which bounds memory.
    step = max(1, BAND // (counts[1] * rows.shape[1] * columns.shape[1]))
    bands = [rows[start : start + step] for start in range(0, counts[0], step)]

    def measure(band: np.ndarray) -> tuple[np.ndarray, ...]:
        return _measure_cells(frame, bad, band, columns, unit)

    in_turn = any(getattr(part, "in_turn", False) for part in (frame, bad, unit))
    samples = 0 if in_turn else rows.size * columns.size
    with tile_threads(torch.device("cpu"), samples, len(bands)) as mapped:
        measured = list(mapped(measure, bands))
    sky, sigma, parts = (np.concatenate(part) for part in zip(*measured, strict=True))
    # A frame of equal numbers has no noise; any positive scale will do.
    if np.isfinite(sky).any():
        level = np.nanmedian(sky)
    else:
        level = float(np.median(frame[rows[:1].T, columns[:1]]))
    sky = complete(sky, level)
    sigma = complete(sigma, max(abs(level), 1.0) * 1e-3)
    # Cells that a bright star spoils follow their neighbours.
    size = [min(3, count) for count in counts]
    sky = ndimage.median_filter(sky, size).astype(np.float32)
    sigma = np.maximum(ndimage.median_filter(sigma, size), SMALLEST).astype(np.float32)
    return NoiseMap(sky, sigma, frame.shape, _dip(sky, sigma, parts, frame.shape))


def _dip(
    sky: np.ndarray, sigma: np.ndarray, parts: np.ndarray, shape: tuple[int, int]
) -> np.ndarray | None:
    """Return how far the sky of parts of cells is below that of the cells.

    ``parts`` are the medians of these, ``(PARTS * n, PARTS * m)``.
    """
    centres = [
        (np.arange(number) + 0.5) * size / number - 0.5
        for number, size in zip(parts.shape, shape, strict=True)
    ]
    level, noise = interpolate_maps((sky, sigma), centres, shape)
    dip = np.minimum(parts - level + DARK * noise, 0)
    dip[~np.isfinite(dip)] = 0
    return dip.astype(np.float32) if dip.any() else None


def _measure_cells(
    frame: np.ndarray,
    bad: np.ndarray | None,
    rows: np.ndarray,
    columns: np.ndarray,
    unit: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measure sky and noise of cells, given the places of their samples.

    Both are NaN where a cell has too few good pixels, the noise where it is zero too.
    The third are the medians of the parts of the cells, `_measure_parts`.
    """
    ny, nx = frame.shape

    def pick(part: np.ndarray, dy: int, dx: int) -> np.ndarray:
        """Return the samples' neighbours in a frame, ``(ncells, mcells, samples)``."""
        # Whole rows first: they lie together in memory.
        lines = part[np.clip(rows.ravel() + dy, 0, ny - 1)]
        picked = lines.take(np.clip(columns.ravel() + dx, 0, nx - 1), axis=1)
        cells = picked.reshape(*rows.shape, *columns.shape).swapaxes(1, 2)
        return cells.reshape(len(rows), len(columns), -1)

    def take(dy: int, dx: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the samples' neighbours, and which of them are good: None for all."""
        values = np.clip(pick(frame, dy, dx), -LARGEST, LARGEST)
        return values, None if bad is None else ~pick(bad, dy, dx)

    def in_units(
        difference: np.ndarray, good: np.ndarray | None, dy: int, dx: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return second differences in the units that they shall have, if any."""
        if unit is None:
            return difference, good
        own, *beside = (pick(unit, *s) for s in ((0, 0), (-dy, -dx), (dy, dx)))
        size = np.hypot(np.hypot(2 * own, beside[0]), beside[1])
        known = np.isfinite(size)
        size = np.where(known, size, 1) / np.float32(np.sqrt(6))
        return difference / size, _all(known, good)

    values, good = take(0, 0)
    middle = _median(values, good)
    distance = np.abs(values - middle[..., None])
    spread = MAD_TO_SIGMA * _median(distance, good)
    # One clip, and from the median a step towards the mode, as stars skew it.
    kept = _all(distance <= 3 * spread[..., None], good)
    number = kept.sum(axis=-1)
    mean = np.where(kept, values, 0).sum(axis=-1, dtype=np.float64) / np.maximum(
        number, 1
    )
    sky = 2.5 * _median(values, kept) - 1.5 * mean
    sky = np.clip(sky, middle - spread, middle + spread)
    noises = []
    for dy, dx in ((0, 1), (1, 0)):
        before, good_before = take(-dy, -dx)
        after, good_after = take(dy, dx)
        difference = np.abs(before - 2 * values + after)
        every = _all(good, good_before, good_after)
        noises.append(_scatter(*in_units(difference, every, dy, dx)))
    # Along a spectrum or a bad column the scatter is that of the noise.
    sigma = np.fmin(*[np.where(n > 0, n / np.sqrt(6), np.nan) for n in noises])
    sigma = np.where(sigma > 0, sigma, np.nan if unit is not None else spread)
    if good is not None:
        poor = good.mean(axis=-1) < ENOUGH
        sky[poor] = sigma[poor] = np.nan
    sigma[~(sigma > 0)] = np.nan
    samples = rows.shape[1], columns.shape[1]
    return sky, sigma, _measure_parts(values, good, samples)


def _measure_parts(
    values: np.ndarray, good: np.ndarray | None, samples: tuple[int, int]
) -> np.ndarray:
    """Return the medians of the parts of cells, ``(PARTS * ncells, PARTS * mcells)``.

    They are NaN where too few samples are good, or a cell has too few for parts.
    """
    cells = values.shape[:2]
    if min(samples) < SAMPLES:
        return np.full([PARTS * number for number in cells], np.nan)
    inner = SAMPLES // PARTS

    def part(plane: np.ndarray) -> np.ndarray:
        parted = plane.reshape(*cells, PARTS, inner, PARTS, inner)
        parted = parted.transpose(0, 2, 1, 4, 3, 5)
        return parted.reshape(PARTS * cells[0], PARTS * cells[1], inner**2)

    if good is None:
        return _median(part(values), None)
    good = part(good)
    medians = _median(part(values), good)
    medians[good.mean(axis=-1) < ENOUGH] = np.nan
    return medians


def _all(*conditions: np.ndarray | None) -> np.ndarray | None:
    """Return where all of the conditions hold that there are; None if none are."""
    known = [condition for condition in conditions if condition is not None]
    return np.logical_and.reduce(known) if known else None


def sample(size: int, count: int) -> np.ndarray:
    """Return places along an axis, ``(cells, samples)``, spread over each cell."""
    samples = min(SAMPLES, -(-size // count))
    steps = (np.arange(samples) + 0.5) / samples
    places = (np.arange(count)[:, None] + steps) * size / count
    return np.clip(places.astype(int), min(1, size - 1), max(size - 2, 0))


def _median(values: np.ndarray, good: np.ndarray | None) -> np.ndarray:
    """Return the median of the good values along the last axis; NaN of none."""
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
    """Fill cells that could not be measured from the nearest one that could."""
    missing = ~np.isfinite(values)
    if missing.all():
        return np.full(values.shape, fallback)
    if missing.any():
        nearest = ndimage.distance_transform_edt(
            missing, return_distances=False, return_indices=True
        )
        values = values[tuple(nearest)]
    return values


def _scatter(size: np.ndarray, good: np.ndarray | None) -> np.ndarray:
    """Return the robust scatter of differences, given their absolute values."""
    scatter = MAD_TO_SIGMA * _median(size, good)
    coarse = scatter == 0
    if coarse.any():
        # More than half are zero, as digits are coarse: clip the largest, take the rms.
        part = (size if good is None else np.where(good, size, 0))[coarse]
        limit = np.percentile(part, 95, axis=-1, keepdims=True)
        kept = part <= limit
        squares = np.where(kept, np.square(part, dtype=np.float64), 0)
        scatter[coarse] = np.sqrt(squares.sum(axis=-1) / kept.sum(axis=-1))
    return scatter
