"""What a card can ask to be done to a frame before its network sees it.

A transform looks at the whole frame once, and returns a function that takes the
pixels of a tile to the numbers that go into the network. Training and inference
call the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from ..tiling.tiles import Tile, read_tile, row_blocks
from .background import CELL, BackgroundMap, measure_background
from .known_noise import KnownNoise, NoiseRatio
from .noise_check import measure_ratio
from .synthetic_noise import DitheredFrame, dither, find_quantization_step

__all__ = ["TRANSFORMS", "Transform"]

#: Input is clipped here: far above any well, far below float32 overflow inside.
LARGEST = 1e12


class Normalization(Protocol):
    """What a transform returns: pixels to numbers for the network, and back."""

    def __call__(self, values: np.ndarray, tile: Tile | None = None) -> np.ndarray:
        """Return the network's input, float32, for a tile's pixels or the frame's."""

    def invert(
        self, numbers: np.ndarray, tile: Tile | None, where: np.ndarray
    ) -> np.ndarray:
        """Return the pixels at some places, given numbers of the network's kind."""


class Transform(NamedTuple):
    """A transform; see `~deepcr_ccd.preprocess.transform_info` for its properties."""

    prepare: Callable[..., Normalization]


class Linear:
    """Subtract an offset and divide by a scale."""

    def __init__(self, offset: float, scale: float):
        self.offset, self.scale = np.float32(offset), np.float32(scale)

    def __call__(self, values: np.ndarray, tile: Tile | None = None) -> np.ndarray:  # noqa: ARG002
        """Return the network's input."""
        clipped = np.clip(values, -LARGEST, LARGEST)
        if self.offset == 0 and self.scale == 1:
            return clipped
        return (clipped - self.offset) / self.scale

    def invert(
        self,
        numbers: np.ndarray,
        tile: Tile | None,  # noqa: ARG002
        where: np.ndarray,
    ) -> np.ndarray:
        """Return the pixels at some places."""
        return numbers[where] * self.scale + self.offset


class NoiseUnits:
    """Take the inverse hyperbolic sine of pixels over the sky in units of the noise."""

    def __init__(
        self,
        noise: BackgroundMap,
        background: np.ndarray | None,
        known: NoiseRatio | None,
        floor: float,
        digit: float = 0.0,
    ):
        self.digit = digit
        self.noise = noise
        self.background = background
        self.known = known
        self.floor = np.float32(floor)

    def with_known(self, **changes) -> NoiseUnits:
        """Return this with the known noise in another array, or in a piece of one.

        Parameters
        ----------
        **changes
            Of attributes of `KnownNoise`.
        """
        if self.known is None:
            return self
        known = self.known.replace(**changes)
        return NoiseUnits(self.noise, self.background, known, self.floor, self.digit)

    def _units(
        self, tile: Tile | None, values: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        sky, sigma = self.noise.at(tile)
        if self.background is not None:
            sky += self.background if tile is None else read_tile(self.background, tile)
        if self.known is not None and values is not None:
            sigma = self.known.apply(values - sky, sigma, tile)
        return sky, np.maximum(sigma, self.floor) if self.floor > 0 else sigma

    def __call__(self, values: np.ndarray, tile: Tile | None = None) -> np.ndarray:
        """Return the network's input."""
        if self.digit:
            values = values + self.digit * dither(tile, self.noise.shape)
        sky, sigma = self._units(tile, values)
        # Hidden pixels may hold anything.
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = values - sky
            scaled /= sigma
        np.clip(scaled, -LARGEST, LARGEST, out=scaled)
        return np.arcsinh(scaled, out=scaled)

    def invert(
        self, numbers: np.ndarray, tile: Tile | None, where: np.ndarray
    ) -> np.ndarray:
        """Return the pixels at some places."""
        sky, sigma = self._units(tile)
        # Beyond these numbers there is no pixel, only an overflow.
        return np.sinh(np.clip(numbers[where], -40, 40)) * sigma[where] + sky[where]


def scaled(
    frame: np.ndarray,  # noqa: ARG001
    bad: np.ndarray | None,  # noqa: ARG001
    *,
    scale: float = 1.0,
) -> Linear:
    """Divide by a constant.

    Parameters
    ----------
    frame : `~numpy.ndarray`
        ``(ny, nx)``, in the card's unit.
    bad : `~numpy.ndarray` or None
        Pixels to leave out of statistics.
    scale : float
        The constant.
    """
    return Linear(0.0, scale)


def standardized(frame: np.ndarray, bad: np.ndarray | None) -> Linear:
    """Subtract the frame's mean and divide by its standard deviation.

    Both are taken over the good pixels of the whole frame.

    Parameters
    ----------
    frame : `~numpy.ndarray`
        ``(ny, nx)``, in any unit.
    bad : `~numpy.ndarray` or None
        Pixels to leave out of statistics.
    """

    def summed(function) -> float:
        """Sum a function of the good pixels, some rows at a time."""
        total = 0.0
        for rows in row_blocks(frame.shape):
            values = np.clip(frame[rows], -LARGEST, LARGEST)
            values = values.ravel() if bad is None else values[~bad[rows]]
            total += function(values.astype(np.float64)).sum()
        return total

    number = summed(np.ones_like)
    if not number:
        return Linear(0.0, 1.0)
    mean = summed(lambda values: values) / number
    spread = np.sqrt(summed(lambda values: (values - mean) ** 2) / number)
    return Linear(mean, spread if spread > 0 else 1.0)


def in_noise_units(
    frame: np.ndarray,
    bad: np.ndarray | None,
    *,
    cell: int = CELL,
    background: np.ndarray | None = None,
    variance: KnownNoise | None = None,
    readnoise: float | None = None,
) -> NoiseUnits:
    """Subtract the sky, divide by its noise, and take the inverse hyperbolic sine.

    Parameters
    ----------
    frame : `~numpy.ndarray`
        ``(ny, nx)``, in any unit: the result does not depend on it.
    bad : `~numpy.ndarray` or None
        Pixels to leave out of the measurement.
    cell : int
        Width in px of the cells in which sky and noise are measured.
    background : `~numpy.ndarray`, optional
        ``(ny, nx)``; the sky is measured on what is above it.
    variance : KnownNoise, optional
        How the noise differs between the pixels of a cell.
    readnoise : float, optional
        In the unit of the frame: the noise is not less.
    """
    digit = find_quantization_step(frame, bad)
    if digit:
        frame = DitheredFrame(frame, digit)
    if background is not None:
        background = np.asarray(background, dtype=np.float32)
        frame = frame[:] - background
    noise = measure_background(frame, bad, cell=cell)
    known = None
    if variance is not None:
        known = measure_ratio(variance, frame, bad, noise, cell)
    return NoiseUnits(noise, background, known, readnoise or 0, digit)


#: Transforms a model card can name, for networks on tiles; for those on cutouts, see
#: ``deepcr_ccd.inpainting.features``.
TRANSFORMS: dict[str, Transform] = {
    "scaled": Transform(scaled),
    "standardized": Transform(standardized),
    "noise": Transform(in_noise_units),
}
