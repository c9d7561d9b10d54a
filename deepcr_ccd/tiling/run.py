"""A function of tiles over a frame: on threads, and in the memory that there is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from astropy.utils.exceptions import AstropyUserWarning

from .tiles import Tile, plan_tiles, read_tile
from .workers import choose_tiles, tile_threads

__all__ = ["check_tile_size", "map_tiles", "run_over_tiles", "track"]

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
    frames : sequence of `~deepcr_ccd.preprocess.network_input.Plane` or of arrays
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


def map_tiles(
    function: Callable[..., np.ndarray],
    frames: Sequence,
    out: np.ndarray,
    tiles: Sequence[Tile],
    *,
    mapped: Callable = map,
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
    mapped : callable, optional
        From `~deepcr_ccd.tiling.workers.tile_threads`, to work on tiles side by side.
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

    for _ in track(mapped(work, tiles), description, progress, len(tiles)):
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
