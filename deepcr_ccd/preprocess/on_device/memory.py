"""Arrays in the memory of a device, in their own dtype."""

from __future__ import annotations

import numpy as np
import torch

from ...tiling.tiles import Tile, reflect_indices, row_blocks
from ...tiling.workers import free_memory, tile_threads

__all__ = ["as_numbers", "copy_array", "cut_tile", "has_room", "is_known_dtype", "wait"]

#: Copies of a frame take no more than this fraction of the free memory of a device.
MEMORY_FRACTION = 0.25
#: Number of pixels that are copied at a time.
PIXELS_AT_A_TIME = 4_000_000
#: As what the bytes of an array are read, by its dtype.
DTYPES: dict[str, torch.dtype] = {
    "b1": torch.bool,
    "u1": torch.uint8,
    "i1": torch.int8,
    "i2": torch.int16,
    "u2": torch.int16,
    "i4": torch.int32,
    "u4": torch.int32,
    "i8": torch.int64,
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
}
#: Wider dtypes for numbers without sign, which torch cannot compute with, and the bits
#: of these.
UNSIGNED = {"u2": (torch.int32, (1 << 16) - 1), "u4": (torch.int64, (1 << 32) - 1)}


def is_known_dtype(array: object) -> bool:
    """Tell whether something is an array of numbers that torch can have.

    Parameters
    ----------
    array : object
        Anything.
    """
    return (
        isinstance(array, np.ndarray)
        and array.dtype != bool
        and array.dtype.str[1:] in DTYPES
    )


def has_room(size: int, device: torch.device) -> bool:
    """Tell whether a device has memory to spare for copies.

    Parameters
    ----------
    size : int
        Of the copies, in bytes.
    device : torch.device
        The device.
    """
    return size <= MEMORY_FRACTION * free_memory(device)


def copy_array(data: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy an array to a device, some rows at a time, and wait for it.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``, bool or of a known dtype, in any byte order.
    device : torch.device
        The device.

    Returns
    -------
    torch.Tensor
        Its bytes, in the order of the machine; see `as_numbers`.
    """
    dtype = DTYPES[data.dtype.str[1:]]
    native = data.dtype.newbyteorder("=")
    there = torch.empty(data.shape, dtype=dtype, device=device)
    # Of a stream of the caller, which may still use this memory.
    wait(device)
    pinned = device.type == "cuda"

    def copy_rows(rows: slice) -> None:
        block = data[rows]
        # From this memory the device copies while the next rows are read.
        here = torch.empty(block.shape, dtype=dtype, device="cpu", pin_memory=pinned)
        # Swaps bytes where they are in another order.
        np.copyto(here.numpy().view(native), block)
        there[rows].copy_(here, non_blocking=pinned)
        wait(device)

    blocks = row_blocks(data.shape, PIXELS_AT_A_TIME)
    with tile_threads(device, data.size, len(blocks)) as mapped:
        for _ in mapped(copy_rows, blocks):
            pass
    return there


def as_numbers(values: torch.Tensor, dtype: np.dtype) -> torch.Tensor:
    """Return the numbers that an array has.

    Parameters
    ----------
    values : torch.Tensor
        Of a copy.
    dtype : `~numpy.dtype`
        Of the array that was copied.
    """
    kind = dtype.str[1:]
    if kind not in UNSIGNED:
        return values
    wider, bits = UNSIGNED[kind]
    return values.to(wider) & bits


def cut_tile(plane: torch.Tensor, tile: Tile) -> torch.Tensor:
    """Return the pixels of a tile's read; inside the plane a view.

    Parameters
    ----------
    plane : torch.Tensor
        ``(ny, nx)``.
    tile : Tile
        From `~deepcr_ccd.tiling.tiles.plan_tiles` for this shape.
    """
    (y0, y1), (x0, x1) = tile.read
    ny, nx = plane.shape
    if y0 >= 0 and x0 >= 0 and y1 <= ny and x1 <= nx:
        return plane[y0:y1, x0:x1]
    for axis, span in enumerate(tile.read):
        places = torch.from_numpy(reflect_indices(*span, plane.shape[axis]))
        plane = plane.index_select(axis, places.to(plane.device))
    return plane


def wait(device: torch.device) -> None:
    """Wait for what this thread has given to a device.

    Parameters
    ----------
    device : torch.device
        The device.
    """
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
