"""Dark regions within cells: vignetted corners, field stops, occulters, overscans.

Background and noise are lower there than in the rest of the cell.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .cells import (
    MAX_VALUE,
    SAMPLES,
    FrameLike,
    interpolate_maps,
    median,
    robust_scatter,
)

__all__ = ["measure_dark_noise", "measure_dark_offset", "measure_parts"]

#: The fraction of a cell, or of a part, that must be good.
MIN_GOOD = 0.3
#: Parts of a cell along each axis that are measured; and how far below the background
#: of the cells, in units of the noise, the median of a part may be before it is dark.
PARTS = 8
DARK = 3.0
#: Width in px of the square in a part in which its noise is measured; and the fraction
#: of it that may be brighter than halfway to the background of the cells: less than a
#: line of pixels.
WIDTH = 7
MAX_BRIGHT = 0.1
#: The factor within which the noise of neighbouring parts is alike; the number of alike
#: parts, among a part and its neighbours, with which it is taken where it is dark, and
#: elsewhere; and the fraction of the cell's noise below which it is taken.
ALIKE = 3.0
MIN_ALIKE = 4
MIN_ALIKE_ELSEWHERE = 6
LOWER_NOISE = 0.6


def measure_parts(
    values: np.ndarray, good: np.ndarray | None, samples: tuple[int, int]
) -> np.ndarray:
    """Return the medians of the parts of cells, ``(PARTS * ncells, PARTS * mcells)``.

    Parameters
    ----------
    values : `~numpy.ndarray`
        ``(ncells, mcells, samples)``, the samples of the cells.
    good : `~numpy.ndarray` or None
        bool; None for all.
    samples : tuple of int
        Number of samples of a cell along each axis.

    Returns
    -------
    `~numpy.ndarray`
        NaN where too few samples are good, or a cell has too few for parts.
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
        return median(part(values), None)
    good = part(good)
    medians = median(part(values), good)
    medians[good.mean(axis=-1) < MIN_GOOD] = np.nan
    return medians


def measure_dark_offset(
    background: np.ndarray, rms: np.ndarray, parts: np.ndarray, shape: tuple[int, int]
) -> np.ndarray | None:
    """Return how far the background of dark parts is below that of the cells.

    Parameters
    ----------
    background, rms : `~numpy.ndarray`
        float32, ``(n, m)``, of the cells.
    parts : `~numpy.ndarray`
        ``(PARTS * n, PARTS * m)``, the medians of the parts.
    shape : tuple of int
        Of the frame.

    Returns
    -------
    `~numpy.ndarray` or None
        float32, ``(PARTS * n, PARTS * m)``, to be added to the background, zero or
        negative; None if no part is dark.
    """
    level, noise = interpolate_maps(
        (background, rms), _centres(parts.shape, shape), shape
    )
    offset = np.minimum(parts - level + DARK * noise, 0)
    offset[~np.isfinite(offset)] = 0
    return offset.astype(np.float32) if offset.any() else None


