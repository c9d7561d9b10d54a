"""Types of what users give, for hints in public signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from astropy import units as u
from astropy.nddata import NDData
from numpy.typing import ArrayLike

__all__ = ["CCDLike", "MaskLike", "ParameterLike"]

#: A frame, ``(ny, nx)``, or a stack, ``(n, ny, nx)``: CCDData or another NDData, a
#: Quantity, an array of any class (masked, Dask's), or a list of these.
CCDLike: TypeAlias = NDData | u.Quantity | ArrayLike | Sequence[NDData]
#: A mask: bool or integers, True or not zero where pixels are bad; a list is a stack.
MaskLike: TypeAlias = ArrayLike
#: A property of the camera, such as the gain: a number, a Quantity, or the header
#: keyword that holds it.
ParameterLike: TypeAlias = float | u.Quantity | str
