"""Find the cosmic rays of one plane: excluded pixels, probability, thresholds, mask.

Plain arrays go in and come out, with a factor to the unit of the model. Units, headers
and users' classes are read and written elsewhere, in `deepcr_ccd.nddata`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..models.model import Model
from ..preprocess.network_input import NetworkInput
from ..preprocess.normalize import Normalization
from ..preprocess.scaled_frame import find_scale_factor
from ..preprocess.star_width import StarWidth
from ..segmentation.connected import label_pixels
from ..segmentation.growth import grow_mask
from ..segmentation.hysteresis import (
    SEED,
    WEAK,
    Thresholds,
    apply_hysteresis,
    threshold_levels,
)
from ..segmentation.runs import find_runs, highest_of_runs, sampled_rows
from .charge_leaks import drop_leaks
from .frame_warnings import warn_of_excluded
from .saturation import exclude_saturated

__all__ = [
    "PreparedPlane",
    "cosmic_ray_probability",
    "count_objects",
    "drop_excluded",
    "excluded_pixels",
    "find_cosmic_rays",
    "finish_mask",
    "prepare_plane",
    "scale_to_noise",
    "threshold_mask",
]


def excluded_pixels(
    plane: np.ndarray,
    mask: np.ndarray | None,
    satlevel: float | None = np.inf,
    *,
    runs: bool = True,
) -> np.ndarray | None:
    """Return which pixels are excluded from the search, or None if none is.

    Parameters
    ----------
    plane : `~numpy.ndarray`
        ``(ny, nx)``.
    mask : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, True where bad.
    satlevel : float or None
        In the unit of the plane, from `~deepcr_ccd.nddata.gain.saturation_level`; with
        infinity no pixel is saturated.
    runs : bool
        Whether runs of equal values are excluded, from
        `~deepcr_ccd.segmentation.runs.find_runs`.

    Returns
    -------
    `~numpy.ndarray` or None
        bool, ``(ny, nx)``: what is masked, not finite, saturated, or no data.

    Warns
    -----
    AstropyUserWarning
        If half of the plane or more is at or above the saturation level.
    """
    bad = np.isfinite(plane)
    np.logical_not(bad, out=bad)
    if mask is not None:
        bad |= mask
    if satlevel is None or satlevel == np.inf:
        exclude_saturated(plane, bad, satlevel)
    else:
        before = int(np.count_nonzero(bad))
        exclude_saturated(plane, bad, satlevel)
        warn_of_excluded(int(np.count_nonzero(bad)) - before, plane.size, satlevel)
    few = sampled_rows(len(plane))
    highest = highest_of_runs(plane[few], bad[few]) if runs else None
    if highest is not None:
        found = find_runs(plane, bad, highest)
        if found is not None:
            bad |= found
    return bad if bad.any() else None


class PreparedPlane(NamedTuple):
    """A plane as a network takes it, and what was measured on it."""

    network_input: NetworkInput
    normalization: Normalization

    @property
    def star_width(self) -> StarWidth | None:
        """How wide the stars are, if it was measured or given."""
        return getattr(self.normalization, "star_width", None)


def prepare_plane(
    plane: np.ndarray,
    bad: np.ndarray | None,
    model: Model,
    *,
    factor: float = 1.0,
    **facts: Any,
) -> PreparedPlane:
    """Measure a plane, before the network sees any of it.

    Parameters
    ----------
    plane, bad, model, factor
        As for `cosmic_ray_probability`.
    **facts
        What is known of the noise, in the model's unit, and the ``star_width``.
    """
    factor, facts = scale_to_noise(model, find_scale_factor(plane, bad), factor, facts)
    network_input = NetworkInput(plane, factor, bad, model.network.radius)
    return PreparedPlane(network_input, model.prepare(network_input, bad, **facts))


def cosmic_ray_probability(
    plane: np.ndarray,
    bad: np.ndarray | None,
    model: Model,
    *,
    factor: float = 1.0,
    tile_size: int | None = None,
    progress: bool = False,
    prepared: PreparedPlane | None = None,
    **facts: Any,
) -> np.ndarray:
    """Return the probability of a cosmic ray in each pixel of a plane.

    Parameters
    ----------
    plane : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    bad : `~numpy.ndarray` or None
        From `excluded_pixels`. The network gets values for them from their
        neighbours, see `~deepcr_ccd.preprocess.network_input.NetworkInput`.
    model : Model
        For task "mask".
    factor : float
        From the plane's unit to the model's.
    tile_size : int, optional
        Core of a tile, in px.
    progress : bool
        Show a progress bar.
    prepared : PreparedPlane, optional
        From `prepare_plane`, if it has been called already.
    **facts
        As for `prepare_plane`.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, nx)``, in [0, 1]; NaN where excluded.
    """
    if bad is not None and bad.all():
        return np.full(plane.shape, np.nan, dtype=np.float32)
    prepared = prepared or prepare_plane(plane, bad, model, factor=factor, **facts)
    options = {"tile_size": tile_size, "progress": progress}
    probability = _run_model(model, prepared, **options)
    if bad is not None:
        probability[bad] = np.nan
    return probability


def find_cosmic_rays(
    plane: np.ndarray,
    bad: np.ndarray | None,
    model: Model,
    thresholds: Thresholds,
    grow: float = 0,
    *,
    factor: float = 1.0,
    tile_size: int | None = None,
    progress: bool = False,
    prepared: PreparedPlane | None = None,
    **facts: Any,
) -> np.ndarray:
    """Return the mask of the cosmic rays of a plane.

    The probability is compared with the thresholds tile by tile, and never in memory
    as a whole.

    Parameters
    ----------
    plane, bad, model, factor, tile_size, progress, prepared, **facts
        As for `cosmic_ray_probability`.
    thresholds : `~deepcr_ccd.segmentation.hysteresis.Thresholds`
        As for `threshold_mask`.
    grow : float
        Radius in px by which the mask is grown.

    Returns
    -------
    `~numpy.ndarray`
        bool, ``(ny, nx)``.
    """
    if bad is not None and bad.all():
        return np.zeros(plane.shape, dtype=bool)
    options = {"tile_size": tile_size, "progress": progress, "thresholds": thresholds}
    prepared = prepared or prepare_plane(plane, bad, model, factor=factor, **facts)
    levels = _run_model(model, prepared, **options)
    return finish_mask(levels, plane, bad, grow)


def _run_model(model: Model, prepared: PreparedPlane, **options: Any) -> np.ndarray:
    network_input, normalization = prepared
    return model.probability(network_input, prepared=normalization, **options)


def scale_to_noise(
    model: Model, scale: float, factor: float, facts: dict
) -> tuple[float, dict]:
    """Scale a frame to its noise where float32 would overflow or underflow.

    Parameters
    ----------
    model : Model
        For task "mask". For one that works in a unit, nothing changes.
    scale : float
        From `~deepcr_ccd.preprocess.scaled_frame.find_scale_factor`; 1 for ordinary
        frames.
    factor : float
        From the frame's unit to the card's.
    facts : dict
        What is known of the frame: of the noise, in the card's unit.

    Returns
    -------
    factor : float
        From the frame's unit to that of the network, including ``scale``.
    facts : dict
        With the noise in the latter.
    """
    if scale == 1 or not model.card.scale_free:
        return factor, facts
    scaled = {key: _scaled_fact(key, fact, scale) for key, fact in facts.items()}
    return factor * scale, scaled


def _scaled_fact(key: str, fact: Any, scale: float) -> Any:
    if key == "star_width":
        return fact
    return fact.scaled(scale) if key == "known_noise" else fact * scale


def threshold_mask(
    probability: np.ndarray, thresholds: Thresholds, grow: float = 0
) -> np.ndarray:
    """Return the mask of cosmic rays, given their probability.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        ``(ny, nx)``; NaN where excluded.
    thresholds : `~deepcr_ccd.segmentation.hysteresis.Thresholds`
        Pixels above the higher one are flagged, and those above the lower one that
        are connected to certain ones, see
        `~deepcr_ccd.segmentation.hysteresis.apply_hysteresis`.
    grow : float
        Radius in px by which the mask is grown; excluded pixels stay out of it.

    Returns
    -------
    `~numpy.ndarray`
        bool, ``(ny, nx)``.
    """
    crmask = apply_hysteresis(
        threshold_levels(np.ascontiguousarray(probability), thresholds.cuts)
    )
    return grow_mask(crmask, grow, np.isnan(probability))


def finish_mask(
    levels: np.ndarray, plane: np.ndarray, bad: np.ndarray | None, grow: float
) -> np.ndarray:
    """Return the mask of cosmic rays, given which thresholds pixels are above.

    Charge that leaks from masked pixels is dropped, cosmic rays are followed down to
    the lower threshold, and the mask is grown.

    Parameters
    ----------
    levels : `~numpy.ndarray`
        uint8, ``(ny, nx)``, from
        `~deepcr_ccd.segmentation.hysteresis.threshold_levels`. It is changed.
    plane : `~numpy.ndarray`
        ``(ny, nx)``, the frame.
    bad : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, excluded pixels.
    grow : float
        Radius in px by which the mask is grown.

    Returns
    -------
    `~numpy.ndarray`
        bool, ``(ny, nx)``.
    """
    drop_excluded(levels, plane, bad)
    return grow_mask(apply_hysteresis(levels), grow, bad)


def drop_excluded(
    levels: np.ndarray, plane: np.ndarray, bad: np.ndarray | None
) -> None:
    """Set excluded pixels, and charge that leaks from them, to level 0.

    Parameters
    ----------
    levels, plane, bad
        As for `finish_mask`. ``levels`` is changed.
    """
    if bad is None:
        return
    levels[bad] = 0
    # Nothing is followed along a bad column either.
    kept = [drop_leaks(levels >= lowest, plane, bad) for lowest in (WEAK, SEED)]
    levels[~np.where(levels == WEAK, *kept)] = 0


def count_objects(crmask: np.ndarray) -> int:
    """Count groups of connected flagged pixels; corners connect.

    Parameters
    ----------
    crmask : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    """
    return int(label_pixels(np.flatnonzero(crmask), crmask.shape[1])[0])
