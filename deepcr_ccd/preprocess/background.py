"""Background and noise of a frame, from the frame itself.

Both are measured robustly in square cells, and interpolated between these. The
background is a mode estimated from the clipped median and mean (as SExtractor does:
Bertin & Arnouts 1996, A&AS 117, 393). The noise is the scatter of second differences
of neighbouring pixels, in which smooth structure cancels, along the axis where it is
smallest. Dark regions within a cell (vignetting, a field stop, an overscan) have a
lower background of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from ..tiling.tiles import Tile, reflect_indices
from ..tiling.workers import tile_threads
from .cells import (
    MAD_TO_SIGMA,
    MAX_VALUE,
    FrameLike,
    all_where_given,
    fill_missing,
    interpolate,
    median,
    robust_scatter,
    sample_places,
)
from .dark_regions import (
    MIN_GOOD,
    measure_dark_noise,
    measure_dark_offset,
    measure_parts,
)

__all__ = ["BackgroundMap", "measure_background"]

#: Frames without scatter have this noise, as a fraction of their level.
NO_SCATTER = 1e-3
#: Smallest noise: float32 holds fractions of it as well.
MIN_RMS = 1e4 * float(np.finfo(np.float32).tiny)
#: Width of a cell in px.
CELL = 64
#: Number of good samples that a cell must have where no cell has the usual fraction.
MIN_SAMPLES = 20
#: Number of samples that are processed at a time.
SAMPLES_PER_BAND = 300_000


class BackgroundMap(NamedTuple):
    """Background and background rms at the centres of cells.

    ``background`` and ``rms`` are float32, ``(n, m)``, in the unit of the frame;
    ``shape`` is that of the frame. In dark regions, ``dark_offset`` is added to the
    background: float32, ``(PARTS * n, PARTS * m)``, zero or negative; ``dark_rms`` is
    the rms there, infinite where that of the cell holds. Both are None if there are no
    dark regions.
    """

    background: np.ndarray
    rms: np.ndarray
    shape: tuple[int, int]
    dark_offset: np.ndarray | None = None
    dark_rms: np.ndarray | None = None

    def at(self, tile: Tile | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Interpolate to the pixels of a tile, or of the frame.

        Parameters
        ----------
        tile : Tile, optional
            From `~deepcr_ccd.tiling.tiles.plan_tiles` for the frame.

        Returns
        -------
        background, rms : `~numpy.ndarray`
            float32, of the shape of the tile's read.
        """
        background, rms = interpolate((self.background, self.rms), self.shape, tile)
        if self.dark_offset is not None:
            background += interpolate((self.dark_offset,), self.shape, tile)[0]
        if self.dark_rms is not None:
            # Not interpolated: beyond the edge of a dark region the noise is higher.
            read = tile.read if tile else tuple((0, size) for size in self.shape)
            rows, columns = (
                reflect_indices(*span, size) * parts // size
                for span, size, parts in zip(
                    read, self.shape, self.dark_rms.shape, strict=True
                )
            )
            np.minimum(rms, self.dark_rms[rows][:, columns], out=rms)
        return background, rms


