"""A simulated camera: exposures of noise-free scenes, with their cosmic-ray masks."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..segmentation.connected import EIGHT_CONNECTED, group_peaks
from .cosmic_rays import add_deposits
from .defects import add_banding, add_columns, add_hot_pixels, bleed, shade

__all__ = [
    "CameraSimulator",
    "LabelThresholds",
    "Observation",
    "label_charge",
    "read_out",
]

#: Fraction of exposures whose deposits are blurred by charge diffusion.
DIFFUSED = 0.2


@dataclasses.dataclass(frozen=True)
class LabelThresholds:
    """Which pixels are labelled as CR-affected, in units of their noise.

    A cosmic ray is labelled if its brightest pixel is above ``peak``; then all its
    pixels above ``pixel`` are. Other pixels above ``ignore`` are ignored.
    """

    peak: float = 3.5
    pixel: float = 0.6
    ignore: float = 0.12


class Observation(NamedTuple):
    """A frame whose cosmic rays are known.

    Attributes
    ----------
    frame : `~numpy.ndarray`
        float32, ``(ny, nx)``, in electron.
    truth : `~numpy.ndarray`
        bool, ``(ny, nx)``, the CR mask.
    ignore : `~numpy.ndarray`
        bool, ``(ny, nx)``, pixels that count nowhere.
    readnoise : float
        In electron.
    noiseless : `~numpy.ndarray`
        ``(ny, nx)``, in electron: the frame without cosmic rays and noise.
    """

    frame: np.ndarray
    truth: np.ndarray
    ignore: np.ndarray
    readnoise: float
    noiseless: np.ndarray


def label_charge(
    charge: np.ndarray, sigma: np.ndarray, thresholds: LabelThresholds | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Label pixels by the charge that cosmic rays left in them.

    Parameters
    ----------
    charge : `~numpy.ndarray`
        ``(ny, nx)``, charge of cosmic rays.
    sigma : `~numpy.ndarray`
        ``(ny, nx)``, one-sigma noise without them, in the same unit.
    thresholds : LabelThresholds, optional
        The limits.

    Returns
    -------
    truth, ignore : `~numpy.ndarray`
        bool, ``(ny, nx)``: the CR mask, and pixels with too little charge to decide.
        No pixel is in both.
    """
    thresholds = thresholds or LabelThresholds()
    significance = charge / sigma
    touched = significance > thresholds.ignore
    peaks = group_peaks(significance, touched)
    truth = (significance > thresholds.pixel) & (peaks > thresholds.peak)
    return truth, touched & ~truth


