"""The harm that cleaning does to stars: flagged cores, and changes of their flux."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.table import Table

__all__ = ["star_harm"]


def star_harm(
    before: np.ndarray,
    after: np.ndarray,
    crmask: np.ndarray,
    positions: np.ndarray,
    fluxes: np.ndarray,
    *,
    truth: np.ndarray | None = None,
    radius: float = 3.0,
    edges: Sequence[float] = (0, 3e2, 1e3, 1e4, 1e5, np.inf),
) -> Table:
    """Measure what cleaning does to stars that no cosmic ray touches.

    Parameters
    ----------
    before, after : `~numpy.ndarray`
        ``(ny, nx)``, the frame before and after cleaning, in electron.
    crmask : `~numpy.ndarray`
        bool, ``(ny, nx)``, what was flagged.
    positions : `~numpy.ndarray`
        ``(n, 2)``, row and column of each star, in px.
    fluxes : `~numpy.ndarray`
        ``(n,)``, in electron.
    truth : `~numpy.ndarray`, optional
        bool, ``(ny, nx)``, CR-affected pixels; stars with one within ``radius`` are
        left out.
    radius : float
        Of the aperture, in px.
    edges : sequence of float
        Limits between the bins of flux.

    Returns
    -------
    `~astropy.table.Table`
        ``low``, ``high``, ``number``, ``flagged`` (fraction whose core pixel is
        flagged) and ``bias`` (mean change of flux in the aperture, over the flux).
    """
    ny, nx = before.shape
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = y**2 + x**2 <= radius**2
    y, x = y[inside], x[inside]
    core = np.rint(positions).astype(int)
    whole = ((core >= reach) & (core < np.array([ny, nx]) - reach)).all(axis=1)
    rows, columns = core[whole, :1] + y, core[whole, 1:] + x
    kept = np.ones(len(rows), dtype=bool)
    if truth is not None:
        kept = ~truth[rows, columns].any(axis=1)
    flagged = crmask[core[whole, 0], core[whole, 1]]
    change = (after[rows, columns] - before[rows, columns]).sum(axis=1)
    flux = np.asarray(fluxes)[whole]
    table = Table(names=("low", "high", "number", "flagged", "bias"))
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        chosen = kept & (flux >= low) & (flux < high)
        if chosen.any():
            bias = (change[chosen] / flux[chosen]).mean()
            table.add_row((low, high, chosen.sum(), flagged[chosen].mean(), bias))
    return table
