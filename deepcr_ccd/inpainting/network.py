"""Fill pixels by a network on the cutouts around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
#: Cutouts that a thread works on at a time: at most, and at least where there are
#: threads for more. Threads wait for each other at every call, so calls are few.
CUTOUTS_PER_TASK = 8192
FEWEST_CUTOUTS = 512
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
        values: np.ndarray,
        flags: np.ndarray,
        blocks: Sequence[BlockStatistics],
        member: np.ndarray,
    ) -> np.ndarray:
        values = np.clip(values, -LARGEST_VALUE, LARGEST_VALUE)
        features, mean, spread = prepare(values, flags, blocks, member)
        found = run(features)
        unsure = np.flatnonzero(found[:, 2] > REFINE_PROBABILITY)
        if unsure.size:
            known = values, flags, mean, spread, blocks, member
            refine_features(features, unsure, *known)
            found[unsure] = run(features[unsure])
        filled = mean[:, None] + spread[:, None] * found[:, :2]
        filled[(flags == PixelFlag.GOOD).sum(axis=1) < MIN_GOOD_PIXELS] = np.nan
        return filled

    number = int(np.count_nonzero(targets))
    tasks = max(
        -(-number // CUTOUTS_PER_TASK),
        min(torch.get_num_threads(), number // FEWEST_CUTOUTS),
    )
    with tile_threads(device, targets.size, tasks) as mapped:
        found = map_cutouts(
            fill, data, flags, targets, radius, 2, mapped, origin, tasks=tasks
        )
    return found[:, 0], found[:, 1]


def map_cutouts(
    function: Callable[..., np.ndarray],
    data: Pixels,
    flags: np.ndarray,
    targets: np.ndarray,
    radius: int,
    n_outputs: int,
    mapped: Callable = map,
    origin: tuple[int, int] = (0, 0),
    *,
    tasks: int = 1,
) -> np.ndarray:
    """Apply a function to the cutouts around pixels.

    Parameters
    ----------
    function : callable
        Takes ``values`` and ``flags`` of `~deepcr_ccd.inpainting.cutouts.Cutouts`, a
        list of the statistics of blocks of `BLOCK_SIZE` px, and int, ``(n,)``, in which
        of these each cutout is; returns ``(n, n_outputs)`` numbers.
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
    tasks : int
        Into how many calls of the function the cutouts are divided, if not more are
        needed to bound memory.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(n, n_outputs)``, in the order of ``data[targets]``.
    """
    rows, columns = mask_positions(targets)
    out = np.empty((rows.size, n_outputs), dtype=np.float32)
    # Pixels that are not finite do no harm to star templates, and replacing them takes
    # time.
    read = getattr(data, "raw", data.__getitem__)

    def measure(block: int) -> BlockStatistics:
        here = tuple(
            slice(max(BLOCK_SIZE * place - start, 0), BLOCK_SIZE * (place + 1) - start)
            for place, start in zip(divmod(block, across), origin, strict=True)
        )
        return measure_block(read(here), flags[here])

    across = (origin[1] + targets.shape[1]) // BLOCK_SIZE + 1
    block = (rows + origin[0]) // BLOCK_SIZE * across
    block += (columns + origin[1]) // BLOCK_SIZE
    blocks, member = np.unique(block, return_inverse=True)
    statistics = list(mapped(measure, blocks.tolist()))
    # Block by block; those of several blocks go into one call.
    order = np.argsort(member, kind="stable")

    def work(these: np.ndarray) -> None:
        for cutouts in read_cutouts(data, flags, rows[these], columns[these], radius):
            at = these[cutouts.which]
            near, own = np.unique(member[at], return_inverse=True)
            around = [statistics[number] for number in near]
            out[at] = function(cutouts.values, cutouts.flags, around, own)

    for _ in mapped(work, np.array_split(order, max(tasks, 1))):
        pass
    return out
