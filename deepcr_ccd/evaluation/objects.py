"""Scores object by object: what is found of cosmic rays, and what is done to stars."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from scipy import ndimage

__all__ = ["ObjectScores", "Reliability", "star_harm"]

EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)
#: Share of its pixels that are flagged of a cosmic ray that is covered whole.
WHOLE = 0.95


class ObjectScores:
    """Completeness by size and charge, and purity, gathered frame by frame.

    Parameters
    ----------
    sizes, charges : sequence of float
        Limits between the bins of size (px) and charge (electron).
    """

    def __init__(
        self, sizes=(1, 2, 4, 8, 16, 64, 1e9), charges=(0, 100, 300, 1000, 1e4, 1e12)
    ):
        self.sizes = np.asarray(sizes, dtype=float)
        self.charges = np.asarray(charges, dtype=float)
        self._rows: list[np.ndarray] = []
        self._flagged = self._pure = 0

    def add(
        self,
        crmask: np.ndarray,
        truth: np.ndarray,
        charge: np.ndarray,
        ignore: np.ndarray | None = None,
    ) -> None:
        """Add a frame.

        Parameters
        ----------
        crmask, truth : `~numpy.ndarray`
            bool, ``(ny, nx)``, what is flagged and what is struck.
        charge : `~numpy.ndarray`
            ``(ny, nx)``, in electron: what cosmic rays left, or the frame's excess.
        ignore : `~numpy.ndarray`, optional
            bool, ``(ny, nx)``; objects that touch it are neither false nor missed.
        """
        ignore = np.zeros_like(truth) if ignore is None else ignore
        groups, number = ndimage.label(truth, EIGHT_CONNECTED)
        index = np.arange(1, number + 1)
        if number:
            size = ndimage.sum_labels(truth, groups, index)
            total = ndimage.sum_labels(charge, groups, index)
            found = ndimage.sum_labels(crmask, groups, index)
            self._rows.append(np.stack([size, total, found / size], axis=1))
        flagged, number = ndimage.label(crmask, EIGHT_CONNECTED)
        index = np.arange(1, number + 1)
        if number:
            true = ndimage.maximum(truth, flagged, index).astype(bool)
            undecided = ndimage.maximum(ignore, flagged, index).astype(bool)
            counted = true | ~undecided
            self._flagged += int(counted.sum())
            self._pure += int(true.sum())

    @property
    def purity(self) -> float:
        """Share of flagged objects that hold a struck pixel; NaN of none."""
        return self._pure / self._flagged if self._flagged else np.nan

    @property
    def false(self) -> int:
        """Number of flagged objects that hold no struck pixel."""
        return self._flagged - self._pure

    def completeness(self, by: str = "size") -> Table:
        """Return the completeness in bins.

        Parameters
        ----------
        by : {"size", "charge"}
            What to bin by.

        Returns
        -------
        `~astropy.table.Table`
            ``low``, ``high``, ``number``, ``found`` (share with a flagged pixel),
            ``covered`` (mean share of flagged pixels) and ``whole`` (share of which
            95 % of the pixels or more are flagged).

        Raises
        ------
        ValueError
            If ``by`` is unknown.
        """
        if by not in ("size", "charge"):
            raise ValueError(f"by={by!r} is unknown; allowed are 'size', 'charge'")
        edges = self.sizes if by == "size" else self.charges
        rows = np.concatenate(self._rows) if self._rows else np.empty((0, 3))
        values = rows[:, 0 if by == "size" else 1]
        names = ("low", "high", "number", "found", "covered", "whole")
        table = Table(names=names)
        for low, high in zip(edges[:-1], edges[1:], strict=True):
            share = rows[(values >= low) & (values < high), 2]
            if share.size:
                found, whole = (share > 0).mean(), (share >= WHOLE).mean()
                table.add_row((low, high, share.size, found, share.mean(), whole))
        return table


class Reliability:
    """How often pixels of some probability are struck, gathered frame by frame.

    Parameters
    ----------
    bins : int
        Number of bins in probability, even in [0, 1].
    """

    def __init__(self, bins: int = 10):
        self.edges = np.linspace(0, 1, bins + 1)
        self.sums = np.zeros((bins, 3))

    def add(
        self,
        probability: np.ndarray,
        truth: np.ndarray,
        ignore: np.ndarray | None = None,
    ) -> None:
        """Add a frame.

        Parameters
        ----------
        probability : `~numpy.ndarray`
            ``(ny, nx)``; NaN is ignored.
        truth, ignore : `~numpy.ndarray`
            bool, ``(ny, nx)``.
        """
        counted = ~np.isnan(probability)
        if ignore is not None:
            counted &= ~ignore
        p, t = probability[counted], truth[counted]
        place = np.clip(
            np.searchsorted(self.edges, p, side="right") - 1, 0, len(self.sums) - 1
        )
        for column, weights in enumerate((np.ones(p.size), p, t)):
            self.sums[:, column] += np.bincount(place, weights, len(self.sums))

    def points(self) -> list[tuple[float, float]]:
        """Return the curve as a model's card has it: rising, from 0.001 to (1, 1).

        Returns
        -------
        list of (float, float)
            Probability, and share struck, of the pixels of a bin; the highest of the
            bins before, where that is higher.
        """
        table = self.table()
        table = table[table["probability"] > 0.01]
        true = np.maximum.accumulate([0.001, *table["struck"]])[1:]
        pairs = zip(table["probability"], true, strict=True)
        inner = [(round(float(a), 4), round(float(b), 4)) for a, b in pairs]
        return [(0.001, 0.001), *inner, (1.0, 1.0)]

    def table(self) -> Table:
        """Return the curve: ``number``, mean ``probability`` and ``struck`` share."""
        filled = self.sums[self.sums[:, 0] > 0]
        number = filled[:, 0]
        return Table(
            {
                "number": number.astype(int),
                "probability": filled[:, 1] / number,
                "struck": filled[:, 2] / number,
            }
        )


def star_harm(
    before: np.ndarray,
    after: np.ndarray,
    crmask: np.ndarray,
    positions: np.ndarray,
    fluxes: np.ndarray,
    *,
    struck: np.ndarray | None = None,
    radius: float = 3.0,
    edges=(0, 3e2, 1e3, 1e4, 1e5, np.inf),
) -> Table:
    """Say what a mask and its filling do to stars that no cosmic ray struck.

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
    struck : `~numpy.ndarray`, optional
        bool, ``(ny, nx)``; stars that a cosmic ray touches within ``radius`` are left
        out.
    radius : float
        Of the aperture, in px.
    edges : sequence of float
        Limits between the bins of flux.

    Returns
    -------
    `~astropy.table.Table`
        ``low``, ``high``, ``number``, ``flagged`` (share whose core pixel is flagged)
        and ``bias`` (mean change of flux in the aperture, over the flux).
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
    if struck is not None:
        kept = ~struck[rows, columns].any(axis=1)
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
