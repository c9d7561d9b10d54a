"""Tiles of a frame, planned so that the tiled result equals the whole-frame result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

__all__ = [
    "Tile",
    "plan_tiles",
    "read_tile",
    "reflect_indices",
    "row_blocks",
]
#: Number of pixels that are processed at a time, in blocks of rows.
BLOCK_PIXELS = 4_000_000


class Tile(NamedTuple):
    """Where a tile is read, where its core is written, and the core within it.

    ``read`` is ``(start, stop)`` for each axis, in px, and may exceed the frame, which
    is continued by reflection; ``write`` and ``crop`` are slices.
    """

    read: tuple[tuple[int, int], tuple[int, int]]
    write: tuple[slice, slice]
    crop: tuple[slice, slice]


def _plan_axis(
    size: int,
    tile_size: int,
    halo: int,
    stride: int,
    span: tuple[int, int],
    reflect: bool,
) -> Iterator[tuple[tuple[int, int], slice, slice]]:
    # The network's pooling grid ends where the frame ends. deepCR pads its input at the
    # start, so this gives the same result as deepCR for frames of any size.
    grid = -(-size % stride)
    low, high = span
    first = grid + (low - grid) // stride * stride
    for start in range(first, high, tile_size):
        stop = min(start + tile_size, high)
        # Reads end on the grid too, as they start there.
        stop += (grid - stop) % stride
        read = (start - halo, stop + halo)
        if not reflect:
            # Beyond, the network pads with zeros, as it does for a frame of one tile.
            read = max(read[0], grid), min(read[1], size)
        core = max(start, low), min(stop, high)
        crop = slice(core[0] - read[0], core[1] - read[0])
        yield read, slice(core[0] - low, core[1] - low), crop


def plan_tiles(
    shape: tuple[int, int],
    tile_size: int | tuple[int, int],
    *,
    halo: int,
    stride: int,
    region: tuple[tuple[int, int], tuple[int, int]] | None = None,
    reflect: bool = True,
) -> list[Tile]:
    """Cover a frame, or a region of it, with tiles.

    Parameters
    ----------
    shape : tuple of int
        ``(ny, nx)`` of the frame, in px.
    tile_size : int or tuple of int
        Width of a tile's core in px, or height and width; rounded up to a multiple of
        ``stride``.
    halo, stride : int
        Halo and stride of the network, in px.
    region : tuple, optional
        Rows and columns to cover, as ``(start, stop)``; by default all. ``write``
        counts from its start.
    reflect : bool
        Whether reads exceed the frame by the halo; if not, by less than a stride where
        the frame begins, and not at all where it ends.

    Returns
    -------
    list of Tile
        Reads are a multiple of ``stride`` wide and start on one grid for every region
        and tile size, so that these do not change the result.
    """
    halo = -(-halo // stride) * stride
    sizes = (tile_size, tile_size) if isinstance(tile_size, int) else tile_size
    cores = [max(1, -(-size // stride)) * stride for size in sizes]
    spans = region or tuple((0, size) for size in shape)
    rows, columns = (
        list(_plan_axis(size, core, halo, stride, span, reflect))
        for size, core, span in zip(shape, cores, spans, strict=True)
    )
    return [
        Tile((y_read, x_read), (y_write, x_write), (y_crop, x_crop))
        for y_read, y_write, y_crop in rows
        for x_read, x_write, x_crop in columns
    ]


def reflect_indices(start: int, stop: int, size: int) -> np.ndarray:
    """Return the indices that continue a line by reflection.

    Parameters
    ----------
    start, stop : int
        The span to read; it may exceed the line.
    size : int
        Length of the line, in px.
    """
    period = max(2 * (size - 1), 1)
    index = np.abs(np.arange(start, stop)) % period
    return np.minimum(index, period - index) if size > 1 else np.zeros_like(index)


def row_blocks(shape: tuple[int, int], pixels: int = BLOCK_PIXELS) -> list[slice]:
    """Return slices that cover the rows of a frame.

    Parameters
    ----------
    shape : tuple of int
        ``(ny, nx)`` of the frame, in px.
    pixels : int
        Largest number of pixels in a slice, which has at least one row.
    """
    ny, nx = shape
    step = max(1, pixels // nx)
    return [slice(y, min(y + step, ny)) for y in range(0, ny, step)]


def read_tile(
    frame: np.ndarray,
    tile: Tile,
    shape: tuple[int, int] | None = None,
    origin: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """Read a tile: a view inside the frame, a reflected copy across its edge.

    Parameters
    ----------
    frame : `~numpy.ndarray`
        ``(ny, nx)``, or a piece of it.
    tile : Tile
        From `plan_tiles` for the frame's shape.
    shape, origin : tuple of int, optional
        For a piece: the shape of the whole frame, and the piece's first row and column.

    Returns
    -------
    `~numpy.ndarray`
        The pixels of ``tile.read``.
    """
    (y0, y1), (x0, x1) = tile.read
    ny, nx = shape or frame.shape
    if y0 >= 0 and x0 >= 0 and y1 <= ny and x1 <= nx:
        return frame[y0 - origin[0] : y1 - origin[0], x0 - origin[1] : x1 - origin[1]]
    rows = reflect_indices(y0, y1, ny) - origin[0]
    columns = reflect_indices(x0, x1, nx) - origin[1]
    # Only rows and columns inside the frame are read, which matters for memory-mapped
    # input, and most of them as contiguous parts of rows.
    values = np.empty((rows.size, columns.size), dtype=frame.dtype)
    left, right = max(-x0, 0), min(x1, nx) - x0
    inside = slice(x0 + left - origin[1], x0 + right - origin[1])
    values[:, left:right] = frame[rows, inside]
    for edge in (slice(0, left), slice(right, None)):
        values[:, edge] = frame[rows[:, None], columns[edge]]
    return values
