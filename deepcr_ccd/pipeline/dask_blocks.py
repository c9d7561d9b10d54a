"""Dask arrays: read some rows at a time, and mapped chunk by chunk."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Region", "Rows", "core_of", "map_chunks", "widen"]

#: The most pixels of a band of rows that is read at once.
BAND_PIXELS = 64_000_000

#: Chunks that are narrower than the first on average, in px, are merged to about the
#: second; and are split along the other axis if they have more pixels than the third.
NARROW, WIDTH, LARGEST_CHUNK = 256, 1024, 16_000_000

Region = tuple[tuple[int, int], tuple[int, int]]


class Rows:
    """A Dask array that is indexed like one in memory; the last rows read are kept."""

    #: Whether it must be read by one thread at a time.
    serial = True

    def __init__(self, array: Any, convert: Callable[[np.ndarray], np.ndarray]):
        self.array = array
        self.shape = array.shape
        self.convert = convert
        self.low = self.high = 0
        self.band: Any = None

    def __getitem__(self, index: Any) -> np.ndarray:
        rows, *columns = index if isinstance(index, tuple) else (index,)
        if isinstance(rows, slice):
            low, high, _ = rows.indices(self.shape[0])
            self._read(low, high)
            rows = slice(low - self.low, high - self.low)
        else:
            self._read(int(rows.min()), int(rows.max()) + 1)
            rows = rows - self.low
        return self.convert(self.band[(rows, *columns)])

    def _read(self, low: int, high: int) -> None:
        if self.low <= low and high <= self.high:
            return
        ends = np.cumsum([0, *self.array.chunks[0]])
        start = ends[np.searchsorted(ends, low, side="right") - 1]
        stop = ends[np.searchsorted(ends, high)]
        # Whole chunks are read once only, unless they are too large.
        if (stop - start) * self.shape[1] > BAND_PIXELS:
            start, stop = low, min(max(high, low + BAND_PIXELS // self.shape[1]), stop)
        self.band = None
        self.band = self.array[start:stop].compute()
        self.low, self.high = int(start), int(stop)


def widen(array: Any) -> Any:
    """Return a Dask array whose chunks are not mostly margin.

    Single rows, columns or other small chunks would each be read with many of their
    neighbours. They are merged whole; wide chunks stay as they are.

    Parameters
    ----------
    array : `dask.array.Array`
        ``(ny, nx)``.
    """
    narrow = [np.mean(sizes) < NARROW for sizes in array.chunks]
    if not any(narrow):
        return array
    chunks = [
        _merge(sizes) if small else sizes
        for sizes, small in zip(array.chunks, narrow, strict=True)
    ]
    if max(chunks[0]) * max(chunks[1]) > LARGEST_CHUNK:
        chunks = [
            sizes if small else _split(sizes)
            for sizes, small in zip(chunks, narrow, strict=True)
        ]
    return array.rechunk(tuple(map(tuple, chunks)))


def _merge(sizes: Sequence[int]) -> list[int]:
    """Return sizes of about `WIDTH`, each the sum of some neighbours."""
    number = max(1, round(sum(sizes) / WIDTH))
    ends = np.cumsum(sizes)
    wanted = ends[-1] * np.arange(1, number + 1) / number
    chosen = np.unique(ends[np.searchsorted(ends, wanted - 0.5)])
    return np.diff(chosen, prepend=0).tolist()


def _split(sizes: Sequence[int]) -> list[int]:
    """Return sizes of about `WIDTH`, each a part of one that is wider."""
    parts = []
    for size in sizes:
        number = max(1, round(size / WIDTH))
        parts += [len(part) for part in np.array_split(np.empty(size, bool), number)]
    return parts


def map_chunks(
    function: Callable,
    arrays: list,
    margin: int,
    dtype: npt.DTypeLike,
    *arguments: Any,
    planes: int = 0,
    block: int = 1,
) -> Any:
    """Map a function over the chunks of arrays, each read with a margin around it.

    Parameters
    ----------
    function : callable
        Takes the pieces, the chunk's region, where the pieces begin, and the arguments.
    arrays : list of `dask.array.Array`
        ``(ny, nx)``; chunks are those of the first.
    margin : int
        In px.
    dtype : `~numpy.dtype`
        Of the result.
    *arguments
        For the function; each is sent to a worker once.
    planes : int
        Planes that the function returns, ``(planes, ny, nx)``; 0 for ``(ny, nx)``.
    block : int
        Blocks of the array, of so many px, are read whole where a chunk has a part.

    Returns
    -------
    `dask.array.Array`
    """
    import dask
    import dask.array as da
    from dask.highlevelgraph import HighLevelGraph

    # A graph of its own: pieces that go through dask.delayed are optimised one by one,
    # and what they share would be computed again for each.
    shape, chunks = arrays[0].shape, arrays[0].chunks
    name = f"{function.__name__.strip('_')}-{uuid.uuid4().hex}"
    shared = [dask.delayed(argument, traverse=False) for argument in arguments]
    ends = [np.cumsum([0, *sizes]) for sizes in chunks]
    tasks: dict[Any, Any] = {}
    for index in np.ndindex(*(len(sizes) for sizes in chunks)):
        region, bounds, near = [], [], []
        for place, edges, size in zip(index, ends, shape, strict=True):
            start, stop = int(edges[place]), int(edges[place + 1])
            low = max(min(start - margin, start // block * block), 0)
            high = min(max(stop + margin, -(-stop // block) * block), size)
            region.append((start, stop))
            bounds.append((low, high))
            first = int(np.searchsorted(edges, low, side="right")) - 1
            near.append(range(first, int(np.searchsorted(edges, high))))
        call = functools.partial(
            _call,
            function,
            (region[0], region[1]),
            (bounds[0], bounds[1]),
            (int(ends[0][near[0][0]]), int(ends[1][near[1][0]])),
        )
        blocks = [
            [[(array.name, row, column) for column in near[1]] for row in near[0]]
            for array in arrays
        ]
        key = (name, 0, *index) if planes else (name, *index)
        tasks[key] = (call, blocks, [argument.key for argument in shared])
    graph = HighLevelGraph.from_collections(
        name, tasks, dependencies=[*arrays, *shared]
    )
    chunks = ((planes,), *chunks) if planes else chunks
    return da.Array(graph, name, chunks, dtype=dtype)


def _call(
    function: Callable,
    region: Region,
    bounds: Region,
    corner: tuple[int, int],
    blocks: list,
    arguments: list,
) -> np.ndarray:
    """Put pieces together from the blocks they lie in, and call the function."""
    pieces = [_piece(rows, bounds, corner) for rows in blocks]
    (top, _), (left, _) = bounds
    origin = top, left
    return function(pieces, region, origin, *arguments)


def _piece(rows: list, bounds: Region, corner: tuple[int, int]) -> np.ndarray:
    shape = tuple(high - low for low, high in bounds)
    piece = np.empty(shape, dtype=rows[0][0].dtype)
    y = corner[0] - bounds[0][0]
    for row in rows:
        x = corner[1] - bounds[1][0]
        for block in row:
            height, width = block.shape
            inside = slice(max(y, 0), y + height), slice(max(x, 0), x + width)
            part = block[max(-y, 0) :, max(-x, 0) :]
            target = piece[inside]
            target[:] = part[: target.shape[0], : target.shape[1]]
            x += width
        y += height
    return piece


def core_of(region: Region, origin: tuple[int, int]) -> tuple[slice, slice]:
    """Return where a region is in a piece.

    Parameters
    ----------
    region : tuple
        Rows and columns of the frame, as ``(start, stop)``.
    origin : tuple of int
        Where in the frame the piece begins.
    """
    (low, high), (left, right) = region
    y, x = origin
    return slice(low - y, high - y), slice(left - x, right - x)
