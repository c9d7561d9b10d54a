"""Frames that Dask holds in chunks: examined and filled lazily, chunk by chunk.

What is known of the whole frame, its noise above all, is measured first, some rows at a
time. A chunk is read with as much of its neighbours as the network sees, so the result
is that of the frame in memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from ..inpainting.network import BLOCK_SIZE
from ..models.model import Model
from ..nddata.frame import Frame
from ..preprocess.known_noise import uncertainty_facts
from ..preprocess.network_input import Plane, to_float32
from ..preprocess.scaled_frame import SAMPLES, scale_factor_of
from ..segmentation.hysteresis import Thresholds, threshold_levels
from ..tiling.workers import one_torch_thread
from . import detect as detection
from . import leaks
from .clean import Plan
from .dask_blocks import Region, Rows, core_of, map_chunks, widen
from .fill import Fill, fill_frame
from .pileup import sample_background, sample_step
from .saturation import find_saturation

__all__ = ["check_fill", "clean", "examine"]

#: What a fill may reach for beyond its chunk, in px.
REACH = 40


def examine(
    plane,
    mask,
    satlevel: float | None,
    model: Model,
    *,
    factor: float = 1.0,
    tile_size: int | None = None,
    **facts,
):
    """Return the probability of a cosmic ray in each pixel, and what is not examined.

    Parameters
    ----------
    plane : `dask.array.Array`
        ``(ny, nx)``, any real dtype.
    mask : array or None
        bool, ``(ny, nx)``, True where bad.
    satlevel : float or None
        From `deepcr_ccd.nddata.gain.saturation_level`.
    model : Model
        For task "mask".
    factor : float
        From the plane's unit to the card's.
    tile_size : int, optional
        Core of a tile, in px.
    **facts
        What is known of the noise, in the card's unit.

    Returns
    -------
    probability, bad : `dask.array.Array`
        float32, NaN where not examined; and bool; in the chunks of ``plane``.
    """
    import dask
    import dask.array as da

    own_chunks, plane = plane.chunks, widen(plane)
    bad = ~da.isfinite(plane)
    if mask is not None:
        bad = bad | da.asarray(mask).rechunk(plane.chunks)
    step = max(1, int(np.sqrt(plane.size / SAMPLES)))
    sparse = (slice(step // 2, None, step),) * 2
    few = (slice(None, None, sample_step(plane.shape)),) * 2
    every, some, highest, values, hidden, sample, left_out = dask.compute(
        bad.all(),
        bad.any(),
        da.where(bad, -np.inf, plane).max(),
        plane[sparse],
        bad[sparse],
        plane[few],
        bad[few],
    )
    background = sample_background(sample[~left_out], plane.size)
    lines = Rows(plane, np.asarray), Rows(bad, np.asarray) if some else None
    saturated = find_saturation(*lines, background, satlevel)
    if saturated.size:
        bad = map_chunks(_mark, [bad], 0, bool, saturated, plane.shape[1])
        every, some, highest = dask.compute(
            bad.all(), bad.any(), da.where(bad, -np.inf, plane).max()
        )
    if every:
        shape = {"shape": plane.shape, "chunks": plane.chunks}
        probability = da.full(**shape, fill_value=np.nan, dtype=np.float32)
        return probability.rechunk(own_chunks), bad.rechunk(own_chunks)
    own = scale_factor_of(values[~hidden])
    factor, facts = detection.in_own_units(model, own, factor, facts)
    rows = Rows(plane, lambda values: to_float32(values, factor, finite=True))
    hidden = Rows(bad, np.asarray) if some else None
    arrays = [plane, bad]
    if "variance" in facts:
        said = facts["variance"]
        arrays.append(da.asarray(said.array).rechunk(plane.chunks))
        said = dataclasses.replace(said, array=Rows(arrays[-1], np.asarray))
        facts["variance"] = said
    prepared = model.prepare(rows, hidden, **facts)
    if "variance" in facts:
        # Its pixels come with the chunks.
        prepared = prepared.with_known(array=None)
    network = model.network
    # Beyond what the network sees: its grid, and what bad pixels in it are filled from.
    margin = network.radius + 2 * network.stride
    if some:
        margin += network.radius + 12
    known = {
        "shape": plane.shape,
        "factor": factor,
        "highest": highest,
        "tile_size": tile_size,
        "threads": torch.get_num_threads(),
    }
    probability = map_chunks(
        _examine_chunk,
        arrays,
        margin,
        np.float32,
        model,
        prepared,
        known,
    )
    return probability.rechunk(own_chunks), bad.rechunk(own_chunks)


def clean(frame: Frame, plan: Plan):
    """Find the cosmic rays of a frame, and fill them in.

    Parameters
    ----------
    frame : Frame
        Its data are Dask's.
    plan : Plan
        From `check_fill`.

    Returns
    -------
    cleaned, crmask, sigma : `dask.array.Array`
        Of the shape of the frame; the one-sigma of the fills is 0 where nothing was
        filled, and None if nothing was to be.
    """
    import dask.array as da

    dtype = frame.cleaned_dtype
    results = []
    known = uncertainty_facts(frame, plan.model.card.uses, plan.examination.factor)
    for (own, mask), facts in zip(frame.planes(), known, strict=True):
        # Once for all that follows; the results are in the user's chunks again.
        plane = widen(own)
        probability, bad = examine(
            plane,
            mask,
            plan.satlevel,
            plan.model,
            factor=plan.examination.factor,
            tile_size=plan.tile_size,
            **plan.examination.facts,
            **facts,
        )
        crmask = map_chunks(
            _mask_chunk,
            [probability, plane, bad],
            leaks.REACH + plan.thresholds.reach + int(plan.grow),
            bool,
            plan.thresholds,
            plan.grow,
        )
        cleaned = plane.astype(dtype), None
        if plan.fill.method != "none":
            cleaned = _fill_chunks(plane, crmask, bad, plan.fill, dtype)
        parts = cleaned[0], crmask, cleaned[1]
        results.append(
            [None if part is None else part.rechunk(own.chunks) for part in parts]
        )
    if frame.data.ndim == 2:
        return results[0]
    return tuple(
        None if part[0] is None else da.stack(part)
        for part in zip(*results, strict=True)
    )


def check_fill(plan: Plan, asked: str | None) -> Plan:
    """Return a plan whose fill works on chunks.

    Parameters
    ----------
    plan : Plan
        From `deepcr_ccd.pipeline.clean.make_plan`.
    asked : str or None
        The fill that the user asked for.

    Raises
    ------
    ValueError
        If a network was asked for that works on whole frames.
    """
    fill = plan.fill
    if fill.method != "network" or fill.network.network.takes_cutouts:
        return plan
    if asked == "auto":
        return dataclasses.replace(plan, fill=Fill("median"))
    raise ValueError(
        f"inpaint={asked!r}: {fill.network.card.name!r} does not work on dask arrays; "
        "use 'median', or model='universal'"
    )


def _fill_chunks(plane, crmask, bad, fill: Fill, dtype: np.dtype):
    """Return the plane with struck pixels filled, and the one-sigma of the fills."""
    # A network that fills from windows is told of the stars of the block they are in.
    both = map_chunks(
        _fill_chunk,
        [plane, crmask, bad],
        REACH,
        dtype,
        fill,
        dtype,
        torch.get_num_threads(),
        planes=2,
        block=BLOCK_SIZE if fill.method == "network" else 1,
    )
    return both[0], both[1]


def _mark(
    pieces: list,
    region: Region,
    _origin: tuple[int, int],
    places: np.ndarray,
    width: int,
) -> np.ndarray:
    """Return what is bad in a chunk, with what is saturated in it."""
    (low, high), (left, right) = region
    ends = np.searchsorted(places, [low * width, high * width])
    rows, columns = np.divmod(places[slice(*ends)], width)
    within = (columns >= left) & (columns < right)
    bad = pieces[0].copy()
    bad[rows[within] - low, columns[within] - left] = True
    return bad


def _examine_chunk(
    pieces: list,
    region: Region,
    origin: tuple[int, int],
    model: Model,
    prepared: Callable,
    known: dict,
) -> np.ndarray:
    piece, bad, *noise = pieces
    if noise:
        prepared = prepared.with_known(
            array=noise[0], shape=known["shape"], origin=origin
        )
    hidden = bad[core_of(region, origin)]
    if hidden.all():
        return np.full(hidden.shape, np.nan, dtype=np.float32)
    with one_torch_thread(known["threads"]):
        seen = Plane(
            piece,
            known["factor"],
            bad if bad.any() else None,
            model.network.radius,
            shape=known["shape"],
            origin=origin,
            highest=known["highest"],
        )
        probability = model.probability(
            seen, prepared=prepared, region=region, tile_size=known["tile_size"]
        )
    probability[hidden] = np.nan
    return probability


def _mask_chunk(
    pieces: list,
    region: Region,
    origin: tuple[int, int],
    thresholds: Thresholds,
    grow: float,
) -> np.ndarray:
    """Return the mask of cosmic rays, as `detection.find_cosmic_rays` does."""
    probability, piece, bad = pieces
    levels = threshold_levels(probability, thresholds.cuts)
    crmask = detection.finish_mask(levels, piece, bad, grow)
    # A copy, as a view would keep what is around it.
    return crmask[core_of(region, origin)].copy()


def _fill_chunk(
    pieces: list,
    region: Region,
    origin: tuple[int, int],
    fill: Fill,
    dtype: np.dtype,
    threads: int,
) -> np.ndarray:
    piece, crmask, bad = pieces
    core = core_of(region, origin)
    targets = np.zeros_like(crmask)
    targets[core] = crmask[core]
    sigma = np.zeros(piece.shape, dtype=dtype)
    cleaned = piece.astype(dtype)
    if targets.any():
        with one_torch_thread(threads):
            cleaned[targets], sigma[targets] = fill_frame(
                piece,
                targets,
                bad | (crmask & ~targets),
                fill,
                cr_affected=crmask,
                origin=origin,
            )
    return np.stack([cleaned[core], sigma[core]])
