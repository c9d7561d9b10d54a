"""Transforms of pixels to the input of a network, done on a device.

Each has the numbers of its counterpart in `~deepcr_ccd.preprocess.normalize`, up to the
rounding of float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ...tiling.tiles import Tile, reflect_indices
from ..known_noise import FLAT_ERROR, MARGIN, MAX_RATIO, NoiseRatio
from ..normalize import MAX_INPUT, Linear, NoiseUnits, Normalization
from .dither import dither_pixels
from .memory import as_numbers, copy_array, cut_tile, has_room, is_known_dtype

__all__ = ["normalization_on_device"]


def normalization_on_device(
    normalization: Normalization, device: torch.device
) -> Callable[[torch.Tensor, Tile], torch.Tensor] | None:
    """Return what a transform does, as a function of tensors on a device.

    Parameters
    ----------
    normalization : Normalization
        From a transform of `~deepcr_ccd.preprocess.normalize`.
    device : torch.device
        Where the tensors are.

    Returns
    -------
    callable or None
        Takes the pixels of a tile, float32, and the tile, and returns the input of the
        network, float32. None for transforms, or properties of the noise, that are
        known in the memory of the machine only.
    """
    if type(normalization) is Linear:
        return _LinearOnDevice(normalization)
    if type(normalization) is not NoiseUnits:
        return None
    if normalization.background is not None:
        return None
    known = None
    if normalization.known is not None:
        known = _copy_noise(normalization.known, device)
        if known is None:
            return None
    return _NoiseUnitsOnDevice(normalization, known, device)


def _copy_noise(ratio: NoiseRatio, device: torch.device) -> torch.Tensor | None:
    """Copy known noise to a device; None if it cannot be."""
    known = ratio.known
    array = known.array
    if not is_known_dtype(array) or array.shape != ratio.shape:
        return None
    if known.shape not in (None, array.shape) or known.origin != (0, 0):
        return None
    if not has_room(array.nbytes, device):
        return None
    try:
        return copy_array(array, device)
    except torch.OutOfMemoryError:
        return None


class _LinearOnDevice:
    def __init__(self, linear: Linear):
        self.offset, self.scale = float(linear.offset), float(linear.scale)

    def __call__(self, values: torch.Tensor, tile: Tile) -> torch.Tensor:  # noqa: ARG002
        clipped = values.clamp(-MAX_INPUT, MAX_INPUT)
        if self.offset == 0 and self.scale == 1:
            return clipped
        return (clipped - self.offset) / self.scale


class _NoiseUnitsOnDevice:
    def __init__(
        self, units: NoiseUnits, known: torch.Tensor | None, device: torch.device
    ):
        self.known = known
        if units.known is not None:
            self.ratio = units.known
            self.ratio_maps = [
                torch.from_numpy(np.ascontiguousarray(cells, np.float32)).to(device)
                for cells in (units.known.scale, units.known.low)
            ]
        self.device = device
        self.shape = units.noise.shape
        self.digit = float(np.float32(units.digit))
        self.floor = units.floor
        self.maps = [
            torch.from_numpy(np.ascontiguousarray(cells)).to(device)
            for cells in (units.noise.background, units.noise.rms)
        ]
        self.dark = [
            None if part is None else torch.from_numpy(part).to(device)
            for part in (units.noise.dark_offset, units.noise.dark_rms)
        ]

    def __call__(self, values: torch.Tensor, tile: Tile) -> torch.Tensor:
        pixels = [
            reflect_indices(*span, size)
            for span, size in zip(tile.read, self.shape, strict=True)
        ]
        if self.digit:
            values = values + self.digit * dither_pixels(*map(self._index, pixels))
        level, sigma = self._interpolate(self.maps, pixels)
        offset, dark_rms = self.dark
        if offset is not None:
            level += self._interpolate([offset], pixels)[0]
        if dark_rms is not None:
            rows, columns = (
                self._index(places * parts // size)
                for places, parts, size in zip(
                    pixels, dark_rms.shape, self.shape, strict=True
                )
            )
            dark = dark_rms.index_select(0, rows).index_select(1, columns)
            sigma = torch.minimum(sigma, dark)
        if self.known is not None:
            sigma = self._known_sigma(self.known, values - level, sigma, tile, pixels)
        if self.floor > 0:
            sigma = sigma.clamp(min=self.floor)
        scaled = torch.sub(values, level).div_(sigma)
        return scaled.clamp_(-MAX_INPUT, MAX_INPUT).asinh_()

    def _known_sigma(
        self,
        raw: torch.Tensor,
        excess: torch.Tensor,
        sigma: torch.Tensor,
        tile: Tile,
        pixels: Sequence[np.ndarray],
    ) -> torch.Tensor:
        """Do as `~deepcr_ccd.preprocess.known_noise.NoiseRatio.apply`."""
        given, slope = self.ratio.known, self.ratio.slope
        known = as_numbers(cut_tile(raw, tile), given.array.dtype)
        # The square of a noise may underflow float32.
        known = known.to(torch.float64) ** (1 / given.power) * given.scale
        known = known.to(torch.float32)
        known = torch.where((known > 0) & (known < torch.inf), known, torch.nan)
        scale, low = self._interpolate(self.ratio_maps, pixels)
        usual = scale * low
        least = (sigma / usual).clamp(max=1) ** 2
        variance = (known / low) ** 2
        if slope:
            light = torch.where(excess > 0, float(MARGIN) * excess, excess) / low
            variance -= light * (float(np.float32(slope)) / low)
            variance -= (float(FLAT_ERROR) * light.clamp(min=0)) ** 2
        found = torch.maximum(variance, least).sqrt_().mul_(usual)
        return torch.where(known < MAX_RATIO * low, found, sigma)

    def _index(self, places: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(places).to(self.device)

    def _interpolate(
        self, maps: Sequence[torch.Tensor], pixels: Sequence[np.ndarray]
    ) -> list[torch.Tensor]:
        """Interpolate maps of cells to pixels, linearly along each axis.

        Not by matrix products, which a user may have allowed to be in TF32.
        """
        rows, columns = (
            self._neighbours(places, size, cells)
            for places, size, cells in zip(
                pixels, self.shape, maps[0].shape, strict=True
            )
        )
        found = []
        for values in maps:
            low, high = (values.index_select(1, index) for index in columns[:2])
            wide = (low * columns[2]).addcmul_(high, columns[3])
            low, high = (wide.index_select(0, index) for index in rows[:2])
            found.append(low.mul_(rows[2][:, None]).addcmul_(high, rows[3][:, None]))
        return found

    def _neighbours(
        self, pixels: np.ndarray, size: int, cells: int
    ) -> tuple[torch.Tensor, ...]:
        """Return the cells before and after pixels of an axis, and their weights."""
        place = np.clip((pixels + 0.5) / size * cells - 0.5, 0, cells - 1)
        low = np.minimum(place.astype(int), max(cells - 2, 0))
        high = np.minimum(low + 1, cells - 1)
        weights = 1 - (place - low), place - low
        return (
            self._index(low),
            self._index(high),
            *(self._index(weight.astype(np.float32)) for weight in weights),
        )
