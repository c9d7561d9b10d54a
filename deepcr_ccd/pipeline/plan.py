"""How a frame is cleaned: what a user asks for, taken to the model and the frame."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from astropy import units as u

from ..models.model import Model
from ..nddata.bayer import is_bayer
from ..nddata.frame import Frame, is_dask
from ..nddata.gain import (
    COUNTS,
    resolve_gain,
    resolve_readnoise,
    saturation_level,
    unit_factor,
)
from ..notices import warn_unused
from ..options import CleanOptions
from ..preprocess.star_width import StarWidth
from ..segmentation.hysteresis import Thresholds
from .fill import Fill, choose_fill

__all__ = ["ModelInput", "Plan", "make_plan"]


class ModelInput(NamedTuple):
    """What a model needs to know of a frame.

    ``factor`` is from the frame's unit to that of the model, ``facts`` are the
    arguments of its transform that say what is known of the noise, in its unit, and of
    the width of stars.
    """

    factor: float
    facts: dict


def _read_model_input(
    frame: Frame, model: Model, gain: float | None, readnoise: Any
) -> tuple[ModelInput, bool]:
    """Return how a frame goes into a model, and whether the gain is needed for it."""
    name = model.card.name
    factor, used = unit_factor(frame.unit, model.card.unit, gain, name)
    electrons = resolve_readnoise(readnoise, frame.header, gain)
    if electrons is not None and "readnoise" not in model.card.uses_noise_facts:
        warn_unused("readnoise", f"model {name!r} does not use it")
        electrons = None
    if electrons is None:
        return ModelInput(factor, {}), used
    if gain is None and frame.unit is not None and _counts(frame.unit):
        raise ValueError(
            f"readnoise={electrons:g} is in electron and the frame in {frame.unit}: "
            "give gain= (electron/adu, a number, a Quantity or a header keyword)"
        )
    # From electron to the frame's unit, and on to the card's.
    per_unit, converts = unit_factor(frame.unit, "electron", gain, name)
    used |= converts or (isinstance(readnoise, u.Quantity) and _counts(readnoise.unit))
    return ModelInput(factor, {"readnoise": electrons / per_unit * factor}), used


def _read_satlevel(
    frame: Frame, satlevel: Any, gain: float | None
) -> tuple[float | None, bool]:
    """Return the saturation level, and whether the gain is needed for it."""
    level = saturation_level(satlevel, frame.unit, frame.header, gain)
    try:
        without = saturation_level(satlevel, frame.unit, frame.header)
    except ValueError:
        return level, True
    return level, level != without


def _warn_of_gain(frame: Frame, gain: float, read: ModelInput, name: str) -> None:
    """Warn that a gain has no effect, but where it agrees with what is done."""
    if frame.unit is not None and frame.unit.is_equivalent(u.electron) and gain != 1:
        # As ccdproc says it.
        why = "Image unit is electron but gain value is not 1.0"
        warn_unused("gain", f"{why}, and the frame is not multiplied by it")
    elif "readnoise" not in read.facts:
        warn_unused("gain", f"model {name!r} can use the frame as it is")


def _counts(unit: u.UnitBase) -> bool:
    return any(unit.is_equivalent(count) for count in COUNTS)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a frame is cleaned; all of it is checked.

    ``grow`` is in px; ``satlevel`` is in the frame's unit, from
    `~deepcr_ccd.nddata.gain.saturation_level`; ``dtype`` is that of cleaned data;
    ``bayer`` tells whether each colour of a raw frame is cleaned by itself.
    """

    model: Model
    thresholds: Thresholds
    grow: float
    input: ModelInput
    fill: Fill
    satlevel: float | None
    tile_size: int | None
    dtype: np.dtype
    bayer: bool = False

    def with_facts(self, facts: dict) -> Plan:
        """Return the plan with more that is known of a plane.

        Parameters
        ----------
        facts : dict
            From `~deepcr_ccd.preprocess.known_noise.noise_facts_of_planes`.
        """
        if not facts:
            return self
        facts = self.input.facts | facts
        return dataclasses.replace(self, input=self.input._replace(facts=facts))

    def of_part(self, index: tuple[slice, slice]) -> Plan:
        """Return the plan for a part of a plane, such as the pixels of a colour.

        Parameters
        ----------
        index : tuple of slice
            Which rows and columns.
        """
        facts: dict[str, Any] = {}
        if "known_noise" in self.input.facts:
            facts["known_noise"] = self.input.facts["known_noise"].part(index)
        if "star_width" in self.input.facts:
            # Of every second pixel.
            fwhm = self.input.facts["star_width"].fwhm
            facts["star_width"] = StarWidth.of(fwhm / (index[0].step or 1))
        return self.with_facts(facts)


def make_plan(frame: Frame, model: Model, options: CleanOptions) -> Plan:
    """Check what a user asks for against a frame, before any work is done.

    Parameters
    ----------
    frame : Frame
        The frame.
    model : Model
        For task "mask".
    options : CleanOptions
        What the user asks for.

    Returns
    -------
    Plan

    Raises
    ------
    TypeError, ValueError, ImportError
        As `~deepcr_ccd.cosmicray_deepcr`.

    Warns
    -----
    DeepCRWarning
        If the gain, the read noise or the FWHM has no effect.
    """
    thresholds = options.thresholds(model)
    gain = resolve_gain(options.gain, frame.header)
    bayer, lazy = is_bayer(frame.data, frame.header), is_dask(frame.data)
    if bayer and lazy:
        raise ValueError(
            "ccd is a raw colour frame (Bayer pattern in the header) in a dask array, "
            "which is not supported: read it into memory first"
        )
    read, used = _read_model_input(frame, model, gain, options.readnoise)
    if options.psffwhm is not None:
        if model.card.uses_star_width:
            read.facts["star_width"] = StarWidth.of(options.psffwhm)
        else:
            warn_unused("psffwhm", f"model {model.card.name!r} does not use it")
    satlevel, converts = _read_satlevel(frame, options.satlevel, gain)
    if gain is not None and not (used or converts):
        _warn_of_gain(frame, gain, read, model.card.name)
    fill = choose_fill(options.fill_method, model, frame, gain)
    return Plan(
        model,
        thresholds,
        options.grow,
        read,
        _fill_of_chunks(fill, options.fill_method) if lazy else fill,
        satlevel,
        options.tile_size,
        frame.cleaned_dtype,
        bayer,
    )


def _fill_of_chunks(fill: Fill, method: str | None) -> Fill:
    """Return a fill that works on the chunks of Dask's arrays.

    A network that works on whole frames does not; "auto" does without.
    """
    if fill.model is None or fill.model.network.takes_cutouts:
        return fill
    if method == "auto":
        return Fill("median")
    raise ValueError(
        f"inpaint={method!r}: {fill.model.card.name!r} does not work on dask arrays; "
        "use 'median', or model='universal'"
    )