def measure_dark_noise(
    frame: FrameLike,
    bad: np.ndarray | None,
    background: np.ndarray,
    rms: np.ndarray,
    offset: np.ndarray,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Measure the background of dark parts, and their noise by second differences.

    Parameters
    ----------
    frame : `~numpy.ndarray` or other FrameLike
        ``(ny, nx)``, finite.
    bad : `~numpy.ndarray` or None
        bool, pixels to leave out.
    background, rms : `~numpy.ndarray`
        float32, ``(n, m)``, of the cells.
    offset : `~numpy.ndarray`
        From `measure_dark_offset`.

    Returns
    -------
    offset, noise : `~numpy.ndarray`
        float32, ``(PARTS * n, PARTS * m)``. The noise is infinite in parts that are not
        uniformly dark, and None if all are such.
    """
    centres = _centres(offset.shape, frame.shape)
    level, noise = interpolate_maps((background, rms), centres, frame.shape)
    starts = [
        np.clip((place - WIDTH / 2 + 1).astype(int), 0, max(size - WIDTH, 0))
        for place, size in zip(centres, frame.shape, strict=True)
    ]
    inside = np.arange(WIDTH)
    middle, found = np.full((2, *offset.shape), np.nan)
    # The noise of partly dark cells affects their neighbours by interpolation.
    near = ndimage.maximum_filter(offset < 0, 2 * PARTS + 1)
    for row in np.flatnonzero(near.any(axis=1)):
        dark = np.flatnonzero(near[row])
        rows, columns = starts[0][row] + inside, starts[1][dark][:, None] + inside
        # (part, y, x)
        values = frame[rows][:, columns].swapaxes(0, 1)
        values = np.clip(values, -MAX_VALUE, MAX_VALUE)
        good = None if bad is None else ~bad[rows][:, columns].swapaxes(0, 1)
        limit = (DARK * noise[row, dark] - offset[row, dark]) / 2
        middle[row, dark], found[row, dark] = _measure_whole(values, good, limit)
    found = np.where(found > 0, found, np.nan)
    # The median of alike neighbours, which keeps edges.
    beside = _neighbours(found)
    alike = (beside < ALIKE * found) & (found < ALIKE * beside)
    found = _median_of(np.where(alike, beside, np.nan))
    enough = np.where(offset < 0, MIN_ALIKE, MIN_ALIKE_ELSEWHERE)
    less = (found < LOWER_NOISE * noise) & (alike.sum(axis=0) >= enough)
    if not less.any():
        return offset, None
    # What is bright in a part among dark ones is a cosmic ray.
    beside = _neighbours(np.where(less, found, np.nan))
    usual, below = _median_of(beside), _median_of(_neighbours(middle))
    missing = ~less & (np.isfinite(beside).sum(axis=0) >= MIN_ALIKE_ELSEWHERE)
    missing &= np.abs(middle - below) < DARK * usual
    found[missing] = usual[missing]
    less |= missing
    middle = _median_of(_neighbours(np.where(less, middle, np.nan)))
    offset = np.where(less, np.minimum(middle - level, 0), offset).astype(np.float32)
    return offset, np.where(less, found, np.inf).astype(np.float32)


def _measure_whole(
    values: np.ndarray, good: np.ndarray | None, limit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return median and noise of parts, ``(part, y, x)``.

    The noise is NaN where a fraction of a part exceeds its median by more than a limit.
    """
    flat = len(values), -1
    every = None if good is None else good.reshape(flat)
    middle = median(values.reshape(flat), every)
    light = values.reshape(flat) > (middle + limit)[:, None]
    mixed = np.mean(light if every is None else light & every, axis=-1) > MAX_BRIGHT
    noises = []
    for axis in (1, 2):
        before, own, after = (
            np.moveaxis(values, axis, 0)[i : WIDTH - 2 + i] for i in range(3)
        )
        size = np.moveaxis(np.abs(before - 2 * own + after), 0, axis).reshape(flat)
        use = None
        if good is not None:
            known = np.moveaxis(good, axis, 0)
            use = known[:-2] & known[1:-1] & known[2:]
            use = np.moveaxis(use, 0, axis).reshape(flat)
            mixed |= use.mean(axis=-1) < MIN_GOOD
        noises.append(robust_scatter(size, use) / np.sqrt(6))
    noise = np.fmin(*[np.where(n > 0, n, np.nan) for n in noises])
    return middle, np.where(mixed, np.nan, noise)


def _neighbours(parts: np.ndarray) -> np.ndarray:
    """Return the values of each part and its neighbours, ``(9, ny, nx)``."""
    padded = np.pad(parts, 1, constant_values=np.nan)
    ny, nx = parts.shape
    return np.stack(
        [padded[y : y + ny, x : x + nx] for y in range(3) for x in range(3)]
    )


def _median_of(parts: np.ndarray) -> np.ndarray:
    """Return the median of finite values along the first axis; NaN if none is."""
    parts = np.moveaxis(parts, 0, -1)
    return median(parts, np.isfinite(parts))


def _centres(number: tuple[int, ...], shape: tuple[int, ...]) -> list[np.ndarray]:
    """Return the rows and columns of the centres of parts, in px."""
    return [
        (np.arange(parts) + 0.5) * size / parts - 0.5
        for parts, size in zip(number, shape, strict=True)
    ]
