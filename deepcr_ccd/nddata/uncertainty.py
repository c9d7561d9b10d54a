"""Uncertainties of frames: what they are, and what they become at filled pixels."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from astropy import units as u
from astropy.nddata import (
    InverseVariance,
    NDUncertainty,
    StdDevUncertainty,
    VarianceUncertainty,
)
from numpy.typing import ArrayLike

from ..notices import warn_user

__all__ = [
    "POWERS",
    "check_shape",
    "power_of",
    "sigma_scale",
    "spread_values",
    "warn_stale",
    "with_array",
    "with_sigma",
]

#: How a one-sigma becomes the array of each kind of uncertainty: its power.
POWERS = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}


def power_of(uncertainty: Any) -> int | None:
    """Return the power of a one-sigma that an uncertainty holds.

    Parameters
    ----------
    uncertainty : object
        An uncertainty of any kind, or None.

    Returns
    -------
    int or None
        1, 2 or -2 for standard deviations, variances and inverse variances and for
        classes derived from these; None for others, and for those without an array.
    """
    if getattr(uncertainty, "array", None) is None:
        return None
    for kind, power in POWERS.items():
        if isinstance(uncertainty, kind):
            return power
    return None


def _power(uncertainty: Any) -> int:
    power = power_of(uncertainty)
    if power is None:
        raise TypeError(f"{type(uncertainty).__name__} has no one-sigma")
    return power


def check_shape(uncertainty: Any, shape: tuple[int, ...], name: str) -> None:
    """Raise a ValueError if an uncertainty cannot be that of a frame.

    Parameters
    ----------
    uncertainty : object
        An uncertainty of any kind, or None.
    shape : tuple of int
        Shape of the frame; an array that broadcasts to it will do.
    name : str
        Name of the frame's argument, for messages.
    """
    if power_of(uncertainty) is None:
        return
    own = np.shape(uncertainty.array)
    try:
        is_right = np.broadcast_shapes(own, shape) == shape
    except ValueError:
        is_right = False
    if not is_right:
        raise ValueError(
            f"uncertainty of {name} has shape {own}; the frame has {shape}"
        )


def with_sigma(
    uncertainty: NDUncertainty,
    filled: np.ndarray,
    sigma: np.ndarray,
    unit: u.UnitBase | None,
) -> NDUncertainty:
    """Return an uncertainty with the one-sigma of the fills at filled pixels.

    Parameters
    ----------
    uncertainty : `~astropy.nddata.NDUncertainty`
        Of a kind in `POWERS`; one number for all pixels becomes an array.
    filled : `~numpy.ndarray`
        bool, of the shape of the frame.
    sigma : `~numpy.ndarray`
        One-sigma of the fills, in the order of ``data[filled]``.
    unit : `~astropy.units.UnitBase` or None
        Of ``sigma``.
    """
    before = np.asanyarray(uncertainty.array)
    wide = before.dtype.kind == "f" and before.dtype.itemsize >= 4
    array = np.array(
        np.broadcast_to(before, filled.shape, subok=True),
        dtype=before.dtype.newbyteorder("=") if wide else np.float32,
        order="C",
        subok=True,
    )
    array[filled] = spread_values(uncertainty, array[filled], sigma, unit)
    return with_array(uncertainty, array)


def with_array(uncertainty: NDUncertainty, array: ArrayLike) -> NDUncertainty:
    """Return an uncertainty of the same class, with another array and no frame.

    Parameters
    ----------
    uncertainty : `~astropy.nddata.NDUncertainty`
        Any.
    array : array-like
        Its array; it is not copied.
    """
    try:
        result = type(uncertainty)(array, unit=uncertainty.unit, copy=False)
    except TypeError:
        # A class with other arguments.
        result = object.__new__(type(uncertainty))
        result.__dict__.update(vars(uncertainty), _parent_nddata=None)
        result.array = array
    own = {"_array", "_unit", "_parent_nddata"}
    for key in vars(uncertainty).keys() - own:
        result.__dict__[key] = copy.deepcopy(vars(uncertainty)[key])
    return result


def spread_values(
    uncertainty: NDUncertainty,
    before: np.ndarray,
    sigma: np.ndarray,
    unit: u.UnitBase | None,
) -> np.ndarray:
    """Return what an uncertainty's array holds at filled pixels.

    Parameters
    ----------
    uncertainty : `~astropy.nddata.NDUncertainty`
        Of a kind in `POWERS`.
    before : `~numpy.ndarray`
        ``(n,)``, what it is there now.
    sigma : `~numpy.ndarray`
        ``(n,)``, one-sigma of the fills.
    unit : `~astropy.units.Unit` or None
        Of ``sigma``.

    Returns
    -------
    `~numpy.ndarray`
        Of a floating type.
    """
    power = _power(uncertainty)
    sigma = sigma.astype(np.float64) * sigma_scale(uncertainty, unit)
    # Neighbours that are all equal say nothing of the noise: what was known stays. So
    # does what stands for a pixel without weight, in files too.
    known = (sigma > 0) & np.isfinite(before) & (before > 0)
    values = before.astype(np.result_type(before, np.float32))
    # In units whose numbers are tiny or huge, a float32 may not hold the power.
    with np.errstate(over="ignore", under="ignore"):
        values[known] = sigma[known] ** power
    return values


def sigma_scale(uncertainty: NDUncertainty, unit: u.UnitBase | None) -> float:
    """Return what takes a one-sigma to the unit that an uncertainty has.

    Parameters
    ----------
    uncertainty : `~astropy.nddata.NDUncertainty`
        Of a kind in `POWERS`.
    unit : `~astropy.units.Unit` or None
        Of the one-sigma.
    """
    if unit is None or uncertainty.unit is None:
        return 1.0
    power = _power(uncertainty)
    return float((unit**power).to(uncertainty.unit)) ** (1 / power)


def warn_stale(uncertainty: object) -> None:
    """Warn that an uncertainty is of a kind that cannot follow the fills.

    Parameters
    ----------
    uncertainty : object
        Of a kind not in `POWERS`.
    """
    warn_user(
        f"the uncertainty is of type {type(uncertainty).__name__}, which is not "
        "renewed: at filled pixels it is that of the data before",
    )


def with_lazy_sigma(
    uncertainty: NDUncertainty, sigma: Any, unit: u.UnitBase | None
) -> NDUncertainty:
    """Return an uncertainty with the one-sigma of the fills, lazily.

    Parameters
    ----------
    uncertainty : `~astropy.nddata.NDUncertainty`
        Of a kind in `POWERS`.
    sigma : dask array
        One-sigma of the fills, of the shape of the frame; 0 where nothing is filled.
    unit : `~astropy.units.UnitBase` or None
        Of ``sigma``.
    """
    import dask.array as da

    power = _power(uncertainty)
    before = da.asarray(uncertainty.array)
    # As in `spread_values`.
    known = (sigma > 0) & da.isfinite(before) & (before > 0)
    values = da.where(known, sigma * sigma_scale(uncertainty, unit), 1) ** power
    return with_array(uncertainty, da.where(known, values, before))
