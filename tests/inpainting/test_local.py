import numpy as np
import pytest

from deepcr_ccd.inpainting.local import (
    LOCAL_METHODS,
    fill_pixels,
    limit_to_neighbours,
    limit_to_pixel_value,
    median5,
)

METHODS = sorted(LOCAL_METHODS)


@pytest.fixture
def affected(rng):
    """A plane with noise, some of its pixels CR-affected."""
    y, x = np.indices((120, 130))
    truth = 100 + 0.5 * y - 0.3 * x
    frame = truth + rng.normal(0, 5, truth.shape)
    targets = rng.random(frame.shape) < 0.03
    spoiled = frame.copy()
    spoiled[targets] += 1e5
    return truth, frame, targets, spoiled


def reference(frame, targets, method):
    """The 5x5 cutout one pixel at a time."""
    good = ~targets
    fills = []
    for y, x in zip(*np.nonzero(targets), strict=True):
        rows = slice(max(y - 2, 0), y + 3)
        columns = slice(max(x - 2, 0), x + 3)
        use = good[rows, columns]
        values = frame[rows, columns][use]
        if use.sum() < 8:
            fills.append(np.nan)
        elif method == "median":
            fills.append(np.median(values))
        elif method == "mean":
            fills.append(np.mean(values))
        else:
            yy, xx = np.mgrid[rows, columns][:, : use.shape[0], : use.shape[1]]
            distance = np.hypot(yy - y, xx - x)[use]
            fills.append(np.sum(values / distance) / np.sum(1 / distance))
    return np.array(fills)


@pytest.mark.parametrize("method", ["median", "mean", "idw"])
def test_values_are_those_of_a_5x5_cutout(affected, method):
    _, _, targets, spoiled = affected
    fill, sigma = fill_pixels(spoiled, targets, np.zeros_like(targets), method)
    expected = reference(np.pad(spoiled, 0), targets, method)
    known = np.isfinite(expected)
    assert known.mean() > 0.98
    np.testing.assert_allclose(fill[known], expected[known], rtol=1e-10)
    assert np.isfinite(fill).all()
    assert (sigma > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_sigma_is_the_error_of_the_fill(affected, method):
    truth, frame, targets, spoiled = affected
    fill, sigma = fill_pixels(spoiled, targets, np.zeros_like(targets), method)
    pull = (fill - frame[targets]) / sigma
    assert 0.85 < np.std(pull) < 1.15
    assert abs(np.mean(fill - truth[targets])) < 0.5


def test_interpolate_follows_a_plane_exactly(affected):
    truth, _, targets, _ = affected
    spoiled = np.where(targets, 1e5, truth)
    fill, _ = fill_pixels(spoiled, targets, np.zeros_like(targets), "interpolate")
    inside = np.zeros_like(targets)
    inside[5:-5, 5:-5] = True
    error = (fill - truth[targets])[inside[targets]]
    assert np.abs(error).max() < 0.05
    mean, _ = fill_pixels(spoiled, targets, np.zeros_like(targets), "mean")
    edge = ~inside[targets]
    assert (
        np.abs(fill - truth[targets])[edge].max()
        < np.abs(mean - truth[targets])[edge].max()
    )


@pytest.mark.parametrize("method", METHODS)
def test_genuine_zeros_are_data(method):
    frame = np.zeros((9, 9))
    targets = np.zeros(frame.shape, dtype=bool)
    targets[4, 4] = True
    frame[4, 4] = 50
    fill, sigma = fill_pixels(frame, targets, np.zeros_like(targets), method)
    assert fill == [0]
    assert sigma == [0]


@pytest.mark.parametrize("method", METHODS)
def test_wide_holes_are_bridged_from_their_rim(method):
    y, x = np.indices((120, 120))
    frame = np.where(x < 60, 10.0, 20.0)
    targets = np.hypot(y - 60, x - 60) < 40
    fill, sigma = fill_pixels(frame, targets, np.zeros_like(targets), method)
    out = np.full(frame.shape, np.nan)
    out[targets] = fill
    assert np.isfinite(fill).all()
    assert np.isfinite(sigma).all()
    # Far from the step, each side takes the value of its own rim.
    np.testing.assert_allclose(out[60, 22:45], 10, atol=0.2)
    np.testing.assert_allclose(out[60, 75:98], 20, atol=0.2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 2), (2, 2), (1, 30), (3, 3)])
def test_tiny_frames(shape, method):
    frame = np.full(shape, 7.0)
    targets = np.zeros(shape, dtype=bool)
    targets[0, 0] = True
    fill, _ = fill_pixels(frame, targets, np.zeros_like(targets), method)
    np.testing.assert_allclose(fill, 7)


