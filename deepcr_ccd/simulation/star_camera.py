"""A simulated camera that knows how wide the stars of its scenes are.

What counts as CR-affected is what the optics of the frame cannot have made: cosmic
rays, events in thick detectors that are sharper than the stars, and single hot pixels.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..preprocess.background import measure_background
from ..preprocess.star_width import NO_STARS, UNKNOWN, StarWidth, measure_star_width
from .camera import LabelThresholds, label_charge, read_out
from .cosmic_rays import add_deposits, add_straight_tracks
from .defects import (
    add_banding,
    add_columns,
    add_equal_hot_pixels,
    add_hot_pixels,
    add_leaks,
    add_spots,
    compress,
    shade,
)
from .point_events import add_event, spread_of

__all__ = ["SceneBank", "StarCamera", "ToldObservation"]

#: Fraction of frames whose star width is told, and of these how often it is measured on
#: the frame, as later for users.
TOLD, MEASURED = 0.67, 0.5
#: Widths that are measured within this of the truth, in their logarithm, are told.
TRUSTED = 0.15
#: Events up to this fraction of the FWHM of the stars are labelled as CR-affected; by
#: the FWHM in px. What is between that and the stars is left out of training.
SHARPER = ((1.3, 1.9, 2.5), (0.62, 0.70, 0.81))
#: Largest spread in px of an event that is labelled where nothing is told, and of any.
UNTOLD_SPREAD, LARGEST_SPREAD = 0.5, 0.9
#: Fractions of exposures with cosmic rays on the brightest light, of spectra and of
#: other scenes; the fraction of pixels that is; and how many there are at most.
ON_LIGHT = {True: 0.5, False: 0.12}
BRIGHTEST, MANY = 0.1, 40
#: Fractions of exposures with many point-like events: where all of them are sharper
#: than any star, and elsewhere.
EVENTS = {True: 0.8, False: 0.55}
#: Fraction of exposures with tracks along rows and columns, evenly bright: they look
#: most like parts of bad columns.
STRAIGHT = 0.4
#: Fractions of exposures without light but a smooth sky, without cosmic rays, and of
#: converters so coarse that what is fainter than a step may be lost.
DARK, QUIET, COARSE = 0.04, 0.04, 0.1
#: Scenes without stars have this in place of a FWHM.
WITHOUT = 0.0


class SceneBank(NamedTuple):
    """Scenes to observe.

    ``light`` is ``(n, size, size)``, in electron; ``fwhm`` that of the stars of each
    in px, as pixels sample it, or 0 without stars; ``spectra`` tells which have more
    cosmic rays, as long exposures do.
    """

    light: np.ndarray
    fwhm: np.ndarray
    spectra: np.ndarray


class ToldObservation(NamedTuple):
    """A frame whose cosmic rays are known, and what a network is told of its stars.

    ``frame`` is float32, ``(ny, nx)``, in electron; ``truth``, ``ignore`` and
    ``dropped`` are bool: the CR mask, pixels whose label is not known, and pixels that
    are left out of training altogether.
    """

    frame: np.ndarray
    truth: np.ndarray
    ignore: np.ndarray
    dropped: np.ndarray
    star_width: StarWidth


@dataclasses.dataclass
class StarCamera:
    """Takes exposures of scenes, each with a camera and cosmic rays drawn at random.

    Parameters
    ----------
    banks : list of SceneBank
        Scenes.
    fractions : list of float
        How often each bank is drawn from.
    deposits : list of list of `~numpy.ndarray`
        Libraries of deposits in electron; each is drawn from as often as the others.
    thresholds : LabelThresholds
        Which pixels are labelled.
    """

    banks: list[SceneBank]
    fractions: list[float]
    deposits: list[list[np.ndarray]]
    thresholds: LabelThresholds = dataclasses.field(default_factory=LabelThresholds)

    def observe(self, rng: np.random.Generator) -> ToldObservation:
        """Take an exposure.

        Parameters
        ----------
        rng : `~numpy.random.Generator`
            Source of random numbers; the exposure depends on nothing else.

        Returns
        -------
        ToldObservation
        """
        bank = self.banks[rng.choice(len(self.banks), p=self.fractions)]
        number = rng.integers(len(bank.light))
        fwhm, told = float(bank.fwhm[number]), bool(rng.random() < TOLD)
        light = bank.light[number]
        if rng.random() < DARK:
            light, fwhm = np.zeros_like(light), WITHOUT
        scene, background, readnoise = self._draw_scene(rng, light)
        charge, doubtful = self._draw_charge(
            rng, scene, _widest_spread(fwhm, told), bool(bank.spectra[number])
        )
        if rng.random() < QUIET:
            charge, doubtful = np.zeros_like(charge), np.zeros_like(doubtful)
        quiet = scene + np.float32(background)
        spotted = rng.random() < 0.05
        if spotted:
            quiet = quiet + add_spots(rng, quiet.shape, background)
        quiet, blank = _draw_edge(rng, quiet)
        sigma = np.sqrt(quiet + readnoise**2)
        truth, ignore = label_charge(charge, sigma, self.thresholds)
        hot = _draw_hot_pixels(rng, sigma)
        bright = hot > self.thresholds.peak * sigma
        ignore |= (hot > self.thresholds.ignore * sigma) & ~bright & ~truth
        truth |= bright
        ignore &= ~truth
        # Where events that might be stars outshine what is labelled.
        touched = doubtful > self.thresholds.ignore * sigma
        charge = charge + hot
        truth &= ~(touched & (doubtful > 0.5 * charge))
        ignore |= touched & ~truth
        charge = charge + doubtful
        if rng.random() < 0.1:
            quiet = quiet + add_columns(rng, sigma)
        if rng.random() < 0.1:
            quiet = quiet + add_banding(rng, quiet.shape, readnoise)
        if rng.random() < 0.03:
            quiet = quiet + add_leaks(rng, sigma)
        frame, ignored, _ = read_out(rng, quiet, charge, readnoise, truth)
        ignore |= ignored
        truth &= ~ignore
        if rng.random() < 0.02:
            frame = compress(rng, frame, sigma)
        if rng.random() < COARSE:
            step = np.median(sigma) * rng.uniform(2, 8)
            frame = np.rint(frame / step) * step
            lost = truth & (charge < step)
            truth &= ~lost
            ignore |= lost
        if blank is not None:
            # As rectified and rotated frames are filled up where there are no data.
            frame[blank] = 0
            truth &= ~blank
            ignore &= ~blank
        frame = frame.astype(np.float32)
        dropped = touched if told else np.zeros_like(touched)
        width = _tell(rng, fwhm, frame, spotted) if told else UNKNOWN
        return ToldObservation(frame, truth, ignore, dropped, width)

    def _draw_scene(
        self, rng: np.random.Generator, light: np.ndarray
    ) -> tuple[np.ndarray, float, float]:
        """Return a scene, the background level and the read noise, in electron."""
        scene = np.rot90(light, int(rng.integers(4)))
        scene = scene[::-1] if rng.random() < 0.5 else scene
        scene = scene * np.float32(10 ** rng.uniform(-0.8, 0.7))
        background = 10 ** rng.uniform(-0.5, 3.3)
        if rng.random() < 0.3:
            ramp = np.linspace(-1, 1, scene.shape[1], dtype=np.float32)
            scene = scene + background * rng.uniform(0, 0.4) * (1 + ramp)
        readnoise = np.exp(rng.uniform(np.log(1.5), np.log(12)))
        if rng.random() < 0.08:
            # A camera that counts photons: its noise is skewed.
            readnoise, background = rng.uniform(0.01, 1.5), 10 ** rng.uniform(-0.5, 1.3)
        return scene, background, float(readnoise)

    def _draw_charge(
        self, rng: np.random.Generator, scene: np.ndarray, widest: float, many: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the charge of cosmic rays, and of events that stars could be too."""
        exponent = rng.uniform(-3.2, -1.9) if many else rng.uniform(-4, -2)
        library = self.deposits[rng.integers(len(self.deposits))]
        number = rng.poisson(scene.size * 10**exponent)
        charge = add_deposits(scene, library, rng, number)
        if rng.random() < ON_LIGHT[many]:
            number = int(rng.integers(MANY))
            bright = np.argwhere(scene >= np.quantile(scene, 1 - BRIGHTEST))
            places = bright[rng.integers(len(bright), size=number)]
            charge += add_deposits(scene, library, rng, number, places)
        charge = charge * np.float32(rng.lognormal(0, 0.5))
        if rng.random() < 0.4:
            # In thick detectors charge spreads before it is collected.
            spread = min(rng.uniform(0.2, LARGEST_SPREAD), max(widest, 0.05))
            charge = ndimage.gaussian_filter(charge, spread)
        if rng.random() < STRAIGHT:
            add_straight_tracks(rng, charge)
        doubtful = np.zeros(scene.shape, dtype=np.float32)
        if rng.random() < EVENTS[widest >= LARGEST_SPREAD]:
            number = rng.poisson(scene.size * 10 ** rng.uniform(-4.3, -2.5))
            common = rng.uniform(0, LARGEST_SPREAD) if rng.random() < 0.4 else None
            electrons = 10 ** rng.uniform(2, 4) if rng.random() < 0.3 else None
            for _ in range(number):
                sigma = common
                if sigma is None:
                    sigma = rng.uniform(0, LARGEST_SPREAD)
                if electrons is None:
                    collected = 10 ** rng.uniform(1.7, 4.3)
                else:
                    collected = electrons * rng.choice([1, 10])
                y, x = (rng.uniform(-0.5, n - 0.5) for n in scene.shape)
                image = charge if sigma <= widest else doubtful
                add_event(image, y, x, sigma, collected)
        return charge, doubtful


