"""Clean a frame, in memory or in Dask's chunks: its mask of cosmic rays and its fills.

`clean_frame` and `frame_probability` give each plane of a frame to the functions for
its kind of array. Users' objects are taken apart and rebuilt by `deepcr_ccd.nddata`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..nddata.frame import Frame, is_dask
from ..nddata.header import HISTORY_LENGTH, cleaning_keywords
from ..notices import counted
from ..preprocess.known_noise import noise_facts_of_planes
from ..preprocess.star_width import StarWidth
from . import array_clean, dask_clean
from .detect import count_objects
from .plan import Plan

__all__ = ["CleanedFrame", "clean_frame", "frame_probability"]


class CleanedFrame(NamedTuple):
    """The cosmic rays of a frame, and what they are filled with.

    ``crmask`` is bool, of the shape of the frame. ``values`` and ``sigma`` are what
    CR-affected pixels become and their one-sigma, in the order of ``data[crmask]``, or
    None if they stay; ``excluded`` is the number of excluded pixels; ``probability`` is
    float32, NaN where excluded, or None if it was not asked for.

    ``star_width`` is how wide the stars are, of each plane, where the model is told.

    Of Dask's arrays, ``lazy_data`` is the cleaned frame and ``sigma`` has its shape.
    Values are None, and nothing is counted, as that takes the whole frame.
    """

    crmask: Any
    values: Any
    sigma: Any
    excluded: int | None
    probability: np.ndarray | None = None
    lazy_data: Any = None
    star_width: StarWidth | None | tuple[StarWidth | None, ...] = None

    def data(self, frame: Frame) -> np.ndarray:
        """Return the cleaned data, a new array.

        Parameters
        ----------
        frame : Frame
            The frame that was cleaned.
        """
        if self.lazy_data is not None:
            return self.lazy_data
        cleaned = frame.copy_data()
        if self.values is not None:
            cleaned[self.crmask] = self.values
        return cleaned

    def describe(self, plan: Plan) -> tuple[dict[str, tuple[Any, str]], str]:
        """Return keywords with values and comments, and a line of history.

        Parameters
        ----------
        plan : Plan
            What was done.
        """
        name = plan.model.card.name
        counts: dict[str, Any] = {}
        history = "deepcr_ccd: cosmic rays flagged lazily, and not counted"
        if self.lazy_data is None:
            planes = self.crmask.reshape(-1, *self.crmask.shape[-2:])
            pixels = int(np.count_nonzero(self.crmask))
            objects = sum(count_objects(plane) for plane in planes)
            counts = {"CRNPIX": pixels, "CRNOBJ": objects, "CRNSKIP": self.excluded}
            found = counted(objects, "cosmic ray")
            history = f"deepcr_ccd: {found}, {pixels} px, by {name}"
        if self.star_width is not None:
            counts["CRPSF"] = _header_width(self.star_width)
        keywords = cleaning_keywords(name, plan.thresholds, plan.fill.method, **counts)
        return keywords, history[:HISTORY_LENGTH]


def clean_frame(
    frame: Frame, plan: Plan, *, progress: bool = False, probability: bool = False
) -> CleanedFrame:
    """Find the cosmic rays of a frame, and compute what they are filled with.

    Parameters
    ----------
    frame : Frame
        In memory, mapped into it, or Dask's.
    plan : Plan
        From `~deepcr_ccd.pipeline.plan.make_plan`.
    progress : bool
        Show a progress bar; not of Dask's arrays.
    probability : bool
        Return the probability as well, which takes four bytes a pixel; not of Dask's
        arrays.

    Returns
    -------
    CleanedFrame
    """
    options = {"progress": progress, "probability": probability}
    cleaned = [
        CleanedFrame(*_functions_for(frame).clean_plane(*plane, **options))
        for plane in _planes(frame, plan)
    ]
    if frame.data.ndim == 2:
        return cleaned[0]
    crmasks, values, sigmas, excluded, probabilities, lazy, widths = zip(
        *cleaned, strict=True
    )
    # In memory, sigmas are those of flagged pixels alone, as values are.
    join_sigmas = np.stack if is_dask(frame.data) else np.concatenate
    return CleanedFrame(
        np.stack(crmasks),
        None if values[0] is None else np.concatenate(values),
        None if sigmas[0] is None else join_sigmas(sigmas),
        None if excluded[0] is None else sum(excluded),
        None if probabilities[0] is None else np.stack(probabilities),
        None if lazy[0] is None else np.stack(lazy),
        widths if any(width is not None for width in widths) else None,
    )


def frame_probability(frame: Frame, plan: Plan, *, progress: bool = False) -> Any:
    """Return the probability of a cosmic ray in each pixel of a frame.

    Parameters
    ----------
    frame, plan, progress
        As for `clean_frame`.

    Returns
    -------
    `~numpy.ndarray` or `dask.array.Array`
        float32, of the shape of the frame; NaN where excluded.
    """
    functions = _functions_for(frame)
    return frame.stack(
        [
            functions.plane_probability(*plane, progress=progress)
            for plane in _planes(frame, plan)
        ]
    )


def _functions_for(frame: Frame) -> ModuleType:
    """Return the module whose functions clean planes of this kind of array."""
    return dask_clean if is_dask(frame.data) else array_clean


def _planes(
    frame: Frame, plan: Plan
) -> Iterator[tuple[np.ndarray, np.ndarray | None, Plan]]:
    """Yield each plane, its mask, and the plan with what is known of its noise."""
    used = plan.model.card.uses_noise_facts
    facts_of_planes = noise_facts_of_planes(frame, used, plan.input.factor)
    for (plane, mask), noise_facts in zip(frame.planes(), facts_of_planes, strict=True):
        yield plane, mask, plan.with_facts(noise_facts)


def _header_width(width: StarWidth | tuple[StarWidth | None, ...]) -> float | str:
    """Return the FWHM of stars in px, or in words if there is no common one."""
    several = (width,) if isinstance(width, StarWidth) else width
    widths = {each for each in several if each is not None}
    if len(widths) > 1:
        return "differs between planes"
    (only,) = widths
    return round(only.fwhm, 2) if only.stars else str(only)
