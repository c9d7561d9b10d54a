"""Frames of all kinds become tiles."""

import numpy as np
import pytest

from deepcr_ccd.inspection.display import TILE, Display, Encoding, measure_encoding


def decode(numbers, encoding):
    """What the page does."""
    part = (numbers.astype(float) - 1) / 65534
    low, high = encoding.low, encoding.high
    return encoding.centre + encoding.scale * np.sinh(low + part * (high - low))


def test_values_are_kept_to_a_fraction_of_the_noise(rng):
    data = rng.normal(100, 5, (200, 300))
    data[3, 4] = 60_000
    encoding, limits = measure_encoding(data)
    found = decode(Display(data, encoding).tile(0, 0, 0), encoding)
    np.testing.assert_allclose(found, data, atol=0.01, rtol=2e-4)
    assert limits["minmax"] == [data.min(), 60_000]
    low, high = limits["zscale"]
    assert 60 < low < 100 < high < 200
    assert sum(limits["histogram"]) == pytest.approx(data.size, rel=0.01)


def test_levels_are_means_of_what_has_a_value(rng):
    data = rng.normal(size=(1201, 1027)).astype(">f4")
    data[:2, :2] = [[np.nan, 1], [3, np.inf]]
    data[2:4, :2] = np.nan
    display = Display(data, measure_encoding(data)[0])
    assert display.n_levels == 3
    assert display.level(1).shape == (601, 514) and display.level(2).shape == (301, 257)
    half = display.level(1)
    assert half[0, 0] == 2 and np.isnan(half[1, 0])
    np.testing.assert_allclose(half[5, 7], data[10:12, 14:16].mean(), rtol=1e-5)
    np.testing.assert_allclose(half[600, 9], data[1200, 18:20].mean(), rtol=1e-5)
    assert display.tile(1, 1, 1).shape == (601 - TILE, 514 - TILE)
    assert display.tile(1, 0, 0)[1, 0] == 0
    for place in ((3, 0, 0), (1, 2, 0), (1, 0, 2), (-1, 0, 0), (0, 0, -1)):
        with pytest.raises(ValueError, match="no tile"):
            display.tile(*place)


@pytest.mark.parametrize(
    "data",
    [
        np.full((5, 7), np.nan),
        np.full((5, 7), 3.0),
        np.zeros((1, 700), dtype=np.int16),
        np.full((700, 1), np.inf, dtype=np.float32),
        np.array([[np.nan, -np.inf], [1e300, -1e300]]),
        np.arange(12, dtype=">u2").reshape(3, 4) + 65_000,
        np.array([[1e-35, 3e-35, 2e-35]], dtype=np.float32),
        np.array([[True, False]]),
        np.array([[2**62, -(2**62)]]),
    ],
    ids=lambda data: f"{data.dtype}-{data.shape}",
)
def test_odd_frames(data):
    encoding, limits = measure_encoding(data)
    display = Display(data, encoding)
    tile = display.tile(display.n_levels - 1, 0, 0)
    level = display.level(display.n_levels - 1)
    np.testing.assert_array_equal(tile == 0, np.isnan(level.astype(float)))
    assert np.isfinite(encoding).all() and encoding.scale > 0
    assert all(np.isfinite(limits[name]).all() for name in ("zscale", "minmax"))


def test_ends_of_the_range():
    encoding = Encoding(0.0, 1.0, -1.0, 1.0)
    values = np.array([-np.inf, -9, 0, 9, np.inf, np.nan])
    assert encoding.encode(values).tolist() == [1, 1, 32768, 65535, 65535, 0]
