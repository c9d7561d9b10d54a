"""Build the result from the user's own NDData object: same class, new content."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from astropy.nddata import CCDData, NDData, NDDataArray, NDUncertainty
from numpy.typing import ArrayLike

from .uncertainty import with_array

__all__ = ["check_rebuilding", "rebuild"]

#: Attributes that are given new content, and not copied.
RENEWED = ("_data", "_mask", "_uncertainty")


def rebuild(
    source: NDData, data: ArrayLike, mask: ArrayLike | None, uncertainty: Any
) -> NDData:
    """Return an object of a user's class that shares no memory with the user's.

    Parameters
    ----------
    source : `~astropy.nddata.NDData`
        The user's object; it is not modified.
    data, mask : array-like
        The new content.
    uncertainty : object
        The new uncertainty, or None to copy the one there is.

    Returns
    -------
    `~astropy.nddata.NDData`
        Its header, WCS, flags, PSF and what its class has besides are copies.

    Raises
    ------
    TypeError
        If new data cannot be put into an object of such a class.
    """
    # The arrays are large: only what is not replaced is copied.
    result = copy.copy(source)
    copies: dict[int, Any] = {id(source): result}
    for key, value in vars(result).items():
        if key not in RENEWED:
            vars(result)[key] = copy.deepcopy(value, copies)
    _set_data(result, data)
    _set_mask(result, mask)
    if uncertainty is None:
        uncertainty = _copy_uncertainty(source.uncertainty, copies)
    result.uncertainty = uncertainty
    return result


def check_rebuilding(source: NDData, data: ArrayLike) -> None:
    """Raise a TypeError if new data cannot be put into an object of such a class.

    Parameters
    ----------
    source : `~astropy.nddata.NDData`
        The user's object.
    data : array-like
        What its attribute ``data`` holds.
    """
    if _has_plain_data(source):
        return
    trial = copy.copy(source)
    # Its own data, put into it again, must be what it has.
    _set_data(trial, data)
    got = trial.data
    if got is not data and not (
        np.shape(got) == np.shape(data)
        and np.array_equal(np.asarray(got), np.asarray(data), equal_nan=True)
    ):
        raise TypeError(_refusal(source))


def _has_plain_data(source: NDData) -> bool:
    known = (NDData.data, NDDataArray.data, CCDData.data)
    return any(type(source).data is one for one in known)


def _refusal(source: NDData) -> str:
    name = type(source).__name__
    return (
        f"{name}.data cannot be set, so that no {name} can be returned: give "
        f"CCDData(frame.data, unit=frame.unit, mask=frame.mask) or the array itself"
    )


def _set_data(result: NDData, data: ArrayLike) -> None:
    descriptor = getattr(type(result), "data", None)
    if getattr(descriptor, "fset", None) is not None:
        result.data = data
    else:
        result._data = data  # noqa: SLF001


def _set_mask(result: NDData, mask: ArrayLike | None) -> None:
    if mask is None or isinstance(mask, np.ndarray | bool | np.bool_):
        try:
            result.mask = mask
        except AttributeError:
            result._mask = mask  # noqa: SLF001
        return
    # A lazy array, which the setter of CCDData would read into memory.
    result._mask = mask  # noqa: SLF001


def _copy_uncertainty(uncertainty: Any, copies: dict[int, Any]) -> Any:
    if isinstance(uncertainty, NDUncertainty):
        return with_array(uncertainty, copy.deepcopy(uncertainty.array))
    return copy.deepcopy(uncertainty, copies)
