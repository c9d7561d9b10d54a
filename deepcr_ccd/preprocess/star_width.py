"""The width of a frame's stars, from its own point sources.

Stars of a frame agree in width: that of its point spread function (PSF). Cosmic rays do
not agree, or are sharper than optics can make them. So each bright local maximum is
measured alone, and the width is the widest on which more of them agree than chance
would have it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from .background import BackgroundMap
from .point_sources import SIGMAS, find_sources

__all__ = [
    "NO_STARS",
    "UNKNOWN",
    "StarWidth",
    "cautious",
    "measure_star_width",
    "width_code",
]

#: Sources agree if the logarithms of their sigmas differ by less than this.
AGREEMENT = 0.14
#: Smallest FWHM in px that a star can have; what is sharper is a pixel that was hit.
MIN_FWHM = 1.15
#: Sources sharper than this FWHM in px are stars only if they are round: half of them
#: have an axis ratio below ROUND. Cosmic rays of such a width are short tracks, half of
#: which have more than 1.27. One source may be a star if its ratio is below MAX_RATIO.
SHARP = 1.7
ROUND = 1.25
MAX_RATIO = 1.4
#: How improbable it must be that so many sources agree by chance.
MAX_CHANCE = 5e-3
#: Widths on which fewer sources agree than this fraction of those that agree on another
#: are of galaxies or close pairs.
MIN_FRACTION = 0.2
#: Events in detectors are hardly wider than this FWHM in px, and most are sharper than
#: the second. Of two widths above it the narrower one is that of stars if this fraction
#: as many sources agree on it; of others, if more agree, and the wider one is wider by
#: this factor, as galaxies are.
EVENT_FWHM, TYPICAL_EVENT_FWHM = 2.1, 1.4
NARROWER, FAR = 0.5, 1.9
#: There are no stars if at most this fraction of candidates could be: those that are
#: round and not sharper than stars are, or wider than this FWHM in px. More may be
#: stars that do not agree.
MAX_POSSIBLE = 0.005
#: The same where most sources are events of one energy.
MAX_POSSIBLE_BESIDE_EVENTS = 0.02
WIDE = 1.6
#: Fewer candidates than this tell nothing about a frame.
MIN_CANDIDATES = 60
#: Sources of one charge are no stars, but events of one energy, as X-rays of a
#: calibration source (Janesick 2001, "Scientific Charge-Coupled Devices"). There are
#: such if a window of this width in the logarithm of the charge holds at least so many
#: sources, this fraction of them, and this factor more than both windows beside it; and
#: if such windows hold most of all sources.
CHARGE_WINDOW = 0.16
MIN_ALIKE = 10
ALIKE_FRACTION = 0.15
ALIKE_FACTOR = 3
MOST_ALIKE = 0.5
#: Steps between two FWHMs that a network knows.
CODE_STEPS = 6
#: What a network is told is less than the FWHM of the stars, in px, by these factors,
#: so that it keeps those that are somewhat sharper than most. Measured on isolated
#: stars without wings.
CAUTION = ((1.5, 2.0, 2.6, 3.2), (0.93, 0.92, 0.85, 0.92))
FWHM_PER_SIGMA = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))


@dataclasses.dataclass(frozen=True)
class StarWidth:
    """How wide the stars of a frame are.

    ``fwhm`` is their full width at half maximum in px, as pixels sample it, and
    ``error`` its standard error; NaN where there are no stars, or nothing is known.
    ``stars`` tells whether there are: True, False, or None where that is unknown.
    ``number`` counts the sources that agree.
    """

    fwhm: float = float("nan")
    error: float = float("nan")
    stars: bool | None = None
    number: int = 0

    @classmethod
    def of(cls, fwhm: float) -> StarWidth:
        """Return a width that is known.

        Parameters
        ----------
        fwhm : float
            In px, as it is on the frame.
        """
        return cls(float(fwhm), 0.0, True)

    def __str__(self) -> str:
        if self.stars:
            return f"{self.fwhm:.2f} px"
        return "unknown" if self.stars is None else "no stars"


#: What a frame tells that has no stars, and one that tells nothing.
NO_STARS = StarWidth(stars=False)
UNKNOWN = StarWidth()


def cautious(width: StarWidth) -> StarWidth:
    """Return what a network is told of stars of a width.

    Parameters
    ----------
    width : StarWidth
        As it is measured or given.
    """
    if not width.stars:
        return width
    return StarWidth.of(width.fwhm * float(np.interp(width.fwhm, *CAUTION)))


def width_code(width: StarWidth, centres: Sequence[float]) -> tuple[float, ...]:
    """Return a star width as a network takes it.

    Parameters
    ----------
    width : StarWidth
        The width.
    centres : sequence of float
        FWHMs in px, ascending.

    Returns
    -------
    tuple of float
        A number for each of ``centres``, and one more for frames without stars. A FWHM
        between two of them is a mixture of both, linear in its logarithm, and rounded
        to steps of about 4 %; outside, it is the first or the last. All are 0 if
        nothing is known.
    """
    code = np.zeros(len(centres) + 1)
    if width.stars is False:
        code[-1] = 1
    elif width.stars:
        logs = np.log(centres)
        place = float(np.interp(np.log(width.fwhm), logs, np.arange(len(logs))))
        place = round(place * CODE_STEPS) / CODE_STEPS
        low = min(int(place), len(logs) - 2)
        code[low], code[low + 1] = 1 - (place - low), place - low
    return tuple(code.tolist())


def measure_star_width(
    frame: Any, bad: np.ndarray | None, noise: BackgroundMap
) -> StarWidth:
    """Measure the width of the stars of a frame.

    Parameters
    ----------
    frame : `~numpy.ndarray` or alike
        ``(ny, nx)``, in any unit; read some rows at a time.
    bad : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, pixels without valid value.
    noise : BackgroundMap
        Background and noise of the frame.

    Returns
    -------
    StarWidth
        Of the widest sources on which enough agree. Otherwise it tells of no stars if
        hardly any source could be one, and of nothing else.
    """
    sources, candidates = find_sources(frame, bad, noise)
    alike = _same_charge(sources[:, 2])
    events, sources = np.log(sources[alike, 0]), sources[~alike]
    width, error, _, ratio = sources.T
    fwhms = FWHM_PER_SIGMA * width
    possible = (fwhms > WIDE) | ((fwhms > MIN_FWHM) & (ratio < MAX_RATIO))
    if len(sources) < 3:
        return _without_stars(possible, candidates, alike)
    logs = np.log(width)
    scatter = np.hypot(error, 0.06)
    grid = np.linspace(np.log(SIGMAS[0]), np.log(SIGMAS[1]), 170)
    density = _gaussians(grid, logs, scatter)
    inner = density[1:-1]
    peaks = 1 + np.flatnonzero((inner > density[:-2]) & (inner >= density[2:]))
    agreed: list[StarWidth] = []
    tracks = 0
    for place in peaks[::-1]:  # from the widest
        fwhm = FWHM_PER_SIGMA * float(np.exp(grid[place]))
        if fwhm < MIN_FWHM:
            break
        members = np.abs(logs - grid[place]) < AGREEMENT
        number = int(members.sum())
        # How many would be there by chance, of widths that do not agree.
        smooth = _gaussians(grid[[place]], logs, 0.35)[0]
        others = _gaussians(grid[[place]], logs[~members], 0.35)[0]
        expected = max(2 * AGREEMENT * others, 0.05)
        chance = float(special.gammainc(number, expected)) if number else 1.0
        if number < 3 or density[place] < 1.15 * smooth or chance > MAX_CHANCE:
            continue
        if fwhm < SHARP and np.median(ratio[members]) > ROUND:
            tracks = max(tracks, number)
            continue
        if np.count_nonzero(np.abs(events - grid[place]) < 0.2) > 1.5 * number:
            # Events too, whose charge is less well known.
            possible &= ~members
            continue
        spread = scatter[members] / np.sqrt(number)
        agreed.append(StarWidth(fwhm, fwhm * float(np.mean(spread)), True, number))
    most = max([tracks, *(width.number for width in agreed)])
    agreed = [width for width in agreed if width.number >= MIN_FRACTION * most]
    if agreed:
        return _narrowest(agreed)
    return _without_stars(possible, candidates, alike)


def _narrowest(agreed: list[StarWidth]) -> StarWidth:
    """Return the width of stars, of widths from the widest on which sources agree.

    The widest may be that of galaxies, or of knots of a nebula; the narrowest that of
    events. If in doubt it is the narrower one: with too wide a one, stars are flagged.
    """
    widest = chosen = agreed[0]
    for width in agreed[1:]:
        if width.fwhm > EVENT_FWHM:
            prefer = width.number >= NARROWER * widest.number
        else:
            far = width.fwhm > TYPICAL_EVENT_FWHM and widest.fwhm > FAR * width.fwhm
            prefer = far and width.number >= widest.number
        if prefer:
            chosen = width
    return chosen


def _without_stars(
    possible: np.ndarray, candidates: int, events: np.ndarray
) -> StarWidth:
    """Return what is told if no width is found: no stars, or nothing."""
    most = MAX_POSSIBLE_BESIDE_EVENTS if events.any() else MAX_POSSIBLE
    few = np.count_nonzero(possible) <= most * candidates
    return NO_STARS if few and candidates >= MIN_CANDIDATES else UNKNOWN


def _gaussians(
    grid: np.ndarray, centres: np.ndarray, sigma: np.ndarray | float
) -> np.ndarray:
    """Return the sum of Gaussians of unit area at the places of a grid."""
    offsets = (grid[:, None] - centres) / sigma
    heights = np.exp(-0.5 * offsets**2) / sigma / np.sqrt(2 * np.pi)
    return heights.sum(axis=1)


def _same_charge(charge: np.ndarray) -> np.ndarray:
    """Return which sources are so alike in charge as no stars are."""
    logs = np.log(np.maximum(charge, 1e-3))
    alike = np.zeros(len(logs), dtype=bool)
    for _ in range(3):
        left = np.sort(logs[~alike])
        if len(left) < MIN_ALIKE:
            break
        edges = np.arange(-1, 3) * CHARGE_WINDOW + left[:, None]
        before, within, after = np.diff(np.searchsorted(left, edges), axis=1).T
        best = int(within.argmax())
        needed = max(MIN_ALIKE, ALIKE_FRACTION * len(left))
        beside = max(before[best], after[best])
        if within[best] < max(needed, ALIKE_FACTOR * beside):
            break
        middle = left[best] + CHARGE_WINDOW / 2
        alike |= np.abs(logs - middle) < 2 * CHARGE_WINDOW
    most = alike.sum() >= MOST_ALIKE * len(logs)
    return alike if most else np.zeros_like(alike)
