"""Frames: users' objects as plain arrays, and results as objects of their class."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy import units as u
from astropy.nddata import NDData

from .array_classes import (
    check_kind,
    combine_list,
    is_dask,
    is_list_of_nddata,
    put_together,
    take_apart,
)
from .data_quality import read_flags
from .dq_convention import DQConvention
from .header import add_keywords
from .rebuilding import check_rebuilding, rebuild
from .typing import MaskLike
from .uncertainty import (
    check_shape,
    power_of,
    spread_values,
    warn_stale,
    with_lazy_sigma,
    with_sigma,
)

__all__ = [
    "Frame",
    "as_mask",
    "is_dask",
    "read_frame",
    "read_frames",
    "spread_values",
]


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame, or a stack of them, taken apart.

    ``data`` is ``(ny, nx)`` or ``(n, ny, nx)``, the user's own array, not to be
    written to; ``mask`` is bool of that shape or None; ``unit`` None means that
    the user's object has none. ``dq`` says what its ``flags`` mean, if they are used.
    """

    source: Any
    data: np.ndarray
    mask: np.ndarray | None
    unit: u.UnitBase | None
    header: Mapping | None
    dq: DQConvention | None = None

    def planes(self) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Return data and mask of each plane, ``(ny, nx)``."""
        if self.data.ndim == 2:
            return [(self.data, self.mask)]
        masks = [None] * len(self.data) if self.mask is None else self.mask
        return list(zip(self.data, masks, strict=True))

    def stack(self, planes: list[np.ndarray]) -> np.ndarray:
        """Put one result a plane together, in the shape of ``data``."""
        return planes[0] if self.data.ndim == 2 else np.stack(planes)

    @property
    def cleaned_dtype(self) -> np.dtype:
        """The type of cleaned data: float64 if ``data`` is that, else float32."""
        wide = self.data.dtype.kind == "f" and self.data.dtype.itemsize >= 8
        return np.dtype(np.float64 if wide else np.float32)

    def copy_data(self) -> np.ndarray:
        """Return a writable copy, of the type of cleaned data."""
        return np.array(self.data, dtype=self.cleaned_dtype, order="C")

    def combine_mask(self, crmask: np.ndarray) -> np.ndarray:
        """Return the old mask OR the cosmic rays; always a new array."""
        if self.mask is None:
            return crmask.copy()
        combined = self.mask | crmask
        return combined if is_dask(combined) else np.ascontiguousarray(combined)

    def wrap(self, data: Any, mask: Any) -> Any:
        """Return data and a mask as an array of the user's class."""
        return put_together(self.source, data, mask, self.unit)

    def rebuild(
        self,
        data: np.ndarray,
        sigma: np.ndarray | None = None,
        *,
        crmask: np.ndarray | None = None,
        filled: np.ndarray | None = None,
        keywords: dict[str, tuple[Any, str]] | None = None,
        history: str = "",
    ) -> NDData:
        """Return an object of the user's own NDData class with new content.

        Parameters
        ----------
        data : `~numpy.ndarray`
            The cleaned data.
        sigma : `~numpy.ndarray`, optional
            One-sigma of the fills, in the frame's unit; None if nothing was filled.
        crmask : `~numpy.ndarray`, optional
            bool, what to OR into the mask; None leaves the mask as it is.
        filled : `~numpy.ndarray`, optional
            bool, where data were filled; by default where cosmic rays are.
        keywords : dict, optional
            Value and comment by FITS keyword; without ``history``, values of the user's
            own choice.
        history : str
            A line of history.
        """
        source = self.source
        where = crmask if filled is None else filled
        mask = source.mask if crmask is None else self.combine_mask(crmask)
        if crmask is None and not is_dask(mask):
            mask = copy.deepcopy(mask)
        uncertainty = source.uncertainty
        renewed = None
        if sigma is not None and uncertainty is not None and sigma.size:
            if power_of(uncertainty) is None:
                if getattr(uncertainty, "array", "something") is not None:
                    warn_stale(uncertainty)
            elif is_dask(sigma):
                renewed = with_lazy_sigma(uncertainty, sigma, self.unit)
            elif where is not None:
                renewed = with_sigma(uncertainty, where, sigma, self.unit)
        result = rebuild(source, data, mask, renewed)
        if self.dq is not None and crmask is not None:
            filled_too = sigma is not None
            result.flags = self.dq.flag(result.flags, crmask, filled_too)
        if keywords:
            add_keywords(result.meta, keywords, history)
        return result


