"""Training data made on the fly: a scene, a sky, cosmic rays, and the detector's noise.

Item ``i`` depends on the seed and on ``i`` alone, whoever makes it and in whatever
order; so training can be resumed, and does not depend on the number of workers.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from ..preprocess.normalize import TRANSFORMS
from ..segmentation.labels import EIGHT_CONNECTED, group_peaks
from ..simulation.cosmic_rays import add_deposits
from ..simulation.defects import add_banding, add_columns, add_hot_pixels, bleed, shade

__all__ = [
    "Labels",
    "Observation",
    "SimulatedFrames",
    "label_charge",
]

#: How often deposits are blurred as a camera does it that lets charge spread.
DIFFUSED = 0.2


@dataclasses.dataclass(frozen=True)
class Labels:
    """What counts as struck, in units of a pixel's own noise.

    A deposit is labelled if its brightest pixel is above ``peak``; then all its pixels
    above ``struck`` are. Other pixels above ``undecided`` are ignored.
    """

    peak: float = 3.5
    struck: float = 0.6
    undecided: float = 0.12


class Observation(NamedTuple):
    """A frame and what is true of it.

    ``frame`` is float32, ``(ny, nx)``, in electron; ``truth`` and ``ignore`` are bool;
    ``readnoise`` is in electron; ``quiet`` is the frame without cosmic rays and noise.
    """

    frame: np.ndarray
    truth: np.ndarray
    ignore: np.ndarray
    readnoise: float
    quiet: np.ndarray


def label_charge(
    charge: np.ndarray, sigma: np.ndarray, labels: Labels | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Tell which pixels are struck, and which the noise makes undecidable.

    Parameters
    ----------
    charge : `~numpy.ndarray`
        ``(ny, nx)``, what cosmic rays left.
    sigma : `~numpy.ndarray`
        ``(ny, nx)``, one-sigma noise without them, in the same unit.
    labels : Labels, optional
        The limits.

    Returns
    -------
    truth, ignore : `~numpy.ndarray`
        bool, ``(ny, nx)``; no pixel is in both.
    """
    labels = labels or Labels()
    strength = charge / sigma
    touched = strength > labels.undecided
    peaks = group_peaks(strength, touched)
    truth = (strength > labels.struck) & (peaks > labels.peak)
    return truth, touched & ~truth


def _saturated(
    frame: np.ndarray, held: np.ndarray, bright: np.ndarray, truth: np.ndarray
) -> np.ndarray:
    """Return which pixels at or beyond the full well nobody can decide about.

    What a star filled, and where its charge ran, is clean, but for cosmic rays on top
    of it; where charge of a cosmic ray ran is undecided.
    """
    spilt = frame != held
    if not spilt.any():
        return spilt
    groups, number = ndimage.label(spilt, EIGHT_CONNECTED)
    star = np.zeros(number + 1, dtype=bool)
    star[np.unique(groups[spilt & bright])] = True
    return spilt & (star[groups] == truth)


