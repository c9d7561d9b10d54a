import numpy as np

from deepcr_ccd.transforms import TRANSFORMS


def test_scaled():
    frame = np.array([[1.0, 250.0]], dtype=np.float32)
    apply = TRANSFORMS["scaled"].prepare(frame, None, scale=100.0)
    np.testing.assert_allclose(apply(frame, None), [[0.01, 2.5]])


def test_scaled_by_one_does_not_touch_the_input():
    frame = np.array([[1.0, 1e30]], dtype=np.float32)
    values = TRANSFORMS["scaled"].prepare(frame, None)(frame, None)
    values[0, 0] = 7
    assert frame[0, 0] == 1
    assert values[0, 1] == 1e12


def test_standardized_leaves_bad_pixels_out(rng):
    frame = rng.normal(50, 4, (40, 40)).astype(np.float32)
    bad = np.zeros(frame.shape, dtype=bool)
    bad[3, 3] = True
    spoiled = frame.copy()
    spoiled[3, 3] = 1e9
    apply = TRANSFORMS["standardized"].prepare(spoiled, bad)
    good = frame[~bad].astype(float)
    expected = (frame - good.mean()) / good.std()
    np.testing.assert_allclose(apply(frame, None), expected, atol=1e-5)


def test_standardized_of_a_flat_frame_is_finite():
    frame = np.full((4, 4), 3.0, dtype=np.float32)
    apply = TRANSFORMS["standardized"].prepare(frame, None)
    np.testing.assert_array_equal(apply(frame, None), 0)
