"""Transforms that a card can name: what is done to a frame before its network.

A transform measures the whole frame once, and returns a function that takes the pixels
of a tile to the input of the network. Training and inference call the same one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np

from ..tiling.tiles import Tile, read_tile, row_blocks
from .background import CELL, BackgroundMap, measure_background
from .known_noise import KnownNoise, NoiseRatio
from .noise_check import check_readnoise, measure_ratio
from .star_width import StarWidth, measure_star_width
from .synthetic_noise import DitheredFrame, dither, find_quantization_step

__all__ = ["TRANSFORMS", "Normalization"]

#: Input is clipped here: far above any full well, far below what overflows float32 in a
#: network.
MAX_INPUT = 1e12
#: Output is clipped here: beyond it, there is no pixel but an overflow.
MAX_ARCSINH = 40


class Normalization(Protocol):
    """What a transform returns: from pixels to the input of the network, and back."""

    def __call__(self, values: np.ndarray, tile: Tile | None = None) -> np.ndarray:
        """Return the input, float32, for the pixels of a tile, or of the frame."""

    def invert(
        self, numbers: np.ndarray, tile: Tile | None, where: np.ndarray
    ) -> np.ndarray:
        """Return the values of the pixels in ``where``, given the network's output."""


class Linear:
    """Subtract an offset and divide by a scale."""

    def __init__(self, offset: float, scale: float):
        self.offset, self.scale = np.float32(offset), np.float32(scale)

    def __call__(self, values: np.ndarray, tile: Tile | None = None) -> np.ndarray:  # noqa: ARG002
        """Return the input of the network."""
        clipped = np.clip(values, -MAX_INPUT, MAX_INPUT)
        if self.offset == 0 and self.scale == 1:
            return clipped
        return (clipped - self.offset) / self.scale

    def invert(
        self,
        numbers: np.ndarray,
        tile: Tile | None,  # noqa: ARG002
        where: np.ndarray,
    ) -> np.ndarray:
        """Return the values of the pixels in ``where``."""
        return numbers[where] * self.scale + self.offset


class NoiseUnits:
    """Take the inverse hyperbolic sine of pixels over the background, over the noise.

    Parameters
    ----------
    noise : BackgroundMap
        Background and noise of the frame.
    background : `~numpy.ndarray` or None
        ``(ny, nx)``, subtracted as well.
    known : NoiseRatio or None
        The noise of each pixel, from what is known of it.
    floor : float
        The noise is not less.
    digit : float
        Quantization step of the frame, which is dithered; 0 if it is not.
    star_width : StarWidth or None
        How wide the stars of the frame are, for networks that are told.
    """

    def __init__(
        self,
        noise: BackgroundMap,
        background: np.ndarray | None,
        known: NoiseRatio | None,
        floor: float,
        digit: float = 0.0,
        star_width: StarWidth | None = None,
    ):
        self.star_width = star_width
        self.digit = digit
        self.noise = noise
        self.background = background
        self.known = known
        self.floor = float(np.float32(floor))

    def with_known(self, **changes: Any) -> NoiseUnits:
        """Return this with the known noise in another array, or in a piece of one.

        Parameters
        ----------
        **changes
            Of the attributes of `KnownNoise`.
        """
        if self.known is None:
            return self
        changed = copy.copy(self)
        changed.known = self.known.replace(**changes)
        return changed

    def _units(
        self, tile: Tile | None, values: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        level, sigma = self.noise.at(tile)
        if self.background is not None:
            level += (
                self.background if tile is None else read_tile(self.background, tile)
            )
        if self.known is not None and values is not None:
            sigma = self.known.apply(values - level, sigma, tile)
        return level, np.maximum(sigma, self.floor) if self.floor > 0 else sigma

    def __call__(self, values: np.ndarray, tile: Tile | None = None) -> np.ndarray:
        """Return the input of the network."""
        if self.digit:
            values = values + self.digit * dither(tile, self.noise.shape)
        level, sigma = self._units(tile, values)
        # Masked pixels may hold anything.
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = values - level
            scaled /= sigma
        np.clip(scaled, -MAX_INPUT, MAX_INPUT, out=scaled)
        return np.arcsinh(scaled, out=scaled)

    def invert(
        self, numbers: np.ndarray, tile: Tile | None, where: np.ndarray
    ) -> np.ndarray:
        """Return the values of the pixels in ``where``."""
        level, sigma = self._units(tile)
        numbers = np.clip(numbers[where], -MAX_ARCSINH, MAX_ARCSINH)
        return np.sinh(numbers) * sigma[where] + level[where]


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

    def summed(function: Callable[[np.ndarray], np.ndarray]) -> float:
        """Sum a function of the good pixels, some rows at a time."""
        total = 0.0
        for rows in row_blocks(frame.shape):
            values = np.clip(frame[rows], -MAX_INPUT, MAX_INPUT)
            values = values.ravel() if bad is None else values[~bad[rows]]
            total += function(values.astype(np.float64)).sum()
        return total

    number = summed(np.ones_like)
    if not number:
        return Linear(0.0, 1.0)
    mean = summed(lambda values: values) / number
    spread = np.sqrt(summed(lambda values: (values - mean) ** 2) / number)
    return Linear(mean, float(spread) if spread > 0 else 1.0)


def in_noise_units(
    frame: np.ndarray,
    bad: np.ndarray | None,
    *,
    cell: int = CELL,
    background: np.ndarray | None = None,
    known_noise: KnownNoise | None = None,
    readnoise: float | None = None,
    star_width: StarWidth | Literal["measure"] | None = None,
) -> NoiseUnits:
    """Subtract the background, divide by the noise, take the inverse hyperbolic sine.

    Parameters
    ----------
    frame : `~numpy.ndarray`
        ``(ny, nx)``, in any unit: the result does not depend on it.
    bad : `~numpy.ndarray` or None
        Pixels to leave out of the measurement.
    cell : int
        Width in px of the cells in which background and noise are measured.
    background : `~numpy.ndarray`, optional
        ``(ny, nx)``, subtracted first.
    known_noise : KnownNoise, optional
        How the noise differs between the pixels of a cell.
    readnoise : float, optional
        In the unit of the frame: the noise is not less. It is not used, with a
        warning, if it cannot be right.
    star_width : StarWidth, "measure" or None
        How wide the stars of the frame are, for networks that are told.
    """
    digit = find_quantization_step(frame, bad)
    measured: Any = DitheredFrame(frame, digit) if digit else frame
    if background is not None:
        background = np.asarray(background, dtype=np.float32)
        measured = measured[:] - background
    noise = measure_background(measured, bad, cell=cell)
    ratio = None
    if known_noise is not None:
        ratio = measure_ratio(known_noise, measured, bad, noise, cell)
    if star_width == "measure":
        star_width = measure_star_width(measured, bad, noise)
    least = check_readnoise(readnoise or 0, noise)
    return NoiseUnits(noise, background, ratio, least, digit, star_width)


#: Transforms a model card can name, for networks on tiles; for those on cutouts, see
#: ``deepcr_ccd.inpainting.features``.
TRANSFORMS: dict[str, Callable[..., Normalization]] = {
    "scaled": scaled,
    "standardized": standardized,
    "noise": in_noise_units,
}
