"""Find the cosmic rays of one plane: what to examine, probability, threshold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from astropy import units as u

from ..models.model import Model
from ..nddata.frame import Frame
from ..nddata.gain import COUNTS, resolve_readnoise, unit_factor
from ..notices import warn_unused
from ..preprocess.network_input import Plane
from ..preprocess.scaled_frame import find_scale_factor
from ..segmentation.growth import grow_mask
from ..segmentation.hysteresis import (
    SEED,
    WEAK,
    Thresholds,
    apply_hysteresis,
    threshold_levels,
)
from ..segmentation.labels import label_pixels
from .guard import warn_of_excluded
from .leaks import drop_leaks
from .saturation import exclude_saturated

__all__ = [
    "ModelInput",
    "count_objects",
    "cosmic_ray_probability",
    "find_cosmic_rays",
    "finish_mask",
    "model_input",
    "threshold_mask",
    "excluded_pixels",
]


class ModelInput(NamedTuple):
    """What a network needs to know of a frame: unit factor, and facts of its noise."""

    factor: float
    facts: dict


def model_input(
    frame: Frame, model: Model, gain: float | None, readnoise=None
) -> ModelInput:
    """Work out how a frame goes into a model.

    Parameters
    ----------
    frame : Frame
        The frame.
    model : Model
        For task "mask".
    gain : float or None
        In electron/adu.
    readnoise : float, `~astropy.units.Quantity`, str or None
        In electron.

    Raises
    ------
    TypeError, ValueError
        If the unit cannot be taken to the model's, or the read noise is no number.

    Warns
    -----
    DeepCRWarning
        If the gain or the read noise has no use.
    """
    name = model.card.name
    factor, used = unit_factor(frame.unit, model.card.unit, gain, name)
    readnoise = resolve_readnoise(readnoise, frame.header, gain)
    if readnoise is not None and "readnoise" not in model.card.uses:
        warn_unused("readnoise", f"model {name!r} does not use it")
        readnoise = None
    if gain is not None and not used:
        if _is_in_electrons(frame) and gain != 1:
            # As ccdproc says it.
            why = "Image unit is electron but gain value is not 1.0"
            warn_unused("gain", f"{why}, and the frame is not multiplied by it")
        elif readnoise is None:
            warn_unused("gain", f"model {name!r} can use the frame as it is")
    if readnoise is None:
        return ModelInput(factor, {})
    if gain is None and frame.unit is not None and _counts(frame.unit):
        raise ValueError(
            f"readnoise={readnoise:g} is in electron and the frame in {frame.unit}: "
            "give gain= (electron/adu, a number, a Quantity or a header keyword)"
        )
    # From electron to the frame's unit, and on to the card's.
    per_unit, _ = unit_factor(frame.unit, "electron", gain, name)
    return ModelInput(factor, {"readnoise": readnoise / per_unit * factor})


def _counts(unit: u.UnitBase) -> bool:
    return any(unit.is_equivalent(count) for count in COUNTS)


def _is_in_electrons(frame: Frame) -> bool:
    return frame.unit is not None and frame.unit.is_equivalent(u.electron)


def excluded_pixels(
    plane: np.ndarray, mask: np.ndarray | None, satlevel: float | None = np.inf
) -> np.ndarray | None:
    """Return which pixels cannot be examined, or None if all can.

    Parameters
    ----------
    plane : `~numpy.ndarray`
        ``(ny, nx)``.
    mask : `~numpy.ndarray` or None
        bool, True where bad.
    satlevel : float or None
        From `deepcr_ccd.nddata.gain.saturation_level`: with infinity no pixel is
        saturated.

    Warns
    -----
    AstropyUserWarning
        If half of the plane or more is at or above the saturation level.
    """
    bad = np.isfinite(plane)
    np.logical_not(bad, out=bad)
    if mask is not None:
        bad |= mask
    told = satlevel is not None and satlevel < np.inf
    before = np.count_nonzero(bad) if told else 0
    exclude_saturated(plane, bad, satlevel)
    if told:
        warn_of_excluded(np.count_nonzero(bad) - before, plane.size, satlevel)
    return bad if bad.any() else None


def cosmic_ray_probability(
    plane: np.ndarray,
    bad: np.ndarray | None,
    model: Model,
    *,
    factor: float = 1.0,
    tile_size: int | None = None,
    progress: bool = False,
    **facts,
) -> np.ndarray:
    """Return the probability of a cosmic ray in each pixel of a plane.

    Parameters
    ----------
    plane : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    bad : `~numpy.ndarray` or None
        From `excluded_pixels`. What the network sees in their place: `Plane`.
    model : Model
        For task "mask".
    factor : float
        From the plane's unit to the card's.
    tile_size : int, optional
        Core of a tile, in px.
    progress : bool
        Show a progress bar.
    **facts
        What is known of the noise, in the card's unit.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, nx)``; NaN where not examined.
    """
    if bad is not None and bad.all():
        return np.full(plane.shape, np.nan, dtype=np.float32)
    factor, facts = in_own_units(model, find_scale_factor(plane, bad), factor, facts)
    seen = Plane(plane, factor, bad, model.network.radius)
    probability = model.probability(
        seen, bad=bad, tile_size=tile_size, progress=progress, **facts
    )
    if bad is not None:
        probability[bad] = np.nan
    return probability


def in_own_units(
    model: Model, own: float, factor: float, facts: dict
) -> tuple[float, dict]:
    """Return factor and facts of a frame in units of its own noise, if need be.

    Parameters
    ----------
    model : Model
        Models that work in a unit get what was given.
    own : float
        From `~deepcr_ccd.preprocess.scaled_frame.find_scale_factor`; 1 for ordinary
        frames.
    factor : float
        From the frame's unit to the card's.
    facts : dict
        What is known of the noise, in the card's unit.
    """
    if own == 1 or not model.card.scale_free:
        return factor, facts
    scaled = {
        key: fact.scaled(own) if key == "variance" else fact * own
        for key, fact in facts.items()
    }
    return factor * own, scaled


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
    **facts,
) -> np.ndarray:
    """Return the mask of the cosmic rays of a plane.

    The same as `threshold_mask` of `cosmic_ray_probability`, but the probability is
    not kept in memory.

    Parameters
    ----------
    plane, bad, model, factor, tile_size, progress, **facts
        As for `cosmic_ray_probability`.
    thresholds, grow
        As for `threshold_mask`.

    Returns
    -------
    `~numpy.ndarray`
        bool, ``(ny, nx)``.
    """
    if bad is not None and bad.all():
        return np.zeros(plane.shape, dtype=bool)
    factor, facts = in_own_units(model, find_scale_factor(plane, bad), factor, facts)
    seen = Plane(plane, factor, bad, model.network.radius)
    levels = model.probability(
        seen,
        bad=bad,
        tile_size=tile_size,
        progress=progress,
        thresholds=thresholds,
        **facts,
    )
    return finish_mask(levels, plane, bad, grow)


def threshold_mask(
    probability: np.ndarray, thresholds: Thresholds, grow: float = 0
) -> np.ndarray:
    """Return the mask of cosmic rays, given their probability.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        ``(ny, nx)``; NaN where not examined.
    thresholds : `~deepcr_ccd.segmentation.hysteresis.Thresholds`
        Cosmic rays are pixels above the higher one, and pixels above the lower one that
        are connected to certain ones, see
        `~deepcr_ccd.segmentation.hysteresis.apply_hysteresis`.
    grow : float
        Radius in px by which the mask is grown; pixels that were not examined stay
        out of it.

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
    """Return a mask of cosmic rays without what is none, followed and grown.

    Parameters
    ----------
    levels : `~numpy.ndarray`
        uint8, ``(ny, nx)``, from
        `~deepcr_ccd.segmentation.hysteresis.threshold_levels`. It is changed.
    plane : `~numpy.ndarray`
        ``(ny, nx)``, the frame.
    bad : `~numpy.ndarray` or None
        bool, pixels that stay out of it; what leaks from them does too, and is not
        followed.
    grow : float
        Radius in px by which the mask is grown.
    """
    if bad is not None:
        levels[bad] = 0
        # Nothing is followed along a bad column either.
        kept = [drop_leaks(levels >= least, plane, bad) for least in (WEAK, SEED)]
        levels[~np.where(levels == WEAK, *kept)] = 0
    return grow_mask(apply_hysteresis(levels), grow, bad)


def count_objects(crmask: np.ndarray) -> int:
    """Count groups of struck pixels that touch, at corners too.

    Parameters
    ----------
    crmask : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    """
    return int(label_pixels(np.flatnonzero(crmask), crmask.shape[1])[0])
