"""Apply a function to the tiles of a frame, in parallel, in the memory available."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from astropy.utils.exceptions import AstropyUserWarning

from .tiles import Tile, plan_tiles, read_tile
from .workers import choose_tile_size, tile_threads

__all__ = ["check_tile_size", "map_tiles", "run_over_tiles", "track"]

#: Tiles are not made smaller than this, in px.
SMALLEST_TILE = 32


class TiledNetwork(Protocol):
    """What tiles need to know of a network: lengths in px."""

    @property
    def radius(self) -> int:
        """Receptive radius."""

    @property
    def halo(self) -> int:
        """Margin that a tile needs on each side."""

    @property
    def stride(self) -> int:
        """Tiles start on multiples of this."""


def run_over_tiles(
    function: Callable[..., np.ndarray],
    frames: Sequence,
    network: TiledNetwork,
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
    """Apply a function to all tiles, with smaller tiles if memory runs out.

    Parameters
    ----------
    function : callable
        Takes a tile and its pixels of each frame; returns an array of that shape.
    frames : sequence of array or `~deepcr_ccd.preprocess.network_input.NetworkInput`
        Inputs, ``(ny, nx)``.
    network : TiledNetwork
        Its halo and stride determine how tiles overlap, and where they start.
    device : torch.device
        Where it runs.
    region : tuple, optional
        Rows and columns to return, as ``(start, stop)``; by default all.
    engine : {"torch", "openvino"}
        The engine that runs it.
    tile_size : int, optional
        Core of a tile, in px.
    progress : bool
        Show a progress bar.
    description : str
        Label of the bar.
    dtype : type
        Of what the function returns.
    reflect : bool
        Whether the frame is continued by reflection beyond its edges, or cut there.

    Returns
    -------
    `~numpy.ndarray`
        ``(ny, nx)`` of the region.

    Raises
    ------
    TypeError, ValueError
        If ``tile_size`` is not a whole number of px, or less than one.
    """
    shape = frames[0].shape
    if region is not None:
        (y0, y1), (x0, x1) = region
        shape = y1 - y0, x1 - x0
    out = np.empty(shape, dtype=dtype)
    if tile_size is None:
        size = choose_tile_size(device, network.radius, shape, engine)
    else:
        width = check_tile_size(tile_size)
        size = width, width
    while True:
        tiles = plan_tiles(
            frames[0].shape,
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
            if max(size) <= SMALLEST_TILE:
                raise
            size = max(SMALLEST_TILE, size[0] // 2), max(SMALLEST_TILE, size[1] // 2)
            warnings.warn(
                f"out of memory on {device}; tile_size is now {max(size)}",
                AstropyUserWarning,
                stacklevel=2,
            )
            if device.type == "cuda":
                torch.cuda.empty_cache()


def check_tile_size(tile_size: int) -> int:
    """Check the width of a tile, and return it as an int.

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
    """Apply a function tile by tile, and write the cores to an array.

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
        From `~deepcr_ccd.tiling.workers.tile_threads`, to process tiles in parallel.
    progress : bool
        Show a progress bar.
    description : str
        Label of the bar.

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
    """Iterate over items, with a tqdm progress bar if asked for.

    Parameters
    ----------
    items : iterable
        The items.
    description : str
        Label of the bar.
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
