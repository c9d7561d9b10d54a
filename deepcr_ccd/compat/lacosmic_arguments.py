"""Arguments of L.A.Cosmic, as astroscrappy has them: which are allowed, and read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from scipy.special import expit, logit

from ..nddata.array_classes import take_apart
from ..segmentation.hysteresis import Thresholds

__all__ = [
    "CLEANTYPES",
    "IGNORED",
    "PSFFWHM",
    "READNOISE",
    "check_arguments",
    "heed_sigfrac",
    "ignored_arguments",
    "read_background",
    "read_plane",
]

#: The default of astroscrappy, which is not that of the frame: the noise is measured.
READNOISE = 6.5
PSFFWHM = 2.5
#: Fill methods of astroscrappy, and those of this package that do the same.
CLEANTYPES = {"median": None, "medmask": "median", "meanmask": "mean", "idw": "idw"}

#: Parameters of L.A.Cosmic that a network does not have, and their defaults.
IGNORED: dict[str, Any] = {
    "sigclip": 4.5,
    "sigfrac": 0.3,
    "objlim": 5.0,
    "niter": 4,
    "sepmed": True,
    "fsmode": "median",
    "psfmodel": "gauss",
    "psffwhm": PSFFWHM,
    "psfsize": 7,
    "psfk": None,
    "psfbeta": 4.765,
}
#: Parameters that are one of some words, and parameters that are numbers.
CHOICES = {
    "cleantype": tuple(CLEANTYPES),
    "fsmode": ("median", "convolve"),
    "psfmodel": ("gauss", "gaussx", "gaussy", "moffat"),
}
NUMBERS = ("sigclip", "sigfrac", "objlim", "niter", "psffwhm", "psfsize", "psfbeta")


def ignored_arguments(given: dict, *, heeded: Collection[str]) -> list[str]:
    """Return the names of parameters that were given and have no effect.

    Parameters
    ----------
    given : dict
        Values by name.
    heeded : collection of str
        Those of ``sigfrac`` and ``psffwhm`` that have one.
    """
    return [
        name
        for name, default in IGNORED.items()
        if name not in heeded and not _same(given[name], default)
    ]


def heed_sigfrac(thresholds: Thresholds, sigfrac: float) -> Thresholds:
    """Return thresholds that are as far apart as sigfrac asks for.

    astroscrappy's default stands for the thresholds as they are, and 1 for one
    threshold; other values are in proportion to these, in the logit of probability.

    Parameters
    ----------
    thresholds : Thresholds
        Those of the model.
    sigfrac : float
        As for `deepcr_ccd.detect_cosmics`.

    Raises
    ------
    ValueError
        If it is negative.
    """
    default = IGNORED["sigfrac"]
    if sigfrac < 0:
        raise ValueError(f"sigfrac={sigfrac!r} must not be negative")
    if sigfrac == default:
        return thresholds
    seed, extend = logit(np.clip(thresholds, 1e-9, 1 - 1e-9))
    fraction = max(1 - sigfrac, 0) / (1 - default)
    lower = float(expit(seed - fraction * (seed - extend)))
    return thresholds._replace(extend=min(lower, thresholds.seed))


def read_plane(value: Any, shape: tuple[int, ...], name: str) -> np.ndarray | None:
    """Return a plane, or one number for all pixels, in the shape of the frame.

    Parameters
    ----------
    value : float, array-like or None
        What the user gave; pixels that it masks become NaN.
    shape : tuple of int
        Of the frame.
    name : str
        Name of the argument, for messages.

    Raises
    ------
    TypeError, ValueError
        If it does not hold real numbers, or has another shape.
    """
    if value is None:
        return None
    value, hidden, _ = take_apart(value)
    plane = np.asarray(value)
    if plane.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, not {plane.dtype}")
    if plane.shape not in (shape, ()):
        raise ValueError(f"{name} has shape {plane.shape}; indat has {shape}")
    # Differences of integers without a sign are none.
    plane = plane.astype(np.result_type(plane.dtype, np.float32), copy=False)
    if hidden is not None:
        plane = np.where(hidden, np.nan, plane)
    return np.broadcast_to(plane, shape)


def check_arguments(given: dict) -> None:
    """Raise an error if L.A.Cosmic would not take one of its arguments.

    Parameters
    ----------
    given : dict
        Their values by name.

    Raises
    ------
    TypeError, ValueError
        If one is not of an allowed kind or value.
    """
    for name, allowed in CHOICES.items():
        if not isinstance(given[name], str) or given[name] not in allowed:
            raise ValueError(
                f"{name}={given[name]!r} is unknown; allowed are {', '.join(allowed)}"
            )
    for name in NUMBERS:
        value = given[name]
        if isinstance(value, str) or value is None or np.ndim(value) != 0:
            raise TypeError(f"{name}={value!r} must be a number")
        if np.isnan(value):
            raise ValueError(f"{name}={value!r} must be a number")


def read_background(
    value: Any, shape: tuple[int, ...]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return a background that is finite, and where it was not: None if nowhere.

    Parameters
    ----------
    value : float, array-like or None
        What the user gave.
    shape : tuple of int
        Of the frame.

    Raises
    ------
    TypeError, ValueError
        As `read_plane`; or if none of it is finite.
    """
    plane = read_plane(value, shape, "inbkg")
    if plane is None or plane.dtype.kind != "f" or np.isfinite(plane).all():
        return plane, None
    unknown = ~np.isfinite(plane)
    if unknown.all():
        raise ValueError("inbkg has no finite values")
    return np.where(unknown, np.median(plane[~unknown]), plane), unknown


def _same(value: Any, default: Any) -> bool:
    return value is default or (np.isscalar(value) and value == default)
