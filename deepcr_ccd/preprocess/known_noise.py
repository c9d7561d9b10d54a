"""Noise that is known beforehand: an uncertainty, or what follows from a background.

It says where a frame is noisier than it looks, as where bright sky lines were
subtracted; how large the noise is, the frame itself says
(`deepcr_ccd.preprocess.noise_check`).

An uncertainty may hold the photon noise of the light that is in the frame: that of
stars and of cosmic rays too, which would make these insignificant. Networks are trained
on frames in units of the noise of the background, so that part is taken off.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..nddata.frame import Frame
from ..nddata.uncertainty import power_of
from ..tiling.tiles import Tile, read_tile
from .cells import interpolate

__all__ = ["KnownNoise", "NoiseRatio", "uncertainty_facts"]

#: Above so many times the noise of the background, a pixel's noise means "no value".
LARGEST = 1e3
#: How much of the light of an object, more than all of it, is taken off.
MARGIN = np.float32(1.1)


@dataclasses.dataclass(frozen=True)
class KnownNoise:
    """The noise of the pixels of a plane, as somebody says.

    ``array`` is ``(ny, nx)``: the one-sigma to the power of ``power``, by its own unit;
    ``scale`` takes the one-sigma to the unit of the network. ``name`` is the
    parameter's, for messages; None is not worth one. ``objects`` tells whether it may
    hold the photon noise of what is in the frame. ``shape`` and ``origin`` are those
    of a piece of a frame.
    """

    array: Any
    power: float
    scale: float = 1.0
    name: str | None = None
    objects: bool = True
    shape: tuple[int, int] | None = None
    origin: tuple[int, int] = (0, 0)

    def part(self, index) -> KnownNoise:
        """Return the noise of a part of the frame, such as a colour's pixels.

        Parameters
        ----------
        index : tuple of slice
            Which rows and columns.
        """
        return dataclasses.replace(self, array=self.array[index])

    def scaled(self, factor: float) -> KnownNoise:
        """Return the noise of a frame times a factor.

        Parameters
        ----------
        factor : float
            Of the one-sigma.
        """
        return dataclasses.replace(self, scale=self.scale * factor)

    def sigma(self, tile: Tile | None) -> np.ndarray:
        """Return the one-sigma of the pixels of a tile; NaN where it is unknown.

        Parameters
        ----------
        tile : Tile or None
            From `~deepcr_ccd.tiling.tiles.plan_tiles` for the frame.
        """
        if tile is None:
            return self.convert(self.array)
        return self.convert(read_tile(self.array, tile, self.shape, self.origin))

    def convert(self, values: np.ndarray) -> np.ndarray:
        """Return the one-sigma, float32, of values of the array.

        Parameters
        ----------
        values : `~numpy.ndarray`
            Of any real dtype.
        """
        values = values.astype(np.result_type(values, np.float32), copy=False)
        with np.errstate(all="ignore"):
            # Rooted first, as the square of what float32 holds may be none.
            sigma = values if self.power == 1 else values ** (1 / self.power)
            sigma = (sigma * self.scale).astype(np.float32, copy=False)
        return np.where((sigma > 0) & (sigma < np.inf), sigma, np.float32(np.nan))


class NoiseRatio:
    """What takes the noise of the background to that of each pixel.

    Parameters
    ----------
    known : KnownNoise
        What is known.
    scale, low : `~numpy.ndarray`
        ``(n, m)``, in cells over the frame: what takes it to the scatter that is
        measured, and what it is in the background.
    shape : tuple of int
        Of the frame.
    slope : float
        Variance that comes with light, in the unit of the network.
    """

    def __init__(
        self,
        known: KnownNoise,
        scale: np.ndarray,
        low: np.ndarray,
        shape: tuple[int, int],
        slope: float,
    ):
        self.known = known
        self.scale = scale
        self.low = low
        self.shape = shape
        self.slope = slope

    def replace(self, **changes) -> NoiseRatio:
        """Return this with other attributes of what is known.

        Parameters
        ----------
        **changes
            Of attributes of `KnownNoise`.
        """
        known = dataclasses.replace(self.known, **changes)
        return NoiseRatio(known, self.scale, self.low, self.shape, self.slope)

    def apply(
        self, excess: np.ndarray, sigma: np.ndarray, tile: Tile | None
    ) -> np.ndarray:
        """Return the one-sigma of the pixels of a tile, or of the frame.

        Parameters
        ----------
        excess : `~numpy.ndarray`
            What a pixel holds above the background.
        sigma : `~numpy.ndarray`
            Measured noise of the background: that of pixels of which nothing is known.
        tile : Tile
            Where.
        """
        known = self.known.sigma(tile)
        scale, low = interpolate((self.scale, self.low), self.shape, tile)
        # In dark parts, the background's noise is less than that of the cell.
        least = np.minimum(sigma / (scale * low), 1) ** 2
        result = self.relative(known, excess, low, least)
        result *= scale * low
        return np.where(known < LARGEST * low, result, sigma)

    def relative(
        self,
        known: np.ndarray,
        excess: np.ndarray,
        low: np.ndarray,
        least: np.ndarray | float = 1.0,
    ) -> np.ndarray:
        """Return the one-sigma without the noise of objects, in that of the background.

        Parameters
        ----------
        known, excess, low : `~numpy.ndarray`
            One-sigma of pixels, what they hold above the background, and its noise.
        least : `~numpy.ndarray` or float
            The variance is not less.
        """
        # In these units, as the square of a small noise is none in float32.
        with np.errstate(over="ignore", invalid="ignore"):
            variance = (known / low) ** 2
            if self.slope:
                light = np.where(excess > 0, MARGIN, 1) * excess / low
                variance -= light * (np.float32(self.slope) / low)
            return np.sqrt(np.maximum(variance, least))


def uncertainty_facts(frame: Frame, uses: frozenset[str], factor: float) -> list[dict]:
    """Return what the uncertainty of a frame says of its planes: facts for a model.

    Parameters
    ----------
    frame : Frame
        The frame.
    uses : frozenset of str
        Facts that the model uses.
    factor : float
        From the frame's unit to that of the network.

    Returns
    -------
    list of dict
        For each plane, with the key "variance" if there is anything.
    """
    number = 1 if frame.data.ndim == 2 else len(frame.data)
    nothing: list[dict] = [{} for _ in range(number)]
    uncertainty = getattr(frame.source, "uncertainty", None)
    power = power_of(uncertainty)
    if "variance" not in uses or power is None:
        return nothing
    array = uncertainty.array
    if not hasattr(array, "ndim"):
        array = np.asarray(array)
    if array.size == 1:
        # One noise for all pixels: what is measured follows the frame.
        return nothing
    if array.shape != frame.data.shape:
        array = np.broadcast_to(array, frame.data.shape)
    scale = factor
    if frame.unit is not None and uncertainty.unit is not None:
        own = (frame.unit**power).to(uncertainty.unit)
        scale = factor / own ** (1 / power)
    planes = [array] if array.ndim == 2 else list(array)
    return [
        {"variance": KnownNoise(plane, power, scale, "uncertainty")} for plane in planes
    ]
