"""Compare methods on the same frames, with the same pixels ignored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from astropy.table import Table

from ..model import Model
from .scores import RocCurve

__all__ = ["AstroscrappyGrid", "compare"]


class AstroscrappyGrid:
    """L.A.Cosmic over a grid of ``sigclip`` and ``objlim``.

    Its result at a false positive rate is the best of the grid: tuned to the very
    frames that it is scored on, and so at its best.

    Parameters
    ----------
    sigclips, objlims : iterable of float
        The grid.

    Raises
    ------
    ImportError
        If astroscrappy is not installed.
    """

    def __init__(
        self,
        sigclips: Iterable[float] = (2, 3, 4.5, 7, 12),
        objlims: Iterable[float] = (2, 5, 15, 50),
    ):
        try:
            from astroscrappy import detect_cosmics
        except ImportError as error:
            raise ImportError(
                'it needs astroscrappy: pip install "deepcr_ccd[astroscrappy]"'
            ) from error
        self._detect = detect_cosmics
        self.grid = [(clip, limit) for clip in sigclips for limit in objlims]
        self.counts = np.zeros((len(self.grid), 4), dtype=np.int64)

    def add(
        self,
        frame: np.ndarray,
        readnoise: float,
        truth: np.ndarray,
        ignore: np.ndarray,
    ) -> None:
        """Add a frame.

        Parameters
        ----------
        frame : `~numpy.ndarray`
            ``(ny, nx)``, in electron.
        readnoise : float
            In electron.
        truth, ignore : `~numpy.ndarray`
            bool, ``(ny, nx)``.
        """
        struck, clean = truth & ~ignore, ~truth & ~ignore
        for row, (clip, limit) in enumerate(self.grid):
            crmask, _ = self._detect(
                frame,
                sigclip=clip,
                objlim=limit,
                readnoise=readnoise,
                satlevel=np.inf,
            )
            self.counts[row] += [
                np.count_nonzero(crmask & struck),
                np.count_nonzero(struck),
                np.count_nonzero(crmask & clean),
                np.count_nonzero(clean),
            ]

    def tpr_at(self, fpr: float) -> float:
        """Return the best true positive rate at a false positive rate.

        Parameters
        ----------
        fpr : float
            A share of clean pixels. Between points of the grid it is interpolated
            along their upper edge.
        """
        found, struck, false, clean = self.counts.T
        x = np.concatenate([[0], false / np.maximum(clean, 1), [1]])
        y = np.concatenate([[0], found / np.maximum(struck, 1), [1]])
        order = np.lexsort((y, x))
        return float(np.interp(fpr, x[order], np.maximum.accumulate(y[order])))


def compare(
    frames: Mapping[str, Iterable],
    models: Mapping[str, Model],
    *,
    fprs: Iterable[float] = (5e-4, 5e-3),
    astroscrappy: bool = False,
    tolerant: bool = False,
) -> Table:
    """Score methods on frames of several kinds.

    Parameters
    ----------
    frames : mapping
        By kind, iterables of objects with ``frame`` (electron), ``truth``, ``ignore``
        and ``readnoise``, such as `~deepcr_ccd.training.dataset.Observation`.
    models : mapping
        Models by name. Frames are given to them as they are.
    fprs : iterable of float
        False positive rates at which to read the true positive rate.
    astroscrappy : bool
        Whether to add L.A.Cosmic, tuned for each kind.
    tolerant : bool
        Whether positions may be off by a pixel; without effect on astroscrappy.

    Returns
    -------
    `~astropy.table.Table`
        A row for each kind and method: ``kind``, ``method``, and a column of true
        positive rates in percent for each false positive rate.
    """
    fprs = list(fprs)
    rows = []
    for kind, items in frames.items():
        curves: dict[str, RocCurve | AstroscrappyGrid] = {
            name: RocCurve(tolerant=tolerant) for name in models
        }
        grid = AstroscrappyGrid() if astroscrappy else None
        for item in items:
            for name, model in models.items():
                p = model.probability(item.frame)
                curves[name].add(p, item.truth, item.ignore)
            if grid is not None:
                grid.add(item.frame, item.readnoise, item.truth, item.ignore)
        if grid is not None:
            curves["astroscrappy, tuned"] = grid
        for name, curve in curves.items():
            values = {
                f"TPR at {100 * fpr:g}%": round(100 * curve.tpr_at(fpr), 2)
                for fpr in fprs
            }
            rows.append({"kind": kind, "method": name, **values})
    return Table(rows)
