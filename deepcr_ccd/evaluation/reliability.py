"""Whether predicted probabilities are true: the reliability diagram."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

__all__ = ["Reliability"]


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

    def _repr_html_(self) -> str:
        """Return a table for notebooks: the curve."""
        table = self.table()
        for name in ("probability", "affected"):
            table[name].format = ".4f"
        return table._repr_html_()  # noqa: SLF001

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
        fraction = np.maximum.accumulate([0.001, *table["affected"]])[1:]
        pairs = zip(table["probability"], fraction, strict=True)
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
