import numpy as np
import pytest

from deepcr_ccd.inpainting.feature_layout import (
    BLOCK_QUANTILES,
    CENTRE_RADIUS,
    PROFILE_SIZE,
    TemplateFit,
    feature_layout,
)
from deepcr_ccd.inpainting.features import (
    BlockStatistics,
    compute_features,
    measure_block,
    normalize_cutouts,
)
from deepcr_ccd.inpainting.pixel_flags import PixelFlag
from deepcr_ccd.inpainting.star_templates import StarTemplates


@pytest.mark.parametrize(("radius", "size"), [(6, 442), (3, 202), (2, 154)])
def test_layout_is_that_of_weights_on_disk(radius, size):
    """The parts follow each other as they did when the models were trained."""
    layout = feature_layout(radius)
    assert layout.size == size
    k2 = (2 * radius + 1) ** 2
    ends = [k2, 2 * k2, *(2 * k2 + np.cumsum([25, 1, 4, 1, 3, 1, 59]))]
    parts = [
        layout.values,
        layout.good,
        layout.centre_values,
        layout.centre_is_cr,
        layout.block_charge,
        layout.noise,
        layout.cutout_charge,
        layout.n_cutout_charge,
        layout.star_profile,
    ]
    assert [part.stop for part in parts] == ends
    assert [part.start for part in parts] == [0, *ends[:-1]]
    assert layout.centre_value == slice(2 * k2 + 12, 2 * k2 + 13)
    numbers = [place.start for fit in layout.fits for place in fit]
    assert numbers == list(range(size - 10, size))
    order = ("found", "value", "peak", "log_sigma", "log_misfit")
    assert TemplateFit._fields == order


def test_normalized_cutouts_have_no_unit(rng):
    values = rng.normal(50, 4, (6, 49))
    good = rng.random(values.shape) < 0.7
    values[~good] = 0
    scaled, mean, spread = normalize_cutouts(values, good)
    again, moved, wider = normalize_cutouts(np.where(good, 250 * values - 9e3, 0), good)
    np.testing.assert_allclose(again, scaled, atol=1e-4)
    np.testing.assert_allclose(moved, 250 * mean - 9e3)
    np.testing.assert_allclose(wider, 250 * spread)
    back = mean[:, None] + spread[:, None] * np.sinh(scaled)
    np.testing.assert_allclose(back[good], values[good], rtol=1e-5)
    assert (scaled[~good] == 0).all()


def test_cutouts_without_spread_or_good_pixels_have_units():
    good = np.ones((2, 25), dtype=bool)
    good[1] = False
    scaled, mean, spread = normalize_cutouts(np.where(good, 7.0, 0), good)
    np.testing.assert_allclose(mean, [7, 0])
    np.testing.assert_array_equal(spread, 1)
    np.testing.assert_allclose(scaled, 0, atol=1e-12)


def test_values_of_affected_pixels_are_features_of_their_own(rng):
    """They are masked in the cutout itself."""
    values = rng.normal(50, 4, (3, 49))
    flags = np.full(values.shape, PixelFlag.GOOD, dtype=np.uint8)
    flags[0, [24, 25]] = PixelFlag.CR
    flags[1, [24, 17]] = PixelFlag.BAD, PixelFlag.CR
    values[0, 24:26] = 900
    values[1, 17], values[1, 24] = 700, 0
    profile = rng.normal(size=PROFILE_SIZE).astype(np.float32)
    stars = StarTemplates(profile, np.empty((0, 7, 7), dtype=np.float32), 4.0)
    charge = np.array([-3.0, 0.0, 40.0, 8e5])
    features, mean, spread = compute_features(
        values, flags, [BlockStatistics(stars, charge)], np.zeros(3, dtype=int)
    )
    layout, good = feature_layout(3), flags == PixelFlag.GOOD
    scaled, expected, _ = normalize_cutouts(np.where(good, values, 0), good)
    np.testing.assert_array_equal(features[:, layout.values], scaled)
    np.testing.assert_array_equal(features[:, layout.good], good)
    np.testing.assert_array_equal(mean, expected)
    width = 2 * CENTRE_RADIUS + 1
    centre = features[:, layout.centre_values].reshape(3, width, width)
    back = mean[:, None, None] + spread[:, None, None] * centre
    expected = values.reshape(3, 7, 7)[:, 1:6, 1:6]
    known = flags.reshape(3, 7, 7)[:, 1:6, 1:6] != PixelFlag.BAD
    np.testing.assert_allclose(back[known], expected[known], rtol=1e-4)
    np.testing.assert_array_equal(features[:, layout.centre_value], centre[:, 2, [2]])
    assert features[1, layout.centre_value] == 0
    np.testing.assert_array_equal(features[:, layout.centre_is_cr], [[1], [0], [0]])
    logs = features[:, layout.block_charge]
    assert logs.shape == (3, len(BLOCK_QUANTILES))
    np.testing.assert_array_equal(logs[:, :2], -8)
    np.testing.assert_allclose(logs[:, 2], np.log(40 / spread), rtol=1e-5)
    np.testing.assert_array_equal(logs[:, 3], 8)
    np.testing.assert_allclose(
        features[:, layout.noise][:, 0], np.log(4 / spread), rtol=1e-5
    )
    np.testing.assert_array_equal(
        features[:, layout.star_profile], np.tile(profile, (3, 1))
    )
    later = layout.cutout_charge, layout.n_cutout_charge, *layout.fits[0]
    for place in (*later, *layout.fits[1]):
        np.testing.assert_array_equal(features[:, place], 0)


def test_a_bad_central_pixel_has_no_effect(rng):
    values = np.where(np.arange(49) == 24, 0, rng.normal(50, 4, (1, 49)))
    flags = np.full(values.shape, PixelFlag.GOOD, dtype=np.uint8)
    flags[0, 24] = PixelFlag.BAD
    block = measure_block(np.zeros((20, 20), np.float32), np.zeros((20, 20), np.uint8))
    features, _, _ = compute_features(values, flags, [block], np.zeros(1, dtype=int))
    layout = feature_layout(3)
    assert features[0, layout.values][24] == features[0, layout.centre_value] == 0