def read_frame(
    ccd: Any,
    name: str = "ccd",
    *,
    chunked: bool = False,
    dq: DQConvention | None = None,
) -> Frame:
    """Take apart what a user passed as a frame.

    Parameters
    ----------
    ccd : `~astropy.nddata.NDData`, `~astropy.units.Quantity` or array-like
        2-D, or a 3-D stack of frames, or a list of arrays that are stacked; masked
        arrays keep their mask.
    name : str
        Name of the argument, for messages.
    chunked : bool
        Whether Dask's arrays stay what they are; otherwise they are read into memory.
    dq : DQConvention, optional
        What the flags of an NDData mean; pixels that are bad by them are masked.

    Returns
    -------
    Frame

    Raises
    ------
    TypeError
        If it is no frame, such as the path of one, does not hold real numbers, or is of
        a class of NDData that new data cannot be put into.
    ValueError
        If it is empty, or neither 2-D nor 3-D, or its mask or uncertainty has another
        shape; or if its unit is logarithmic.
    """
    check_kind(ccd, name)
    if is_list_of_nddata(ccd, name):
        raise TypeError(
            f"{name} is a list of {type(ccd[0]).__name__}, and must be one frame: give "
            "one after the other, or the list to cosmicray_deepcr"
        )
    mask = header = None
    if isinstance(ccd, NDData):
        data, hidden, _ = take_apart(ccd.data)
        mask, unit, header = ccd.mask, ccd.unit, ccd.meta
        source = ccd
    else:
        source = combine_list(ccd, name)
        data, hidden, unit = take_apart(source)
    lazy = chunked and is_dask(data)
    if not lazy:
        data = _as_array(data, name)
    _check_data(data, name)
    _check_unit(unit, name)
    if data.dtype.kind == "f" and data.dtype.itemsize not in (4, 8):
        # A float16 overflows in sums; a long double has no use.
        data = data.astype(np.float32 if data.dtype.itemsize < 4 else np.float64)
    if mask is np.ma.nomask:
        mask = None
    if mask is not None:
        mask = as_mask(mask, data.shape, f"mask of {name}", lazy=lazy)
    if hidden is not None:
        hidden = as_mask(hidden, data.shape, f"mask of {name}", lazy=lazy)
        mask = hidden if mask is None else mask | hidden
    if header is not None:
        check_shape(ccd.uncertainty, data.shape, name)
        check_rebuilding(ccd, ccd.data)
    if dq is not None:
        flagged = read_flags(ccd, dq, name, lazy=lazy)
        if flagged is not None:
            dq, bad = flagged
            mask = bad if mask is None else mask | bad
        else:
            dq = None
    return Frame(source, data, mask, unit, header, dq)


def read_frames(
    ccd: Any,
    name: str = "ccd",
    *,
    chunked: bool = False,
    dq: DQConvention | None = None,
) -> list[Frame] | None:
    """Take apart what a user passed, if it is a list of CCDData or other NDData.

    Parameters
    ----------
    ccd, name, chunked, dq
        As for `read_frame`, which reads everything else.

    Returns
    -------
    list of Frame, or None
        None if it is no such list.

    Raises
    ------
    TypeError, ValueError
        As `read_frame`; or if only some members are NDData.
    """
    if not is_list_of_nddata(ccd, name):
        return None
    return [
        read_frame(one, f"{name}[{place}]", chunked=chunked, dq=dq)
        for place, one in enumerate(ccd)
    ]


def _as_array(data: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(data)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be made an array: {error}") from error


def _check_unit(unit: u.UnitBase | None, name: str) -> None:
    """Raise an error if the noise of a frame in a unit is not that of its counts."""
    if unit is None:
        return
    logarithmic = isinstance(unit, u.function.FunctionUnitBase)
    if logarithmic or any(base.is_equivalent(u.mag) for base in u.Unit(unit).bases):
        raise ValueError(
            f"{name} is in {unit}, which is logarithmic: cosmic rays are found in "
            "counts or a flux, such as electron or adu; convert it first"
        )


def _check_data(data: np.ndarray, name: str) -> None:
    """Raise an error if an array is no frame and no stack of frames."""
    if data.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, not {data.dtype}")
    if data.ndim not in (2, 3) or data.size == 0:
        hint = ""
        if data.ndim == 1:
            hint = "; cosmic rays are found in the 2-D frame, before it is made 1-D"
        raise ValueError(
            f"{name} has shape {data.shape}; allowed are (ny, nx) and (n, ny, nx), "
            f"not empty{hint}"
        )
    if is_dask(data) and np.isnan(data.size):
        raise ValueError(
            f"{name} has chunks of unknown size: call its compute_chunk_sizes() first"
        )


def as_mask(
    mask: MaskLike,
    shape: tuple[int, ...],
    name: str,
    *,
    unknown: bool = True,
    lazy: bool = False,
) -> np.ndarray:
    """Return a mask as a bool array of a frame's shape.

    Parameters
    ----------
    mask : array-like
        True (or not zero) where bad; a scalar holds for the whole frame, and a
        2-D mask for all planes of a stack. A list of masks is a stack of them.
    shape : tuple of int
        Shape of the frame.
    name : str
        Name of the argument, for messages.
    unknown : bool
        What holds where the mask is an array that is itself masked.
    lazy : bool
        Whether Dask's arrays stay what they are; otherwise they are read into memory.

    Raises
    ------
    TypeError
        If it holds neither truth values nor integers.
    ValueError
        If its shape is another.
    """
    flags: Any
    flags, hidden, _ = take_apart(combine_list(mask, name))
    if not (lazy and is_dask(flags)):
        flags = _as_array(flags, name)
    if flags.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold truth values, not {flags.dtype}")
    one_for_all_planes = shape[1:] if len(shape) == 3 else shape
    if flags.shape not in (shape, (), one_for_all_planes):
        raise ValueError(f"{name} has shape {flags.shape}; the frame has {shape}")
    flags = flags.astype(bool, **({} if is_dask(flags) else {"copy": False}))
    if hidden is not None:
        hidden = hidden if lazy else np.asarray(hidden)
        flags = flags | hidden if unknown else flags & ~hidden
    if is_dask(flags):
        return flags if flags.shape == shape else flags[None].repeat(shape[0], axis=0)
    return np.broadcast_to(flags, shape)
