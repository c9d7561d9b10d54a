"""Known noise: an uncertainty, or the noise of a known background.

It tells where a frame is noisier than its signal suggests, as where bright sky lines
were subtracted. Its scale is measured on the frame itself, see
`deepcr_ccd.preprocess.noise_check`.

An uncertainty may include the photon noise of objects, and of cosmic rays, which would
make these insignificant. Networks are trained on frames in units of the background
noise, so that this part is subtracted.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..nddata.frame import Frame
from ..nddata.uncertainty import power_of
from ..tiling.tiles import Tile, read_tile
from .cells import interpolate

__all__ = ["KnownNoise", "NoiseRatio", "noise_facts_of_planes"]

#: A pixel whose noise exceeds that of the background by this factor has no valid value.
MAX_RATIO = 1e3
#: Factor on the photon noise of an object that is subtracted.
MARGIN = np.float32(1.1)


@dataclasses.dataclass(frozen=True)
class KnownNoise:
    """The noise of the pixels of a plane, as given by the user.

    ``array`` is ``(ny, nx)``: the one-sigma to the power of ``power``, in its own unit;
    ``scale`` converts the one-sigma to the unit of the network. ``name`` is that of the
    parameter, for messages; with None there are none. ``objects`` tells whether the
    noise may include the photon noise of objects. ``shape`` and ``origin`` are for a
    piece of a frame.
    """

    array: Any
    power: float
    scale: float = 1.0
    name: str | None = None
    objects: bool = True
    shape: tuple[int, int] | None = None
    origin: tuple[int, int] = (0, 0)

    def part(self, index: Any) -> KnownNoise:
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
            # Rooted before it is converted, as squares may underflow float32.
            sigma = values if self.power == 1 else values ** (1 / self.power)
            sigma = (sigma * self.scale).astype(np.float32, copy=False)
        return np.where((sigma > 0) & (sigma < np.inf), sigma, np.float32(np.nan))


#: Largest error of a flat field that is in uncertainties, as a fraction of the signal.
FLAT_ERROR = np.float32(0.05)


class NoiseRatio:
    """The noise of each pixel relative to that of the background.

    Parameters
    ----------
    known : KnownNoise
        The known noise.
    scale, low : `~numpy.ndarray`
        ``(n, m)``, in cells of the frame: the factor from the known noise to the
        measured scatter, and the known noise of the background.
    shape : tuple of int
        ``(ny, nx)`` of the frame, in px.
    slope : float
        Photon variance per signal, in the unit of the network.
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

    def replace(self, **changes: Any) -> NoiseRatio:
        """Return a copy with other attributes of the known noise.

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
            float32, values of the pixels above the background.
        sigma : `~numpy.ndarray`
            float32, measured noise of the background, which is used for pixels of
            unknown noise.
        tile : Tile or None
            The tile; None for the frame.
        """
        known = self.known.sigma(tile)
        scale, low = interpolate((self.scale, self.low), self.shape, tile)
        # In dark regions, the background noise is less than that of the cell.
        min_variance = np.minimum(sigma / (scale * low), 1) ** 2
        result = self.relative(known, excess, low, min_variance)
        result *= scale * low
        return np.where(known < MAX_RATIO * low, result, sigma)

    def relative(
        self,
        known: np.ndarray,
        excess: np.ndarray,
        low: np.ndarray,
        min_variance: np.ndarray | float = 1.0,
    ) -> np.ndarray:
        """Return the one-sigma without photon noise of objects, relative to ``low``.

        Parameters
        ----------
        known, excess, low : `~numpy.ndarray`
            One-sigma of pixels, their values above the background, and the noise of
            the background.
        min_variance : `~numpy.ndarray` or float
            The smallest variance.
        """
        # Relative first, as the square of a small noise underflows float32.
        with np.errstate(over="ignore", invalid="ignore"):
            variance = (known / low) ** 2
            if self.slope:
                light = np.where(excess > 0, MARGIN, 1) * excess / low
                variance -= light * (np.float32(self.slope) / low)
                variance -= (FLAT_ERROR * np.maximum(light, 0)) ** 2
            return np.sqrt(np.maximum(variance, min_variance))


def noise_facts_of_planes(
    frame: Frame, used: frozenset[str], factor: float
) -> list[dict]:
    """Return the known noise of each plane, from the uncertainty of a frame.

    Parameters
    ----------
    frame : Frame
        The frame.
    used : frozenset of str
        Names of the facts about the noise that the model uses.
    factor : float
        From the frame's unit to that of the network.

    Returns
    -------
    list of dict
        For each plane, with the key "known_noise" if its noise is known.
    """
    number = 1 if frame.data.ndim == 2 else len(frame.data)
    nothing: list[dict] = [{} for _ in range(number)]
    uncertainty: Any = getattr(frame.source, "uncertainty", None)
    power = power_of(uncertainty)
    if "known_noise" not in used or power is None:
        return nothing
    array = uncertainty.array
    if not hasattr(array, "ndim"):
        array = np.asarray(array)
    if array.size == 1:
        # One noise for all pixels tells less than what is measured.
        return nothing
    if array.shape != frame.data.shape:
        array = np.broadcast_to(array, frame.data.shape)
    scale = factor
    if frame.unit is not None and uncertainty.unit is not None:
        unit_ratio = (frame.unit**power).to(uncertainty.unit)
        scale = factor / unit_ratio ** (1 / power)
    planes = [array] if array.ndim == 2 else list(array)
    return [
        {"known_noise": KnownNoise(plane, power, scale, "uncertainty")}
        for plane in planes
    ]
