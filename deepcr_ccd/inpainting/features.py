"""What a network that fills is told of the windows around struck pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .cr_charge import measure_rays, rays_in_windows, size_of
from .cutouts import GOOD, HELD, gaussian, middle_of
from .feature_layout import FITS, MIDDLE, NEAR_RAYS, PROFILE, RAYS, TOLD
from .star_templates import Stars, find_stars
from .template_fit import HIGHEST, fit_stars

__all__ = [
    "Block",
    "compare_windows",
    "describe_windows",
    "look_around",
    "window_units",
]

#: Scale length in px of the weights by which a window's own units are measured.
KERNEL = 2.0


class Block(NamedTuple):
    """What stars and cosmic rays look like in a part of a frame.

    ``rays`` is `~deepcr_ccd.inpainting.cr_charge.measure_rays`.
    """

    stars: Stars
    rays: np.ndarray


def look_around(data: np.ndarray, kinds: np.ndarray) -> Block:
    """Measure stars and cosmic rays of a part of a frame.

    Parameters
    ----------
    data : `~numpy.ndarray`
        float, ``(ny, nx)``, in any unit.
    kinds : `~numpy.ndarray`
        uint8, ``(ny, nx)``: `GOOD`, `HELD` or 0.
    """
    return Block(find_stars(data, kinds != GOOD), measure_rays(data, kinds))


def describe_windows(
    values: np.ndarray, kinds: np.ndarray, block: Block
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say of windows what a network that fills is told, but for comparisons with stars.

    Parameters
    ----------
    values, kinds : `~numpy.ndarray`
        ``(n, k * k)``, from `read_windows`.
    block : Block
        Of where they are.

    Returns
    -------
    numbers : `~numpy.ndarray`
        float32, ``(n, 2 * k * k + TOLD)``: `window_units` of the good pixels; what all
        pixels in the middle hold, in these units, 0 where that is not known; whether
        the one in the middle is among these; what rays leave and the noise, as
        logarithms; zeros, where `compare_windows` puts more; the profile of the stars;
        and zeros again.
    mean, spread : `~numpy.ndarray`
        As from `window_units`.
    """
    size = values.shape[1]
    good = kinds == GOOD
    numbers = np.zeros((len(values), 2 * size + TOLD), dtype=np.float32)
    own, mean, spread = window_units(np.where(good, values, 0), good)
    numbers[:, : 2 * size] = own
    held = (middle_of(values, MIDDLE) - mean[:, None]) / spread[:, None]
    held = np.where(middle_of(kinds, MIDDLE) > 0, held, 0)
    numbers[:, 2 * size : 2 * size + held.shape[1]] = held.clip(-HIGHEST, HIGHEST)
    place = 2 * size + held.shape[1]
    numbers[:, place] = kinds[:, size // 2] == HELD
    rays = np.append(block.rays, block.stars.noise) / spread[:, None]
    numbers[:, place + 1 : place + 1 + RAYS] = size_of(rays)
    numbers[:, -PROFILE - FITS : -FITS] = block.stars.profile
    return numbers, mean, spread


def compare_windows(
    numbers: np.ndarray,
    which: np.ndarray,
    values: np.ndarray,
    kinds: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    block: Block,
) -> None:
    """Add to what is said of some windows how they compare with stars and with rays.

    Parameters
    ----------
    numbers : `~numpy.ndarray`
        From `describe_windows`; `~deepcr_ccd.inpainting.cr_charge.rays_in_windows` and
        `~deepcr_ccd.inpainting.template_fit.fit_stars` are put into them.
    which : `~numpy.ndarray`
        Index of the windows.
    values, kinds, mean, spread, block
        What `describe_windows` took and gave, of all windows.
    """
    values, kinds, mean, spread = (
        plane[which] for plane in (values, kinds, mean, spread)
    )
    near, expected = rays_in_windows(values, kinds, block.rays)
    near[:, :-1] = size_of(near[:, :-1] / spread[:, None])
    end = -PROFILE - FITS
    numbers[which, end - NEAR_RAYS : end] = near
    fits = fit_stars(values, kinds, mean, spread, block.stars, expected)
    numbers[which, -FITS:] = fits


def window_units(
    values: np.ndarray, good: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take windows over their own mean, in units of their own spread.

    So a network sees the same in any unit, on any sky, in faint stars and in bright
    ones. Mean and spread are weighted towards the centre of the window.

    Parameters
    ----------
    values, good : `~numpy.ndarray`
        ``(n, k * k)``, from `read_windows`.

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
    kernel = gaussian(half, KERNEL).ravel()
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
