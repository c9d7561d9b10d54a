"""Pixels that hang together: cosmic rays followed to their faint ends.

A mask is made with two thresholds, as edges are found with hysteresis (Canny 1986, IEEE
TPAMI 8, 679), and cosmic rays by L.A.Cosmic's ``sigclip`` and ``sigfrac``: to pixels
above the higher one are added those above the lower one that hang together with a pixel
that surely is a cosmic ray's. Pixels that touch at corners hang together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = [
    "REACH",
    "SEED",
    "SURE",
    "Thresholds",
    "WEAK",
    "apply_hysteresis",
    "threshold_levels",
]

#: Cosmic rays are followed from pixels above this probability. What is wrongly flagged,
#: such as a star, seldom has one, and so does not grow. On simulated frames this gives
#: away a ninth of what is gained.
SURE = 0.85
#: How far they are followed, in steps from pixel to pixel: next to none gets there. So
#: nothing takes a whole structure with it, and a chunk need not know all others.
REACH = 32
#: The levels of pixels above the lower threshold alone, above both, and of sure ones.
WEAK, SEED, CERTAIN = 1, 2, 3
#: From a pixel to its neighbours.
STEPS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


class Thresholds(NamedTuple):
    """Probabilities above which a pixel is a cosmic ray's: by itself, and with others.

    Nothing is followed if ``extend`` is not below ``seed``.
    """

    seed: float
    extend: float

    @property
    def reach(self) -> int:
        """How far from a pixel others matter to it, in px."""
        return REACH if self.extend < self.seed else 0

    @property
    def cuts(self) -> tuple[float, float, float]:
        """Above which a pixel is weak, a seed, and certain; equal to follow none."""
        sure = max(self.seed, SURE) if self.reach else self.seed
        return self.extend, self.seed, sure


def threshold_levels(probability: np.ndarray, cuts: tuple[float, ...]) -> np.ndarray:
    """Return how many cuts each pixel is above.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        Of any shape; NaN is above nothing.
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
    """Return the mask of seeds, and of what hangs together with those that are sure.

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
    # Of uint8, 0 is then the highest.
    places = np.flatnonzero(flat - WEAK < CERTAIN - WEAK)
    if places.size:
        next_to = np.zeros(places.size, dtype=bool)
        for there in _neighbours(places, levels.shape):
            next_to |= flat[there] == CERTAIN
        places = places[next_to]
    for _ in range(REACH):
        if not places.size:
            break
        flat[places] = CERTAIN
        there = np.concatenate(list(_neighbours(places, levels.shape)))
        places = np.unique(there[flat[there] - WEAK < CERTAIN - WEAK])
    return np.greater_equal(levels, SEED, out=levels.view(bool))


def _neighbours(places: np.ndarray, shape: tuple[int, int]):
    """Yield the neighbours of pixels, each by its place in the flat plane."""
    rows, columns = np.divmod(places, shape[1])
    for down, right in STEPS:
        # Beyond an edge stands the pixel at it: the same one, or a neighbour as well.
        row = np.clip(rows + down, 0, shape[0] - 1)
        yield row * shape[1] + np.clip(columns + right, 0, shape[1] - 1)
