"""Find and fill the cosmic rays of a frame: what is new about it, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from ..models.model import Model
from ..nddata.bayer import colours_of, is_bayer
from ..nddata.frame import Frame, is_dask
from ..nddata.gain import resolve_gain, saturation_level
from ..nddata.header import HISTORY_LENGTH, cleaning_keywords
from ..preprocess.known_noise import uncertainty_facts
from ..segmentation.hysteresis import Thresholds, threshold_levels
from . import detect as detection
from .detect import ModelInput
from .fill import Fill, choose_fill, fill_frame
from .guard import warn_if_cr_dominated, warn_of_flagged

__all__ = ["Found", "Plan", "check_grow", "examine", "find", "make_plan"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a frame is cleaned; all of it is checked."""

    model: Model
    thresholds: Thresholds
    grow: float
    examination: ModelInput
    fill: Fill
    satlevel: float | None
    tile_size: int | None
    bayer: bool = False

    def with_facts(self, facts: dict) -> Plan:
        """Return this with more that is known of the noise of a plane.

        Parameters
        ----------
        facts : dict
            From `~deepcr_ccd.preprocess.known_noise.uncertainty_facts`.
        """
        if not facts:
            return self
        examination = self.examination
        examination = examination._replace(facts=examination.facts | facts)
        return dataclasses.replace(self, examination=examination)

    def of_part(self, index: tuple[slice, slice]) -> Plan:
        """Return this for a part of a plane, such as the pixels of a colour.

        Parameters
        ----------
        index : tuple of slice
            Which rows and columns.
        """
        known = self.examination.facts.get("variance")
        return (
            self if known is None else self.with_facts({"variance": known.part(index)})
        )


class Found(NamedTuple):
    """The cosmic rays of a frame.

    ``crmask`` is bool, of the shape of the frame; ``values`` and ``sigma`` are what
    struck pixels become and their one-sigma, in the order of ``data[crmask]``, or None
    if they stay; ``skipped`` is the number of pixels that were not examined;
    ``probability`` is float32, NaN where they were not, or None if nobody asked for it.
    """

    crmask: np.ndarray
    values: np.ndarray | None
    sigma: np.ndarray | None
    skipped: int
    probability: np.ndarray | None = None

    def describe(self, plan: Plan) -> tuple[dict[str, tuple[Any, str]], str]:
        """Return keywords with values and comments, and a line of history.

        Parameters
        ----------
        plan : Plan
            What was done.
        """
        planes = self.crmask.reshape(-1, *self.crmask.shape[-2:])
        pixels = int(np.count_nonzero(self.crmask))
        objects = sum(detection.count_objects(plane) for plane in planes)
        name = plan.model.card.name
        counts = {"CRNPIX": pixels, "CRNOBJ": objects, "CRNSKIP": self.skipped}
        keywords = cleaning_keywords(name, plan.thresholds, plan.fill.method, **counts)
        history = f"deepcr_ccd: {objects} cosmic rays, {pixels} px, by {name}"
        return keywords, history[:HISTORY_LENGTH]


def check_grow(grow: float) -> None:
    """Check the radius by which the mask is grown.

    Parameters
    ----------
    grow : float
        In px.

    Raises
    ------
    ValueError
        If it is no number >= 0.
    """
    if not np.isscalar(grow) or isinstance(grow, str) or not 0 <= grow < np.inf:
        raise ValueError(f"grow={grow!r} must be a radius >= 0 in px")


def make_plan(
    frame: Frame,
    model: Model,
    *,
    gain=None,
    readnoise=None,
    threshold: float | None = None,
    extend_threshold: float | None = None,
    target_fpr: float | None = None,
    grow: float = 0,
    inpaint: str | None = "auto",
    satlevel=None,
    tile_size: int | None = None,
) -> Plan:
    """Check what a user asks for, before any work is done.

    Parameters
    ----------
    frame : Frame
        The frame.
    model : Model
        For task "mask".
    gain, readnoise, threshold, extend_threshold, target_fpr
        As for `~deepcr_ccd.cosmicray_deepcr`.
    grow, inpaint, satlevel, tile_size
        As for `~deepcr_ccd.cosmicray_deepcr`.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError, ImportError
        As `~deepcr_ccd.cosmicray_deepcr`.
    """
    thresholds = model.card.thresholds(threshold, extend_threshold, target_fpr)
    check_grow(grow)
    gain = resolve_gain(gain, frame.header)
    bayer = is_bayer(frame.data, frame.header)
    if bayer and is_dask(frame.data):
        raise ValueError(
            "ccd is a raw colour frame (Bayer pattern in the header) in a dask array, "
            "which is not supported: read it into memory first"
        )
    return Plan(
        model,
        thresholds,
        grow,
        detection.model_input(frame, model, gain, readnoise),
        choose_fill(inpaint, model, frame, gain),
        saturation_level(satlevel, frame.unit, frame.header, gain),
        tile_size,
        bayer,
    )