def test_no_good_pixel_gives_nan():
    targets = np.ones((3, 3), dtype=bool)
    fill, sigma = fill_pixels(np.ones((3, 3)), targets, ~targets)
    assert np.isnan(fill).all()
    assert np.isnan(sigma).all()


def test_bad_and_nan_pixels_are_not_used():
    frame = np.full((20, 20), 3.0)
    frame[5, 6] = np.nan
    frame[5, 4] = 1e6
    bad = frame > 10
    targets = np.zeros(frame.shape, dtype=bool)
    targets[5, 5] = True
    for method in METHODS:
        fill, _ = fill_pixels(frame, targets, bad, method)
        np.testing.assert_allclose(fill, 3)


def test_integers_and_big_endian_are_read(affected):
    _, _, targets, spoiled = affected
    bad = np.zeros_like(targets)
    expected, _ = fill_pixels(np.rint(spoiled), targets, bad)
    for dtype in (">i4", "<i4", ">f8"):
        fill, _ = fill_pixels(np.rint(spoiled).astype(dtype), targets, bad)
        np.testing.assert_allclose(fill, expected, rtol=1e-6)


def test_median5_counts_affected_pixels(affected):
    _, _, targets, spoiled = affected
    targets[:2] = targets[-2:] = targets[:, :2] = targets[:, -2:] = False
    expected = [
        np.median(spoiled[y - 2 : y + 3, x - 2 : x + 3])
        for y, x in zip(*np.nonzero(targets), strict=True)
    ]
    np.testing.assert_allclose(median5(spoiled, targets), expected)


def test_fills_are_limited_to_values_near_the_neighbours():
    rng = np.random.default_rng(0)
    frame = rng.normal(100, 2, (30, 30))
    targets = np.zeros(frame.shape, dtype=bool)
    targets[10, 10] = True
    bad = np.zeros_like(targets)
    cutout = np.delete(frame[8:13, 8:13].ravel(), 12)
    low, high = cutout.min(), cutout.max()
    near, spread = limit_to_neighbours(frame, targets, bad, np.array([100.0]))
    assert near == [100]
    assert 1 < spread[0] < 4
    above, wide = limit_to_neighbours(frame, targets, bad, np.array([1e6]))
    assert above == pytest.approx([2 * high - low])
    assert wide[0] > 3 * spread[0]
    # But as high as it is sure to be; and where nothing is known, as before.
    for least, expected in ((3e4, 3e4), (high, above[0]), (np.nan, above[0])):
        sure, _ = limit_to_neighbours(
            frame, targets, bad, np.array([1e6]), np.array([least])
        )
        assert sure == pytest.approx([expected])
    below, _ = limit_to_neighbours(frame, targets, bad, np.array([-1e6]))
    assert below == pytest.approx([low - (high - low) / 2])


@pytest.mark.parametrize("unit", [1.0, 1e-3, 4e5])
def test_fills_are_limited_to_the_values_of_affected_pixels(rng, unit):
    """A cosmic ray only adds charge: a fill above the pixel is wrong, but for noise."""
    y, x = np.indices((60, 64))
    star = 3e4 * np.exp(-((y - 30) ** 2 + (x - 30) ** 2) / 2)
    frame = unit * (100 + star + rng.normal(0, 5, star.shape))
    targets = np.zeros(frame.shape, dtype=bool)
    targets[30:32, 30] = targets[10, 10] = targets[50, 50:53] = True
    bad = np.zeros_like(targets)
    bad[8:13, 8:13] = True
    bad[10, 10] = False
    value = frame[targets]
    fill = value + unit * np.array([1e3, 4.0, 1e4, -30.0, 6.0, 4e4])
    before = fill.copy()
    limited = limit_to_pixel_value(frame, targets, bad, fill, targets)
    np.testing.assert_array_equal(fill, before)
    over = (limited - value) / unit
    # Within the noise, or below, they stay; two sigma is the most.
    np.testing.assert_allclose(over[[1, 3, 4]], [4, -30, 6], atol=1e-3)
    assert 6 < over[0] < 14
    assert 6 < over[5] < 14
    # The slope of a star counts as noise, but for a trifle of its 30,000 electrons.
    assert 6 < over[2] < 50
    other = limit_to_pixel_value(frame, targets, bad, fill, np.zeros_like(targets))
    np.testing.assert_array_equal(other, fill)


def test_grown_masks_bias_no_fill(rng):
    """Where nothing was added, the fill is as often above the pixel as below."""
    frame = rng.normal(100, 5, (300, 300))
    targets = rng.random(frame.shape) < 0.05
    fill = np.full(targets.sum(), 100.0)
    limited = limit_to_pixel_value(
        frame, targets, np.zeros_like(targets), fill, targets
    )
    assert abs(limited.mean() - 100) < 0.02 * 5
