"""Find and fill the cosmic rays of a frame: what is new about it, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from . import detection
from .detection import Examination
from .fills import Fill, choose_fill, fill_frame
from .frame import Frame
from .keywords import HISTORY_LENGTH, record
from .model import Model
from .noise import known_level, resolve_gain

__all__ = ["Found", "Plan", "find", "make_plan"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a frame is cleaned; all of it is checked."""

    model: Model
    threshold: float
    grow: float
    examination: Examination
    fill: Fill
    satlevel: float | None
    tile_size: int | None


class Found(NamedTuple):
    """The cosmic rays of a frame.

    ``crmask`` is bool, of the shape of the frame; ``values`` and ``sigma`` are what
    struck pixels become and their one-sigma, in the order of ``data[crmask]``, or None
    if they stay; ``skipped`` is the number of pixels that were not examined.
    """

    crmask: np.ndarray
    values: np.ndarray | None
    sigma: np.ndarray | None
    skipped: int

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
        keywords = record(name, plan.threshold, plan.fill.method, **counts)
        history = f"deepcr_ccd: {objects} cosmic rays, {pixels} px, by {name}"
        return keywords, history[:HISTORY_LENGTH]


def make_plan(
    frame: Frame,
    model: Model,
    *,
    gain=None,
    readnoise=None,
    threshold: float | None = None,
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
    gain, readnoise, threshold, target_fpr, grow, inpaint, satlevel, tile_size
        As for `~deepcr_ccd.cosmicray_deepcr`.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError, ImportError
        As `~deepcr_ccd.cosmicray_deepcr`.
    """
    threshold = detection.check_threshold(threshold, model, target_fpr)
    if not np.isscalar(grow) or isinstance(grow, str) or not 0 <= grow < np.inf:
        raise ValueError(f"grow={grow!r} must be a radius >= 0 in px")
    gain = resolve_gain(gain, frame.header)
    return Plan(
        model,
        threshold,
        grow,
        detection.prepare(frame, model, gain, readnoise),
        choose_fill(inpaint, model, frame, gain),
        known_level(satlevel, frame.unit, frame.header, gain),
        tile_size,
    )


def find(frame: Frame, plan: Plan, *, progress: bool = False) -> Found:
    """Find the cosmic rays of a frame, and compute what they are filled with.

    Parameters
    ----------
    frame : Frame
        In memory, or mapped into it.
    plan : Plan
        From `make_plan`.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Found
    """
    crmasks, fills, sigmas, skipped = [], [], [], 0
    for plane, mask in frame.planes():
        bad = detection.unexamined(plane, mask, plan.satlevel)
        crmask = detection.find_cosmics(
            plane,
            bad,
            plan.model,
            plan.threshold,
            plan.grow,
            factor=plan.examination.factor,
            tile_size=plan.tile_size,
            progress=progress,
            **plan.examination.facts,
        )
        crmasks.append(crmask)
        skipped += 0 if bad is None else int(np.count_nonzero(bad))
        if plan.fill.method != "none":
            values, sigma = fill_frame(
                plane,
                crmask,
                bad,
                plan.fill,
                struck=crmask,
                tile_size=plan.tile_size,
            )
            fills.append(values)
            sigmas.append(sigma)
    crmask = frame.stack(crmasks)
    if not fills:
        return Found(crmask, None, None, skipped)
    values = np.concatenate(fills).astype(frame.cleaned_dtype, copy=False)
    return Found(crmask, values, np.concatenate(sigmas), skipped)
