"""Scores of objects: completeness and purity of cosmic rays, and effect on stars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from astropy.table import Table
from scipy import ndimage

from ..segmentation.connected import EIGHT_CONNECTED

__all__ = ["ObjectScores", "Reliability", "star_harm"]

#: A cosmic ray is covered whole if this fraction of its pixels is flagged, or more.
WHOLE = 0.95


class ObjectScores:
    """Completeness by size and charge, and purity, accumulated frame by frame.

    Parameters
    ----------
    sizes, charges : sequence of float
        Limits between the bins of size (px) and charge (electron).
    """

    def __init__(
        self,
        sizes: Sequence[float] = (1, 2, 4, 8, 16, 64, 1e9),
        charges: Sequence[float] = (0, 100, 300, 1000, 1e4, 1e12),
    ) -> None:
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
            bool, ``(ny, nx)``, flagged and CR-affected pixels.
        charge : `~numpy.ndarray`
            ``(ny, nx)``, in electron: the charge of cosmic rays, or the frame's excess.
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
        """Fraction of flagged objects with a CR-affected pixel; NaN without objects."""
        return self._pure / self._flagged if self._flagged else np.nan

    @property
    def false(self) -> int:
        """Number of flagged objects without a CR-affected pixel."""
        return self._flagged - self._pure

    def completeness(self, by: Literal["size", "charge"] = "size") -> Table:
        """Return the completeness in bins.

        Parameters
        ----------
        by : {"size", "charge"}
            What to bin by.

        Returns
        -------
        `~astropy.table.Table`
            ``low``, ``high``, ``number``, ``found`` (fraction with a flagged
            pixel), ``covered`` (mean fraction of flagged pixels) and ``whole``
            (fraction with 95 % of the pixels or more flagged).

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
            covered = rows[(values >= low) & (values < high), 2]
            if covered.size:
                found, whole = (covered > 0).mean(), (covered >= WHOLE).mean()
                table.add_row((low, high, covered.size, found, covered.mean(), whole))
        return table


class Reliability:
    """A reliability diagram, accumulated frame by frame.

    It has the fraction of CR-affected pixels by their predicted probability.

    Parameters
    ----------
    bins : int
        Number of equal bins of probability in [0, 1].
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
            Mean probability and fraction of CR-affected pixels of a bin, or the
            fraction of a bin before, where that is higher.
        """
        table = self.table()
        table = table[table["probability"] > 0.01]
        true = np.maximum.accumulate([0.001, *table["affected"]])[1:]
        pairs = zip(table["probability"], true, strict=True)
        inner = [(round(float(a), 4), round(float(b), 4)) for a, b in pairs]
        return [(0.001, 0.001), *inner, (1.0, 1.0)]

    def table(self) -> Table:
        """Return the curve.

        Returns
        -------
        `~astropy.table.Table`
            ``number`` of pixels, mean ``probability``, and ``affected``, the fraction
            of CR-affected pixels; a row for each bin that is not empty.
        """
        filled = self.sums[self.sums[:, 0] > 0]
        number = filled[:, 0]
        return Table(
            {
                "number": number.astype(int),
                "probability": filled[:, 1] / number,
                "affected": filled[:, 2] / number,
            }
        )


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
