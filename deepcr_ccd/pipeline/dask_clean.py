"""Clean a plane that Dask holds: lazily, chunk by chunk.

What is known of the whole plane, its noise above all, is measured first, some rows at a
time. A chunk is read with as much of its neighbours as the network sees, so the result
is that of the plane in memory.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import torch

from ..inpainting.network import BLOCK_SIZE
from ..models.model import Model
from ..preprocess.network_input import NetworkInput, to_float32
from ..preprocess.scaled_frame import SAMPLES, scale_factor_of
from ..preprocess.star_width import StarWidth
from ..segmentation.hysteresis import Thresholds, threshold_levels
from ..segmentation.runs import RUN, find_runs, highest_of_runs, sampled_rows
from ..tiling.workers import one_torch_thread
from . import detect as detection
from .array_clean import CleanedPlane
from .charge_leaks import REACH as LEAK_REACH
from .dask_blocks import Region, Rows, core_of, map_chunks, widen
from .fill import Fill, fill_frame
from .plan import Plan
from .saturation import find_saturation
from .saturation_levels import sample_background, sample_step

__all__ = ["clean_plane", "plane_probability"]

#: What a fill may reach for beyond its chunk, in px.
FILL_REACH = 40


def clean_plane(plane: Any, mask: Any, plan: Plan, **_options: Any) -> CleanedPlane:
    """Find the cosmic rays of a plane, and fill them in.

    Parameters
    ----------
    plane : `dask.array.Array`
        ``(ny, nx)``, any real dtype.
    mask : array or None
        bool, ``(ny, nx)``, True where bad.
    plan : Plan
        From `~deepcr_ccd.pipeline.plan.make_plan`.
    **_options
        Progress and probability, which chunks do not have.

    Returns
    -------
    CleanedPlane
        With ``lazy_data`` and no values; ``sigma`` is 0 where nothing was filled, and
        None if nothing was to be. Arrays are Dask's, in the chunks of ``plane``.
    """
    # Once for all that follows; the results are in the user's chunks again.
    wide = widen(plane)
    probability, bad, width = _examine(wide, mask, plan)
    crmask = map_chunks(
        _mask_chunk,
        [probability, wide, bad],
        LEAK_REACH + plan.thresholds.reach + int(plan.grow),
        bool,
        plan.thresholds,
        plan.grow,
    )
    cleaned, sigma = wide.astype(plan.dtype), None
    if plan.fill.method != "none":
        cleaned, sigma = _fill_chunks(wide, crmask, bad, plan.fill, plan.dtype)
        sigma = sigma.rechunk(plane.chunks)
    crmask, cleaned = crmask.rechunk(plane.chunks), cleaned.rechunk(plane.chunks)
    return CleanedPlane(crmask, None, sigma, None, None, cleaned, width)


def plane_probability(plane: Any, mask: Any, plan: Plan, **_options: Any) -> Any:
    """Return the probability of a cosmic ray in each pixel of a plane.

    Parameters
    ----------
    plane, mask, plan, **_options
        As for `clean_plane`.

    Returns
    -------
    `dask.array.Array`
        float32, ``(ny, nx)``, NaN where excluded; in the chunks of ``plane``.
    """
    return _examine(widen(plane), mask, plan)[0].rechunk(plane.chunks)


def _examine(plane: Any, mask: Any, plan: Plan) -> tuple[Any, Any, StarWidth | None]:
    """Return the probability of a cosmic ray, the excluded pixels, the star width."""
    import dask.array as da

    model, factor = plan.model, plan.input.factor
    excluded = _exclude(plane, mask, plan.satlevel)
    bad = excluded.bad
    if excluded.all:
        shape = {"shape": plane.shape, "chunks": plane.chunks}
        return da.full(**shape, fill_value=np.nan, dtype=np.float32), bad, None
    scale = scale_factor_of(excluded.sample)
    factor, facts = detection.scale_to_noise(
        model, scale, factor, dict(plan.input.facts)
    )
    rows: Any = Rows(plane, lambda values: to_float32(values, factor, finite=True))
    arrays = [plane, bad]
    if "known_noise" in facts:
        noise = facts["known_noise"]
        arrays.append(da.asarray(noise.array).rechunk(plane.chunks))
        facts["known_noise"] = dataclasses.replace(
            noise, array=Rows(arrays[-1], np.asarray)
        )
    bad_rows: Any = Rows(bad, np.asarray) if excluded.any else None
    prepared: Any = model.prepare(rows, bad_rows, **facts)
    if "known_noise" in facts:
        # Its pixels come with the chunks.
        prepared = prepared.with_known(array=None)
    network = model.network
    # Beyond what the network sees: its grid, and what bad pixels in it are filled from.
    margin = network.radius + 2 * network.stride
    if excluded.any:
        margin += network.radius + 12
    of_plane = {
        "shape": plane.shape,
        "factor": factor,
        "highest": excluded.highest,
        "tile_size": plan.tile_size,
        "threads": torch.get_num_threads(),
    }
    probability = map_chunks(
        _examine_chunk, arrays, margin, np.float32, model, prepared, of_plane
    )
    return probability, bad, getattr(prepared, "star_width", None)


class _Excluded(NamedTuple):
    """The excluded pixels of a plane, and what is known of the others.

    ``bad`` is bool, ``(ny, nx)``, in the chunks of the plane; ``all`` and ``any`` tell
    how many are; ``highest`` is the highest value of the others, and ``sample`` some.
    """

    bad: Any
    all: bool
    any: bool
    highest: float
    sample: np.ndarray


def _exclude(plane: Any, mask: Any, satlevel: float | None) -> _Excluded:
    """Return what `detection.excluded_pixels` does, lazily."""
    import dask
    import dask.array as da

    bad = ~da.isfinite(plane)
    if mask is not None:
        bad = bad | da.asarray(mask).rechunk(plane.chunks)

    def summary(bad: Any) -> tuple[Any, Any, Any]:
        return bad.all(), bad.any(), da.where(bad, -np.inf, plane).max()

    step = max(1, int(np.sqrt(plane.size / SAMPLES)))
    sparse = (slice(step // 2, None, step),) * 2
    few = (slice(None, None, sample_step(plane.shape)),) * 2
    lines = sampled_rows(plane.shape[0])
    any_runs = (map_chunks(_exclude_runs, [plane, bad], RUN, bool, np.inf) & ~bad).any()
    of_all, of_some = dask.compute(
        [*summary(bad), any_runs],
        [[plane[which], bad[which]] for which in (sparse, few, lines)],
    )
    every, some, highest, runs = of_all
    (sparse_values, sparse_bad), (sample, sample_bad), of_lines = of_some
    background = sample_background(sample[~sample_bad], plane.size)
    known = Rows(plane, np.asarray), Rows(bad, np.asarray) if some else None
    saturated = find_saturation(*known, background, satlevel)
    highest_run = highest_of_runs(*of_lines) if runs else None
    if highest_run is not None:
        bad = map_chunks(_exclude_runs, [plane, bad], RUN, bool, highest_run)
    if saturated.size:
        bad = map_chunks(_mark, [bad], 0, bool, saturated, plane.shape[1])
    if saturated.size or highest_run is not None:
        every, some, highest = dask.compute(*summary(bad))
    return _Excluded(bad, every, some, highest, sparse_values[~sparse_bad])


def _fill_chunks(
    plane: Any, crmask: Any, bad: Any, fill: Fill, dtype: np.dtype
) -> tuple[Any, Any]:
    """Return the plane with CR-affected pixels filled, and the sigma of the fills."""
    # A network that fills cutouts compares them with the stars of their block.
    both = map_chunks(
        _fill_chunk,
        [plane, crmask, bad],
        FILL_REACH,
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
    """Return the bad pixels of a chunk, with those that are saturated."""
    (low, high), (left, right) = region
    ends = np.searchsorted(places, [low * width, high * width])
    rows, columns = np.divmod(places[slice(*ends)], width)
    within = (columns >= left) & (columns < right)
    bad = pieces[0].copy()
    bad[rows[within] - low, columns[within] - left] = True
    return bad


def _exclude_runs(
    pieces: list, region: Region, origin: tuple[int, int], highest: float
) -> np.ndarray:
    """Return the bad pixels of a chunk, with those in runs of equal values."""
    piece, bad = pieces
    found = find_runs(piece, bad, highest)
    return (bad if found is None else bad | found)[core_of(region, origin)]


def _examine_chunk(
    pieces: list,
    region: Region,
    origin: tuple[int, int],
    model: Model,
    prepared: Any,
    of_plane: dict,
) -> np.ndarray:
    """Return the probability of a cosmic ray in each pixel of a chunk."""
    piece, bad, *noise = pieces
    if noise:
        prepared = prepared.with_known(
            array=noise[0], shape=of_plane["shape"], origin=origin
        )
    core_bad = bad[core_of(region, origin)]
    if core_bad.all():
        return np.full(core_bad.shape, np.nan, dtype=np.float32)
    with one_torch_thread(of_plane["threads"]):
        network_input = NetworkInput(
            piece,
            of_plane["factor"],
            bad if bad.any() else None,
            model.network.radius,
            shape=of_plane["shape"],
            origin=origin,
            highest=of_plane["highest"],
        )
        probability = model.probability(
            network_input,
            prepared=prepared,
            region=region,
            tile_size=of_plane["tile_size"],
        )
    probability[core_bad] = np.nan
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
    """Return a chunk with CR-affected pixels filled, and the sigma of the fills."""
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
