"""Fill pixels by a network on the cutouts around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from ..tiling.workers import tile_threads
from .cutouts import MIN_GOOD_PIXELS, Pixels, read_cutouts
from .features import BlockStatistics, measure_block, refine_features
from .pixel_flags import PixelFlag, mask_positions

__all__ = ["BLOCK_SIZE", "fill_cutouts", "map_cutouts"]

#: Features are refined where the network gives the pixel a greater probability than
#: this of being far above its fill.
REFINE_PROBABILITY = 0.03
#: Cutouts that a thread works on at a time.
CUTOUTS_PER_TASK = 4096
#: Width in px of the blocks of a frame in which stars and cosmic rays are alike.
BLOCK_SIZE = 1024
#: Values are limited to this, in the unit of the frame's typical pixel: squares of more
#: overflow float32.
LARGEST_VALUE = 1e15


def fill_cutouts(
    data: Pixels,
    targets: np.ndarray,
    flags: np.ndarray,
    *,
    run: Callable[[np.ndarray], np.ndarray],
    prepare: Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]],
    radius: int,
    device: torch.device,
    origin: tuple[int, int] = (0, 0),
) -> tuple[np.ndarray, np.ndarray]:
    """Fill pixels by a network on the cutouts around them.

    Parameters
    ----------
    data, flags, origin
        As for `map_cutouts`.
    targets : `~numpy.ndarray`
        bool, ``(ny, nx)``, the pixels to fill.
    run : callable
        The network: features in, ``(n, 3)`` out, as
        `~deepcr_ccd.models.networks.cutout_network.CutoutNetwork` has them.
    prepare : callable
        What computes the features that the network was trained on, from
        `~deepcr_ccd.inpainting.features.CUTOUT_TRANSFORMS`.
    radius : int
        Half of the width of the cutouts, in px.
    device : torch.device
        Where the network runs.

    Returns
    -------
    fill, lower_limit : `~numpy.ndarray`
        float32, ``(n,)``, in the order of ``data[targets]``: the fills, NaN where the
        cutout has too few good pixels; and what the network is sure of, see there.
    """

    def fill(
        values: np.ndarray, flags: np.ndarray, block: BlockStatistics
    ) -> np.ndarray:
        values = np.clip(values, -LARGEST_VALUE, LARGEST_VALUE)
        features, mean, spread = prepare(values, flags, block)
        found = run(features)
        unsure = np.flatnonzero(found[:, 2] > REFINE_PROBABILITY)
        if unsure.size:
            refine_features(features, unsure, values, flags, mean, spread, block)
            found[unsure] = run(features[unsure])
        filled = mean[:, None] + spread[:, None] * found[:, :2]
        filled[(flags == PixelFlag.GOOD).sum(axis=1) < MIN_GOOD_PIXELS] = np.nan
        return filled

    tasks = -(-int(np.count_nonzero(targets)) // CUTOUTS_PER_TASK)
    with tile_threads(device, targets.size, tasks) as mapped:
        found = map_cutouts(fill, data, flags, targets, radius, 2, mapped, origin)
    return found[:, 0], found[:, 1]


def map_cutouts(
    function: Callable[[np.ndarray, np.ndarray, BlockStatistics], np.ndarray],
    data: Pixels,
    flags: np.ndarray,
    targets: np.ndarray,
    radius: int,
    n_outputs: int,
    mapped: Callable = map,
    origin: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """Apply a function to the cutouts around pixels.

    Parameters
    ----------
    function : callable
        Takes ``values`` and ``flags`` of `~deepcr_ccd.inpainting.cutouts.Cutouts`, and
        the statistics of the block of `BLOCK_SIZE` px where they are; returns
        ``(n, n_outputs)`` numbers.
    data, radius
        As for `~deepcr_ccd.inpainting.cutouts.read_cutouts`.
    flags : `~numpy.ndarray`
        uint8, ``(ny, nx)``, values of
        `~deepcr_ccd.inpainting.pixel_flags.PixelFlag`.
    targets : `~numpy.ndarray`
        bool, ``(ny, nx)``, the pixels.
    n_outputs : int
        How many numbers the function returns for each.
    mapped : callable, optional
        From `~deepcr_ccd.tiling.workers.tile_threads`, to work in parallel.
    origin : tuple of int, optional
        If ``data`` is a piece of a frame: where in it the piece begins. It holds the
        blocks of its targets whole.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(n, n_outputs)``, in the order of ``data[targets]``.
    """
    rows, columns = mask_positions(targets)
    out = np.empty((rows.size, n_outputs), dtype=np.float32)
    tasks = list(_tasks(rows + origin[0], columns + origin[1]))
    # Pixels that are not finite do no harm to star templates, and replacing them takes
    # time.
    read = getattr(data, "raw", data.__getitem__)

    def measure(block: tuple[int, int]) -> BlockStatistics:
        here = tuple(
            slice(max(BLOCK_SIZE * place - start, 0), BLOCK_SIZE * (place + 1) - start)
            for place, start in zip(block, origin, strict=True)
        )
        return measure_block(read(here), flags[here])

    blocks = list(dict.fromkeys(block for block, _ in tasks))
    statistics = dict(zip(blocks, mapped(measure, blocks), strict=True))

    def work(task: tuple[tuple[int, int], np.ndarray]) -> None:
        block, these = task
        for cutouts in read_cutouts(data, flags, rows[these], columns[these], radius):
            found = function(cutouts.values, cutouts.flags, statistics[block])
            out[these[cutouts.which]] = found

    for _ in mapped(work, tasks):
        pass
    return out


def _tasks(
    rows: np.ndarray, columns: np.ndarray
) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yield blocks, and the positions in them that are worked on at a time."""
    blocks = rows // BLOCK_SIZE, columns // BLOCK_SIZE
    order = np.lexsort(blocks[::-1])
    here = np.stack([block[order] for block in blocks])
    changes = np.flatnonzero((np.diff(here) != 0).any(axis=0)) + 1
    for these in np.split(order, changes):
        for start in range(0, these.size, CUTOUTS_PER_TASK):
            part = these[start : start + CUTOUTS_PER_TASK]
            yield (int(blocks[0][part[0]]), int(blocks[1][part[0]])), part
