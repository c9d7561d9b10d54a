"""Training data from labelled frames, and mixtures of data of several sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..preprocess.normalize import TRANSFORMS

__all__ = ["LabelledFrames", "MixedFrames"]


class LabelledFrames(torch.utils.data.Dataset):
    """Crops of frames whose cosmic rays are known, such as those of a user's camera.

    Parameters
    ----------
    frames : sequence of (frame, truth, ignore)
        Arrays of ``(ny, nx)``, such as
        `~deepcr_ccd.training.exposures.labels.LabelledFrame`.
    length : int
        Number of items.
    size : int
        Width of a crop in px.
    seed : int
        Of the random numbers.
    transform : str
        What is done to a crop, a key of ``deepcr_ccd.preprocess.normalize.TRANSFORMS``.

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
        frame = frame.astype(np.float32, copy=False)
        planes = self.transform.prepare(frame, None)(frame)
        return {
            "frame": torch.from_numpy(np.ascontiguousarray(planes))[None],
            "truth": torch.from_numpy(truth),
            "ignore": torch.from_numpy(ignore),
        }


class MixedFrames(torch.utils.data.Dataset):
    """Items of several datasets, in given shares.

    Parameters
    ----------
    datasets : sequence of `torch.utils.data.Dataset`
        Each at least as long as ``length``.
    shares : sequence of float
        How often each is drawn from, relative to the others.
    length : int
        Number of items.
    seed : int
        Of the random numbers.

    Raises
    ------
    ValueError
        If the numbers of datasets and shares differ, or a dataset is too short.
    """

    def __init__(
        self,
        datasets: Sequence,
        shares: Sequence[float],
        *,
        length: int,
        seed: int = 0,
    ):
        if len(datasets) != len(shares) or not datasets:
            raise ValueError(
                f"shares must be one for each dataset: {len(shares)} for "
                f"{len(datasets)}"
            )
        for number, dataset in enumerate(datasets):
            if len(dataset) < length:
                raise ValueError(
                    f"datasets[{number}] has {len(dataset)} items; {length} are needed"
                )
        self.datasets = datasets
        self.shares = np.asarray(shares, dtype=float) / np.sum(shares)
        self.length = length
        self.seed = seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, index])
        return self.datasets[rng.choice(len(self.datasets), p=self.shares)][index]
