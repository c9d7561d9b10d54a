import numpy as np

from deepcr_ccd.inpainting.pixel_flags import PixelFlag, flag_pixels, mask_positions


def test_pixels_are_good_bad_or_affected_by_cosmic_rays():
    targets = np.array([[True, True, False, False]])
    bad = np.array([[False, False, True, False]])
    affected = np.array([[True, False, False, False]])
    flags = flag_pixels(targets, bad, affected)
    assert flags.dtype == np.uint8
    expected = [[PixelFlag.CR, PixelFlag.BAD, PixelFlag.BAD, PixelFlag.GOOD]]
    np.testing.assert_array_equal(flags, expected)
    np.testing.assert_array_equal(
        flag_pixels(targets, None, None), [[0, 0, PixelFlag.GOOD, PixelFlag.GOOD]]
    )


def test_positions_are_in_the_order_of_masked_data(rng):
    mask = rng.random((13, 17)) < 0.2
    for found, expected in zip(mask_positions(mask), np.nonzero(mask), strict=True):
        np.testing.assert_array_equal(found, expected)
