"""Threads that work on tiles in parallel: how many, on tiles how large."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from .forking import is_forked, set_threads

__all__ = [
    "CPU_TILES",
    "CPU_TILE_RADII",
    "TILES_PER_THREAD",
    "GPU_THREADS",
    "PARALLEL_PIXELS",
    "choose_tiles",
    "gpu_tile",
    "one_torch_thread",
    "tile_threads",
]


@contextlib.contextmanager
def one_torch_thread(threads: int) -> Iterator[None]:
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
        set_threads(min(threads, os.cpu_count() or 1))


#: Core of a tile on a CPU, in px, at least and at most; and in receptive radii, by
#: engine. Large tiles waste little on their halo, small ones stay in the cache and far
#: below 1 GB.
CPU_TILES = (256, 1024)
CPU_TILE_RADII = {"torch": 25, "openvino": 64}
#: Tiles on a CPU are worked on side by side from this many pixels on.
PARALLEL_PIXELS = 65536
#: Threads that work on tiles for a GPU.
GPU_THREADS = 4
#: Fewer tiles a thread than this are shared out evenly.
TILES_PER_THREAD = 8


@contextlib.contextmanager
def tile_threads(device: torch.device, pixels: int, tiles: int) -> Iterator[Callable]:
    """Give a ``map`` that works on tiles side by side, or in turn if that is no gain.

    A thread does all that there is to do for a tile; torch's own threads share the
    convolutions alone.

    Parameters
    ----------
    device : torch.device
        Where the network runs.
    pixels, tiles : int
        Of the frame.

    Yields
    ------
    callable
        That of a pool of as many threads as torch has, or of a few that make a GPU's
        input ready while it computes; or Python's own.
    """
    before = torch.get_num_threads()
    if is_forked() and before > 1:
        # The other threads have stayed behind: torch would wait for them for ever.
        torch.set_num_threads(1)
        try:
            yield map
        finally:
            torch.set_num_threads(before)
        return
    if device.type == "cuda" and tiles > 1:
        with ThreadPoolExecutor(min(GPU_THREADS, tiles)) as pool:
            yield pool.map
        return
    number = min(before, tiles)
    if device.type != "cpu" or number < 2 or pixels < PARALLEL_PIXELS:
        yield map
        return
    pool = ThreadPoolExecutor(number, initializer=torch.set_num_threads, initargs=(1,))
    try:
        with pool:
            yield pool.map
    finally:
        # What a thread sets holds for itself, and for threads that start later.
        torch.set_num_threads(before)


def choose_tiles(
    device: torch.device, radius: int, shape: tuple[int, int], engine: str = "torch"
) -> tuple[int, int]:
    """Return height and width of a tile's core in px: even shares of the frame.

    Parameters
    ----------
    device : torch.device
        Where the network runs.
    radius : int
        Its receptive radius in px.
    shape : tuple of int
        ``(ny, nx)`` of the frame.
    engine : {"torch", "openvino"}
        What runs it.
    """
    if device.type != "cuda":
        most = int(np.clip(CPU_TILE_RADII[engine] * radius, *CPU_TILES))
    else:
        most = gpu_tile(device)
    ny, nx = shape
    rows, columns = -(-ny // most), -(-nx // most)
    if device.type == "cpu":
        # As many for each thread, so that none is left without at the end.
        threads = max(1, min(torch.get_num_threads(), ny * nx // PARALLEL_PIXELS))
        if rows * columns < TILES_PER_THREAD * threads:
            rows, columns = min(
                (
                    (r, c)
                    for r in range(rows, rows + threads)
                    for c in range(columns, columns + threads)
                    if r * c % threads == 0
                ),
                key=lambda grid: (
                    (ny + 2 * radius * grid[0]) * (nx + 2 * radius * grid[1])
                ),
            )
    return -(-ny // rows), -(-nx // columns)


def gpu_tile(device: torch.device) -> int:
    """Return how wide a tile on a GPU may be, in px.

    Parameters
    ----------
    device : torch.device
        A CUDA device.
    """
    # A U-Net of width 32 holds about 1 kB a pixel while it runs. Two tiles are under
    # way at a time: a quarter of the free memory for each leaves room for workspace.
    free, _ = torch.cuda.mem_get_info(device)
    return int(np.clip(np.sqrt(free / 4 / 1024), 128, 4096)) // 32 * 32