class SimulatedFrames(torch.utils.data.Dataset):
    """Frames of scenes with cosmic rays on them.

    Parameters
    ----------
    scenes : `~numpy.ndarray`
        ``(n, ny, nx)``, noise-free scenes in electron.
    deposits : list of list of `~numpy.ndarray`
        Libraries of deposits in electron; each is drawn from as often as the others.
    length : int
        Number of items.
    size : int
        Width of a frame in px.
    seed : int
        Of the random numbers.
    transform : str
        What is done to a frame, a key of
        ``deepcr_ccd.preprocess.normalize.TRANSFORMS``.
    labels : Labels, optional
        What counts as struck.
    defects : float
        How often a frame has hot pixels, bad columns, banding or an edge beyond which
        there is no light or no data, or is read with next to no noise. Hot pixels are
        clean where there are many, and ignored where a few of them could as well be
        cosmic rays.

    Notes
    -----
    An item is a dictionary: ``frame``, float32 ``(1, size, size)`` after the transform;
    ``truth`` and ``ignore``, bool ``(size, size)``.
    """

    def __init__(
        self,
        scenes: np.ndarray,
        deposits: list[list[np.ndarray]],
        *,
        length: int,
        size: int = 128,
        seed: int = 0,
        transform: str = "noise",
        labels: Labels | None = None,
        defects: float = 0.0,
    ):
        if min(scenes.shape[1:]) < size:
            raise ValueError(f"size={size} is more than scenes have: {scenes.shape}")
        self.scenes = scenes
        self.deposits = deposits
        self.length = length
        self.size = size
        self.seed = seed
        self.transform = TRANSFORMS[transform]
        self.labels = labels or Labels()
        self.defects = defects

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        seen = self.observe(np.random.default_rng([self.seed, index]))
        planes = self.transform.prepare(seen.frame, None)(seen.frame)
        return {
            "frame": torch.from_numpy(np.ascontiguousarray(planes))[None],
            "truth": torch.from_numpy(seen.truth),
            "ignore": torch.from_numpy(seen.ignore),
        }

    def observe(self, rng: np.random.Generator) -> Observation:
        """Observe a scene with some camera.

        Parameters
        ----------
        rng : `~numpy.random.Generator`
            Source of random numbers.

        Returns
        -------
        Observation
            Of ``(size, size)`` px.
        """
        scene = self._crop(rng) * np.float32(10 ** rng.uniform(-0.8, 0.7))
        sky = 10 ** rng.uniform(-0.5, 3.3)
        if rng.random() < 0.3:
            ramp = np.linspace(-1, 1, self.size, dtype=np.float32)
            scene = scene + sky * rng.uniform(0, 0.4) * (1 + ramp)
        readnoise = np.exp(rng.uniform(np.log(1.5), np.log(12)))
        if self.defects and rng.random() < 0.4 * self.defects:
            # A camera that counts photons: its noise is skewed.
            readnoise, sky = rng.uniform(0.01, 1.5), 10 ** rng.uniform(-0.5, 1.3)
        number = rng.poisson(self.size**2 * 10 ** rng.uniform(-4, -2))
        library = self.deposits[rng.integers(len(self.deposits))]
        charge = add_deposits(scene, library, rng, number)
        charge *= np.float32(rng.lognormal(0, 0.5))
        if rng.random() < DIFFUSED:
            # In some detectors charge spreads before it is held, as in WFC3/UVIS.
            charge = ndimage.gaussian_filter(charge, rng.uniform(0.2, 0.5))
        quiet = scene + np.float32(sky)
        blank = None
        if self.defects and rng.random() < 0.25 * self.defects:
            light = shade(rng, quiet.shape)
            if rng.random() < 0.4:
                blank = light < 0.5
            else:
                quiet = quiet * light
        sigma = np.sqrt(quiet + readnoise**2)
        truth, ignore = label_charge(charge, sigma, self.labels)
        if self.defects:
            quiet, hot = self._spoil(rng, quiet, sigma, readnoise)
            ignore |= hot & ~truth
        frame = rng.poisson(np.maximum(quiet, 0) + charge) + np.minimum(quiet, 0)
        frame = frame + rng.normal(0, readnoise, scene.shape)
        well = 10 ** rng.uniform(4.4, 5.3)
        held = bleed(frame, well) if rng.random() < 0.6 else np.minimum(frame, well)
        ignore |= _saturated(frame, held, quiet > 0.5 * well, truth)
        truth &= ~ignore
        frame = held
        if rng.random() < 0.5:
            gain = rng.choice([1.0, 1.5, 2.0, 4.0])
            frame = np.rint(frame / gain) * gain
        if blank is not None:
            # As rectified and rotated frames are filled up where there are no data.
            frame[blank] = 0
            truth &= ~blank
            ignore &= ~blank
        quiet = np.minimum(quiet, well)
        return Observation(
            frame.astype(np.float32), truth, ignore, float(readnoise), quiet
        )

    def _spoil(
        self,
        rng: np.random.Generator,
        quiet: np.ndarray,
        sigma: np.ndarray,
        readnoise: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add defects; return which hot pixels nobody can tell from cosmic rays."""
        doubtful = np.zeros(quiet.shape, dtype=bool)
        if rng.random() < self.defects:
            share = 10 ** rng.uniform(-4, -1)
            charge = add_hot_pixels(rng, sigma, share)
            quiet = quiet + charge
            if share < 0.003:
                doubtful = charge > self.labels.undecided * sigma
        if rng.random() < 0.5 * self.defects:
            quiet = quiet + add_columns(rng, sigma)
        if rng.random() < 0.5 * self.defects:
            quiet = quiet + add_banding(rng, quiet.shape, readnoise)
        return quiet, doubtful

    def _crop(self, rng: np.random.Generator) -> np.ndarray:
        scene = self.scenes[rng.integers(len(self.scenes))]
        y, x = (rng.integers(0, n - self.size + 1) for n in scene.shape)
        scene = np.rot90(scene[y : y + self.size, x : x + self.size], rng.integers(4))
        return scene[::-1] if rng.random() < 0.5 else scene
