"""What a network that fills is told of the windows around struck pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .cr_charge import clipped_log, cr_charge_in_cutouts, measure_cr_charge
from .cutouts import PixelFlag, crop_centre, gaussian_kernel
from .feature_layout import FITS, MIDDLE, NEAR_RAYS, PROFILE, RAYS, TOLD
from .star_templates import StarTemplates, find_star_templates
from .template_fit import HIGHEST, fit_star_templates

__all__ = [
    "BlockStatistics",
    "refine_features",
    "compute_features",
    "measure_block",
    "normalize_cutouts",
]

#: Scale length in px of the weights by which a window's own units are measured.
KERNEL = 2.0


class BlockStatistics(NamedTuple):
    """What stars and cosmic rays look like in a part of a frame.

    ``rays`` is `~deepcr_ccd.inpainting.cr_charge.measure_cr_charge`.
    """

    stars: StarTemplates
    rays: np.ndarray


def measure_block(data: np.ndarray, flags: np.ndarray) -> BlockStatistics:
    """Measure stars and cosmic rays of a part of a frame.

    Parameters
    ----------
    data : `~numpy.ndarray`
        float, ``(ny, nx)``, in any unit.
    flags : `~numpy.ndarray`
        uint8, ``(ny, nx)``: `PixelFlag.GOOD`, `PixelFlag.CR` or BAD.
    """
    return BlockStatistics(
        find_star_templates(data, flags != PixelFlag.GOOD),
        measure_cr_charge(data, flags),
    )


def compute_features(
    values: np.ndarray, flags: np.ndarray, block: BlockStatistics
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say of windows what a network that fills is told, but for comparisons with stars.

    Parameters
    ----------
    values, flags : `~numpy.ndarray`
        ``(n, k * k)``, from `read_cutouts`.
    block : Block
        Of where they are.

    Returns
    -------
    numbers : `~numpy.ndarray`
        float32, ``(n, 2 * k * k + TOLD)``: `normalize_cutouts` of the good pixels; what
        all pixels in the middle hold, in these units, 0 where not known; whether
        the one in the middle is among these; what rays leave and the noise, as
        logarithms; zeros, where `refine_features` puts more; the profile of the stars;
        and zeros again.
    mean, spread : `~numpy.ndarray`
        As from `normalize_cutouts`.
    """
    size = values.shape[1]
    good = flags == PixelFlag.GOOD
    numbers = np.zeros((len(values), 2 * size + TOLD), dtype=np.float32)
    own, mean, spread = normalize_cutouts(np.where(good, values, 0), good)
    numbers[:, : 2 * size] = own
    held = (crop_centre(values, MIDDLE) - mean[:, None]) / spread[:, None]
    held = np.where(crop_centre(flags, MIDDLE) > 0, held, 0)
    numbers[:, 2 * size : 2 * size + held.shape[1]] = held.clip(-HIGHEST, HIGHEST)
    place = 2 * size + held.shape[1]
    numbers[:, place] = flags[:, size // 2] == PixelFlag.CR
    rays = np.append(block.rays, block.stars.noise) / spread[:, None]
    numbers[:, place + 1 : place + 1 + RAYS] = clipped_log(rays)
    numbers[:, -PROFILE - FITS : -FITS] = block.stars.profile
    return numbers, mean, spread


def refine_features(
    numbers: np.ndarray,
    which: np.ndarray,
    values: np.ndarray,
    flags: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    block: BlockStatistics,
) -> None:
    """Add to what is said of some windows how they compare with stars and with rays.

    Parameters
    ----------
    numbers : `~numpy.ndarray`
        From `compute_features`; `cr_charge_in_cutouts` and
        `fit_star_templates` are put into them.
    which : `~numpy.ndarray`
        Index of the windows.
    values, flags, mean, spread, block
        What `compute_features` took and gave, of all windows.
    """
    values, flags, mean, spread = (
        plane[which] for plane in (values, flags, mean, spread)
    )
    near, expected = cr_charge_in_cutouts(values, flags, block.rays)
    near[:, :-1] = clipped_log(near[:, :-1] / spread[:, None])
    end = -PROFILE - FITS
    numbers[which, end - NEAR_RAYS : end] = near
    fits = fit_star_templates(values, flags, mean, spread, block.stars, expected)
    numbers[which, -FITS:] = fits


def normalize_cutouts(
    values: np.ndarray, good: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take windows over their own mean, in units of their own spread.

    So a network sees the same in any unit, on any sky, in faint stars and in bright
    ones. Mean and spread are weighted towards the centre of the window.

    Parameters
    ----------
    values, good : `~numpy.ndarray`
        ``(n, k * k)``, from `read_cutouts`.

    Returns
    -------
    numbers : `~numpy.ndarray`
        float32, ``(n, 2 * k * k)``: the inverse hyperbolic sine of the values in these
        units, 0 where not good; and which are good, as 0 and 1.
    mean, spread : `~numpy.ndarray`
        ``(n,)``, in the unit of ``values``; the spread is 1 where there is none.
    """
    size = values.shape[1]
    half = int(np.sqrt(size)) // 2
    kernel = gaussian_kernel(half, KERNEL).ravel()
    numbers = np.empty((len(values), 2, size), dtype=np.float32)
    scaled, known = numbers[:, 0], numbers[:, 1]
    known[:] = good
    # Not by matrix products, whose own threads would get in the way of those of others.
    weights = known * kernel.astype(values.dtype)
    total = weights.sum(axis=1)
    total[total == 0] = 1
    mean = np.einsum("nw,nw->n", values, weights) / total
    over = values - mean[:, None]
    spread = np.sqrt(np.einsum("nw,nw,nw->n", over, over, weights) / total)
    # What rounding leaves of equal values is no spread.
    rounding = 4 * np.finfo(spread.dtype).eps * np.abs(mean)
    spread[~(spread > rounding)] = 1
    over /= spread[:, None]
    np.arcsinh(over, out=scaled, casting="same_kind")
    scaled *= known
    return numbers.reshape(len(values), -1), mean, spread
