"""Tiles: plan them so that the tiled result equals the whole-frame result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np

__all__ = [
    "Tile",
    "map_tiles",
    "plan_tiles",
    "read_tile",
    "reflect_indices",
    "row_blocks",
    "track",
]


#: Pixels of a frame that are worked on at a time where all of them are needed.
BLOCK = 4_000_000


class Tile(NamedTuple):
    """Where a tile is read, where its core is written, and the core within it.

    ``read`` holds ``(start, stop)`` per axis and may run past the frame, where the
    frame is continued by reflection; ``write`` and ``crop`` are plain slices.
    """

    read: tuple[tuple[int, int], tuple[int, int]]
    write: tuple[slice, slice]
    crop: tuple[slice, slice]


def _plan_axis(
    size: int, tile_size: int, halo: int, stride: int
) -> Iterator[tuple[tuple[int, int], slice, slice]]:
    # The network's pooling grid ends where the frame ends. deepCR pads its input at
    # the start, so that frames of any size give the same result here and there.
    first = -(-size % stride)
    for start in range(first, size, tile_size):
        stop = min(start + tile_size, size)
        read = (start - halo, stop + halo)
        write = slice(max(start, 0), stop)
        yield read, write, slice(write.start - read[0], write.stop - read[0])


def plan_tiles(
    shape: tuple[int, int],
    tile_size: int | tuple[int, int],
    *,
    radius: int,
    stride: int,
) -> list[Tile]:
    """Cover a frame with tiles whose cores do not depend on the tiling.

    Parameters
    ----------
    shape : tuple of int
        ``(ny, nx)`` of the frame, in px.
    tile_size : int or tuple of int
        Width of a tile's core in px, or height and width; rounded up to a multiple of
        ``stride``.
    radius, stride : int
        Receptive radius and stride of the network, in px.

    Returns
    -------
    list of Tile
        Reads are a multiple of ``stride`` wide and start on the same grid.
    """
    halo = -(-radius // stride) * stride
    sizes = (tile_size, tile_size) if isinstance(tile_size, int) else tile_size
    cores = [max(1, -(-size // stride)) * stride for size in sizes]
    rows = list(_plan_axis(shape[0], cores[0], halo, stride))
    columns = list(_plan_axis(shape[1], cores[1], halo, stride))
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
        The span that is read; it may run past the line.
    size : int
        Length of the line, in px.
    """
    period = max(2 * (size - 1), 1)
    index = np.abs(np.arange(start, stop)) % period
    return np.minimum(index, period - index) if size > 1 else np.zeros_like(index)


def row_blocks(shape: tuple[int, int]) -> list[slice]:
    """Return slices over rows that cover a frame, a few million pixels each.

    Parameters
    ----------
    shape : tuple of int
        ``(ny, nx)`` of the frame, in px.
    """
    step = max(1, BLOCK // shape[1])
    return [slice(y, y + step) for y in range(0, shape[0], step)]


def read_tile(frame: np.ndarray, tile: Tile) -> np.ndarray:
    """Read a tile: a view inside the frame, a reflected copy across its edge.

    Parameters
    ----------
    frame : `~numpy.ndarray`
        ``(ny, nx)``.
    tile : Tile
        From `plan_tiles` for this shape.

    Returns
    -------
    `~numpy.ndarray`
        The pixels of ``tile.read``.
    """
    (y0, y1), (x0, x1) = tile.read
    ny, nx = frame.shape
    if y0 >= 0 and x0 >= 0 and y1 <= ny and x1 <= nx:
        return frame[y0:y1, x0:x1]
    rows = reflect_indices(y0, y1, ny)
    columns = reflect_indices(x0, x1, nx)
    # Only the rows and columns inside the frame are touched, which matters for
    # memory-mapped input.
    return frame[rows[:, None], columns]


def map_tiles(
    function: Callable[..., np.ndarray],
    frames: Sequence,
    out: np.ndarray,
    tiles: Sequence[Tile],
    *,
    pool: Executor | None = None,
    progress: bool = False,
    description: str = "",
) -> np.ndarray:
    """Apply a function tile by tile, and write the cores.

    Parameters
    ----------
    function : callable
        Takes a tile and its pixels of each frame; returns an array of that shape.
    frames : sequence of `~numpy.ndarray`, or of objects with ``read(tile)``
        Inputs, ``(ny, nx)``.
    out : `~numpy.ndarray`
        Output, ``(ny, nx)``.
    tiles : sequence of Tile
        From `plan_tiles`.
    pool : `~concurrent.futures.Executor`, optional
        Threads that work on tiles side by side.
    progress : bool
        Show a progress bar.
    description : str
        What the bar says.

    Returns
    -------
    `~numpy.ndarray`
        ``out``.
    """

    def work(tile: Tile) -> None:
        values = (
            frame.read(tile) if hasattr(frame, "read") else read_tile(frame, tile)
            for frame in frames
        )
        out[tile.write] = function(tile, *values)[tile.crop]

    done = map(work, tiles) if pool is None else pool.map(work, tiles)
    for _ in track(done, description, progress, len(tiles)):
        pass
    return out


def track(
    items: Iterable, description: str, progress: bool, total: int | None = None
) -> Iterable:
    """Iterate over items, behind a tqdm progress bar if asked for.

    Parameters
    ----------
    items : iterable
        What to iterate over.
    description : str
        What the bar says.
    progress : bool
        Whether to show a bar.
    total : int, optional
        Number of items, where they have no length.

    Raises
    ------
    ImportError
        If a bar is asked for and tqdm is not installed.
    """
    if not progress:
        return items
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            'progress=True needs tqdm: pip install "deepcr_ccd[plot]"'
        ) from error
    return tqdm(items, desc=description, total=total)
