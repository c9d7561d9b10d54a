import numpy as np
import pytest

from deepcr_ccd.inpainting.features import CUTOUT_TRANSFORMS
from deepcr_ccd.preprocess.background import measure_background
from deepcr_ccd.preprocess.known_noise import KnownNoise
from deepcr_ccd.preprocess.normalize import TRANSFORMS
from deepcr_ccd.preprocess.transform_info import TRANSFORM_INFO
from deepcr_ccd.tiling.tiles import plan_tiles, read_tile


def test_cards_name_existing_transforms():
    assert TRANSFORM_INFO.keys() == TRANSFORMS.keys() | CUTOUT_TRANSFORMS.keys()


def test_scaled():
    frame = np.array([[1.0, 250.0]], dtype=np.float32)
    apply = TRANSFORMS["scaled"](frame, None, scale=100.0)
    np.testing.assert_allclose(apply(frame, None), [[0.01, 2.5]])


def test_scaled_by_one_does_not_touch_the_input():
    frame = np.array([[1.0, 1e30]], dtype=np.float32)
    values = TRANSFORMS["scaled"](frame, None)(frame, None)
    values[0, 0] = 7
    assert frame[0, 0] == 1
    assert values[0, 1] == np.float32(1e12)


def test_standardized_leaves_bad_pixels_out(rng):
    frame = rng.normal(50, 4, (40, 40)).astype(np.float32)
    bad = np.zeros(frame.shape, dtype=bool)
    bad[3, 3] = True
    spoiled = frame.copy()
    spoiled[3, 3] = 1e9
    apply = TRANSFORMS["standardized"](spoiled, bad)
    good = frame[~bad].astype(float)
    expected = (frame - good.mean()) / good.std()
    np.testing.assert_allclose(apply(frame, None), expected, atol=1e-5)


def test_standardized_of_a_flat_frame_is_finite():
    frame = np.full((4, 4), 3.0, dtype=np.float32)
    apply = TRANSFORMS["standardized"](frame, None)
    np.testing.assert_array_equal(apply(frame, None), 0)


@pytest.mark.parametrize(("factor", "shift"), [(0.01, 0), (1000, 0), (1, -500), (3, 9)])
def test_noise_units_do_not_depend_on_the_unit(factor, shift, rng):
    frame = rng.normal(100, 6, (130, 150))
    frame[40:44, 50] += 900
    reference = TRANSFORMS["noise"](frame, None)(frame, None)
    other = (frame * factor + shift).astype(np.float32)
    got = TRANSFORMS["noise"](other, None)(other, None)
    np.testing.assert_allclose(got, reference, atol=2e-3)
    np.testing.assert_allclose(np.median(got), 0, atol=0.1)
    assert got.dtype == np.float32
    assert got[41, 50] > 5


def test_noise_units_with_known_noise(rng):
    frame = rng.normal(100, 6, (80, 90)).astype(np.float32)
    background = np.full(frame.shape, 90.0, np.float32)
    frame[30:50] += rng.normal(0, 17, (20, 90))
    variance = np.full(frame.shape, 4.0, np.float32)
    variance[30:50] = 36.0
    variance[0, 0] = np.nan
    prepare = TRANSFORMS["noise"]
    known = KnownNoise(variance, 2)
    apply = prepare(frame, None, background=background, known_noise=known)
    sky = measure_background(frame - background).at()[0] + background
    got = apply(frame, None)
    sigma = (frame - sky) / np.sinh(got)
    np.testing.assert_allclose(np.median(sigma[:30]), 6, rtol=0.15)
    np.testing.assert_allclose(np.median(sigma[30:50]), 18, rtol=0.15)
    assert np.isfinite(got).all()
    tile = plan_tiles(frame.shape, 32, halo=2, stride=1)[0]
    np.testing.assert_allclose(
        apply(read_tile(frame, tile), tile), read_tile(got, tile), atol=1e-5
    )
    floored = prepare(frame, None, readnoise=15.0)(frame, None)
    np.testing.assert_allclose(
        np.sinh(floored)[:25], ((frame - background - 10) / 15)[:25], atol=0.2
    )
