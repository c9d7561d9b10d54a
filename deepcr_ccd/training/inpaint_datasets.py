"""Training data for networks that fill, made on the fly: see `SimulatedFrames`."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from ..inpainting.cutouts import ENOUGH, PixelFlag, read_cutouts
from ..inpainting.feature_layout import TOLD
from ..inpainting.features import measure_block, refine_features
from ..segmentation.labels import EIGHT_CONNECTED
from ..simulation.camera import Observation
from .datasets import SimulatedFrames

__all__ = ["InpaintFrames", "InpaintCutouts"]

#: Pixels that stand farther out than this, in units of what is left of their
#: surroundings, are left out.
FORESEEABLE = 3000.0
#: How often a window is drawn goes with the root of its structure, within these limits.
STRUCTURE = (0.15, 300.0)
#: How often a network is not told what struck pixels hold.
UNTOLD = 0.15
#: How many windows are compared with stars: of those on structure, and of others.
COMPARED = (0.7, 0.1)


class InpaintFrames(SimulatedFrames):
    """Frames with masks over their cosmic rays, for training a network that fills.

    An item is a dictionary: ``frame``, float32 ``(2, size, size)``, the frame after the
    transform with masked pixels at zero, and the mask; ``target``, float32
    ``(size, size)``, the frame without cosmic rays and noise after the transform; and
    ``mask``, bool ``(size, size)``.
    """

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, index])
        seen = self.observe(rng)
        mask = _some_mask(seen, rng)
        normalize = self.transform.prepare(seen.frame, mask)
        planes = np.stack([np.where(mask, 0, normalize(seen.frame)), mask])
        return {
            "frame": torch.from_numpy(planes.astype(np.float32)),
            "target": torch.from_numpy(np.ascontiguousarray(normalize(seen.noiseless))),
            "mask": torch.from_numpy(np.ascontiguousarray(mask)),
        }


class InpaintCutouts(SimulatedFrames):
    """Windows around struck pixels, for training a network that fills them.

    Pixels on structure are drawn more often than those on plain sky, which are many
    and soon learnt.

    Parameters
    ----------
    *args, **kwargs
        As for `SimulatedFrames`; the transform is "window".
    radius : int
        Half of a window's width, in px.
    number : int
        Windows of an item.

    Notes
    -----
    An item is a dictionary: ``frame``, float32 ``(number, 2 * k * k + TOLD)``, see
    `~deepcr_ccd.inpainting.features.compute_features`, half of them with
    `~deepcr_ccd.inpainting.template_fit.fit_star_templates`; ``target``, float32
    ``(number,)``, the pixel without cosmic rays and noise in the window's units; and
    ``mask``, bool ``(number,)``, False where a window holds too little to go by, or the
    pixel is out of all proportion to it.
    """

    def __init__(self, *args, radius: int = 6, number: int = 768, **kwargs):
        super().__init__(*args, transform="window", **kwargs)
        self.radius = radius
        self.number = number

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, index])
        seen = self.observe(rng)
        hidden = _some_mask(seen, rng)
        if not hidden.any():
            hidden[self.size // 2, self.size // 2] = True
        rows, columns = np.nonzero(hidden)
        structure = _structure(seen)[hidden]
        share = np.sqrt(np.clip(structure, *STRUCTURE))
        drawn = rng.choice(rows.size, self.number, p=share / share.sum())
        rows, columns = rows[drawn], columns[drawn]
        compared = rng.random(drawn.size) < np.where(structure[drawn] > 1, *COMPARED)
        flags = np.where(
            hidden, PixelFlag.CR * (rng.random() > UNTOLD), PixelFlag.GOOD
        ).astype(np.uint8)
        block = measure_block(seen.frame, flags)
        describe = self.transform.prepare(seen.frame, hidden)
        size = (2 * self.radius + 1) ** 2
        numbers = np.empty((self.number, 2 * size + TOLD), dtype=np.float32)
        target = np.empty(self.number, dtype=np.float32)
        for values, flag, which in read_cutouts(
            seen.frame, flags, rows, columns, self.radius
        ):
            told, mean, spread = describe(values, flag, block)
            some = compared[which]
            refine_features(told, some, values, flag, mean, spread, block)
            numbers[which] = told
            quiet = seen.noiseless[rows[which], columns[which]]
            target[which] = (quiet - mean) / spread
        known = numbers[:, size : 2 * size].sum(axis=1) >= ENOUGH
        known &= np.abs(target) <= FORESEEABLE
        return {
            "frame": torch.from_numpy(numbers),
            "target": torch.from_numpy(target),
            "mask": torch.from_numpy(known),
        }


def _some_mask(seen: Observation, rng: np.random.Generator) -> np.ndarray:
    """Return a mask as they come out: mostly whole, sometimes grown or with less."""
    mask = seen.truth | (seen.ignore & (rng.random() < 0.5))
    return (
        ndimage.binary_dilation(mask, EIGHT_CONNECTED) if rng.random() < 0.5 else mask
    )


def _structure(seen: Observation) -> np.ndarray:
    """Return the scatter of what is seen without noise, over the noise."""
    mean = ndimage.uniform_filter(seen.noiseless, 5)
    square = ndimage.uniform_filter(seen.noiseless**2, 5)
    variance = np.maximum(square - mean**2, 0)
    return np.sqrt(variance / (np.maximum(seen.noiseless, 0) + seen.readnoise**2))
