"""Coerce what users have into one internal type, and turn results back into theirs."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import (
    InverseVariance,
    NDData,
    NDUncertainty,
    StdDevUncertainty,
    VarianceUncertainty,
)

__all__ = ["Frame", "is_chunked", "read_frame", "spread_values"]

#: How a one-sigma becomes the array of each kind of uncertainty: its power.
POWERS = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}


@dataclasses.dataclass(frozen=True)
class Frame:
    """A frame, or a stack of them, taken apart.

    ``data`` is ``(ny, nx)`` or ``(n, ny, nx)``, the user's own array, not to be
    written to; ``mask`` is bool of that shape or None; ``unit`` None means that
    the user's object has none.
    """

    source: Any
    data: np.ndarray
    mask: np.ndarray | None
    unit: u.UnitBase | None
    header: Mapping | None

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
        return np.array(self.data, dtype=self.cleaned_dtype)

    def combine_mask(self, crmask: np.ndarray) -> np.ndarray:
        """Return the old mask OR the cosmic rays; always a new array."""
        return crmask.copy() if self.mask is None else self.mask | crmask

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
            Value and comment by FITS keyword.
        history : str
            A line of history.
        """
        # The memo stands the new arrays in for the old ones, so that nothing large
        # is copied only to be thrown away.
        memo = {id(self.source.data): data}
        old_mask = self.source.mask
        if crmask is not None and old_mask is not None:
            memo[id(old_mask)] = mask = self.combine_mask(crmask)
        elif crmask is not None:
            mask = crmask.copy()
        result = copy.deepcopy(self.source, memo)
        if is_chunked(crmask):
            # The setter of CCDData would read it into memory.
            result._mask = mask  # noqa: SLF001
        elif crmask is not None:
            result.mask = mask
        uncertainty = result.uncertainty
        if sigma is not None and type(uncertainty) in POWERS and sigma.size:
            where = crmask if filled is None else filled
            result.uncertainty = _with_sigma(uncertainty, where, sigma, self.unit)
        if keywords:
            _add_keywords(result.meta, keywords, history)
        return result


def _with_sigma(
    uncertainty: NDUncertainty,
    filled: np.ndarray,
    sigma: np.ndarray,
    unit: u.UnitBase | None,
) -> NDUncertainty:
    """Return the uncertainty with the spread of the fills at filled pixels."""
    array = np.array(uncertainty.array)
    if array.dtype.kind != "f":
        array = array.astype(np.float32)
    array[filled] = spread_values(uncertainty, array[filled], sigma, unit)
    return type(uncertainty)(array, unit=uncertainty.unit, copy=False)


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
        ``(n,)``, what it held there.
    sigma : `~numpy.ndarray`
        ``(n,)``, one-sigma of the fills.
    unit : `~astropy.units.Unit` or None
        Of ``sigma``.

    Returns
    -------
    `~numpy.ndarray`
        Of a floating type.
    """
    power = POWERS[type(uncertainty)]
    sigma = sigma.astype(np.float64) * sigma_scale(uncertainty, unit)
    # Neighbours that are all equal say nothing of the noise: what was known stays.
    said = sigma > 0
    values = before.astype(np.result_type(before, np.float32))
    values[said] = sigma[said] ** power
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
    power = POWERS[type(uncertainty)]
    return float((unit**power).to(uncertainty.unit)) ** (1 / power)


def _add_keywords(meta, keywords: dict[str, tuple[Any, str]], history: str) -> None:
    header = isinstance(meta, fits.Header)
    for key, (value, comment) in keywords.items():
        meta[key] = (value, comment) if header else value
    if header:
        meta.add_history(history)
        return
    before = meta.get("HISTORY")
    if before is None or before == "":
        meta["HISTORY"] = history
    elif isinstance(before, list | tuple):
        meta["HISTORY"] = [*before, history]
    else:
        meta["HISTORY"] = f"{before}; {history}"


def is_chunked(array) -> bool:
    """Tell whether an array is one of Dask's.

    Parameters
    ----------
    array : array-like
        Of any kind; Dask need not be installed.
    """
    return type(array).__module__.startswith("dask.array")


def read_frame(ccd, name: str = "ccd", *, chunked: bool = False) -> Frame:
    """Take apart what a user passed as a frame.

    Parameters
    ----------
    ccd : `~astropy.nddata.NDData`, `~astropy.units.Quantity` or array-like
        2-D, or a 3-D stack of frames; masked arrays keep their mask.
    name : str
        Name of the argument, for messages.
    chunked : bool
        Whether Dask's arrays stay what they are; otherwise they are read into memory.

    Returns
    -------
    Frame

    Raises
    ------
    TypeError
        If it does not hold real numbers.
    ValueError
        If it is empty, or neither 2-D nor 3-D, or its mask has another shape.
    """
    mask = unit = header = None
    if isinstance(ccd, NDData):
        data, mask, unit, header = ccd.data, ccd.mask, ccd.unit, ccd.meta
    elif isinstance(ccd, u.Quantity):
        data, unit = ccd.value, ccd.unit
    elif isinstance(ccd, np.ma.MaskedArray):
        data, mask = ccd.data, np.ma.getmaskarray(ccd)
    else:
        data = ccd
    chunked = chunked and is_chunked(data)
    if not chunked:
        data = np.asarray(data)
    if data.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, not {data.dtype}")
    if data.ndim not in (2, 3) or data.size == 0:
        raise ValueError(
            f"{name} has shape {data.shape}; allowed are (ny, nx) and (n, ny, nx), "
            "not empty"
        )
    if is_chunked(mask) and not chunked:
        mask = np.asarray(mask)
    if mask is not None and mask is not np.ma.nomask:
        mask = as_mask(mask, data.shape, f"mask of {name}")
    else:
        mask = None
    return Frame(ccd, data, mask, unit, header)


def as_mask(mask, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Return a mask as a bool array of a frame's shape.

    Parameters
    ----------
    mask : array-like
        True (or not zero) where bad; a scalar holds for the whole frame, and a
        2-D mask for all planes of a stack.
    shape : tuple of int
        Shape of the frame.
    name : str
        Name of the argument, for messages.

    Raises
    ------
    TypeError
        If it holds neither truth values nor integers.
    ValueError
        If its shape is another.
    """
    if not is_chunked(mask):
        mask = np.asarray(mask)
    if mask.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold truth values, not {mask.dtype}")
    one_for_all_planes = shape[1:] if len(shape) == 3 else shape
    if mask.shape not in (shape, (), one_for_all_planes):
        raise ValueError(f"{name} has shape {mask.shape}; the frame has {shape}")
    if is_chunked(mask):
        mask = mask.astype(bool)
        return mask if mask.shape == shape else mask[None].repeat(shape[0], axis=0)
    return np.broadcast_to(mask.astype(bool, copy=False), shape)
