"""What cosmic rays leave in pixels: how much of it is likely in another one.

A struck pixel holds what was there and what a ray left. Rays of a frame are alike, and
what one leaves in a pixel much like what it leaves in the next: where a pixel holds far
more than that, most of it is a star's.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .cutouts import PixelFlag, mask_positions, read_cutouts
from .feature_layout import NEAR_QUANTILES, NEAR_RAYS, QUANTILES

__all__ = ["measure_cr_charge", "cr_charge_in_cutouts", "clipped_log"]

#: Struck pixels of a part of a frame that are looked at.
SAMPLES = 512
#: Half-width in px of the surroundings; good pixels that these must have.
AROUND = 2
NEEDED = 3
#: Half-width in px of the middle of a window, whose struck pixels are not counted.
MIDDLE = 1
#: Struck pixels of a window that tell what to expect of another one.
ENOUGH = 4
#: Limit of the logarithms that are told.
FARTHEST = 8.0


def measure_cr_charge(data: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """Measure what cosmic rays left in the pixels of a part of a frame.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``, in any unit.
    flags : `~numpy.ndarray`
        uint8, ``(ny, nx)``: `~deepcr_ccd.inpainting.cutouts.PixelFlag.GOOD`,
        `~deepcr_ccd.inpainting.cutouts.PixelFlag.CR` or BAD.

    Returns
    -------
    `~numpy.ndarray`
        ``(len(QUANTILES),)``, quantiles in the unit of ``data``; zeros if there is
        nothing to measure.
    """
    rows, columns = mask_positions(flags == PixelFlag.CR)
    if rows.size > SAMPLES:
        some = np.linspace(0, rows.size - 1, SAMPLES).astype(int)
        rows, columns = rows[some], columns[some]
    excess = [np.empty(0)]
    for values, flag, _ in read_cutouts(data, flags, rows, columns, AROUND):
        good = flag == PixelFlag.GOOD
        number = good.sum(axis=1)
        mean = np.where(good, values, 0).sum(axis=1) / np.maximum(number, 1)
        held = values[:, values.shape[1] // 2] - mean
        excess.append(
            held[(number >= NEEDED) & (flag[:, flag.shape[1] // 2] == PixelFlag.CR)]
        )
    excess = np.concatenate(excess)
    if not excess.size:
        return np.zeros(len(QUANTILES))
    return np.quantile(excess, QUANTILES)


def cr_charge_in_cutouts(
    values: np.ndarray, flags: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Measure what cosmic rays left in windows, but for the pixels in their middle.

    Parameters
    ----------
    values, flags : `~numpy.ndarray`
        ``(n, k * k)``, from `~deepcr_ccd.inpainting.cutouts.read_cutouts`.
    rays : `~numpy.ndarray`
        From `measure_cr_charge`, of where they are.

    Returns
    -------
    near : `~numpy.ndarray`
        ``(n, NEAR_RAYS)``: quantiles in the unit of ``values``, zeros if there is
        nothing to measure; and the logarithm of one more than the pixels there are.
    expected : `~numpy.ndarray`
        ``(n, 2)``: what a ray is to be expected to leave in a pixel, from these or
        from all of the frame's, and how far that may be off.
    """
    width = int(np.sqrt(values.shape[1]))
    shape = (-1, width, width)
    values, flags = values.reshape(shape), flags.reshape(shape)
    good = flags == PixelFlag.GOOD
    around = (1, 2 * AROUND + 1, 2 * AROUND + 1)
    share, mean = (
        ndimage.uniform_filter(plane, around, mode="constant")
        for plane in (good.astype(values.dtype), np.where(good, values, 0))
    )
    counted = (flags == PixelFlag.CR) & (share * np.prod(around) > NEEDED - 0.5)
    mean = mean / np.where(counted, share, 1)
    inner = slice(width // 2 - MIDDLE, width // 2 + MIDDLE + 1)
    counted[:, inner, inner] = False
    excess = np.where(counted, values - mean, np.inf).reshape(len(values), -1)
    excess.sort(axis=1)
    many = counted.sum(axis=(1, 2))
    out = np.zeros((len(values), NEAR_RAYS))
    for place, share in enumerate(NEAR_QUANTILES):
        nearest = np.rint(share * np.maximum(many - 1, 0)).astype(int)
        out[:, place] = np.take_along_axis(excess, nearest[:, None], axis=1)[:, 0]
    out[many == 0] = 0
    out[:, -1] = np.log1p(many)
    own = many >= ENOUGH
    expected = np.where(own, out[:, 1], rays[1]), np.where(own, out[:, 2], rays[2])
    return out, np.stack(expected, axis=1).clip(min=0)


def clipped_log(values: np.ndarray) -> np.ndarray:
    """Return logarithms of values, of those that are zero or less too: within limits.

    Parameters
    ----------
    values : `~numpy.ndarray`
        In units of windows.
    """
    least = np.exp(-FARTHEST)
    return np.log(np.clip(values, least, 1 / least))
