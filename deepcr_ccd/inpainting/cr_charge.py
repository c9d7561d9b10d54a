"""The charge that cosmic rays leave in pixels, in a block of a frame and in a cutout.

A CR-affected pixel holds the light of the sky and the charge of the cosmic ray. What
cosmic rays left in the other pixels of the frame says what is likely here: of a value
far above it, most is the light of a star.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from .cutouts import cutout_radius, read_cutouts
from .feature_layout import BLOCK_QUANTILES, CUTOUT_QUANTILES
from .pixel_flags import PixelFlag, mask_positions

__all__ = ["CutoutCharge", "clipped_log", "measure_cr_charge", "measure_cutout_charge"]

#: CR-affected pixels of a block that are measured at most.
MAX_SAMPLES = 512
#: Half-width in px of the surroundings that are subtracted, and the good pixels they
#: must have.
SURROUNDINGS_RADIUS = 2
MIN_SURROUNDING_PIXELS = 3
#: Half-width in px of the centre of a cutout that is left out.
EXCLUDED_RADIUS = 1
#: CR-affected pixels of a cutout from which its own quantiles are used.
MIN_CR_PIXELS = 4
#: Quantiles of the charge for its expected value and for its uncertainty.
EXPECTED_QUANTILES = (0.5, 0.9)
#: Limit of logarithms, positive and negative.
MAX_LOG = 8.0


class CutoutCharge(NamedTuple):
    """The CR charge in the pixels of ``n`` cutouts, without those in the centre.

    ``quantiles`` are ``(n, len(CUTOUT_QUANTILES))``, in the unit of the cutouts; zeros
    where there are no CR-affected pixels. ``number`` is int, ``(n,)``, that of the
    pixels. ``expected`` is ``(n, 2)``: the charge to expect in the central pixel and
    its uncertainty, from the cutout, or where that has too few, from the block.
    """

    quantiles: np.ndarray
    number: np.ndarray
    expected: np.ndarray


def measure_cr_charge(data: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """Measure the charge that cosmic rays left in the pixels of a block of a frame.

    It is what the pixels have over the mean of the good pixels around them.

    Parameters
    ----------
    data : `~numpy.ndarray`
        float, ``(ny, nx)``, in any unit.
    flags : `~numpy.ndarray`
        uint8, ``(ny, nx)``, values of `~deepcr_ccd.inpainting.pixel_flags.PixelFlag`.

    Returns
    -------
    `~numpy.ndarray`
        ``(len(BLOCK_QUANTILES),)``, quantiles in the unit of ``data``; zeros if there
        are no CR-affected pixels.
    """
    rows, columns = mask_positions(flags == PixelFlag.CR)
    if rows.size > MAX_SAMPLES:
        some = np.linspace(0, rows.size - 1, MAX_SAMPLES).astype(int)
        rows, columns = rows[some], columns[some]
    charges = [np.empty(0)]
    for cutouts in read_cutouts(data, flags, rows, columns, SURROUNDINGS_RADIUS):
        values, good = cutouts.values, cutouts.flags == PixelFlag.GOOD
        number = good.sum(axis=1)
        mean = np.where(good, values, 0).sum(axis=1) / np.maximum(number, 1)
        centre = values.shape[1] // 2
        usable = number >= MIN_SURROUNDING_PIXELS
        usable &= cutouts.flags[:, centre] == PixelFlag.CR
        charges.append((values[:, centre] - mean)[usable])
    charge = np.concatenate(charges)
    if not charge.size:
        return np.zeros(len(BLOCK_QUANTILES))
    return np.quantile(charge, BLOCK_QUANTILES)


def measure_cutout_charge(
    values: np.ndarray, flags: np.ndarray, block_charge: np.ndarray
) -> CutoutCharge:
    """Measure the charge that cosmic rays left in cutouts, but for their centre.

    Parameters
    ----------
    values, flags : `~numpy.ndarray`
        ``(n, k * k)``, from `~deepcr_ccd.inpainting.cutouts.read_cutouts`.
    block_charge : `~numpy.ndarray`
        ``(n, len(BLOCK_QUANTILES))``, from `measure_cr_charge`, of the block where each
        cutout is.

    Returns
    -------
    CutoutCharge
    """
    radius = cutout_radius(values)
    shape = (-1, 2 * radius + 1, 2 * radius + 1)
    values, flags = values.reshape(shape), flags.reshape(shape)
    good = flags == PixelFlag.GOOD
    around = (1, 2 * SURROUNDINGS_RADIUS + 1, 2 * SURROUNDINGS_RADIUS + 1)
    fraction, mean = (
        ndimage.uniform_filter(plane, around, mode="constant")
        for plane in (good.astype(values.dtype), np.where(good, values, 0))
    )
    enough = fraction * np.prod(around) > MIN_SURROUNDING_PIXELS - 0.5
    counted = (flags == PixelFlag.CR) & enough
    mean = mean / np.where(counted, fraction, 1)
    centre = slice(radius - EXCLUDED_RADIUS, radius + EXCLUDED_RADIUS + 1)
    counted[:, centre, centre] = False
    charge = np.where(counted, values - mean, np.inf).reshape(len(values), -1)
    charge.sort(axis=1)
    number = counted.sum(axis=(1, 2))
    quantiles = np.zeros((len(values), len(CUTOUT_QUANTILES)))
    for place, quantile in enumerate(CUTOUT_QUANTILES):
        nearest = np.rint(quantile * np.maximum(number - 1, 0)).astype(int)
        quantiles[:, place] = np.take_along_axis(charge, nearest[:, None], axis=1)[:, 0]
    quantiles[number == 0] = 0
    own = number >= MIN_CR_PIXELS
    expected = [
        np.where(
            own,
            quantiles[:, CUTOUT_QUANTILES.index(quantile)],
            block_charge[:, BLOCK_QUANTILES.index(quantile)],
        )
        for quantile in EXPECTED_QUANTILES
    ]
    return CutoutCharge(quantiles, number, np.stack(expected, axis=1).clip(min=0))


def clipped_log(values: np.ndarray) -> np.ndarray:
    """Return the natural logarithms of values, between -8 and 8.

    Parameters
    ----------
    values : `~numpy.ndarray`
        In the units of the cutouts; zero and negative ones give -8.
    """
    least = np.exp(-MAX_LOG)
    return np.log(np.clip(values, least, 1 / least))
