"""Compare methods on the same frames, with the same pixels ignored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import numpy as np
from astropy.table import Table

from ..io.atomic import atomic_path
from ..io.given_paths import given_path
from ..simulation.camera import Observation
from .baselines import AstroscrappyGrid
from .frames import LabelledFrame
from .scores import FPRS, RocCurve

__all__ = ["Comparison", "FPRS", "Method", "compare"]

LACOSMIC = "astroscrappy, tuned"


class Method(Protocol):
    """A method that gives a probability of a cosmic ray for each pixel."""

    def probability(self, frame: np.ndarray) -> np.ndarray:
        """Return probabilities, ``(ny, nx)``, of a frame in electron."""


class Comparison:
    """Curves of several methods on frames of several kinds.

    Parameters
    ----------
    curves : dict
        By kind and method, ``(exact, tolerant)``: functions that return false and
        true positive rates, both rising from 0 to 1.
    precisions : dict
        By kind and method, ``(precision, recall)``; of networks only.
    """

    def __init__(self, curves: dict, precisions: dict):
        self.curves = curves
        self.precisions = precisions

    @property
    def kinds(self) -> list[str]:
        """Kinds of frames, in the order in which they were given."""
        return list(dict.fromkeys(kind for kind, _ in self.curves))

    def table(self, fprs: Iterable[float] = FPRS, *, tolerant: bool = True) -> Table:
        """Return true positive rates.

        Parameters
        ----------
        fprs : iterable of float
            False positive rates.
        tolerant : bool
            Whether to add columns in which positions may be off by a pixel.

        Returns
        -------
        `~astropy.table.Table`
            A row for each kind and method: ``kind``, ``method``, and in percent
            ``TPR at X%``, and ``TPR at X%, 3x3``; NaN for kinds without CR-affected
            pixels.
        """
        rows = []
        for (kind, method), curves in self.curves.items():
            row = {"kind": kind, "method": method}
            for end, (x, y) in zip(("", ", 3x3"), curves, strict=True):
                if end and not tolerant:
                    continue
                for fpr in fprs:
                    rate = 100 * np.interp(fpr, x, y)
                    row[f"TPR at {100 * fpr:g}%{end}"] = round(float(rate), 2)
            rows.append(row)
        return Table(rows)

    def _repr_html_(self) -> str:
        """Return a table for notebooks: true positive rates in percent."""
        return self.table(tolerant=False)._repr_html_()  # noqa: SLF001

    def plot(self, path: str | os.PathLike, *, dpi: int = 110) -> None:
        """Draw the ROC curves to a file, a panel for each kind of frame.

        Parameters
        ----------
        path : str or path-like
            A PNG file; it is replaced if it is there.
        dpi : int
            Resolution.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        file = given_path(path, "path")
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                'figures need matplotlib: pip install "deepcr_ccd[plot]"'
            ) from error
        columns = min(3, len(self.kinds))
        rows = -(-len(self.kinds) // columns)
        figure = Figure(figsize=(4.2 * columns, 3.6 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        methods = list(dict.fromkeys(method for _, method in self.curves))
        # Curves are linear between their points, which this axis does not show.
        rates = np.geomspace(1e-5, 0.05, 500)
        for ax, kind in zip(axes, self.kinds, strict=False):
            for number, method in enumerate(methods):
                if (kind, method) not in self.curves:
                    continue
                found = np.interp(rates, *self.curves[kind, method][0])
                style = "--" if method == LACOSMIC else "-"
                ax.plot(
                    100 * rates, 100 * found, style, color=f"C{number}", label=method
                )
            ax.set(
                xscale="log", xlim=(2e-3, 3), ylim=(0, 101), title=kind,
                xlabel="false positive rate (%)", ylabel="true positive rate (%)",
            )  # fmt: skip
            ax.grid(alpha=0.3)
        for ax in axes[len(self.kinds) :]:
            ax.remove()
        axes[0].legend(fontsize="small", loc="lower right")
        with atomic_path(file, overwrite=True) as partial:
            figure.savefig(partial, dpi=dpi, format="png")

    def points(self) -> Table:
        """Return all curves: ``kind``, ``method``, ``fpr`` and ``tpr``, thinned out.

        Returns
        -------
        `~astropy.table.Table`
            Some hundred points a curve, evenly spaced in log of the rate.
        """
        grid = np.concatenate([[0], np.geomspace(1e-6, 1, 241)])
        rows = []
        for (kind, method), ((x, y), _) in self.curves.items():
            for fpr, tpr in zip(grid, np.interp(grid, x, y), strict=True):
                rows.append((kind, method, fpr, tpr))
        return Table(rows=rows, names=("kind", "method", "fpr", "tpr"))


def compare(
    frames: Mapping[str, Iterable[Observation | LabelledFrame]],
    models: Mapping[str, Method],
    *,
    astroscrappy: bool = False,
    report: Callable[[str], None] | None = None,
) -> Comparison:
    """Score methods on frames of several kinds.

    Parameters
    ----------
    frames : mapping
        By kind, iterables of objects with ``frame`` (electron), ``truth``, ``ignore``
        and ``readnoise``: `~deepcr_ccd.evaluation.frames.LabelledFrame`, or
        `~deepcr_ccd.simulation.camera.Observation`.
    models : mapping
        By name, a `~deepcr_ccd.models.model.Model` or any object whose
        ``probability(frame)`` returns a probability for each pixel, such as
        `~deepcr_ccd.evaluation.baselines.CosmicConn`. Frames are given to them as they
        are.
    astroscrappy : bool
        Whether to add L.A.Cosmic, tuned for each kind.
    report : callable, optional
        Takes a line of text when a kind is done.

    Returns
    -------
    Comparison
    """
    curves: dict = {}
    precisions: dict = {}
    for kind, items in frames.items():
        rocs = {name: (RocCurve(), RocCurve(tolerant=True)) for name in models}
        grid = AstroscrappyGrid() if astroscrappy else None
        for item in items:
            for name, model in models.items():
                p = model.probability(item.frame)
                for roc in rocs[name]:
                    roc.add(p, item.truth, item.ignore)
            if grid is not None:
                grid.add(item.frame, item.readnoise, item.truth, item.ignore)
        for name, pair in rocs.items():
            curves[kind, name] = tuple(roc.curve()[:2] for roc in pair)
            precisions[kind, name] = pair[0].precision()[:2]
        if grid is not None:
            curves[kind, LACOSMIC] = tuple(
                grid.curve(tolerant=t) for t in (False, True)
            )
        if report is not None:
            report(f"scored {kind}")
    return Comparison(curves, precisions)
