"""Scores that count cosmic rays in place of pixels: completeness and purity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from astropy.table import Table
from scipy import ndimage

from ..html_table import html_table
from ..segmentation.connected import EIGHT_CONNECTED

__all__ = ["ObjectScores"]

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

    def _repr_html_(self) -> str:
        """Return tables for notebooks: the totals, and the completeness by size."""
        covered = np.concatenate([rows[:, 2] for rows in self._rows] or [np.empty(0)])
        rows: dict[str, Any] = {
            "cosmic rays": covered.size,
            "flagged objects": self._flagged,
            "false objects": self.false,
        }
        if covered.size:
            rows["completeness"] = f"{100 * (covered > 0).mean():.1f} %"
        if self._flagged:
            rows["purity"] = f"{100 * self.purity:.1f} %"
        tables = [html_table("Cosmic rays, found and false", rows)]
        if covered.size:
            by_size = self.completeness("size")
            for name in ("found", "covered", "whole"):
                by_size[name].format = ".3f"
            tables.append(by_size._repr_html_())  # noqa: SLF001
        return "\n".join(tables)

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
