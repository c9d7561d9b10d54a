"""Training data made on the fly: a scene, a sky, cosmic rays, and the detector's noise.

Item ``i`` depends on the seed and on ``i`` alone, whoever makes it and in whatever
order; so training can be resumed, and does not depend on the number of workers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from ..transforms import TRANSFORMS
from .tracks import add_deposits

__all__ = [
    "FillFrames",
    "LabelledFrames",
    "Labels",
    "Observation",
    "SimulatedFrames",
    "label_charge",
]

EIGHT = np.ones((3, 3), dtype=bool)


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
    groups, number = ndimage.label(touched, EIGHT)
    peaks = np.zeros(number + 1)
    if number:
        peaks[1:] = ndimage.maximum(strength, groups, np.arange(1, number + 1))
    truth = (strength > labels.struck) & (peaks > labels.peak)[groups]
    return truth, touched & ~truth


def _bleed(frame: np.ndarray, well: float) -> np.ndarray:
    """Let what a full pixel cannot hold run along its column, half each way."""
    excess = np.maximum(frame - well, 0)
    frame = np.minimum(frame, well)
    for column in np.nonzero(excess.any(axis=0))[0]:
        for step in (1, -1):
            spilt, line = excess[::step, column] / 2, frame[::step, column]
            carried = 0.0
            for row in range(np.nonzero(spilt)[0][0], len(line)):
                carried += spilt[row]
                room = min(well - line[row], carried)
                line[row] += room
                carried -= room
                if carried <= 0 and not spilt[row + 1 :].any():
                    break
    return frame


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
        What is done to a frame, a key of ``deepcr_ccd.transforms.TRANSFORMS``.
    labels : Labels, optional
        What counts as struck.

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
        number = rng.poisson(self.size**2 * 10 ** rng.uniform(-4, -2))
        library = self.deposits[rng.integers(len(self.deposits))]
        charge = add_deposits(scene, library, rng, number)
        charge *= np.float32(rng.lognormal(0, 0.5))
        quiet = scene + np.float32(sky)
        sigma = np.sqrt(quiet + readnoise**2)
        frame = rng.poisson(quiet + charge) + rng.normal(0, readnoise, scene.shape)
        truth, ignore = label_charge(charge, sigma, self.labels)
        well = 10 ** rng.uniform(4.4, 5.3)
        full = frame > well
        # Whether a star or a cosmic ray filled the well nobody can say.
        ignore |= full & (quiet > 0.5 * well)
        truth &= ~ignore
        if rng.random() < 0.6:
            frame = _bleed(frame, well)
        frame = np.minimum(frame, well)
        if rng.random() < 0.5:
            gain = rng.choice([1.0, 1.5, 2.0, 4.0])
            frame = np.rint(frame / gain) * gain
        quiet = np.minimum(quiet, well)
        return Observation(
            frame.astype(np.float32), truth, ignore, float(readnoise), quiet
        )

    def _crop(self, rng: np.random.Generator) -> np.ndarray:
        scene = self.scenes[rng.integers(len(self.scenes))]
        y, x = (rng.integers(0, n - self.size + 1) for n in scene.shape)
        scene = np.rot90(scene[y : y + self.size, x : x + self.size], rng.integers(4))
        return scene[::-1] if rng.random() < 0.5 else scene


class LabelledFrames(torch.utils.data.Dataset):
    """Crops of frames whose cosmic rays are known, such as those of a user's camera.

    Parameters
    ----------
    frames : sequence of (frame, truth, ignore)
        Arrays of ``(ny, nx)``, such as `~deepcr_ccd.training.labels.LabelledFrame`.
    length : int
        Number of items.
    size : int
        Width of a crop in px.
    seed : int
        Of the random numbers.
    transform : str
        What is done to a crop, a key of ``deepcr_ccd.transforms.TRANSFORMS``.

    Raises
    ------
    ValueError
        If there are no frames, or one is smaller than a crop.

    Notes
    -----
    Items are as those of `SimulatedFrames`. Crops are turned and mirrored at random;
    half of them hold a struck pixel, if there is any.
    """

    def __init__(
        self,
        frames: Sequence,
        *,
        length: int,
        size: int = 128,
        seed: int = 0,
        transform: str = "noise",
    ):
        if not frames:
            raise ValueError("frames must be one or more")
        for number, (frame, _, _) in enumerate(frames):
            if min(frame.shape) < size:
                raise ValueError(
                    f"frames[{number}] has shape {frame.shape}, less than size={size}"
                )
        self.frames = frames
        self.struck = [np.argwhere(truth) for _, truth, _ in frames]
        self.length = length
        self.size = size
        self.seed = seed
        self.transform = TRANSFORMS[transform]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, index])
        number = rng.integers(len(self.frames))
        shape = self.frames[number][0].shape
        corner = np.array([rng.integers(0, n - self.size + 1) for n in shape])
        places = self.struck[number]
        if len(places) and rng.random() < 0.5:
            around = places[rng.integers(len(places))]
            corner = around - rng.integers(0, self.size, 2)
            corner = np.clip(corner, 0, np.array(shape) - self.size)
        part = tuple(slice(c, c + self.size) for c in corner)
        turns, mirrored = rng.integers(4), rng.random() < 0.5
        arrays = []
        for array in self.frames[number]:
            array = np.rot90(array[part], turns)
            arrays.append(np.ascontiguousarray(array[::-1] if mirrored else array))
        frame, truth, ignore = arrays
        planes = self.transform.prepare(frame, None)(frame)
        return {
            "frame": torch.from_numpy(np.ascontiguousarray(planes))[None],
            "truth": torch.from_numpy(truth),
            "ignore": torch.from_numpy(ignore),
        }


class FillFrames(SimulatedFrames):
    """Frames with masks over their cosmic rays, for training a network that fills.

    An item is a dictionary: ``frame``, float32 ``(2, size, size)``, the frame after the
    transform with masked pixels at zero, and the mask; ``target``, float32
    ``(size, size)``, the frame without cosmic rays and noise after the transform; and
    ``mask``, bool ``(size, size)``.
    """

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, index])
        seen = self.observe(rng)
        # As masks come out: mostly whole, sometimes grown, now and then with an end
        # of a track left out.
        mask = seen.truth | (seen.ignore & (rng.random() < 0.5))
        if rng.random() < 0.5:
            mask = ndimage.binary_dilation(mask, EIGHT)
        normalize = self.transform.prepare(seen.frame, mask)
        planes = np.stack([np.where(mask, 0, normalize(seen.frame)), mask])
        return {
            "frame": torch.from_numpy(planes.astype(np.float32)),
            "target": torch.from_numpy(np.ascontiguousarray(normalize(seen.quiet))),
            "mask": torch.from_numpy(np.ascontiguousarray(mask)),
        }
