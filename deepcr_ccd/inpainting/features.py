"""Features of cutouts: what an inpainting network is given of flagged pixels.

Where each feature goes is laid down in `~deepcr_ccd.inpainting.feature_layout`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .cr_charge import clipped_log, measure_cr_charge, measure_cutout_charge
from .cutouts import crop_centre, cutout_radius, gaussian_kernel
from .feature_layout import CENTRE_RADIUS, feature_layout
from .pixel_flags import PixelFlag
from .star_templates import StarTemplates, find_star_templates
from .template_fit import MAX_VALUE, fit_star_templates

__all__ = [
    "CUTOUT_TRANSFORMS",
    "BlockStatistics",
    "compute_features",
    "measure_block",
    "normalize_cutouts",
    "refine_features",
]

#: Scale length in px of the weights in the mean and the spread of a cutout.
KERNEL_SCALE = 2.0


class BlockStatistics(NamedTuple):
    """What stars and cosmic rays look like in a block of a frame.

    ``cr_charge`` is from `~deepcr_ccd.inpainting.cr_charge.measure_cr_charge`.
    """

    stars: StarTemplates
    cr_charge: np.ndarray


def measure_block(data: np.ndarray, flags: np.ndarray) -> BlockStatistics:
    """Measure stars and cosmic rays in a block of a frame.

    Parameters
    ----------
    data : `~numpy.ndarray`
        float, ``(ny, nx)``, in any unit.
    flags : `~numpy.ndarray`
        uint8, ``(ny, nx)``, values of `~deepcr_ccd.inpainting.pixel_flags.PixelFlag`.
    """
    stars = find_star_templates(data, flags != PixelFlag.GOOD)
    return BlockStatistics(stars, measure_cr_charge(data, flags))


def compute_features(
    values: np.ndarray,
    flags: np.ndarray,
    blocks: Sequence[BlockStatistics],
    member: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the features of cutouts, all but those that `refine_features` adds.

    Parameters
    ----------
    values, flags : `~numpy.ndarray`
        ``(n, k * k)``, from `~deepcr_ccd.inpainting.cutouts.read_cutouts`.
    blocks : sequence of BlockStatistics
        Of the blocks where the cutouts are.
    member : `~numpy.ndarray`
        int, ``(n,)``: the block of each cutout, as an index into these.

    Returns
    -------
    features : `~numpy.ndarray`
        float32, ``(n, size)``, as `~deepcr_ccd.inpainting.feature_layout.FeatureLayout`
        has them; zeros in the place of those to be added.
    mean, spread : `~numpy.ndarray`
        ``(n,)``, the units of each cutout, from `normalize_cutouts`.
    """
    layout = feature_layout(cutout_radius(values))
    features = np.zeros((len(values), layout.size), dtype=np.float32)
    good = flags == PixelFlag.GOOD
    scaled, mean, spread = normalize_cutouts(np.where(good, values, 0), good)
    features[:, layout.values] = scaled
    features[:, layout.good] = good
    centre = (crop_centre(values, CENTRE_RADIUS) - mean[:, None]) / spread[:, None]
    centre = np.where(crop_centre(flags, CENTRE_RADIUS) != PixelFlag.BAD, centre, 0)
    features[:, layout.centre_values] = centre.clip(-MAX_VALUE, MAX_VALUE)
    features[:, layout.centre_is_cr] = crop_centre(flags, 0) == PixelFlag.CR
    for place, levels in (
        (layout.block_charge, [block.cr_charge for block in blocks]),
        (layout.noise, [[block.stars.noise] for block in blocks]),
    ):
        features[:, place] = clipped_log(np.array(levels)[member] / spread[:, None])
    profiles = np.stack([block.stars.profile for block in blocks])
    features[:, layout.star_profile] = profiles[member]
    return features, mean, spread


def refine_features(
    features: np.ndarray,
    which: np.ndarray,
    values: np.ndarray,
    flags: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    blocks: Sequence[BlockStatistics],
    member: np.ndarray,
) -> None:
    """Add the features that take long to some cutouts: CR charge and template fits.

    Parameters
    ----------
    features : `~numpy.ndarray`
        From `compute_features`; changed in place.
    which : `~numpy.ndarray`
        Index of the cutouts, of integers or bool.
    values, flags, mean, spread, blocks, member
        What `compute_features` took and gave, of all cutouts.
    """
    layout = feature_layout(cutout_radius(values))
    which = np.arange(len(features))[which]
    values, flags, mean, spread, member = (
        array[which] for array in (values, flags, mean, spread, member)
    )
    block_charge = np.stack([block.cr_charge for block in blocks])
    charge = measure_cutout_charge(values, flags, block_charge[member])
    features[which, layout.cutout_charge] = clipped_log(
        charge.quantiles / spread[:, None]
    )
    features[which, layout.n_cutout_charge] = np.log1p(charge.number)[:, None]
    for number in np.unique(member):
        here = np.flatnonzero(member == number)
        fits = fit_star_templates(
            values[here],
            flags[here],
            mean[here],
            spread[here],
            blocks[number].stars,
            charge.expected[here],
        )
        for places, fit in zip(layout.fits, fits, strict=True):
            for place, numbers in zip(places, fit, strict=True):
                features[which[here], place] = numbers[:, None]


def normalize_cutouts(
    values: np.ndarray, good: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Subtract from each cutout its mean, and divide by its spread.

    So a network sees the same in any unit, on any background, in faint stars and in
    bright ones. Mean and spread are weighted towards the centre of the cutout.

    Parameters
    ----------
    values, good : `~numpy.ndarray`
        ``(n, k * k)``, float and bool; values that are not good are 0.

    Returns
    -------
    scaled : `~numpy.ndarray`
        float32, ``(n, k * k)``: the inverse hyperbolic sine of the values in these
        units; 0 where not good.
    mean, spread : `~numpy.ndarray`
        ``(n,)``, in the unit of ``values``; the spread is 1 where there is none.
    """
    kernel = gaussian_kernel(cutout_radius(values), KERNEL_SCALE).ravel()
    known = good.astype(np.float32)
    # Not by matrix products: their own threads would compete with the threads here.
    weights = known * kernel.astype(values.dtype)
    total = weights.sum(axis=1)
    total[total == 0] = 1
    mean = np.einsum("nw,nw->n", values, weights) / total
    residual = values - mean[:, None]
    spread = np.sqrt(np.einsum("nw,nw,nw->n", residual, residual, weights) / total)
    # What rounding leaves of equal values is no spread.
    rounding = 4 * np.finfo(spread.dtype).eps * np.abs(mean)
    spread[~(spread > rounding)] = 1
    residual /= spread[:, None]
    scaled = np.empty(values.shape, dtype=np.float32)
    np.arcsinh(residual, out=scaled, casting="same_kind")
    scaled *= known
    return scaled, mean, spread


#: What a model card can name as its transform, for networks on cutouts: functions that
#: compute their features. See ``deepcr_ccd.preprocess.normalize`` for other networks.
CUTOUT_TRANSFORMS = {"window": compute_features}
