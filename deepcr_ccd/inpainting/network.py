"""Cutouts around flagged pixels, given to a network that fills, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .cutouts import mask_positions, read_cutouts
from .features import BlockStatistics, measure_block

__all__ = ["BLOCK", "PART", "REFINE_PROBABILITY", "map_cutouts"]

#: Windows with such odds of that are compared with the stars of the frame.
REFINE_PROBABILITY = 0.03
#: Places that a thread works on at a time.
PART = 4096
#: Width in px of the blocks of a frame in which stars look alike.
BLOCK = 1024


def map_cutouts(
    function: Callable[[np.ndarray, np.ndarray, BlockStatistics], np.ndarray],
    data: np.ndarray,
    flags: np.ndarray,
    targets: np.ndarray,
    radius: int,
    numbers: int,
    mapped: Callable = map,
    origin: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """Apply a function to the windows around pixels.

    Parameters
    ----------
    function : callable
        Takes ``values`` and ``good`` of `Cutouts`, and what is seen in the block of
        `BLOCK` px where they are; returns some numbers for each.
    data, radius
        As for `read_cutouts`.
    flags : `~numpy.ndarray`
        uint8, ``(ny, nx)``: `PixelFlag.GOOD`, `PixelFlag.CR` or BAD.
    targets : `~numpy.ndarray`
        bool, ``(ny, nx)``, the pixels.
    numbers : int
        How many numbers the function returns for each.
    mapped : callable, optional
        From `~deepcr_ccd.tiling.workers.tile_threads`, to work on parts side by side.
    origin : tuple of int, optional
        If ``data`` is a piece of a frame: where in it the piece begins. It holds the
        blocks of its targets whole.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(n, numbers)``, one row a target, in the order of ``data[targets]``.
    """
    rows, columns = mask_positions(targets)
    out = np.empty((rows.size, numbers), dtype=np.float32)
    parts = list(_parts(rows + origin[0], columns + origin[1]))
    # What is not finite does not matter to stars, and takes time to make so.
    read = getattr(data, "raw", data.__getitem__)

    def look(block: tuple[int, int]) -> BlockStatistics:
        where = tuple(
            slice(max(BLOCK * place - start, 0), BLOCK * (place + 1) - start)
            for place, start in zip(block, origin, strict=True)
        )
        return measure_block(read(where), flags[where])

    blocks = list(dict.fromkeys(block for block, _ in parts))
    seen = dict(zip(blocks, mapped(look, blocks), strict=True))

    def work(part: tuple) -> None:
        block, these = part
        found = read_cutouts(data, flags, rows[these], columns[these], radius)
        for values, flag, which in found:
            out[these[which]] = function(values, flag, seen[block])

    for _ in mapped(work, parts):
        pass
    return out


def _parts(
    rows: np.ndarray, columns: np.ndarray
) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yield blocks, and which places to work on at a time there."""
    blocks = rows // BLOCK, columns // BLOCK
    order = np.lexsort(blocks[::-1])
    here = np.stack([block[order] for block in blocks])
    changes = np.flatnonzero((np.diff(here) != 0).any(axis=0)) + 1
    for these in np.split(order, changes):
        for start in range(0, these.size, PART):
            part = these[start : start + PART]
            yield tuple(int(block[part[0]]) for block in blocks), part
