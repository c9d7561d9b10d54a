"""How many threads work on tiles in parallel, and how large the tiles are."""

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
    "CPU_TILE_LIMITS",
    "CPU_TILE_RADII",
    "TILES_PER_THREAD",
    "GPU_THREADS",
    "PARALLEL_PIXELS",
    "choose_tile_size",
    "free_memory",
    "gpu_tile",
    "one_torch_thread",
    "tile_threads",
]


#: Width of a tile's core on a CPU: the smallest and the largest, in px; and in
#: receptive radii, by engine. Large tiles waste little on their halo, small ones stay
#: in the cache and far below 1 GB.
CPU_TILE_LIMITS = (256, 1024)
CPU_TILE_RADII = {"torch": 25, "openvino": 64}
#: Tiles on a CPU are processed in parallel in frames of this many pixels or more.
PARALLEL_PIXELS = 65536
#: Threads that process tiles for a GPU.
GPU_THREADS = 4
#: With fewer tiles than this for each thread, every thread gets the same number.
TILES_PER_THREAD = 8


@contextlib.contextmanager
def tile_threads(device: torch.device, pixels: int, tiles: int) -> Iterator[Callable]:
    """Yield a ``map`` over tiles, in parallel, or serially where that is as fast.

    A thread processes a tile from beginning to end, which is faster than torch's own
    threads, which share the convolutions only.

    Parameters
    ----------
    device : torch.device
        Where the network runs.
    pixels, tiles : int
        Number of pixels in the frame, and of tiles.

    Yields
    ------
    callable
        The ``map`` of a pool of as many threads as torch has, or of a few that prepare
        the input of a GPU while it computes; or Python's own.
    """
    before = torch.get_num_threads()
    if is_forked() and before > 1:
        # The other threads exist in the parent only: torch would wait for ever.
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
        # A thread's setting holds for itself, and for threads that start later.
        torch.set_num_threads(before)


@contextlib.contextmanager
def one_torch_thread(threads: int) -> Iterator[None]:
    """Compute with one of torch's threads in a thread of Dask's pool, which has many.

    Parameters
    ----------
    threads : int
        The number of threads that torch has afterwards.
    """
    if threading.current_thread() is threading.main_thread():
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        set_threads(min(threads, os.cpu_count() or 1))


def choose_tile_size(
    device: torch.device, radius: int, shape: tuple[int, int], engine: str = "torch"
) -> tuple[int, int]:
    """Return height and width of a tile's core in px, such that all tiles are alike.

    Parameters
    ----------
    device : torch.device
        Where the network runs.
    radius : int
        Its receptive radius in px.
    shape : tuple of int
        ``(ny, nx)`` of the frame.
    engine : {"torch", "openvino"}
        The engine that runs it.
    """
    if device.type != "cuda":
        most = int(np.clip(CPU_TILE_RADII[engine] * radius, *CPU_TILE_LIMITS))
    else:
        most = gpu_tile(device)
    ny, nx = shape
    rows, columns = -(-ny // most), -(-nx // most)
    if device.type == "cpu":
        # The same number for each thread, so that none is idle at the end.
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
    """Return the largest width of a tile on a GPU, in px.

    Parameters
    ----------
    device : torch.device
        A CUDA device.
    """
    # A U-Net of width 32 needs about 1 kB a pixel while it runs. Two tiles run at a
    # time: a quarter of the free memory for each leaves room for workspace.
    free = free_memory(device)
    return int(np.clip(np.sqrt(free / 4 / 1024), 128, 4096)) // 32 * 32


def free_memory(device: torch.device) -> float:
    """Return how much memory of a device can be used, in bytes.

    Parameters
    ----------
    device : torch.device
        A CUDA device; of others nothing is known, and it is infinite.
    """
    if device.type != "cuda":
        return float("inf")
    free, _ = torch.cuda.mem_get_info(device)
    # What torch keeps for the next tensors is not in use.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + kept
