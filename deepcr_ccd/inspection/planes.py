"""A plane whose probability is known, and its masks at any thresholds."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..nddata.bayer import colours_of
from ..pipeline.array_clean import fill_plane
from ..pipeline.detect import drop_excluded
from ..pipeline.plan import Plan
from ..segmentation.growth import grow_mask
from ..segmentation.hysteresis import Thresholds, apply_hysteresis, threshold_levels
from .codes import EXCLUDED, encode, grid_cuts
from .edits import Edit, apply_edits

__all__ = ["InspectedPlane", "Settings"]

#: Answers for other thresholds that are kept.
KEPT = 64


class Settings(NamedTuple):
    """How a mask is made: thresholds of the grid, and the radius of growth in px."""

    thresholds: Thresholds
    grow: float = 0.0


class InspectedPlane:
    """A plane, its excluded pixels and its probability.

    The mask is decided by the functions that `~deepcr_ccd.cosmicray_deepcr` calls.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``, not modified.
    probability : `~numpy.ndarray`
        float32, ``(ny, nx)``; NaN where excluded.
    plan : `~deepcr_ccd.pipeline.plan.Plan`
        How the frame is cleaned.
    grid : list of float
        From `~deepcr_ccd.inspection.codes.threshold_grid`.
    """

    def __init__(
        self, data: np.ndarray, probability: np.ndarray, plan: Plan, grid: list[float]
    ):
        self.data, self.probability, self.plan, self.grid = (
            data,
            probability,
            plan,
            grid,
        )
        self.codes = encode(probability, grid)
        bad = self.codes == EXCLUDED
        self.bad = bad if bad.any() else None
        self.dropped = functools.lru_cache(KEPT)(self._dropped)

    @property
    def step(self) -> int:
        """Distance in px between neighbours: 2 in raw colour frames."""
        return 2 if self.plan.bayer else 1

    def _levels(self, thresholds: Thresholds) -> np.ndarray:
        """Return levels of pixels, 0 where excluded or leaks from such pixels."""
        levels = threshold_levels(self.codes, grid_cuts(self.grid, thresholds))
        if self.bad is not None:
            for part in self._parts():
                piece = np.ascontiguousarray(levels[part])
                plane = np.ascontiguousarray(self.data[part])
                drop_excluded(piece, plane, self.bad[part])
                levels[part] = piece
        return levels

    def _parts(self) -> list[tuple[slice, slice]]:
        whole = [(slice(None), slice(None))]
        return colours_of(self.data) if self.plan.bayer else whole

    def _dropped(self, thresholds: Thresholds) -> np.ndarray:
        """Return flat indices of pixels above a threshold that are leaks of charge."""
        if self.bad is None:
            return np.zeros(0, dtype=np.intp)
        above = self.codes > grid_cuts(self.grid, thresholds)[0]
        above &= ~self.bad
        above &= self._levels(thresholds) == 0
        return np.flatnonzero(above)

    def automatic_mask(self, settings: Settings) -> np.ndarray:
        """Return the mask as it is without edits.

        Parameters
        ----------
        settings : Settings
            Thresholds and growth.

        Returns
        -------
        `~numpy.ndarray`
            bool, ``(ny, nx)``.
        """
        levels = self._levels(settings.thresholds)
        if not self.plan.bayer:
            return grow_mask(apply_hysteresis(levels), settings.grow, self.bad)
        crmask = np.zeros(levels.shape, dtype=bool)
        for part in self._parts():
            crmask[part] = apply_hysteresis(np.ascontiguousarray(levels[part]))
        return grow_mask(crmask, settings.grow, self.bad)

    def mask(self, settings: Settings, edits: Sequence[Edit] = ()) -> np.ndarray:
        """Return the mask with edits.

        Parameters
        ----------
        settings : Settings
            Thresholds and growth.
        edits : sequence of Edit
            In order.

        Returns
        -------
        `~numpy.ndarray`
            bool, ``(ny, nx)``.
        """
        return apply_edits(self.automatic_mask(settings), self.bad, edits)

    def fills(self, crmask: np.ndarray) -> tuple[Any, Any]:
        """Return what flagged pixels are filled with, and the one-sigma of that.

        Parameters
        ----------
        crmask : `~numpy.ndarray`
            bool, ``(ny, nx)``.

        Returns
        -------
        values, sigma : `~numpy.ndarray` or None
            In the order of ``data[crmask]``; None if the plan does not fill.
        """
        if self.plan.fill.method == "none":
            return None, None
        values, sigma = fill_plane(self.data, crmask, self.bad, self.plan)
        return values.astype(self.plan.dtype, copy=False), sigma
