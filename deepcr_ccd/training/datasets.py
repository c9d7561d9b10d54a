"""Training data: simulated on the fly, cut from labelled frames, and mixtures of both.

Item ``i`` depends on the seed and on ``i`` alone, in whatever process and order it is
made: so training can be resumed, and does not depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ..preprocess.background import measure_background
from ..preprocess.normalize import TRANSFORMS, Normalization
from ..preprocess.star_width import (
    UNKNOWN,
    StarWidth,
    measure_star_width,
    width_code,
)
from ..simulation.camera import CameraSimulator, LabelThresholds, Observation
from ..simulation.star_camera import TOLD, StarCamera

__all__ = ["LabelledFrames", "MixedFrames", "SimulatedFrames", "ToldFrames"]


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


class ToldFrames(torch.utils.data.Dataset):
    """Simulated exposures, and what a network is told of the stars on them.

    Parameters
    ----------
    camera : StarCamera
        Takes the exposures.
    star_widths : sequence of float
        FWHMs in px that the network knows, see
        `~deepcr_ccd.preprocess.star_width.width_code`.
    length : int
        Number of items.
    seed : int
        Of the random numbers.
    transform : str
        Preprocessing of a frame, a key of
        ``deepcr_ccd.preprocess.normalize.TRANSFORMS``.

    Notes
    -----
    Items are as those of `SimulatedFrames`, and have ``code``, float32, what is told;
    and ``dropped``, bool ``(size, size)``, pixels that do not count at all.
    """

    def __init__(
        self,
        camera: StarCamera,
        star_widths: Sequence[float],
        *,
        length: int,
        seed: int = 0,
        transform: str = "noise",
    ):
        self.camera = camera
        self.star_widths = star_widths
        self.length = length
        self.seed = seed
        self.transform = TRANSFORMS[transform]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        seen = self.camera.observe(np.random.default_rng([self.seed, index]))
        item = _as_item(self.transform, seen.frame, seen.truth, seen.ignore)
        code = width_code(seen.star_width, self.star_widths)
        return item | {
            "code": torch.tensor(code, dtype=torch.float32),
            "dropped": torch.from_numpy(seen.dropped),
        }


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
    star_widths : sequence of float
        FWHMs in px that a network knows, if it is told how wide stars are: two items of
        three have the width of the whole frame, and the others none. Items then have
        ``code`` and ``dropped``, as those of `ToldFrames`.

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
        star_widths: Sequence[float] = (),
    ):
        if not frames:
            raise ValueError("frames must be one or more")
        for number, (frame, _, _) in enumerate(frames):
            if min(frame.shape) < size:
                raise ValueError(
                    f"frames[{number}] has shape {frame.shape}, less than size={size}"
                )
        self.star_widths = star_widths
        self.widths = [_width_of(frame) for frame, _, _ in frames if star_widths]
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
        item = _as_item(self.transform, frame, truth, ignore)
        if not self.star_widths:
            return item
        width = self.widths[number] if rng.random() < TOLD else UNKNOWN
        if width.stars:
            width = StarWidth.of(width.fwhm * np.exp(rng.normal(0, 0.04)))
        code = width_code(width, self.star_widths)
        return item | {
            "code": torch.tensor(code, dtype=torch.float32),
            "dropped": torch.zeros(truth.shape, dtype=torch.bool, device="cpu"),
        }


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


def _width_of(frame: np.ndarray) -> StarWidth:
    """Return how wide the stars of a frame are."""
    plane = np.ascontiguousarray(frame, dtype=np.float32)
    return measure_star_width(plane, None, measure_background(plane))


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
