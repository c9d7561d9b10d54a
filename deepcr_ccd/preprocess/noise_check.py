"""Check known noise against the frame, and scale it where they differ.

The scatter of second differences between neighbours, in units of the known noise, is
one where that is right. Elsewhere the noise is scaled to the measured scatter.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..notices import warn_user
from ..tiling.tiles import Tile
from .background import CELL, NO_SCATTER, BackgroundMap, measure_background
from .cells import FrameLike, fill_missing, interpolate_maps, sample_places
from .dark_regions import MIN_GOOD
from .known_noise import KnownNoise, NoiseRatio

__all__ = ["check_readnoise", "measure_ratio"]

#: Largest factor by which known noise may exceed the scatter, in the median cell, or be
#: below it, in the cell at this percentile: stars add to the scatter in others.
MAX_FACTOR = 3.0
EMPTY_PERCENTILE = 10
#: Percentile of a cell's variances that is the variance of its background.
BACKGROUND_PERCENTILE = 25
#: Correlation of variances and data above which the former were computed from the
#: latter; percentile of differences of variances that are used; and the significance of
#: bright ones, with their number from which on they are used alone.
MIN_CORRELATION = 0.5
USED_PERCENTILE = 95
BRIGHT_SIGMA = 10.0
MIN_BRIGHT = 20
#: Width in px of the blocks in which the correlation is measured, and their largest
#: number along an axis.
BLOCK_WIDTH = 32
MAX_BLOCKS = 12


def measure_ratio(
    known: KnownNoise,
    frame: FrameLike,
    bad: np.ndarray | None,
    noise: BackgroundMap,
    cell: int = CELL,
) -> NoiseRatio | None:
    """Compare known noise with the scatter of the frame.

    Parameters
    ----------
    known : KnownNoise
        The known noise.
    frame : array-like
        ``(ny, nx)``, finite, in the unit of the network.
    bad : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, pixels to leave out.
    noise : BackgroundMap
        Measured on the frame.
    cell : int
        Width in px of the cells in which it was measured.

    Returns
    -------
    NoiseRatio or None
        None if the known noise cannot be right, or there is nothing to compare it with.

    Warns
    -----
    AstropyUserWarning
        If the known noise cannot be right.
    """
    sigmas = _Sigmas(known, noise.shape)
    slope = _slope(known, frame, bad, noise) if known.objects else 0.0
    low = _background(sigmas, frame, bad, noise, slope)
    if not np.isfinite(low).any():
        _warn_not_used(known, "hardly any of its values is that of a noise")
        return None
    low = fill_missing(low, np.nan).astype(np.float32)
    ratio = NoiseRatio(known, np.ones_like(low), low, noise.shape, slope)
    expected = _BackgroundSigmas(ratio, frame, noise) if slope else sigmas
    scale = measure_background(frame, bad, cell=cell, unit=expected).rms
    if np.isnan(scale).all():
        # The frame has no noise to compare with.
        return None
    median, empty = np.percentile(scale, [50, EMPTY_PERCENTILE])
    if median < 1 / MAX_FACTOR or empty > MAX_FACTOR:
        times = 1 / (median if median < 1 else empty)
        why = f"it is {times:.2g} times the scatter of neighbouring pixels"
        _warn_not_used(known, why)
        return None
    ratio.scale = scale
    return ratio


def check_readnoise(readnoise: float, noise: BackgroundMap) -> float:
    """Return a read noise, or 0 if it cannot be that of the frame.

    Parameters
    ----------
    readnoise : float
        In the unit of the network.
    noise : BackgroundMap
        Measured on the frame.

    Warns
    -----
    AstropyUserWarning
        If it is above the scatter everywhere by more than a factor of `MAX_FACTOR`.
    """
    most = float(np.max(noise.rms))
    level = max(float(np.max(np.abs(noise.background))), 1.0)
    # Frames without scatter tell nothing.
    if 2 * NO_SCATTER * level < most < readnoise / MAX_FACTOR:
        warn_user(
            "readnoise= is not used, and the noise is measured: it is "
            f"{readnoise / most:.2g} times the scatter of neighbouring pixels (it is "
            "in electron, or has a unit)"
        )
        return 0.0
    return readnoise


class _Sigmas:
    """The known noise, indexed by rows as a frame is."""

    def __init__(self, known: KnownNoise, shape: tuple[int, int]):
        self.known = known
        self.shape = shape
        self.serial = getattr(known.array, "serial", False)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.known.convert(self.known.array[rows])


class _BackgroundSigmas(_Sigmas):
    """The noise without the photon noise of objects, indexed by rows."""

    def __init__(self, ratio: NoiseRatio, frame: FrameLike, noise: BackgroundMap):
        super().__init__(ratio.known, noise.shape)
        self.ratio = ratio
        self.frame = frame
        self.noise = noise

    def __getitem__(self, rows: Any) -> np.ndarray:
        pixels = rows, np.arange(self.shape[1])
        maps = self.noise.background, self.ratio.low
        sky, low = interpolate_maps(maps, pixels, self.shape)
        known = super().__getitem__(rows)
        return low * self.ratio.relative(known, self.frame[rows] - sky, low)


def _background(
    sigmas: _Sigmas,
    frame: FrameLike,
    bad: np.ndarray | None,
    noise: BackgroundMap,
    slope: float,
) -> np.ndarray:
    """Return the known noise of the background of each cell; NaN where unknown."""
    cells = noise.background.shape
    rows, columns = map(sample_places, noise.shape, cells)
    low = np.full(cells, np.nan)
    for index, row in enumerate(rows):
        # In float64, which holds the squares.
        values = sigmas[row][:, columns].astype(np.float64) ** 2
        if slope:
            values -= slope * (
                frame[row][:, columns] - noise.background[index][:, None]
            )
        if bad is not None:
            values[bad[row][:, columns]] = np.nan
        values = values.swapaxes(0, 1).reshape(cells[1], -1)
        values[values <= 0] = np.nan
        known = np.isfinite(values).mean(axis=1) >= MIN_GOOD
        low[index, known] = np.nanpercentile(
            values[known], BACKGROUND_PERCENTILE, axis=1
        )
    return np.sqrt(low)


def _slope(
    known: KnownNoise, frame: FrameLike, bad: np.ndarray | None, noise: BackgroundMap
) -> float:
    """Return the variance that comes with light, in the unit of the network.

    It is zero where the variances were not computed from the frame itself. Second
    differences of both are compared, in which smooth light cancels.
    """
    unit = float(np.median(noise.rms))
    pairs = []
    for span in _blocks(noise.shape):
        (y0, y1), (x0, x1) = span
        where = slice(y0, y1), slice(x0, x1)
        sigma = known.sigma(Tile(span, where, where)) / np.float64(unit)
        good = np.isfinite(sigma)
        if bad is not None:
            good &= ~bad[where]
        if good.any():
            # Where data are below zero, their variance has no photon noise.
            good &= sigma > (1 + 1e-5) * np.percentile(sigma[good], 1)
            pairs += _differences(frame[where] / np.float64(unit), sigma**2, good)
    light, more, size = np.concatenate(pairs or [np.zeros((3, 0))], axis=1)
    plain = np.abs(light) < 4 * size
    if not plain.any():
        return 0.0
    # Hot and dead pixels may have other variances.
    plain &= np.abs(more) <= np.percentile(np.abs(more[plain]), USED_PERCENTILE)
    own, both, other = (
        np.sum(a[plain] * b[plain])
        for a, b in ((light, light), (light, more), (more, more))
    )
    if not own or both <= 0 or both**2 < MIN_CORRELATION**2 * own * other:
        return 0.0
    bright = np.abs(light) > BRIGHT_SIGMA * size
    slope = both / own
    if np.count_nonzero(bright) >= MIN_BRIGHT:
        slope = np.median(more[bright] / light[bright])
    return max(float(slope * unit), 0.0)


def _differences(
    values: np.ndarray, variance: np.ndarray, good: np.ndarray
) -> list[np.ndarray]:
    """Return second differences of data and of variances, and the noise of the former.

    Each is ``(3, n)``, along one axis.
    """
    found = []
    for axis in (0, 1):
        data, more, use = (np.swapaxes(p, 0, axis) for p in (values, variance, good))
        use = use[:-2] & use[1:-1] & use[2:]
        data, more, size = (
            (p[:-2] + factor * p[1:-1] + p[2:])[use]
            for p, factor in ((data, -2), (more, -2), (more, 4))
        )
        found.append(np.stack([data, more, np.sqrt(size)]))
    return found


def _warn_not_used(known: KnownNoise, why: str) -> None:
    if known.name is not None:
        warn_user(f"{known.name} is not used, and the noise is measured: {why}")


def _blocks(shape: tuple[int, int]) -> Iterator[tuple[Any, Any]]:
    """Yield spans of blocks over a frame."""
    places = []
    for size in shape:
        number = min(MAX_BLOCKS, max(1, size // BLOCK_WIDTH))
        starts = (np.arange(number) + 0.5) * size / number - BLOCK_WIDTH / 2
        starts = np.clip(starts.astype(int), 0, max(size - BLOCK_WIDTH, 0))
        places.append([(int(s), int(min(s + BLOCK_WIDTH, size))) for s in starts])
    yield from itertools.product(places[0], places[1])
