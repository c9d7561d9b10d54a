"""ROC and precision-recall curves, accumulated frame by frame.

The output of a method is kept as histograms, so that any number of frames can be added.
Ignored pixels count nowhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from ..html_table import html_table

__all__ = ["FPRS", "RocCurve"]

#: False positive rates at which true positive rates are read, by default.
FPRS = (1e-4, 5e-4, 1e-3, 5e-3)
#: A pixel and its 8 neighbours.
NEIGHBOURHOOD = np.ones((3, 3), dtype=bool)


class RocCurve:
    """A receiver operating characteristic, accumulated frame by frame.

    The curve is that of the exact thresholds, as long as the output takes no more
    values than there are bins, and to a bin otherwise. Bins are even in the logit of
    the probability, so that both ends are resolved.

    Parameters
    ----------
    tolerant : bool
        Whether positions may be off by a pixel (Zhang & Bloom 2020): a CR-affected
        pixel counts as flagged if a pixel of the 3x3 px around it is, and a flagged
        pixel is a false positive if no pixel of the 3x3 px around it is CR-affected.
    bins : int
        Number of bins.
    """

    def __init__(self, *, tolerant: bool = False, bins: int = 4000):
        self.tolerant = tolerant
        inner = np.linspace(-20, 20, bins - 1)
        self.edges = np.concatenate([[-np.inf], inner, [np.inf]])
        self.positives = np.zeros(bins, dtype=np.int64)
        self.negatives = np.zeros(bins, dtype=np.int64)

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
            ``(ny, nx)``, in [0, 1]; NaN is ignored.
        truth : `~numpy.ndarray`
            bool, ``(ny, nx)``, the CR mask.
        ignore : `~numpy.ndarray`, optional
            bool, ``(ny, nx)``, True where pixels do not count.

        Raises
        ------
        ValueError
            If shapes differ.
        """
        if probability.shape != truth.shape:
            raise ValueError(
                f"truth has shape {truth.shape}; probability has {probability.shape}"
            )
        counted = ~np.isnan(probability)
        if ignore is not None:
            counted &= ~ignore
        p = np.clip(probability.astype(np.float64), 0, 1)
        with np.errstate(divide="ignore"):
            logit = np.log(p) - np.log1p(-p)
        logit[~counted] = -np.inf
        clean = ~truth
        best = logit
        if self.tolerant:
            best = ndimage.maximum_filter(logit, footprint=NEIGHBOURHOOD)
            near = ndimage.binary_dilation(
                truth if ignore is None else truth | ignore, NEIGHBOURHOOD
            )
            clean = ~near
        self.positives += self._count(best[truth & counted])
        self.negatives += self._count(logit[clean & counted])

    def _count(self, logit: np.ndarray) -> np.ndarray:
        place = np.searchsorted(self.edges[1:-1], logit, side="right")
        return np.bincount(place, minlength=self.positives.size)

    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the curve.

        Returns
        -------
        fpr, tpr : `~numpy.ndarray`
            False and true positive rates; both rise from 0 to 1. Without CR-affected
            pixels the latter is NaN.
        threshold : `~numpy.ndarray`
            Probability at or above which pixels are flagged.
        """
        true = np.concatenate([[0], np.cumsum(self.positives[::-1])])
        false = np.concatenate([[0], np.cumsum(self.negatives[::-1])])
        threshold = 1 / (1 + np.exp(-self.edges[::-1].clip(-700, 700)))
        tpr = true / true[-1] if true[-1] else np.full(true.shape, np.nan)
        return false / max(1, false[-1]), tpr, threshold

    def precision(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the precision-recall curve.

        Returns
        -------
        precision, recall : `~numpy.ndarray`
            Fraction of flagged pixels that are CR-affected, and the true positive
            rate; 1 and 0 where nothing is flagged. Without CR-affected pixels the
            latter is NaN.
        threshold : `~numpy.ndarray`
            Probability at or above which pixels are flagged.
        """
        true = np.concatenate([[0], np.cumsum(self.positives[::-1])])
        false = np.concatenate([[0], np.cumsum(self.negatives[::-1])])
        flagged = true + false
        precision = np.where(flagged > 0, true / np.maximum(flagged, 1), 1.0)
        _, recall, threshold = self.curve()
        return precision, recall, threshold

    def _repr_html_(self) -> str:
        """Return a table for notebooks: the curve at some false positive rates."""
        affected, clean = int(self.positives.sum()), int(self.negatives.sum())
        rows: dict[str, Any] = {"affected pixels": affected, "clean pixels": clean}
        for fpr in FPRS if affected and clean else ():
            rows[f"at a false positive rate of {100 * fpr:g} %"] = (
                f"true positive rate {100 * self.tpr_at(fpr):.2f} %, "
                f"threshold {self.threshold_at(fpr):.4g}"
            )
        tolerant = ", with a tolerance of one pixel" if self.tolerant else ""
        return html_table(f"ROC curve{tolerant}", rows)

    def tpr_at(self, fpr: float) -> float:
        """Return the true positive rate at a false positive rate, interpolated.

        Parameters
        ----------
        fpr : float
            False positive rate, such as 5e-4.

        Returns
        -------
        float
            From 0 to 1; NaN without CR-affected pixels.
        """
        x, y, _ = self.curve()
        return float(np.interp(fpr, x, y))

    def threshold_at(self, fpr: float) -> float:
        """Return the lowest threshold with at most this false positive rate.

        Parameters
        ----------
        fpr : float
            False positive rate.

        Returns
        -------
        float
            A probability.
        """
        x, _, threshold = self.curve()
        return float(threshold[np.nonzero(x <= fpr)[0][-1]])