def find(
    frame: Frame, plan: Plan, *, progress: bool = False, probability: bool = False
) -> Found:
    """Find the cosmic rays of a frame, and compute what they are filled with.

    Parameters
    ----------
    frame : Frame
        In memory, or mapped into it.
    plan : Plan
        From `make_plan`.
    progress : bool
        Show a progress bar.
    probability : bool
        Return the probability as well, which takes four bytes a pixel.

    Returns
    -------
    Found
    """
    crmasks, fills, sigmas, skipped = [], [], [], 0
    probabilities = []
    known = uncertainty_facts(frame, plan.model.card.uses, plan.examination.factor)
    for (plane, mask), facts in zip(frame.planes(), known, strict=True):
        look = _find_colours if plan.bayer else _find_plane
        own = plan.with_facts(facts)
        found = look(plane, mask, own, progress, probability)
        flagged = int(np.count_nonzero(found.crmask))
        warn_of_flagged(flagged, plane.size - found.skipped)
        crmasks.append(found.crmask)
        fills.append(found.values)
        sigmas.append(found.sigma)
        probabilities.append(found.probability)
        skipped += found.skipped
    crmask = frame.stack(crmasks)
    every = frame.stack(probabilities) if probability else None
    if plan.fill.method == "none":
        return Found(crmask, None, None, skipped, every)
    values = np.concatenate(fills).astype(frame.cleaned_dtype, copy=False)
    return Found(crmask, values, np.concatenate(sigmas), skipped, every)


def examine(
    plane: np.ndarray, mask: np.ndarray | None, plan: Plan, *, progress: bool = False
) -> np.ndarray:
    """Return the probability of a cosmic ray in each pixel of a plane.

    Parameters
    ----------
    plane : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    mask : `~numpy.ndarray` or None
        bool, True where bad.
    plan : Plan
        From `make_plan`.
    progress : bool
        Show a progress bar.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, nx)``; NaN where not examined.
    """
    if plan.bayer:
        probability = np.empty(plane.shape, dtype=np.float32)
        for colour in colours_of(plane):
            alone = dataclasses.replace(plan.of_part(colour), bayer=False)
            own = None if mask is None else mask[colour]
            part = np.ascontiguousarray(plane[colour])
            probability[colour] = examine(part, own, alone, progress=progress)
        return probability
    bad = detection.excluded_pixels(plane, mask, plan.satlevel)
    return detection.cosmic_ray_probability(
        plane, bad, plan.model, **_how(plan, progress)
    )


def _find_plane(
    plane: np.ndarray,
    mask: np.ndarray | None,
    plan: Plan,
    progress: bool,
    probability: bool,
) -> Found:
    """Find and fill the cosmic rays of one plane."""
    bad = detection.excluded_pixels(plane, mask, plan.satlevel)
    crmask, seen = _detect(plane, bad, plan, plan.grow, progress, probability)
    skipped = 0 if bad is None else int(np.count_nonzero(bad))
    if plan.fill.method == "none":
        return Found(crmask, None, None, skipped, seen)
    return Found(crmask, *_fill(plane, crmask, bad, plan), skipped, seen)


def _find_colours(
    plane: np.ndarray,
    mask: np.ndarray | None,
    plan: Plan,
    progress: bool,
    probability: bool,
) -> Found:
    """Find the cosmic rays of each colour of a raw frame, and fill from the same."""
    bad = np.zeros(plane.shape, dtype=bool)
    crmask = np.zeros(plane.shape, dtype=bool)
    every = np.empty(plane.shape, dtype=np.float32) if probability else None
    for colour in colours_of(plane):
        seen = np.ascontiguousarray(plane[colour])
        own = None if mask is None else mask[colour]
        hidden = detection.excluded_pixels(seen, own, plan.satlevel)
        alone = plan.of_part(colour)
        crmask[colour], part = _detect(seen, hidden, alone, 0, progress, probability)
        if every is not None:
            every[colour] = part
        if hidden is not None:
            bad[colour] = hidden
    if plan.grow:
        known = np.where(bad, np.nan, crmask)
        crmask = detection.threshold_mask(known, Thresholds(0.5, 0.5), plan.grow)
    skipped = int(np.count_nonzero(bad))
    if plan.fill.method == "none":
        return Found(crmask, None, None, skipped, every)
    both = np.zeros((2, *plane.shape))
    for colour in colours_of(plane):
        seen = np.ascontiguousarray(plane[colour])
        both[:, *colour][:, crmask[colour]] = _fill(
            seen, crmask[colour], bad[colour], plan
        )
    return Found(crmask, *both[:, crmask], skipped, every)


def _detect(
    plane: np.ndarray,
    bad: np.ndarray | None,
    plan: Plan,
    grow: float,
    progress: bool,
    probability: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the mask of cosmic rays, and their probability if it is wanted."""
    if plan.model.card.measures_noise:
        warn_if_cr_dominated(plane, bad)
    how = _how(plan, progress)
    if probability:
        seen = detection.cosmic_ray_probability(plane, bad, plan.model, **how)
        levels = threshold_levels(seen, plan.thresholds.cuts)
        return detection.finish_mask(levels, plane, bad, grow), seen
    wanted = plan.model, plan.thresholds, grow
    crmask = detection.find_cosmic_rays(plane, bad, *wanted, **how)
    return crmask, None


def _how(plan: Plan, progress: bool) -> dict:
    """Return the options with which a plane is examined."""
    return {
        "factor": plan.examination.factor,
        "tile_size": plan.tile_size,
        "progress": progress,
        **plan.examination.facts,
    }


def _fill(
    plane: np.ndarray, crmask: np.ndarray, bad: np.ndarray | None, plan: Plan
) -> tuple[np.ndarray, np.ndarray]:
    options = {"cr_affected": crmask, "tile_size": plan.tile_size}
    return fill_frame(plane, crmask, bad, plan.fill, **options)
