"""Gain, read noise and units: from what the user has to what a model needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from astropy import units as u

from .header import header_value
from .typing import ParameterLike

__all__ = [
    "convert_satlevel",
    "electron_factor",
    "number_from",
    "resolve_gain",
    "resolve_readnoise",
    "saturation_level",
    "unit_factor",
]

#: Units of a digitised signal, which a gain converts to electrons.
COUNTS = (u.adu, u.DN, u.count)
#: Header keywords of a saturation level, in counts; with A and B, of amplifiers.
SATURATION = (
    "SATURATE",
    "SATLEVEL",
    "SATURLEV",
    "SATURAT",
    "SATLEV",
    "SATURATA",
    "SATURATB",
    "MAXLIN",
)


def number_from(
    value: ParameterLike, name: str, header: Mapping | None
) -> float | u.Quantity:
    """Read an argument that is a number, a Quantity or a header keyword.

    Parameters
    ----------
    value : float, `~astropy.units.Quantity` or str
        The argument; a string is the name of a header keyword.
    name : str
        Name of the argument, for messages.
    header : mapping or None
        The frame's header.

    Returns
    -------
    float or `~astropy.units.Quantity`
        One finite number.

    Raises
    ------
    TypeError
        If the value is not a number.
    ValueError
        If the keyword is missing, or the number is not finite or not a scalar.
    """
    shown = f"{name}={value!r}"
    if isinstance(value, str):
        if not header or value not in header:
            raise ValueError(f"{shown}: the header has no keyword {value!r}")
        value = header[value]
        shown += f" (header: {value!r})"
    if isinstance(value, u.Quantity):
        if value.ndim or not np.isfinite(value.value):
            raise ValueError(f"{shown} must be one finite number")
        return value
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{shown} must be a number, a Quantity or the name of a header keyword"
        ) from error
    if not np.isfinite(number):
        raise ValueError(f"{shown} must be finite")
    return number


def _convert(quantity: u.Quantity, units: Sequence[u.UnitBase], shown: str) -> float:
    for unit in units:
        if quantity.unit.is_equivalent(unit):
            return float(quantity.to_value(unit))
    raise ValueError(f"{shown} has the unit {quantity.unit}; allowed is {units[0]}")


def resolve_gain(
    gain: ParameterLike | None, header: Mapping | None = None
) -> float | None:
    """Return the gain in electron/adu, or None if there is none.

    Parameters
    ----------
    gain : float, `~astropy.units.Quantity`, str or None
        Electrons per count, or the header keyword that holds it.
    header : mapping, optional
        The frame's header.

    Raises
    ------
    TypeError, ValueError
        If it is not a positive number of electrons per count.
    """
    if gain is None:
        return None
    value = number_from(gain, "gain", header)
    if isinstance(value, u.Quantity):
        value = _convert(value, [u.electron / c for c in COUNTS], f"gain={value!r}")
    if value <= 0:
        raise ValueError(f"gain={gain!r} must be positive, in electron/adu")
    return value


def resolve_readnoise(
    readnoise: ParameterLike | None,
    header: Mapping | None = None,
    gain: float | None = None,
) -> float | None:
    """Return the read noise in electrons, or None if there is none.

    Parameters
    ----------
    readnoise : float, `~astropy.units.Quantity`, str or None
        Electrons (a Quantity may be in adu where ``gain`` is known), or the
        header keyword that holds it.
    header : mapping, optional
        The frame's header.
    gain : float, optional
        In electron/adu.

    Raises
    ------
    TypeError, ValueError
        If it is not a number of electrons >= 0.
    """
    if readnoise is None:
        return None
    value = number_from(readnoise, "readnoise", header)
    if isinstance(value, u.Quantity):
        if gain is not None and any(value.unit.is_equivalent(c) for c in COUNTS):
            value = _convert(value, COUNTS, "readnoise") * gain
        else:
            value = _convert(value, [u.electron], f"readnoise={value!r}")
    if value < 0:
        raise ValueError(f"readnoise={readnoise!r} must not be negative")
    return value


def convert_satlevel(
    satlevel: ParameterLike | None,
    unit: u.UnitBase | None,
    header: Mapping | None = None,
    gain: float | None = None,
) -> float | None:
    """Return the saturation level that a user gives, in the unit of the frame.

    Parameters
    ----------
    satlevel : float, `~astropy.units.Quantity`, str or None
        A number in the frame's unit, a Quantity that converts to it (through the
        gain if need be), or a header keyword. Infinity means that nothing saturates.
    unit : `~astropy.units.UnitBase` or None
        Unit of the frame.
    header : mapping, optional
        The frame's header.
    gain : float, optional
        In electron/adu.

    Returns
    -------
    float or None
        Infinity if nothing saturates; None if the level is not known.

    Raises
    ------
    TypeError, ValueError
        If it is not a number, or its unit does not convert.
    """
    if satlevel is None:
        return None
    if np.isscalar(satlevel) and satlevel in (np.inf, "inf"):
        return np.inf
    value = number_from(satlevel, "satlevel", header)
    if not isinstance(value, u.Quantity):
        return value
    if unit is None:
        raise ValueError(
            f"satlevel={value!r} has a unit but the frame has none: give a plain "
            "number in the frame's unit"
        )
    if value.unit.is_equivalent(unit):
        return float(value.to_value(unit))
    for count in COUNTS:
        if gain is None:
            break
        per_count = gain * u.electron / count
        for converted in (value * per_count, value / per_count):
            if converted.unit.is_equivalent(unit):
                return float(converted.to_value(unit))
    raise ValueError(
        f"satlevel={value!r} does not convert to the frame's unit {unit}; give it in "
        "that unit, or give gain="
    )


def saturation_level(
    satlevel: ParameterLike | None,
    unit: u.UnitBase | None,
    header: Mapping | None = None,
    gain: float | None = None,
) -> float | None:
    """Return the saturation level that a user or the header gives, in the frame's unit.

    Parameters
    ----------
    satlevel : float, `~astropy.units.Quantity`, str or None
        As for `convert_satlevel`; None and ``"auto"`` stand for the header's.
    unit : `~astropy.units.UnitBase` or None
        Unit of the frame.
    header : mapping, optional
        The frame's header.
    gain : float, optional
        In electron/adu.

    Returns
    -------
    float or None
        Infinity if nothing saturates; None if the level is not known, so that it is
        searched in the frame itself.

    Raises
    ------
    TypeError, ValueError
        If it is not a number, or its unit does not convert.
    """
    if satlevel is not None and not (isinstance(satlevel, str) and satlevel == "auto"):
        return convert_satlevel(satlevel, unit, header, gain)
    levels = [_number(header_value(header or {}, key)) for key in SATURATION]
    levels = [level for level in levels if 0 < level < np.inf]
    if not levels:
        return None
    # Headers speak of counts, and of several amplifiers the highest is sure.
    level = max(levels)
    if unit is None or unit in (u.dimensionless_unscaled, *COUNTS):
        return level
    return level * gain if gain is not None and unit == u.electron else None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def unit_factor(
    unit: u.UnitBase | None,
    wanted: Literal["electron", "adu"] | None,
    gain: float | None,
    model: str,
) -> tuple[float, bool]:
    """Return the factor that takes a frame to the unit a model works in.

    Parameters
    ----------
    unit : `~astropy.units.UnitBase` or None
        Unit of the frame. A frame without one is in counts if ``gain`` is given,
        and otherwise in the unit that the model works in.
    wanted : {"electron", "adu"} or None
        Unit of the model's input; None if it takes any.
    gain : float or None
        In electron/adu.
    model : str
        Name of the model, for messages.

    Returns
    -------
    factor : float
        What to multiply the frame with.
    used : bool
        Whether the gain went into it.

    Raises
    ------
    ValueError
        If a gain is needed and missing, or nothing would convert the unit.
    """
    if wanted is None:
        return 1.0, False
    if unit is None:
        if gain is not None and wanted == "electron":
            return gain, True
        return 1.0, False
    counts = next((c for c in COUNTS if unit.is_equivalent(c)), None)
    if counts is None and not unit.is_equivalent(u.electron):
        raise ValueError(
            f"a frame in {_named(unit)} cannot be taken to {wanted}, which model "
            f"{model!r} works in: convert it to electron or adu first"
        )
    have = "adu" if counts is not None else "electron"
    scale = float(unit.to(counts if counts is not None else u.electron))
    if have == wanted:
        return scale, False
    if gain is None:
        raise ValueError(
            f"the frame is in {unit} and model {model!r} works in {wanted}: give "
            "gain= (electron/adu, a number, a Quantity or a header keyword)"
        )
    return (scale * gain if wanted == "electron" else scale / gain), True


def electron_factor(unit: u.UnitBase | None, gain: float | None) -> float:
    """Return the factor that takes a frame to electron, where there is one.

    Parameters
    ----------
    unit : `~astropy.units.UnitBase` or None
        Unit of the frame; one without is in counts, or in electron without a gain.
    gain : float or None
        In electron/adu; 1 if None.

    Returns
    -------
    float
        1 for frames that are neither in counts nor in electron.
    """
    if unit is None or unit == u.dimensionless_unscaled:
        return gain or 1.0
    if unit.is_equivalent(u.electron):
        return float(unit.to(u.electron))
    counts = next((c for c in COUNTS if unit.is_equivalent(c)), None)
    return 1.0 if counts is None else float(unit.to(counts)) * (gain or 1.0)


def _named(unit: u.UnitBase) -> str:
    return str(unit) or "dimensionless numbers"
