"""Check noise that is known beforehand against the frame that it is said of.

The scatter of second differences between neighbours, in units of the noise that they
shall have, is one where that is true. Where it is another, the frame is believed.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning

from ..tiling.tiles import Tile
from .background import CELL, BackgroundMap, measure_background
from .cells import complete, interpolate_maps, sample
from .dark_regions import ENOUGH
from .known_noise import KnownNoise, NoiseRatio

__all__ = ["measure_ratio"]

#: How many times larger or smaller than the scatter known noise may be; the latter in
#: the plainest cells, of which these are so many percent, as stars add to the scatter.
FACTOR = 3.0
PLAINEST = 10
#: Percentile of a cell's variances that is that of its background.
PLAIN = 25
#: Correlation of variances and data above which the former were computed from the
#: latter; percentile of differences of variances that are looked at; the significance
#: of bright ones, and how many are enough.
CORRELATED = 0.5
USUAL = 95
BRIGHT = 10.0
FEW = 20
#: Width in px of the blocks in which that is looked at, and how many of them there are
#: along an axis, at most.
BLOCK = 32
BLOCKS = 12


def measure_ratio(
    known: KnownNoise,
    frame,
    bad: np.ndarray | None,
    noise: BackgroundMap,
    cell: int = CELL,
) -> NoiseRatio | None:
    """Compare what is known with the frame.

    Parameters
    ----------
    known : KnownNoise
        What is known.
    frame : array-like
        ``(ny, nx)``, finite, in the unit of the network.
    bad : `~numpy.ndarray` or None
        Pixels to leave out.
    noise : BackgroundMap
        Measured on the frame.
    cell : int
        Width in px of the cells in which that was done.

    Returns
    -------
    NoiseRatio or None
        None if it cannot be true, or there is nothing to compare it with.

    Warns
    -----
    AstropyUserWarning
        If it cannot be true.
    """
    sigmas = _Sigmas(known, noise.shape)
    slope = _slope(known, frame, bad, noise) if known.objects else 0.0
    low = _background(sigmas, frame, bad, noise, slope)
    if not np.isfinite(low).any():
        return _refuse(known, "hardly any of its values is that of a noise")
    low = complete(low, np.nan).astype(np.float32)
    ratio = NoiseRatio(known, np.ones_like(low), low, noise.shape, slope)
    unit = _Units(ratio, frame, noise) if slope else sigmas
    scale = measure_background(frame, bad, cell=cell, unit=unit).rms
    if np.isnan(scale).all():
        # There is no noise to compare it with.
        return None
    median, plainest = np.percentile(scale, [50, PLAINEST])
    if median < 1 / FACTOR or plainest > FACTOR:
        times = 1 / (median if median < 1 else plainest)
        why = f"it is {times:.2g} times the scatter of neighbouring pixels"
        return _refuse(known, why)
    ratio.scale = scale
    return ratio


class _Sigmas:
    """The known noise, indexed by rows as a frame is."""

    def __init__(self, known: KnownNoise, shape: tuple[int, int]):
        self.known = known
        self.shape = shape
        self.serial = getattr(known.array, "serial", False)

    def __getitem__(self, rows) -> np.ndarray:
        return self.known.convert(self.known.array[rows])


class _Units(_Sigmas):
    """The noise without the photon noise of objects, indexed by rows."""

    def __init__(self, ratio: NoiseRatio, frame, noise: BackgroundMap):
        super().__init__(ratio.known, noise.shape)
        self.ratio = ratio
        self.frame = frame
        self.noise = noise

    def __getitem__(self, rows) -> np.ndarray:
        pixels = rows, np.arange(self.shape[1])
        maps = self.noise.background, self.ratio.low
        sky, low = interpolate_maps(maps, pixels, self.shape)
        known = super().__getitem__(rows)
        return low * self.ratio.relative(known, self.frame[rows] - sky, low)


def _background(
    sigmas: _Sigmas, frame, bad: np.ndarray | None, noise: BackgroundMap, slope: float
) -> np.ndarray:
    """Return the known noise of the background of cells; NaN where it is unknown."""
    cells = noise.background.shape
    rows, columns = map(sample, noise.shape, cells)
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
        told = np.isfinite(values).mean(axis=1) >= ENOUGH
        low[index, told] = np.nanpercentile(values[told], PLAIN, axis=1)
    return np.sqrt(low)


def _slope(known: KnownNoise, frame, bad, noise: BackgroundMap) -> float:
    """Return the variance that comes with light, in the unit of the network.

    It is zero where the variances were not computed from the frame itself. Second
    differences of both are compared, in which smooth light cancels.
    """
    unit = float(np.median(noise.rms))
    pairs = []
    for span in _blocks(noise.shape):
        where = tuple(slice(*part) for part in span)
        sigma = known.sigma(Tile(span, (), ())) / np.float64(unit)
        good = np.isfinite(sigma)
        if bad is not None:
            good &= ~bad[where]
        if good.any():
            # Where data are below zero, no light is in their variance.
            good &= sigma > (1 + 1e-5) * np.percentile(sigma[good], 1)
            pairs += _differences(frame[where] / np.float64(unit), sigma**2, good)
    light, more, size = np.concatenate(pairs or [np.zeros((3, 0))], axis=1)
    plain = np.abs(light) < 4 * size
    if not plain.any():
        return 0.0
    # Hot and dead pixels may have a variance of their own.
    plain &= np.abs(more) <= np.percentile(np.abs(more[plain]), USUAL)
    own, both, other = (
        np.sum(a[plain] * b[plain])
        for a, b in ((light, light), (light, more), (more, more))
    )
    if not own or both <= 0 or both**2 < CORRELATED**2 * own * other:
        return 0.0
    bright = np.abs(light) > BRIGHT * size
    slope = both / own
    if np.count_nonzero(bright) >= FEW:
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


def _refuse(known: KnownNoise, why: str) -> None:
    if known.name is not None:
        warnings.warn(
            f"{known.name} is not used, and the noise is measured: {why}",
            AstropyUserWarning,
            stacklevel=2,
        )


def _blocks(shape: tuple[int, int]) -> Iterator[tuple]:
    """Yield spans of blocks over a frame."""
    places = []
    for size in shape:
        number = min(BLOCKS, max(1, size // BLOCK))
        starts = (np.arange(number) + 0.5) * size / number - BLOCK / 2
        starts = np.clip(starts.astype(int), 0, max(size - BLOCK, 0))
        places.append([(int(s), int(min(s + BLOCK, size))) for s in starts])
    yield from itertools.product(*places)
