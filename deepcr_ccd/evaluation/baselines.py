"""Other methods as baselines of a comparison."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from .scores import NEIGHBOURHOOD

__all__ = ["AstroscrappyGrid", "CosmicConn"]


class AstroscrappyGrid:
    """L.A.Cosmic over a grid of ``sigclip`` and ``objlim``.

    Its true positive rate is the best of the grid at each false positive rate. It is
    tuned on the frames that it is scored on, and so at its best.

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
                'L.A.Cosmic needs astroscrappy: pip install "deepcr_ccd[astroscrappy]"'
            ) from error
        self._detect = detect_cosmics
        self.grid = [(clip, limit) for clip in sigclips for limit in objlims]
        self._counts = {t: np.zeros((len(self.grid), 4), int) for t in (False, True)}

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
        affected, clean = truth & ~ignore, ~truth & ~ignore
        beside = clean & ~ndimage.binary_dilation(truth | ignore, NEIGHBOURHOOD)
        for row, (clip, limit) in enumerate(self.grid):
            crmask, _ = self._detect(
                frame,
                sigclip=clip,
                objlim=limit,
                readnoise=readnoise,
                satlevel=np.inf,
            )
            near = ndimage.binary_dilation(crmask, NEIGHBOURHOOD)
            for tolerant, found, outside in (
                (False, crmask, clean),
                (True, near, beside),
            ):
                self._counts[tolerant][row] += [
                    np.count_nonzero(found & affected),
                    np.count_nonzero(affected),
                    np.count_nonzero(crmask & outside),
                    np.count_nonzero(outside),
                ]

    def curve(self, *, tolerant: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return the upper edge of the grid's results.

        Parameters
        ----------
        tolerant : bool
            Whether positions may be off by a pixel, as in
            `~deepcr_ccd.evaluation.scores.RocCurve`.

        Returns
        -------
        fpr, tpr : `~numpy.ndarray`
            False and true positive rates; both rise from 0 to 1. Without CR-affected
            pixels the latter is NaN.
        """
        found, affected, false, clean = self._counts[tolerant].T
        x = np.concatenate([[0], false / np.maximum(clean, 1), [1]])
        y = np.concatenate([[0], found / np.maximum(affected, 1), [1]])
        if not affected.any():
            y[:] = np.nan
        order = np.lexsort((y, x))
        return x[order], np.maximum.accumulate(y[order])

    def tpr_at(self, fpr: float, *, tolerant: bool = False) -> float:
        """Return the best true positive rate at a false positive rate.

        Parameters
        ----------
        fpr : float
            False positive rate. Between points of the grid the result is interpolated
            along their upper edge.
        tolerant : bool
            Whether positions may be off by a pixel.

        Returns
        -------
        float
            From 0 to 1; NaN without CR-affected pixels.
        """
        return float(np.interp(fpr, *self.curve(tolerant=tolerant)))


class CosmicConn:
    """A network of Cosmic-CoNN (Xu et al. 2023, ApJ 942, 73), where it is installed.

    Parameters
    ----------
    name : {"ground_imaging", "NRES", "HST_ACS_WFC"}
        Which of its networks.

    Raises
    ------
    ImportError
        If Cosmic-CoNN is not installed.
    """

    def __init__(self, name: str = "ground_imaging"):
        try:
            from cosmic_conn import init_model
        except ImportError as error:
            raise ImportError(
                f"Cosmic-CoNN {name!r} is not installed: pip install cosmic-conn"
            ) from error
        self._model = init_model(name)

    def probability(self, frame: np.ndarray) -> np.ndarray:
        """Return the probability of a cosmic ray in each pixel.

        Parameters
        ----------
        frame : `~numpy.ndarray`
            ``(ny, nx)``, in electron.

        Returns
        -------
        `~numpy.ndarray`
            ``(ny, nx)``, in [0, 1].
        """
        return np.asarray(self._model.detect_cr(np.array(frame, np.float32)))
