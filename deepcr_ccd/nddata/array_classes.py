"""Classes of arrays that hold frames: taken apart, stacked, and put together again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from astropy import units as u
from astropy.nddata import NDData
from astropy.utils.masked import Masked

__all__ = [
    "Parts",
    "check_kind",
    "combine_list",
    "is_dask",
    "is_list_of_nddata",
    "put_together",
    "take_apart",
]

#: What to do with a frame that is not read yet.
READ_IT = (
    "read it with CCDData.read(path, unit=...) of astropy.nddata, or use "
    "deepcr_ccd.clean_files"
)


class Parts(NamedTuple):
    """An array of a user's: plain data, a mask of that shape or None, and a unit."""

    data: Any
    mask: Any
    unit: u.UnitBase | None


def is_dask(array: object) -> bool:
    """Tell whether an array is one of Dask's.

    Parameters
    ----------
    array : array-like
        Of any class; Dask need not be installed.
    """
    return type(array).__module__.startswith("dask.array")


def _is_masked_dask(array: Any) -> bool:
    """Tell whether it is a Dask array whose chunks are masked arrays."""
    return is_dask(array) and isinstance(array._meta, np.ma.MaskedArray)  # noqa: SLF001


def take_apart(array: Any) -> Parts:
    """Take an array apart, whatever class it has.

    Parameters
    ----------
    array : array-like
        Such as a Quantity, `numpy.ma.MaskedArray`, `~astropy.utils.masked.Masked`, or
        an array of Dask's, with masked chunks or without.
    """
    mask = unit = None
    if isinstance(array, Masked):
        array, mask = array.unmasked, array.mask
    if isinstance(array, u.Quantity):
        array, unit = array.value, array.unit
    if isinstance(array, np.ma.MaskedArray):
        array, mask = array.data, np.ma.getmaskarray(array)
    elif _is_masked_dask(array):
        import dask.array as da

        array, mask = da.ma.getdata(array), da.ma.getmaskarray(array)
    return Parts(array, mask, unit)


def put_together(source: Any, data: Any, mask: Any, unit: u.UnitBase | None) -> Any:
    """Return data as an array of the class that a user's has.

    Parameters
    ----------
    source : array-like
        The user's; classes without a mask or a unit of their own get a plain array.
        A masked array keeps its fill value and whether its mask is hard.
    data : array-like
        The data.
    mask : array-like
        bool, of that shape; for classes that have one.
    unit : `~astropy.units.UnitBase` or None
        Of the data.
    """
    if unit is not None:
        data = u.Quantity(data, unit, copy=False)
    if isinstance(source, Masked):
        return Masked(data, mask=mask)
    if isinstance(source, np.ma.MaskedArray):
        return np.ma.MaskedArray(data, mask, **_masked_options(source, data.dtype))
    if _is_masked_dask(source):
        how = _masked_options(source._meta, data.dtype)  # noqa: SLF001
        if not is_dask(data):
            return np.ma.MaskedArray(data, mask, **how)
        import dask.array as da

        return da.ma.masked_array(data, da.asarray(mask).rechunk(data.chunks), **how)
    return data


def _masked_options(source: Any, dtype: np.dtype) -> dict[str, Any]:
    """Return the fill value of a masked array, and whether its mask is hard.

    The fill value is None, which stands for numpy's own of that type, where none was
    set or it is too large for ``dtype``.
    """
    # Asking for the public attribute sets it, where it was not set.
    own = source._fill_value  # noqa: SLF001
    if own is not None:
        with np.errstate(over="ignore"):
            value = np.asarray(own).astype(dtype)
        own = value[()] if np.isfinite(value) or not np.isfinite(own) else None
    return {"fill_value": own, "hard_mask": source.hardmask}


def check_kind(frame: object, name: str) -> None:
    """Raise a TypeError if something is no frame, and say what to do instead.

    Parameters
    ----------
    frame : object
        What was given.
    name : str
        Name of the argument.
    """
    kind = type(frame).__name__
    if frame is None:
        raise TypeError(f"{name}=None is no frame: {READ_IT}")
    if isinstance(frame, str | bytes | os.PathLike):
        raise TypeError(f"{name}={frame!r} is a {kind}, not a frame: {READ_IT}")
    if hasattr(frame, "read") and hasattr(frame, "seek"):
        raise TypeError(f"{name} is an open file, not a frame: {READ_IT}")
    if type(frame).__module__.startswith("astropy.io.fits"):
        raise TypeError(
            f"{name} is of type {kind}, not a frame: give the data of an image, as "
            f"CCDData(hdu.data, unit=..., meta=hdu.header), or {READ_IT}"
        )


def is_list_of_nddata(frames: Any, name: str) -> bool:
    """Tell whether something is a list of CCDData, or of other NDData.

    Parameters
    ----------
    frames : object
        What was given.
    name : str
        Name of the argument, for messages.

    Raises
    ------
    TypeError
        If only some members of a list are NDData.
    """
    if not _is_plain_list(frames):
        return False
    are = [isinstance(frame, NDData) for frame in frames]
    if any(are) and not all(are):
        raise TypeError(
            f"{name} is a mixture of {_classes(frames)}: give a list of CCDData only, "
            "or of arrays only"
        )
    return any(are)


def combine_list(frames: Any, name: str) -> Any:
    """Return a stack of a list of frames that are arrays; what is no list as it is.

    Parameters
    ----------
    frames : object
        What was given. Units and masks of the members are kept.
    name : str
        Name of the argument, for messages.

    Raises
    ------
    TypeError
        If the members have masks or units of classes that do not go together, or are
        no arrays.
    ValueError
        If their shapes differ.
    """
    if not _is_plain_list(frames) or not len(frames):
        return frames
    for place, frame in enumerate(frames):
        check_kind(frame, f"{name}[{place}]")
    shapes: set[Any] = {getattr(frame, "shape", None) for frame in frames}
    if len(shapes) > 1 and None not in shapes:
        different = ", ".join(map(str, sorted(shapes)))
        raise ValueError(
            f"{name} is a list of arrays of shapes {different}; allowed is "
            "one shape, or a list of CCDData: else clean one after the other"
        )
    stack = _stack_of(frames, name)
    return frames if stack is None else stack(list(frames))


def _stack_of(frames: Sequence, name: str) -> Callable | None:
    """Return the function that stacks frames, or None for numpy's own way."""
    masked = any(isinstance(frame, Masked) for frame in frames)
    old_masked = any(isinstance(frame, np.ma.MaskedArray) for frame in frames)
    united = [isinstance(frame, u.Quantity) for frame in frames]
    chunked = any(map(is_dask, frames))
    if masked + old_masked + chunked > 1 or (any(united) and not all(united)):
        raise TypeError(
            f"{name} is a mixture of {_classes(frames)}: give arrays of one class"
        )
    if chunked:
        import dask.array as da

        return da.stack
    if old_masked:
        return np.ma.stack
    return np.stack if masked or any(united) else None


def _is_plain_list(frames: object) -> bool:
    module = type(frames).__module__
    return isinstance(frames, list | tuple) and not module.startswith("astropy.io.fits")


def _classes(frames: Sequence) -> str:
    return " and ".join(sorted({type(frame).__name__ for frame in frames}))
