"""Training data: simulated on the fly, cut from labelled frames, and mixtures of both.

Item ``i`` depends on the seed and on ``i`` alone, in whatever process and order it is
made: so training can be resumed, and does not depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ..preprocess.normalize import TRANSFORMS, Normalization
from ..simulation.camera import CameraSimulator, LabelThresholds, Observation

__all__ = ["LabelledFrames", "MixedFrames", "SimulatedFrames"]


class SimulatedFrames(torch.utils.data.Dataset):
    """Simulated exposures of scenes, with cosmic rays on them.

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
        Preprocessing of a frame, a key of
        ``deepcr_ccd.preprocess.normalize.TRANSFORMS``.
    thresholds : LabelThresholds, optional
        Which pixels are labelled as CR-affected.
    defects : float
        Fraction of frames with defects; see
        `~deepcr_ccd.simulation.camera.CameraSimulator`.

    Raises
    ------
    ValueError
        If scenes are smaller than a frame.

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
        thresholds: LabelThresholds | None = None,
        defects: float = 0.0,
    ):
        self.camera = CameraSimulator(
            scenes, deposits, size, thresholds or LabelThresholds(), defects
        )
        self.length = length
        self.size = size
        self.seed = seed
        self.transform = TRANSFORMS[transform]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        observed = self.observe(np.random.default_rng([self.seed, index]))
        return _as_item(self.transform, observed.frame, observed.truth, observed.ignore)

    def observe(self, rng: np.random.Generator) -> Observation:
        """Take an exposure, before the transform.

        Parameters
        ----------
        rng : `~numpy.random.Generator`
            Source of random numbers.

        Returns
        -------
        Observation
            Of ``(size, size)`` px.
        """
        return self.camera.observe(rng)


class LabelledFrames(torch.utils.data.Dataset):
    """Crops of frames whose cosmic rays are known, such as those of a user's camera.

    Parameters
    ----------
    frames : sequence of (frame, truth, ignore)
        Arrays of ``(ny, nx)``, such as
        `~deepcr_ccd.training.exposure_labels.LabelledFrame`.
    length : int
        Number of items.
    size : int
        Width of a crop in px.
    seed : int
        Of the random numbers.
    transform : str
        Preprocessing of a crop, a key of
        ``deepcr_ccd.preprocess.normalize.TRANSFORMS``.

    Raises
    ------
    ValueError
        If there are no frames, or one is smaller than a crop.

    Notes
    -----
    Items are as those of `SimulatedFrames`. Crops are rotated and mirrored at random;
    half of them hold a CR-affected pixel, if there is any.
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
        self.cr_positions = [np.argwhere(truth) for _, truth, _ in frames]
        self.length = length
        self.size = size
        self.seed = seed
        self.transform = TRANSFORMS[transform]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, index])
        number = int(rng.integers(len(self.frames)))
        shape = self.frames[number][0].shape
        corner = np.array([rng.integers(0, n - self.size + 1) for n in shape])
        positions = self.cr_positions[number]
        if len(positions) and rng.random() < 0.5:
            inside = positions[rng.integers(len(positions))]
            corner = inside - rng.integers(0, self.size, 2)
            corner = np.clip(corner, 0, np.array(shape) - self.size)
        crop = tuple(slice(c, c + self.size) for c in corner)
        rotations, mirrored = int(rng.integers(4)), rng.random() < 0.5
        arrays = []
        for array in self.frames[number]:
            array = np.rot90(array[crop], rotations)
            arrays.append(np.ascontiguousarray(array[::-1] if mirrored else array))
        frame, truth, ignore = arrays
        frame = frame.astype(np.float32, copy=False)
        return _as_item(self.transform, frame, truth, ignore)


class MixedFrames(torch.utils.data.Dataset):
    """Items of several datasets, drawn in given fractions.

    Parameters
    ----------
    datasets : sequence of `torch.utils.data.Dataset`
        Each at least as long as ``length``.
    fractions : sequence of float
        How often each is drawn from, relative to the others.
    length : int
        Number of items.
    seed : int
        Of the random numbers.

    Raises
    ------
    ValueError
        If the numbers of datasets and fractions differ, or a dataset is too short.
    """

    def __init__(
        self,
        datasets: Sequence,
        fractions: Sequence[float],
        *,
        length: int,
        seed: int = 0,
    ):
        if len(datasets) != len(fractions) or not datasets:
            raise ValueError(
                f"fractions must be one for each dataset: {len(fractions)} for "
                f"{len(datasets)}"
            )
        for number, dataset in enumerate(datasets):
            if len(dataset) < length:
                raise ValueError(
                    f"datasets[{number}] has {len(dataset)} items; {length} are needed"
                )
        self.datasets = datasets
        self.fractions = np.asarray(fractions, dtype=float) / np.sum(fractions)
        self.length = length
        self.seed = seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, index])
        chosen = rng.choice(len(self.datasets), p=self.fractions)
        return self.datasets[chosen][index]


def _as_item(
    transform: Callable[..., Normalization],
    frame: np.ndarray,
    truth: np.ndarray,
    ignore: np.ndarray,
) -> dict[str, torch.Tensor]:
    """Return a frame after the transform, and its labels, as an item of a dataset."""
    planes = transform(frame, None)(frame)
    return {
        "frame": torch.from_numpy(np.ascontiguousarray(planes))[None],
        "truth": torch.from_numpy(truth),
        "ignore": torch.from_numpy(ignore),
    }