@dataclasses.dataclass
class CameraSimulator:
    """Takes exposures of scenes, each with a camera and cosmic rays drawn at random.

    Parameters
    ----------
    scenes : `~numpy.ndarray`
        ``(n, ny, nx)``, noise-free scenes in electron.
    deposits : list of list of `~numpy.ndarray`
        Libraries of deposits in electron; each is drawn from as often as the others.
    size : int
        Width of a frame in px.
    thresholds : LabelThresholds
        Which pixels are labelled.
    defects : float
        Fraction of frames that have hot pixels; half as many have bad columns, half
        as many banding, and fewer an edge beyond which there is no light or no data,
        or next to no read noise. Hot pixels are clean where there are many, and
        ignored where a few of them could as well be cosmic rays.

    Raises
    ------
    ValueError
        If scenes are smaller than a frame.
    """

    scenes: np.ndarray
    deposits: list[list[np.ndarray]]
    size: int = 128
    thresholds: LabelThresholds = dataclasses.field(default_factory=LabelThresholds)
    defects: float = 0.0

    def __post_init__(self) -> None:
        if min(self.scenes.shape[1:]) < self.size:
            raise ValueError(
                f"size={self.size} is more than scenes have: {self.scenes.shape}"
            )

    def observe(self, rng: np.random.Generator) -> Observation:
        """Take an exposure of a part of a scene.

        Parameters
        ----------
        rng : `~numpy.random.Generator`
            Source of random numbers; the exposure depends on nothing else.

        Returns
        -------
        Observation
            Of ``(size, size)`` px.
        """
        scene, background, readnoise = self._draw_scene(rng)
        charge = self._draw_charge(rng, scene)
        noiseless, blank = self._draw_edge(rng, scene + np.float32(background))
        sigma = np.sqrt(noiseless + readnoise**2)
        truth, ignore = label_charge(charge, sigma, self.thresholds)
        if self.defects:
            noiseless, hot = self._add_defects(rng, noiseless, sigma, readnoise)
            ignore |= hot & ~truth
        frame, ignored, well = read_out(rng, noiseless, charge, readnoise, truth)
        ignore |= ignored
        truth &= ~ignore
        if blank is not None:
            # As rectified and rotated frames are filled up where there are no data.
            frame[blank] = 0
            truth &= ~blank
            ignore &= ~blank
        noiseless = np.minimum(noiseless, well)
        return Observation(
            frame.astype(np.float32), truth, ignore, float(readnoise), noiseless
        )

    def _draw_scene(self, rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
        """Return a scene, the background level and the read noise, in electron."""
        scene = self._crop(rng) * np.float32(10 ** rng.uniform(-0.8, 0.7))
        background = 10 ** rng.uniform(-0.5, 3.3)
        if rng.random() < 0.3:
            ramp = np.linspace(-1, 1, self.size, dtype=np.float32)
            scene = scene + background * rng.uniform(0, 0.4) * (1 + ramp)
        readnoise = np.exp(rng.uniform(np.log(1.5), np.log(12)))
        if self.defects and rng.random() < 0.4 * self.defects:
            # A camera that counts photons: its noise is skewed.
            readnoise, background = rng.uniform(0.01, 1.5), 10 ** rng.uniform(-0.5, 1.3)
        return scene, background, readnoise

    def _crop(self, rng: np.random.Generator) -> np.ndarray:
        scene = self.scenes[rng.integers(len(self.scenes))]
        y, x = (rng.integers(0, n - self.size + 1) for n in scene.shape)
        scene = scene[y : y + self.size, x : x + self.size]
        scene = np.rot90(scene, int(rng.integers(4)))
        return scene[::-1] if rng.random() < 0.5 else scene

    def _draw_charge(self, rng: np.random.Generator, scene: np.ndarray) -> np.ndarray:
        """Return the charge of cosmic rays on a scene."""
        number = rng.poisson(self.size**2 * 10 ** rng.uniform(-4, -2))
        library = self.deposits[rng.integers(len(self.deposits))]
        charge = add_deposits(scene, library, rng, number)
        charge *= np.float32(rng.lognormal(0, 0.5))
        if rng.random() < DIFFUSED:
            # In some detectors charge spreads before it is collected, as in WFC3/UVIS.
            charge = ndimage.gaussian_filter(charge, rng.uniform(0.2, 0.5))
        return charge

    def _draw_edge(
        self, rng: np.random.Generator, noiseless: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Shade some frames beyond an edge, or return where they have no data."""
        if not self.defects or rng.random() >= 0.25 * self.defects:
            return noiseless, None
        light = shade(rng, noiseless.shape)
        if rng.random() < 0.4:
            return noiseless, light < 0.5
        return noiseless * light, None

    def _add_defects(
        self,
        rng: np.random.Generator,
        noiseless: np.ndarray,
        sigma: np.ndarray,
        readnoise: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add defects; return too which hot pixels look like cosmic rays."""
        ambiguous = np.zeros(noiseless.shape, dtype=bool)
        if rng.random() < self.defects:
            fraction = 10 ** rng.uniform(-4, -1)
            charge = add_hot_pixels(rng, sigma, fraction)
            noiseless = noiseless + charge
            if fraction < 0.003:
                ambiguous = charge > self.thresholds.ignore * sigma
        if rng.random() < 0.5 * self.defects:
            noiseless = noiseless + add_columns(rng, sigma)
        if rng.random() < 0.5 * self.defects:
            noiseless = noiseless + add_banding(rng, noiseless.shape, readnoise)
        return noiseless, ambiguous


def read_out(
    rng: np.random.Generator,
    noiseless: np.ndarray,
    charge: np.ndarray,
    readnoise: float,
    truth: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Add noise to what a detector collected, up to its full well, and digitize it.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    noiseless, charge : `~numpy.ndarray`
        ``(ny, nx)``, light and charge of cosmic rays, in electron.
    readnoise : float
        In electron.
    truth : `~numpy.ndarray`
        bool, ``(ny, nx)``, the CR mask.

    Returns
    -------
    frame : `~numpy.ndarray`
        ``(ny, nx)``, in electron.
    ignored : `~numpy.ndarray`
        bool, ``(ny, nx)``: pixels that full wells changed, and that can be neither
        CR nor clean.
    well : float
        Full well in electron.
    """
    frame = rng.poisson(np.maximum(noiseless, 0) + charge)
    frame = frame + np.minimum(noiseless, 0)
    frame = frame + rng.normal(0, readnoise, noiseless.shape)
    well = 10 ** rng.uniform(4.4, 5.3)
    limited = bleed(frame, well) if rng.random() < 0.6 else np.minimum(frame, well)
    ignored = _ignored_saturation(frame, limited, noiseless > 0.5 * well, truth)
    if rng.random() < 0.5:
        gain = rng.choice([1.0, 1.5, 2.0, 4.0])
        limited = np.rint(limited / gain) * gain
    return limited, ignored, well


def _ignored_saturation(
    frame: np.ndarray, limited: np.ndarray, bright: np.ndarray, truth: np.ndarray
) -> np.ndarray:
    """Return which pixels that full wells changed can be neither CR nor clean.

    Pixels that a star filled, and to which its charge bled, are clean, but for cosmic
    rays on top of them; those to which charge of a cosmic ray bled are ignored.
    """
    changed = frame != limited
    if not changed.any():
        return changed
    groups, number = ndimage.label(changed, EIGHT_CONNECTED)
    star = np.zeros(number + 1, dtype=bool)
    star[np.unique(groups[changed & bright])] = True
    return changed & (star[groups] == truth)
