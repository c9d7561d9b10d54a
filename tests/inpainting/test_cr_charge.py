import numpy as np
import pytest

from deepcr_ccd.inpainting.cr_charge import (
    clipped_log,
    cr_charge_in_cutouts,
    measure_cr_charge,
)
from deepcr_ccd.inpainting.cutouts import PixelFlag, read_cutouts
from deepcr_ccd.inpainting.feature_layout import NEAR_QUANTILES, NEAR_RAYS, QUANTILES


@pytest.fixture
def struck(rng):
    """A sky with pixels that rays of known brightness struck; some in fat spots."""
    shape = 200, 220
    left = np.where(rng.random(shape) < 0.02, rng.exponential(300, shape), 0)
    left[50:56, 60:66] = 5000
    frame = rng.normal(100, 3, shape) + left
    return (
        frame,
        np.where(left > 0, PixelFlag.CR, PixelFlag.GOOD).astype(np.uint8),
        left,
    )


def test_rays_are_measured_over_their_surroundings(struck):
    frame, flags, left = struck
    rays = measure_cr_charge(frame, flags)
    assert rays.shape == (len(QUANTILES),)
    np.testing.assert_allclose(rays, np.quantile(left[left > 0], QUANTILES), rtol=0.25)
    np.testing.assert_allclose(measure_cr_charge(frame * 0.01 + 3, flags), rays * 0.01)


def test_no_rays_leave_nothing(struck):
    frame, flags, _ = struck
    flags[flags == PixelFlag.CR] = PixelFlag.BAD
    np.testing.assert_array_equal(measure_cr_charge(frame, flags), 0)
    flags[:] = PixelFlag.CR
    np.testing.assert_array_equal(measure_cr_charge(frame, flags), 0)
    # What is not finite is not held.
    np.testing.assert_array_equal(
        measure_cr_charge(np.full_like(frame, np.nan), flags), 0
    )


def test_rays_near_a_pixel_tell_of_it():
    frame = np.full((40, 40), 100.0)
    flags = np.full(frame.shape, PixelFlag.GOOD, dtype=np.uint8)
    frame[20, 10:31] += 50 * np.arange(21)
    flags[20, 10:31] = PixelFlag.CR
    frame[20, 19:22] += 1e4
    rows = columns = np.array([5, 20])
    rays = np.array([1, 7, 9, 12])
    (window,) = read_cutouts(frame, flags, rows, columns, 6)
    near, expected = cr_charge_in_cutouts(window.values, window.good, rays)
    assert near.shape == (2, NEAR_RAYS)
    # The pixel's own and those beside it do not count.
    there = 50 * np.array([4, 5, 6, 7, 8, 12, 13, 14, 15, 16])
    quantiles = np.quantile(there, NEAR_QUANTILES, method="nearest")
    np.testing.assert_allclose(near[1, :-1], quantiles)
    assert near[1, -1] == pytest.approx(np.log1p(10))
    np.testing.assert_allclose(expected[1], near[1, 1:3])
    # Without any, all rays of the frame tell.
    np.testing.assert_array_equal(near[0], 0)
    np.testing.assert_array_equal(expected[0], [7, 9])


def test_sizes_are_logarithms_within_limits():
    found = clipped_log(np.array([-1e30, 0, np.e, 1e30]))
    np.testing.assert_allclose(found, [-8, -8, 1, 8])