def measure_background(
    frame: FrameLike,
    bad: np.ndarray | None = None,
    *,
    cell: int = CELL,
    unit: FrameLike | None = None,
    dark: bool = True,
) -> BackgroundMap:
    """Measure background and noise of a frame.

    Parameters
    ----------
    frame : `~numpy.ndarray` or other FrameLike
        ``(ny, nx)``, finite, in any unit.
    bad : `~numpy.ndarray`, optional
        bool, ``(ny, nx)``, pixels to leave out.
    cell : int
        Approximate width of a cell in px.
    unit : `~numpy.ndarray`, optional
        ``(ny, nx)``, the expected one-sigma noise of pixels, NaN where unknown: the
        noise is then measured in units of it.
    dark : bool
        Whether regions darker than the rest of a cell are looked for. In a difference
        of exposures, that would be the cosmic rays of the other one.

    Returns
    -------
    BackgroundMap
        Its rms is positive everywhere.
    """
    counts = [max(1, round(size / cell)) for size in frame.shape]
    rows, columns = (
        sample_places(size, count)
        for size, count in zip(frame.shape, counts, strict=True)
    )
    # Measured where the frame was copied to, such as a GPU, if it was.
    there = None if unit is not None else getattr(frame, "device_frame", None)
    # A band of cells at a time, which bounds memory.
    most = SAMPLES_PER_BAND if there is None else there.samples_at_a_time
    step = max(1, most // (counts[1] * rows.shape[1] * columns.shape[1]))
    bands = [rows[start : start + step] for start in range(0, counts[0], step)]

    enough = MIN_GOOD

    def measure(band: np.ndarray) -> tuple[np.ndarray, ...]:
        if there is not None:
            return there.measure_cells(bad, band, columns, enough)
        return _measure_cells(frame, bad, band, columns, unit, enough)

    serial = any(getattr(part, "serial", False) for part in (frame, bad, unit))
    samples = 0 if serial or there is not None else rows.size * columns.size
    with tile_threads(torch.device("cpu"), samples, len(bands)) as mapped:
        measured = list(mapped(measure, bands))
        if bad is not None and np.isnan(np.concatenate([m[1] for m in measured])).all():
            # No cell has the usual fraction of good pixels.
            enough = MIN_SAMPLES / (rows.shape[1] * columns.shape[1])
            measured = list(mapped(measure, bands))
    background, rms, parts = (
        np.concatenate(part) for part in zip(*measured, strict=True)
    )
    # A constant frame has no noise; any positive value will do.
    if np.isfinite(background).any():
        level = np.nanmedian(background)
    else:
        level = float(np.median(frame[rows[:1].T, columns[:1]]))
    background = fill_missing(background, level)
    rms = fill_missing(
        rms, np.nan if unit is not None else max(abs(level), 1) * NO_SCATTER
    )
    # Cells affected by a bright star follow their neighbours.
    size = [min(3, count) for count in counts]
    background = ndimage.median_filter(background, size).astype(np.float32)
    rms = np.maximum(ndimage.median_filter(rms, size), MIN_RMS).astype(np.float32)
    if not dark:
        return BackgroundMap(background, rms, frame.shape)
    offset = measure_dark_offset(background, rms, parts, frame.shape)
    dark_rms = None
    if offset is not None and unit is None:
        offset, dark_rms = measure_dark_noise(frame, bad, background, rms, offset)
    return BackgroundMap(background, rms, frame.shape, offset, dark_rms)


def _measure_cells(
    frame: FrameLike,
    bad: np.ndarray | None,
    rows: np.ndarray,
    columns: np.ndarray,
    unit: FrameLike | None = None,
    enough: float = MIN_GOOD,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measure background and noise of cells, given the places of their samples.

    Returns background, noise and the medians of the parts of the cells. The first two
    are NaN where a cell has too few good pixels, the noise also where it is zero.
    """
    ny, nx = frame.shape

    def pick(part: FrameLike, dy: int, dx: int) -> np.ndarray:
        """Return the samples' neighbours in a frame, ``(ncells, mcells, samples)``."""
        # Whole rows first, which are contiguous in memory.
        lines = part[np.clip(rows.ravel() + dy, 0, ny - 1)]
        picked = lines.take(np.clip(columns.ravel() + dx, 0, nx - 1), axis=1)
        cells = picked.reshape(*rows.shape, *columns.shape).swapaxes(1, 2)
        return cells.reshape(len(rows), len(columns), -1)

    def take(dy: int, dx: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the samples' neighbours, and which of them are good: None for all."""
        values = np.clip(pick(frame, dy, dx), -MAX_VALUE, MAX_VALUE)
        return values, None if bad is None else ~pick(bad, dy, dx)

    def in_units(
        difference: np.ndarray, good: np.ndarray | None, dy: int, dx: int
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return second differences in units of the expected noise, if it is given."""
        if unit is None:
            return difference, good
        own, *beside = (pick(unit, *s) for s in ((0, 0), (-dy, -dx), (dy, dx)))
        size = np.hypot(np.hypot(2 * own, beside[0]), beside[1])
        known = np.isfinite(size)
        size = np.where(known, size, 1) / np.float32(np.sqrt(6))
        return difference / size, all_where_given(known, good)

    values, good = take(0, 0)
    middle = median(values, good)
    distance = np.abs(values - middle[..., None])
    spread = MAD_TO_SIGMA * median(distance, good)
    # One clip, then from the median a step towards the mode, as stars skew it.
    kept = distance <= 3 * spread[..., None]
    if good is not None:
        kept &= good
    number = kept.sum(axis=-1)
    mean = np.where(kept, values, 0).sum(axis=-1, dtype=np.float64) / np.maximum(
        number, 1
    )
    background = 2.5 * median(values, kept) - 1.5 * mean
    background = np.clip(background, middle - spread, middle + spread)
    noises = []
    for dy, dx in ((0, 1), (1, 0)):
        before, good_before = take(-dy, -dx)
        after, good_after = take(dy, dx)
        difference = np.abs(before - 2 * values + after)
        every = all_where_given(good, good_before, good_after)
        noises.append(robust_scatter(*in_units(difference, every, dy, dx)))
    # Along a spectrum or a bad column the scatter is that of the noise.
    rms = np.fmin(*[np.where(n > 0, n / np.sqrt(6), np.nan) for n in noises])
    rms = np.where(rms > 0, rms, np.nan if unit is not None else spread)
    if good is not None:
        poor = good.mean(axis=-1) < enough
        background[poor] = rms[poor] = np.nan
    rms[~(rms > 0)] = np.nan
    samples = rows.shape[1], columns.shape[1]
    return background, rms, measure_parts(values, good, samples)
