"""Frames in units of their own noise, where floats would not hold them otherwise.

Fluxes in erg/s/cm2/Hz are about 1e-28, and their squares are nothing in float32. Such
frames are worked on times a power of two, which changes no digit; frames whose numbers
are ordinary are worked on as they are.
"""

from __future__ import annotations

import numpy as np

from ..inpainting.cutouts import working_dtype

__all__ = ["SAMPLES", "ScaledFrame", "scale_factor_of", "find_scale_factor", "unscale"]

#: Frames whose noise lies between these are worked on as they are.
ORDINARY = (1e-6, 1e9)
#: Pixels that are looked at, about.
SAMPLES = 20_000


def find_scale_factor(data: np.ndarray, *hidden: np.ndarray | None) -> float:
    """Return the power of two that takes a frame to numbers that floats can hold.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    *hidden : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, pixels to leave out.

    Returns
    -------
    float
        1 if the noise is in `ORDINARY`; otherwise such that it is about 1.
    """
    step = max(1, int(np.sqrt(data.size / SAMPLES)))
    sparse = (slice(step // 2, None, step),) * 2
    hidden = [mask for mask in hidden if mask is not None]
    values = _good(data[sparse], [mask[sparse] for mask in hidden])
    if not values.size:
        values = _good(data, hidden)
    return scale_factor_of(values)


def scale_factor_of(values: np.ndarray) -> float:
    """Return the factor of `find_scale_factor`, given some good pixels.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Finite, of any shape.
    """
    if not values.size:
        return 1.0
    # Half of each, as the difference of two may be more than a float holds.
    values = values.astype(np.float64).ravel() / 2
    middle = np.median(values)
    noise = 2 * np.median(np.abs(values - middle))
    # A frame of equal numbers, or nearly so, has a level, or at least a peak.
    for size in (noise, 2 * abs(middle), 2 * np.abs(values).max()):
        if size > 0:
            if ORDINARY[0] <= size <= ORDINARY[1]:
                return 1.0
            return float(2.0 ** -np.clip(np.rint(np.log2(size)), -1000, 1000))
    return 1.0


def _good(data: np.ndarray, hidden: list[np.ndarray]) -> np.ndarray:
    good = np.isfinite(data)
    for mask in hidden:
        good &= ~mask
    return data[good]


class ScaledFrame:
    """A frame times a factor, computed where and when it is indexed.

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

    def __getitem__(self, index) -> np.ndarray:
        with np.errstate(over="ignore", under="ignore"):
            return (self.data[index] * np.float64(self.factor)).astype(self.dtype)


def unscale(values: np.ndarray, factor: float, dtype: np.dtype) -> np.ndarray:
    """Return numbers of a frame that was scaled in its own units again.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Of the scaled frame.
    factor : float
        From `find_scale_factor`.
    dtype : `~numpy.dtype`
        Of the frame. What is more than its working type holds becomes the most that
        it does.
    """
    if factor == 1:
        return values
    dtype = working_dtype(dtype)
    most = float(np.finfo(dtype).max)
    with np.errstate(over="ignore", under="ignore"):
        values = values.astype(np.float64) / factor
        return np.clip(values, -most, most).astype(dtype)
