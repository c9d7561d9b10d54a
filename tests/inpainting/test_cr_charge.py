import numpy as np
import pytest

from deepcr_ccd.inpainting.cr_charge import (
    clipped_log,
    measure_cr_charge,
    measure_cutout_charge,
)
from deepcr_ccd.inpainting.cutouts import read_cutouts
from deepcr_ccd.inpainting.feature_layout import BLOCK_QUANTILES, CUTOUT_QUANTILES
from deepcr_ccd.inpainting.pixel_flags import PixelFlag


@pytest.fixture
def affected(rng):
    """A background with cosmic charge of known charge, some of them in fat spots."""
    shape = 200, 220
    left = np.where(rng.random(shape) < 0.02, rng.exponential(300, shape), 0)
    left[50:56, 60:66] = 5000
    frame = rng.normal(100, 3, shape) + left
    return (
        frame,
        np.where(left > 0, PixelFlag.CR, PixelFlag.GOOD).astype(np.uint8),
        left,
    )


def test_charge_is_measured_over_the_surroundings(affected):
    frame, flags, left = affected
    charge = measure_cr_charge(frame, flags)
    assert charge.shape == (len(BLOCK_QUANTILES),)
    np.testing.assert_allclose(
        charge, np.quantile(left[left > 0], BLOCK_QUANTILES), rtol=0.25
    )
    np.testing.assert_allclose(
        measure_cr_charge(frame * 0.01 + 3, flags), charge * 0.01
    )


def test_without_cosmic_rays_there_is_no_charge(affected):
    frame, flags, _ = affected
    flags[flags == PixelFlag.CR] = PixelFlag.BAD
    np.testing.assert_array_equal(measure_cr_charge(frame, flags), 0)
    flags[:] = PixelFlag.CR
    np.testing.assert_array_equal(measure_cr_charge(frame, flags), 0)
    # Pixels that are not finite are not CR-affected ones.
    np.testing.assert_array_equal(
        measure_cr_charge(np.full_like(frame, np.nan), flags), 0
    )


def test_charge_in_a_cutout_is_that_around_the_central_pixel():
    frame = np.full((40, 40), 100.0)
    flags = np.full(frame.shape, PixelFlag.GOOD, dtype=np.uint8)
    frame[20, 10:31] += 50 * np.arange(21)
    flags[20, 10:31] = PixelFlag.CR
    frame[20, 19:22] += 1e4
    rows = columns = np.array([5, 20])
    block = np.array([1, 7, 9, 12])
    (cutouts,) = read_cutouts(frame, flags, rows, columns, 6)
    found = measure_cutout_charge(
        cutouts.values, cutouts.flags, np.tile(block, (len(cutouts.values), 1))
    )
    assert found.quantiles.shape == (2, len(CUTOUT_QUANTILES))
    # The pixel itself and those beside it do not count.
    there = 50 * np.array([4, 5, 6, 7, 8, 12, 13, 14, 15, 16])
    quantiles = np.quantile(there, CUTOUT_QUANTILES, method="nearest")
    np.testing.assert_allclose(found.quantiles[1], quantiles)
    np.testing.assert_array_equal(found.number, [0, 10])
    np.testing.assert_allclose(found.expected[1], quantiles[1:])
    # Without any, those of the block tell.
    np.testing.assert_array_equal(found.quantiles[0], 0)
    np.testing.assert_array_equal(found.expected[0], [7, 9])


def test_logarithms_are_clipped():
    found = clipped_log(np.array([-1e30, 0, np.e, 1e30]))
    np.testing.assert_allclose(found, [-8, -8, 1, 8])
