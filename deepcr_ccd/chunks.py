"""Arrays that Dask holds: read some rows at a time, and mapped chunk by chunk."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

import numpy as np
import torch

__all__ = ["Region", "Rows", "core_of", "map_chunks", "one_thread"]

#: Pixels of a band that is read at once.
BAND = 64_000_000

Region = tuple[tuple[int, int], tuple[int, int]]


class Rows:
    """A chunked array that is indexed like one in memory; the last band is kept."""

    def __init__(self, array, convert: Callable[[np.ndarray], np.ndarray]):
        self.array = array
        self.shape = array.shape
        self.convert = convert
        self.low = self.high = 0

    def __getitem__(self, index):
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
        if (stop - start) * self.shape[1] > BAND:
            start, stop = low, min(max(high, low + BAND // self.shape[1]), stop)
        self.band = None
        self.band = self.array[start:stop].compute()
        self.low, self.high = int(start), int(stop)


def map_chunks(
    function: Callable, arrays: list, margin: int, dtype, *arguments, planes: int = 0
):
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
        For the function; what is large had better be a `dask.delayed.Delayed`.
    planes : int
        Planes that the function returns, ``(planes, ny, nx)``; 0 for ``(ny, nx)``.

    Returns
    -------
    `dask.array.Array`
    """
    import dask
    import dask.array as da

    shape, chunks = arrays[0].shape, arrays[0].chunks
    spans = []
    for sizes in chunks:
        ends = np.cumsum([0, *sizes])
        spans.append(list(zip(ends[:-1], ends[1:], strict=True)))
    call = dask.delayed(function)
    blocks = []
    for row in spans[0]:
        line = []
        for column in spans[1]:
            region = tuple((int(a), int(b)) for a, b in (row, column))
            pieces = tuple(
                slice(max(start - margin, 0), min(stop + margin, size))
                for (start, stop), size in zip(region, shape, strict=True)
            )
            origin = tuple(piece.start for piece in pieces)
            made = call([a[pieces] for a in arrays], region, origin, *arguments)
            core = tuple(stop - start for start, stop in region)
            core = (planes, *core) if planes else core
            line.append(da.from_delayed(made, core, dtype=dtype))
        blocks.append(line)
    return da.block(blocks)


def core_of(region: Region, origin: tuple[int, int]) -> tuple[slice, slice]:
    """Return where a region is in a piece.

    Parameters
    ----------
    region : tuple
        Rows and columns of the frame, as ``(start, stop)``.
    origin : tuple of int
        Where in the frame the piece begins.
    """
    return tuple(
        slice(start - begin, stop - begin)
        for (start, stop), begin in zip(region, origin, strict=True)
    )


@contextlib.contextmanager
def one_thread(threads: int) -> Iterator[None]:
    """Leave it to Dask how many threads there are.

    Parameters
    ----------
    threads : int
        That torch shall have afterwards.
    """
    if threading.current_thread() is threading.main_thread():
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(min(threads, os.cpu_count() or 1))
