"""Charge that spreads from one point of a detector, as of a particle that stops there.

In thick detectors it diffuses before it is collected. How far tells how deep it was
freed: from no spread at all to about a pixel.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from ..preprocess.star_width import FWHM_PER_SIGMA

__all__ = ["add_event", "event_fwhm", "spread_of"]

#: Variance in px squared that the width of a pixel adds to that of a source.
PIXEL_VARIANCE = 0.07


def add_event(
    charge: np.ndarray, y: float, x: float, sigma: float, electrons: float
) -> None:
    """Add a Gaussian, integrated over pixels, to an image of charge.

    Parameters
    ----------
    charge : `~numpy.ndarray`
        ``(ny, nx)``, in electron; it is changed.
    y, x : float
        Where it is, in px.
    sigma : float
        Its spread in px.
    electrons : float
        Its charge.
    """
    sigma = max(sigma, 1e-3)
    reach = int(np.ceil(4 * sigma + 1))
    parts = []
    for place, size in zip((y, x), charge.shape, strict=True):
        first = max(0, int(place) - reach)
        last = min(size, int(place) + reach + 1)
        edges = (np.arange(first, max(last, first) + 1) - 0.5 - place) / sigma
        parts.append((slice(first, last), 0.5 * np.diff(erf(edges / np.sqrt(2)))))
    (rows, down), (columns, across) = parts
    charge[rows, columns] += electrons * down[:, None] * across


def event_fwhm(sigma: float) -> float:
    """Return the FWHM in px that an event has, as pixels sample it.

    Parameters
    ----------
    sigma : float
        Its spread in px.
    """
    return FWHM_PER_SIGMA * float(np.sqrt(sigma**2 + PIXEL_VARIANCE))


def spread_of(fwhm: float) -> float:
    """Return the spread in px with which an event has a FWHM; 0 if none has.

    Parameters
    ----------
    fwhm : float
        In px, as pixels sample it.
    """
    return float(np.sqrt(max((fwhm / FWHM_PER_SIGMA) ** 2 - PIXEL_VARIANCE, 0)))
