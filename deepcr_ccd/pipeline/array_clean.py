"""Clean a plane that is in memory, or each colour of a raw frame by itself."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from ..nddata.bayer import colours_of
from ..preprocess.star_width import StarWidth
from ..segmentation.hysteresis import Thresholds, threshold_levels
from . import detect as detection
from .fill import fill_frame
from .frame_warnings import (
    warn_if_cr_dominated,
    warn_if_nothing_is_left,
    warn_of_flagged,
)
from .plan import Plan

__all__ = ["CleanedPlane", "clean_plane", "fill_plane", "plane_probability"]


class CleanedPlane(NamedTuple):
    """The fields of `~deepcr_ccd.pipeline.clean.CleanedFrame`, of one plane."""

    crmask: Any
    values: Any
    sigma: Any
    excluded: int | None
    probability: np.ndarray | None
    lazy_data: Any = None
    star_width: StarWidth | None = None


def clean_plane(
    plane: np.ndarray,
    mask: np.ndarray | None,
    plan: Plan,
    *,
    progress: bool = False,
    probability: bool = False,
) -> CleanedPlane:
    """Find the cosmic rays of a plane, and compute what they are filled with.

    Parameters
    ----------
    plane : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    mask : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, True where bad.
    plan : Plan
        From `~deepcr_ccd.pipeline.plan.make_plan`.
    progress : bool
        Show a progress bar.
    probability : bool
        Return the probability as well.

    Returns
    -------
    CleanedPlane

    Warns
    -----
    AstropyUserWarning
        If no pixel is left to examine; or if more of the plane is flagged, or
        CR-affected, than the method is for.
    """
    clean = _clean_colours if plan.bayer else _clean_whole
    cleaned = clean(plane, mask, plan, progress, probability)
    flagged = int(np.count_nonzero(cleaned.crmask))
    examined = plane.size - (cleaned.excluded or 0)
    warn_if_nothing_is_left(examined)
    warn_of_flagged(flagged, examined)
    if cleaned.values is None:
        return cleaned
    return cleaned._replace(values=cleaned.values.astype(plan.dtype, copy=False))


def plane_probability(
    plane: np.ndarray, mask: np.ndarray | None, plan: Plan, *, progress: bool = False
) -> np.ndarray:
    """Return the probability of a cosmic ray in each pixel of a plane.

    Parameters
    ----------
    plane, mask, plan, progress
        As for `clean_plane`.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, nx)``; NaN where excluded.
    """
    if plan.bayer:
        probability = np.empty(plane.shape, dtype=np.float32)
        for colour in colours_of(plane):
            colour_plan = dataclasses.replace(plan.of_part(colour), bayer=False)
            input_mask = None if mask is None else mask[colour]
            part = np.ascontiguousarray(plane[colour])
            probability[colour] = plane_probability(
                part, input_mask, colour_plan, progress=progress
            )
        return probability
    bad = detection.excluded_pixels(plane, mask, plan.satlevel)
    return detection.cosmic_ray_probability(
        plane,
        bad,
        plan.model,
        factor=plan.input.factor,
        tile_size=plan.tile_size,
        progress=progress,
        **plan.input.facts,
    )


def _clean_whole(
    plane: np.ndarray,
    mask: np.ndarray | None,
    plan: Plan,
    progress: bool,
    probability: bool,
) -> CleanedPlane:
    bad = detection.excluded_pixels(plane, mask, plan.satlevel)
    crmask, found, width = _detect(plane, bad, plan, plan.grow, progress, probability)
    excluded = 0 if bad is None else int(np.count_nonzero(bad))
    values, sigma = None, None
    if plan.fill.method != "none":
        values, sigma = fill_plane(plane, crmask, bad, plan)
    return CleanedPlane(crmask, values, sigma, excluded, found, star_width=width)


def _clean_colours(
    plane: np.ndarray,
    mask: np.ndarray | None,
    plan: Plan,
    progress: bool,
    probability: bool,
) -> CleanedPlane:
    """Find the cosmic rays of each colour of a raw frame, and fill from the same."""
    bad = np.zeros(plane.shape, dtype=bool)
    crmask = np.zeros(plane.shape, dtype=bool)
    found = np.empty(plane.shape, dtype=np.float32) if probability else None
    for colour in colours_of(plane):
        part = np.ascontiguousarray(plane[colour])
        input_mask = None if mask is None else mask[colour]
        excluded_part = detection.excluded_pixels(part, input_mask, plan.satlevel)
        colour_plan = plan.of_part(colour)
        crmask[colour], found_part, _ = _detect(
            part, excluded_part, colour_plan, 0, progress, probability
        )
        if found is not None:
            found[colour] = found_part
        if excluded_part is not None:
            bad[colour] = excluded_part
    if plan.grow:
        flags = np.where(bad, np.nan, crmask)
        crmask = detection.threshold_mask(flags, Thresholds(0.5, 0.5), plan.grow)
    excluded = int(np.count_nonzero(bad))
    if plan.fill.method == "none":
        return CleanedPlane(crmask, None, None, excluded, found)
    values, sigma = fill_plane(plane, crmask, bad, plan)
    return CleanedPlane(crmask, values, sigma, excluded, found)


def _detect(
    plane: np.ndarray,
    bad: np.ndarray | None,
    plan: Plan,
    grow: float,
    progress: bool,
    probability: bool,
) -> tuple[np.ndarray, np.ndarray | None, StarWidth | None]:
    """Return the mask of cosmic rays, their probability if wanted, the star width."""
    if plan.model.card.measures_noise:
        warn_if_cr_dominated(plane, bad)
    if bad is not None and bad.all():
        found = np.full(plane.shape, np.nan, np.float32) if probability else None
        return np.zeros(plane.shape, dtype=bool), found, None
    factor, facts = plan.input
    known: Any = {"tile_size": plan.tile_size, "progress": progress}
    prepared = detection.prepare_plane(plane, bad, plan.model, factor=factor, **facts)
    known["prepared"], width = prepared, prepared.star_width
    if not probability:
        wanted = plan.model, plan.thresholds, grow
        crmask = detection.find_cosmic_rays(plane, bad, *wanted, **known)
        return crmask, None, width
    found = detection.cosmic_ray_probability(plane, bad, plan.model, **known)
    levels = threshold_levels(found, plan.thresholds.cuts)
    return detection.finish_mask(levels, plane, bad, grow), found, width


def fill_plane(
    plane: np.ndarray, crmask: np.ndarray, bad: np.ndarray | None, plan: Plan
) -> tuple[np.ndarray, np.ndarray]:
    """Compute what the flagged pixels of a plane are filled with.

    Of a raw colour frame each colour is filled from its own pixels.

    Parameters
    ----------
    plane : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    crmask : `~numpy.ndarray`
        bool, ``(ny, nx)``, the mask of cosmic rays.
    bad : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, excluded pixels.
    plan : Plan
        From `~deepcr_ccd.pipeline.plan.make_plan`; its fill is not "none".

    Returns
    -------
    values, sigma : `~numpy.ndarray`
        In the order of ``plane[crmask]``, in the plane's unit.
    """
    if not plan.bayer:
        return fill_frame(
            plane,
            crmask,
            bad,
            plan.fill,
            cr_affected=crmask,
            tile_size=plan.tile_size,
        )
    whole = dataclasses.replace(plan, bayer=False)
    both = np.zeros((2, *plane.shape))
    for colour in colours_of(plane):
        part = np.ascontiguousarray(plane[colour])
        bad_part = None if bad is None else bad[colour]
        both[:, *colour][:, crmask[colour]] = fill_plane(
            part, crmask[colour], bad_part, whole
        )
    values, sigma = both[:, crmask]
    return values, sigma