def _widest_spread(fwhm: float, told: bool) -> float:
    """Return the largest spread in px of an event that no star can be."""
    fraction = np.interp(fwhm, *SHARPER)
    widest = spread_of(fraction * fwhm) if fwhm > WITHOUT else LARGEST_SPREAD
    return widest if told else min(widest, UNTOLD_SPREAD)


def _tell(
    rng: np.random.Generator, fwhm: float, frame: np.ndarray, spotted: bool
) -> StarWidth:
    """Return what a network is told of the stars of a frame."""
    if spotted and rng.random() < 0.3:
        # Sharp edges of light can be measured as wide stars.
        return StarWidth.of(np.exp(rng.uniform(np.log(2), np.log(9))))
    if fwhm <= WITHOUT:
        return NO_STARS
    if rng.random() < MEASURED:
        width = measure_star_width(frame, None, measure_background(frame))
        # A width that is wrong, as that of events of one depth, would teach a network
        # not to believe what it is told.
        if width.stars is None or abs(np.log(width.fwhm / fwhm)) < TRUSTED:
            return width
    error = 0.03 if rng.random() < 0.85 else 0.08
    return StarWidth.of(fwhm * np.exp(rng.normal(0, error)))


def _draw_hot_pixels(rng: np.random.Generator, sigma: np.ndarray) -> np.ndarray:
    """Return the charge of hot pixels, which some frames have."""
    if rng.random() >= 0.2:
        return np.zeros(sigma.shape, dtype=np.float32)
    fraction = 10 ** rng.uniform(-4, -1.5)
    equal = rng.random() < 0.4
    add = add_equal_hot_pixels if equal else add_hot_pixels
    charge = add(rng, sigma, fraction)
    if rng.random() < 0.25:
        # More along the edges, where a network sees less of the frame.
        more = add(rng, sigma, 0.1)
        more[1:-1, 1:-1] = 0
        charge = np.maximum(charge, more)
    return charge


def _draw_edge(
    rng: np.random.Generator, quiet: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Shade some frames beyond an edge, or return where they have no data."""
    if rng.random() >= 0.08:
        return quiet, None
    light = shade(rng, quiet.shape)
    if rng.random() < 0.4:
        return quiet, light < 0.5
    return quiet * light, None
