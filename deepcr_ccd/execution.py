"""A function of tiles over a frame: on threads, and in the memory that there is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from astropy.utils.exceptions import AstropyUserWarning

from .devices import choose_tiles, tile_threads
from .tiling import map_tiles, plan_tiles

__all__ = ["check_tile_size", "run_over_tiles"]

#: Tiles are not made smaller than this, in px.
SMALLEST = 32


def run_over_tiles(
    function: Callable[..., np.ndarray],
    frames: Sequence,
    network: torch.nn.Module,
    device: torch.device,
    *,
    region: tuple[tuple[int, int], tuple[int, int]] | None = None,
    engine: str = "torch",
    tile_size: int | None = None,
    progress: bool = False,
    description: str = "",
    dtype: type = np.float32,
    reflect: bool = True,
) -> np.ndarray:
    """Map a function over tiles, with smaller tiles if memory runs out.

    Parameters
    ----------
    function : callable
        Takes a tile and its pixels of each frame; returns an array of that shape.
    frames : sequence of `~deepcr_ccd.plane.Plane` or of `~numpy.ndarray`
        Inputs, ``(ny, nx)``.
    network : torch.nn.Module
        Its halo and stride say how tiles overlap, and where they start.
    device : torch.device
        Where it runs.
    region : tuple, optional
        Rows and columns that are wanted, as ``(start, stop)``; by default all.
    engine : {"torch", "openvino"}
        What runs it.
    tile_size : int, optional
        Core of a tile, in px.
    progress : bool
        Show a progress bar.
    description : str
        What the bar says.
    dtype : type
        What the function returns.
    reflect : bool
        Whether the frame goes on by reflection, or ends, where it ends.

    Returns
    -------
    `~numpy.ndarray`
        Of the shape of the region.

    Raises
    ------
    TypeError, ValueError
        If ``tile_size`` is not a whole number of px, or less than one.
    """
    shape = frames[0].shape
    wanted = shape if region is None else tuple(stop - start for start, stop in region)
    out = np.empty(wanted, dtype=dtype)
    if tile_size is None:
        size = choose_tiles(device, network.radius, wanted, engine)
    else:
        size = (check_tile_size(tile_size),) * 2
    while True:
        tiles = plan_tiles(
            shape,
            size,
            halo=network.halo,
            stride=network.stride,
            region=region,
            reflect=reflect,
        )
        try:
            with tile_threads(device, out.size, len(tiles)) as mapped:
                return map_tiles(
                    function,
                    frames,
                    out,
                    tiles,
                    mapped=mapped,
                    progress=progress,
                    description=description,
                )
        except torch.OutOfMemoryError:
            if max(size) <= SMALLEST:
                raise
            size = tuple(max(SMALLEST, width // 2) for width in size)
            warnings.warn(
                f"out of memory on {device}; tile_size is now {max(size)}",
                AstropyUserWarning,
                stacklevel=2,
            )
            if device.type == "cuda":
                torch.cuda.empty_cache()


def check_tile_size(tile_size: int) -> int:
    """Return the width of a tile, if it is one.

    Parameters
    ----------
    tile_size : int
        In px.

    Raises
    ------
    TypeError, ValueError
        If it is not a whole number, or less than one.
    """
    number = isinstance(tile_size, int | float | np.number)
    if not number or isinstance(tile_size, bool) or tile_size % 1 != 0:
        raise TypeError(f"tile_size={tile_size!r} must be a whole number of px")
    if tile_size < 1:
        raise ValueError(f"tile_size={tile_size!r} must be at least 1 px")
    return int(tile_size)
