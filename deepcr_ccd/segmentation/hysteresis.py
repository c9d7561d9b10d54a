"""Hysteresis thresholds: cosmic rays followed to their faint ends.

A mask is made with two thresholds, as in edge detection (Canny 1986, IEEE TPAMI 8, 679)
and in L.A.Cosmic with ``sigclip`` and ``sigfrac``. Pixels above the higher threshold
are flagged, and those above the lower one that are connected, at corners too, to a
pixel of a high probability (`CERTAIN_PROBABILITY`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

__all__ = [
    "MAX_STEPS",
    "SEED",
    "CERTAIN_PROBABILITY",
    "Thresholds",
    "WEAK",
    "apply_hysteresis",
    "threshold_levels",
]

#: Cosmic rays are followed from pixels above this probability. False positives, such as
#: stars, seldom have one, and so do not grow. On simulated frames this costs a ninth of
#: the gain.
CERTAIN_PROBABILITY = 0.85
#: How far cosmic rays are followed, in steps from pixel to pixel, which hardly any
#: exceeds. So no extended source is flagged as a whole, and a chunk of a frame depends
#: on its neighbours only.
MAX_STEPS = 32
#: Levels of pixels: above the lower threshold only, above both, and above
#: `CERTAIN_PROBABILITY` too.
WEAK, SEED, CERTAIN = 1, 2, 3
#: From a pixel to its neighbours.
STEPS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


class Thresholds(NamedTuple):
    """Probabilities above which pixels are flagged.

    A pixel above ``seed`` is flagged by itself; one above ``extend`` is if it is
    connected to a pixel above `CERTAIN_PROBABILITY`. No cosmic ray is followed unless
    ``extend`` is below ``seed``.
    """

    seed: float
    extend: float

    @property
    def reach(self) -> int:
        """Distance in px within which pixels affect each other."""
        return MAX_STEPS if self.extend < self.seed else 0

    @property
    def cuts(self) -> tuple[float, float, float]:
        """Cuts of weak, seed and certain pixels; all equal where none is followed."""
        certain = max(self.seed, CERTAIN_PROBABILITY) if self.reach else self.seed
        return self.extend, self.seed, certain


def threshold_levels(probability: np.ndarray, cuts: tuple[float, ...]) -> np.ndarray:
    """Return the number of cuts that each pixel exceeds.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        Of any shape; NaN exceeds none.
    cuts : tuple of float
        From `Thresholds.cuts`.

    Returns
    -------
    `~numpy.ndarray`
        uint8, of the shape of ``probability``.
    """
    levels = (probability > cuts[0]).view(np.uint8)
    if cuts[0] == cuts[-1]:
        levels *= len(cuts)
        return levels
    for cut in cuts[1:]:
        levels += probability > cut
    return levels


def apply_hysteresis(levels: np.ndarray) -> np.ndarray:
    """Return the mask of pixels above the threshold, and of weak connected ones.

    Parameters
    ----------
    levels : `~numpy.ndarray`
        uint8, ``(ny, nx)``, C-contiguous, from `threshold_levels`; 0 where
        excluded. Its memory becomes the mask.

    Returns
    -------
    `~numpy.ndarray`
        bool, ``(ny, nx)``.
    """
    flat = levels.reshape(-1)
    # In uint8, level 0 becomes the highest.
    places = np.flatnonzero(flat - WEAK < CERTAIN - WEAK)
    if places.size:
        next_to = np.zeros(places.size, dtype=bool)
        for there in _neighbours(places, levels.shape):
            next_to |= flat[there] == CERTAIN
        places = places[next_to]
    for _ in range(MAX_STEPS):
        if not places.size:
            break
        flat[places] = CERTAIN
        there = np.concatenate(list(_neighbours(places, levels.shape)))
        places = np.unique(there[flat[there] - WEAK < CERTAIN - WEAK])
    return np.greater_equal(levels, SEED, out=levels.view(bool))


def _neighbours(places: np.ndarray, shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield the flat indices of the neighbours of pixels, for each step."""
    rows, columns = np.divmod(places, shape[1])
    for down, right in STEPS:
        # Clipped at an edge, which gives the pixel itself or another neighbour.
        row = np.clip(rows + down, 0, shape[0] - 1)
        yield row * shape[1] + np.clip(columns + right, 0, shape[1] - 1)
