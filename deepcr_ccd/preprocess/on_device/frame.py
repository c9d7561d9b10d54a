"""A frame in the memory of a device: it is copied there once, in its own dtype."""

from __future__ import annotations

import copy

import numpy as np
import torch

from ...tiling.tiles import Tile, reflect_indices, row_blocks
from ...tiling.torch_settings import neutral_torch_state
from ...tiling.workers import free_memory, tile_threads
from ..network_input import MAX_FLOAT32, USUAL_FACTORS, NetworkInput
from .cells import SAMPLES_AT_A_TIME, measure_cells
from .dither import dither_pixels

__all__ = ["DeviceFrame", "copy_to_device"]

#: Copies of a frame take no more than this fraction of the free memory of a device.
MEMORY_FRACTION = 0.25
#: Number of pixels that are copied at a time.
PIXELS_AT_A_TIME = 4_000_000
#: Dtypes of a frame: as what its bytes are read, and the bits of numbers that have no
#: sign, which torch does not convert.
DTYPES: dict[str, tuple[torch.dtype, int]] = {
    "u1": (torch.uint8, 0),
    "i1": (torch.int8, 0),
    "i2": (torch.int16, 0),
    "u2": (torch.int16, 16),
    "i4": (torch.int32, 0),
    "u4": (torch.int32, 32),
    "i8": (torch.int64, 0),
    "f2": (torch.float16, 0),
    "f4": (torch.float32, 0),
    "f8": (torch.float64, 0),
}


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
        kind = source.data.dtype.str[1:]
        self.wide = source.data.dtype.itemsize > 4
        _, self.unsigned_bits = DTYPES[kind]
        self.digit = 0.0
        self.raw = _copy(source.data, device)
        self.bad: torch.Tensor | None = None
        #: Pixels that are left out of what is measured, and their array in memory.
        self.bad_measured: torch.Tensor | None = None
        self._bad_here = source.bad
        if source.bad is not None:
            self.bad = self.bad_measured = _copy(source.bad, device)
            level, places, fills = source.fills
            self.fill = torch.full(
                self.shape, float(level), dtype=torch.float32, device=device
            )
            there = torch.from_numpy(places).to(device)
            self.fill.view(-1)[there] = torch.from_numpy(fills).to(device)
            _wait(device)

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
        values = self._convert(self._cut(self.raw, tile))
        if self.bad is None:
            return values
        return torch.where(
            self._cut(self.bad, tile), self._cut(self.fill, tile), values
        )

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
        if bad is not None and bad is not self._bad_here:
            self.bad_measured, self._bad_here = _copy(bad, self.device), bad
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

    def _cut(self, frame: torch.Tensor, tile: Tile) -> torch.Tensor:
        (y0, y1), (x0, x1) = tile.read
        ny, nx = self.shape
        if y0 >= 0 and x0 >= 0 and y1 <= ny and x1 <= nx:
            return frame[y0:y1, x0:x1]
        for axis, span in enumerate(tile.read):
            places = torch.from_numpy(reflect_indices(*span, self.shape[axis]))
            frame = frame.index_select(axis, places.to(self.device))
        return frame

    def _convert(self, values: torch.Tensor, finite: bool = False) -> torch.Tensor:
        """Do as `~deepcr_ccd.preprocess.network_input.to_float32`."""
        if self.unsigned_bits:
            wider = torch.int32 if self.unsigned_bits == 16 else torch.int64
            values = values.to(wider) & ((1 << self.unsigned_bits) - 1)
        if not USUAL_FACTORS[0] < self.factor < USUAL_FACTORS[1]:
            values = (values.to(torch.float64) * self.factor).to(torch.float32)
        else:
            values = values.to(torch.float32)
            if self.factor != 1:
                values = values * float(np.float32(self.factor))
        if self.wide or self.factor != 1:
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
    if not isinstance(data, np.ndarray) or data.dtype.str[1:] not in DTYPES:
        return None
    if data.shape != source.shape or source.origin != (0, 0):
        return None
    # With bad pixels, also which they are, and what they are filled with.
    each = data.dtype.itemsize + (0 if source.bad is None else 5)
    if each * data.size > MEMORY_FRACTION * free_memory(device):
        return None
    try:
        return DeviceFrame(source, device)
    except torch.OutOfMemoryError:
        return None


def _copy(data: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy an array to a device, some rows at a time, and wait for it."""
    dtype = torch.bool
    if data.dtype != bool:
        dtype = DTYPES[data.dtype.str[1:]][0]
    native = data.dtype.newbyteorder("=")
    there = torch.empty(data.shape, dtype=dtype, device=device)
    # Of a stream of the caller, which may still use this memory.
    _wait(device)
    pinned = device.type == "cuda"

    def copy_rows(rows: slice) -> None:
        block = data[rows]
        # In this memory the device copies while the next rows are read.
        here = torch.empty(block.shape, dtype=dtype, device="cpu", pin_memory=pinned)
        # Swaps bytes where they are in another order.
        np.copyto(here.numpy().view(native), block)
        there[rows].copy_(here, non_blocking=pinned)
        _wait(device)

    blocks = row_blocks(data.shape, PIXELS_AT_A_TIME)
    with tile_threads(device, data.size, len(blocks)) as mapped:
        for _ in mapped(copy_rows, blocks):
            pass
    return there


def _wait(device: torch.device) -> None:
    """Wait for what this thread has given to the device."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
