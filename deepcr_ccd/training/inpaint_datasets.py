"""Training data for inpainting networks, made on the fly: see `SimulatedFrames`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import ndimage

from ..inpainting.cutouts import MIN_GOOD_PIXELS, read_cutouts
from ..inpainting.feature_layout import feature_layout
from ..inpainting.features import compute_features, measure_block, refine_features
from ..inpainting.pixel_flags import PixelFlag
from ..segmentation.connected import EIGHT_CONNECTED
from ..simulation.camera import Observation
from .datasets import SimulatedFrames

__all__ = ["InpaintCutouts", "InpaintFrames"]

#: Pixels farther above or below their cutout than this, in its units, are left out.
MAX_TARGET = 3000.0
#: How often a cutout is drawn goes with the root of its structure, within these limits.
STRUCTURE_LIMITS = (0.15, 300.0)
#: How often the values of the masked pixels are hidden from the network.
HIDDEN_FRACTION = 0.15
#: The fractions of cutouts with refined features: of those on structure, and of others.
REFINED_FRACTIONS = (0.7, 0.1)


class InpaintFrames(SimulatedFrames):
    """Frames with masked cosmic rays, for training a network that fills tiles.

    Notes
    -----
    An item is a dictionary: ``frame``, float32 ``(2, size, size)``, the frame after the
    transform with masked pixels at zero, and the mask; ``target``, float32
    ``(size, size)``, the frame without cosmic rays and noise after the transform; and
    ``mask``, bool ``(size, size)``.
    """

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, index])
        seen = self.observe(rng)
        mask = _some_mask(seen, rng)
        normalize = self.transform(seen.frame, mask)
        planes = np.stack([np.where(mask, 0, normalize(seen.frame)), mask])
        return {
            "frame": torch.from_numpy(planes.astype(np.float32)),
            "target": torch.from_numpy(np.ascontiguousarray(normalize(seen.noiseless))),
            "mask": torch.from_numpy(np.ascontiguousarray(mask)),
        }


class InpaintCutouts(SimulatedFrames):
    """Cutouts around masked pixels, for training a network that fills these.

    Pixels on structure are drawn more often than those on plain background, which are
    many and soon learnt.

    Parameters
    ----------
    *args, **kwargs
        As for `SimulatedFrames`, but for the transform: features are computed instead.
    radius : int
        Half of the width of a cutout, in px.
    number : int
        Cutouts of an item.

    Notes
    -----
    An item is a dictionary: ``frame``, float32 ``(number, size)``, features as
    `~deepcr_ccd.inpainting.feature_layout.FeatureLayout` has them, refined for about
    half of the cutouts; ``target``, float32 ``(number,)``, the pixel without cosmic
    rays and noise in the units of the cutout; and ``mask``, bool ``(number,)``, False
    where a cutout has too few good pixels, or the pixel is far out of its range.
    """

    def __init__(
        self, *args: Any, radius: int = 6, number: int = 768, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
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
        weight = np.sqrt(np.clip(structure, *STRUCTURE_LIMITS))
        drawn = rng.choice(rows.size, self.number, p=weight / weight.sum())
        rows, columns = rows[drawn], columns[drawn]
        fraction = np.where(structure[drawn] > 1, *REFINED_FRACTIONS)
        refined = rng.random(drawn.size) < fraction
        flag = PixelFlag.CR if rng.random() > HIDDEN_FRACTION else PixelFlag.BAD
        flags = np.where(hidden, flag, PixelFlag.GOOD).astype(np.uint8)
        blocks = [measure_block(seen.frame, flags)]
        layout = feature_layout(self.radius)
        features = np.empty((self.number, layout.size), dtype=np.float32)
        target = np.empty(self.number, dtype=np.float32)
        for cutouts in read_cutouts(seen.frame, flags, rows, columns, self.radius):
            which, pixels = cutouts.which, (cutouts.values, cutouts.flags)
            member = np.zeros(which.size, dtype=int)
            computed, mean, spread = compute_features(*pixels, blocks, member)
            known = *pixels, mean, spread, blocks, member
            refine_features(computed, refined[which], *known)
            features[which] = computed
            quiet = seen.noiseless[rows[which], columns[which]]
            target[which] = (quiet - mean) / spread
        known = features[:, layout.good].sum(axis=1) >= MIN_GOOD_PIXELS
        known &= np.abs(target) <= MAX_TARGET
        return {
            "frame": torch.from_numpy(features),
            "target": torch.from_numpy(target),
            "mask": torch.from_numpy(known),
        }


def _some_mask(seen: Observation, rng: np.random.Generator) -> np.ndarray:
    """Return a mask as models make them: often of whole tracks, sometimes grown."""
    mask = seen.truth | (seen.ignore & (rng.random() < 0.5))
    return (
        ndimage.binary_dilation(mask, EIGHT_CONNECTED) if rng.random() < 0.5 else mask
    )


def _structure(seen: Observation) -> np.ndarray:
    """Return the scatter of the noise-free frame around each pixel, over the noise."""
    mean = ndimage.uniform_filter(seen.noiseless, 5)
    square = ndimage.uniform_filter(seen.noiseless**2, 5)
    variance = np.maximum(square - mean**2, 0)
    return np.sqrt(variance / (np.maximum(seen.noiseless, 0) + seen.readnoise**2))
