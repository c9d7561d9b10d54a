"""Frames scaled to their noise, where float32 would overflow or underflow otherwise.

Fluxes in erg/s/cm2/Hz are about 1e-28, and their squares are zero in float32. Such
frames are multiplied by a power of two, which changes no digit. Other frames are
processed as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inpainting.cutouts import working_dtype

__all__ = ["SAMPLES", "ScaledFrame", "scale_factor_of", "find_scale_factor", "unscale"]

#: Frames whose noise lies between these are processed as they are.
ORDINARY_NOISE = (1e-6, 1e9)
#: Approximate number of pixels from which the noise is estimated.
SAMPLES = 20_000


def find_scale_factor(data: np.ndarray, *excluded: np.ndarray | None) -> float:
    """Return the power of two by which a frame is multiplied before it is processed.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    *excluded : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, pixels to leave out.

    Returns
    -------
    float
        1 if the noise is in `ORDINARY_NOISE`; otherwise such that it is about 1.
    """
    step = max(1, int(np.sqrt(data.size / SAMPLES)))
    sparse = (slice(step // 2, None, step),) * 2
    masks = [mask for mask in excluded if mask is not None]
    values = _good(data[sparse], [mask[sparse] for mask in masks])
    if not values.size:
        values = _good(data, masks)
    return scale_factor_of(values)


def scale_factor_of(values: np.ndarray) -> float:
    """Return the factor of `find_scale_factor`, given a sample of good pixels.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Finite, of any shape.
    """
    if not values.size:
        return 1.0
    # Half of each, as the difference of two may overflow.
    values = values.astype(np.float64).ravel() / 2
    middle = np.median(values)
    noise = 2 * np.median(np.abs(values - middle))
    # A constant frame, or nearly so, has a level, or at least a peak.
    for size in (noise, 2 * abs(middle), 2 * np.abs(values).max()):
        if size > 0:
            if ORDINARY_NOISE[0] <= size <= ORDINARY_NOISE[1]:
                return 1.0
            return float(2.0 ** -np.clip(np.rint(np.log2(size)), -1000, 1000))
    return 1.0


def _good(data: np.ndarray, masks: list[np.ndarray]) -> np.ndarray:
    good = np.isfinite(data)
    for mask in masks:
        good &= ~mask
    return data[good]


class ScaledFrame:
    """A frame multiplied by a factor, computed where it is indexed.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    factor : float
        A power of two.
    """

    def __init__(self, data: np.ndarray, factor: float):
        self.data = data
        self.factor = factor
        self.shape = data.shape
        self.size = data.size
        self.dtype = working_dtype(data.dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        with np.errstate(over="ignore", under="ignore"):
            return (self.data[index] * np.float64(self.factor)).astype(self.dtype)


def unscale(values: np.ndarray, factor: float, dtype: np.dtype) -> np.ndarray:
    """Return values of a scaled frame in the unit of the frame.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Of the scaled frame.
    factor : float
        From `find_scale_factor`.
    dtype : `~numpy.dtype`
        Of the frame. Values that overflow its working type become the largest number.
    """
    if factor == 1:
        return values
    dtype = working_dtype(dtype)
    most = float(np.finfo(dtype).max)
    with np.errstate(over="ignore", under="ignore"):
        values = values.astype(np.float64) / factor
        return np.clip(values, -most, most).astype(dtype)
