"""A frame in the memory of a device: it is copied there once, in its own dtype."""

from __future__ import annotations

import copy

import numpy as np
import torch

from ...tiling.tiles import Tile
from ...tiling.torch_settings import neutral_torch_state
from ..network_input import MAX_FLOAT32, USUAL_FACTORS, NetworkInput
from .cells import SAMPLES_AT_A_TIME, measure_cells
from .dither import dither_pixels
from .memory import as_numbers, copy_array, cut_tile, has_room, is_known_dtype, wait

__all__ = ["DeviceFrame", "copy_to_device"]


class DeviceFrame:
    """A `~deepcr_ccd.preprocess.network_input.NetworkInput` in a device's memory.

    Its pixels are converted there, by tiles, and are the same.

    Parameters
    ----------
    source : NetworkInput
        A whole frame.
    device : torch.device
        Where to copy it.
    """

    #: Number of samples that are measured at a time.
    samples_at_a_time = SAMPLES_AT_A_TIME

    def __init__(self, source: NetworkInput, device: torch.device):
        self.device = device
        self.shape = source.shape
        self.factor = source.factor
        self.finite = source.finite
        self.dtype = source.data.dtype
        self.digit = 0.0
        self.raw = copy_array(source.data, device)
        self.bad: torch.Tensor | None = None
        #: Pixels that are left out of what is measured, and their array in memory.
        self.bad_measured: torch.Tensor | None = None
        self._bad_here = source.bad
        if source.bad is not None:
            self.bad = self.bad_measured = copy_array(source.bad, device)
            level, places, fills = source.fills
            self.fill = torch.full(
                self.shape, float(level), dtype=torch.float32, device=device
            )
            there = torch.from_numpy(places).to(device)
            self.fill.view(-1)[there] = torch.from_numpy(fills).to(device)
            wait(device)

    def read(self, tile: Tile) -> DeviceFrame:  # noqa: ARG002
        """Return the frame: a tile's pixels are read in the stream that computes.

        Parameters
        ----------
        tile : Tile
            From `~deepcr_ccd.tiling.tiles.plan_tiles` for this shape.
        """
        return self

    def pixels(self, tile: Tile) -> torch.Tensor:
        """Return the pixels of a tile's read, float32; possibly a view, not to write.

        Parameters
        ----------
        tile : Tile
            As for `read`.
        """
        values = self._convert(cut_tile(self.raw, tile))
        if self.bad is None:
            return values
        return torch.where(cut_tile(self.bad, tile), cut_tile(self.fill, tile), values)

    def dithered(self, digit: float) -> DeviceFrame:
        """Return this frame with dither, where samples of it are measured.

        Parameters
        ----------
        digit : float
            From `~deepcr_ccd.preprocess.synthetic_noise.find_quantization_step`.
        """
        frame = copy.copy(self)
        frame.digit = float(np.float32(digit))
        return frame

    @torch.inference_mode()
    def measure_cells(
        self,
        bad: np.ndarray | None,
        rows: np.ndarray,
        columns: np.ndarray,
        enough: float,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Measure background and noise of cells, given the places of their samples.

        Parameters
        ----------
        bad : `~numpy.ndarray` or None
            bool, ``(ny, nx)``, pixels to leave out.
        rows, columns : `~numpy.ndarray`
            int, ``(cells, samples)``.
        enough : float
            The fraction of samples that must be good.

        Returns
        -------
        background, noise, parts : `~numpy.ndarray`
            As from `~deepcr_ccd.preprocess.on_device.cells.measure_cells`.
        """
        try:
            return self._measure_band(bad, rows, columns, enough)
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise
        halves = [
            self.measure_cells(bad, half, columns, enough)
            for half in np.array_split(rows, 2)
        ]
        background, noise, parts = (
            np.concatenate(half) for half in zip(*halves, strict=True)
        )
        return background, noise, parts

    def _measure_band(
        self,
        bad: np.ndarray | None,
        rows: np.ndarray,
        columns: np.ndarray,
        enough: float,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if bad is not None and bad is not self._bad_here:
            self.bad_measured, self._bad_here = copy_array(bad, self.device), bad
        excluded = None if bad is None else self.bad_measured

        def index(dy: int, dx: int) -> tuple[torch.Tensor, torch.Tensor]:
            down, across = (
                torch.from_numpy(np.clip(places.ravel() + step, 0, size - 1))
                for places, step, size in zip(
                    (rows, columns), (dy, dx), self.shape, strict=True
                )
            )
            return down.to(self.device), across.to(self.device)

        def by_cell(picked: torch.Tensor) -> torch.Tensor:
            cells = picked.reshape(*rows.shape, *columns.shape).swapaxes(1, 2)
            return cells.reshape(len(rows), len(columns), -1)

        def values(dy: int, dx: int) -> torch.Tensor:
            down, across = index(dy, dx)
            picked = self.raw[down[:, None], across]
            picked = self._convert(picked, finite=not self.finite)
            if self.digit:
                picked = picked + self.digit * dither_pixels(down, across)
            return by_cell(picked)

        def good(dy: int, dx: int) -> torch.Tensor | None:
            if excluded is None:
                return None
            down, across = index(dy, dx)
            return by_cell(~excluded[down[:, None], across])

        samples = rows.shape[1], columns.shape[1]
        return measure_cells(values, good, samples, enough)

    def _convert(self, values: torch.Tensor, finite: bool = False) -> torch.Tensor:
        """Do as `~deepcr_ccd.preprocess.network_input.to_float32`."""
        values = as_numbers(values, self.dtype)
        if not USUAL_FACTORS[0] < self.factor < USUAL_FACTORS[1]:
            values = (values.to(torch.float64) * self.factor).to(torch.float32)
        else:
            values = values.to(torch.float32)
            if self.factor != 1:
                values = values * float(np.float32(self.factor))
        if self.dtype.itemsize > 4 or self.factor != 1:
            values = values.clamp(-MAX_FLOAT32, MAX_FLOAT32)
        if finite:
            values = torch.nan_to_num(
                values, nan=0, posinf=MAX_FLOAT32, neginf=-MAX_FLOAT32
            )
        return values


@neutral_torch_state()
def copy_to_device(source: NetworkInput, device: torch.device) -> DeviceFrame | None:
    """Copy a frame to a device.

    Parameters
    ----------
    source : NetworkInput
        The frame.
    device : torch.device
        Where to copy it.

    Returns
    -------
    DeviceFrame or None
        None if it is a piece of a frame, of a dtype that torch does not have, or too
        large for the device.
    """
    data = source.data
    if not is_known_dtype(data):
        return None
    if data.shape != source.shape or source.origin != (0, 0):
        return None
    # With bad pixels, also which they are, and what they are filled with.
    each = data.dtype.itemsize + (0 if source.bad is None else 5)
    if not has_room(each * data.size, device):
        return None
    try:
        return DeviceFrame(source, device)
    except torch.OutOfMemoryError:
        return None
