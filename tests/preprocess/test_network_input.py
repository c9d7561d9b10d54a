import numpy as np
import pytest

from deepcr_ccd.preprocess.background import measure_background
from deepcr_ccd.preprocess.network_input import NetworkInput
from deepcr_ccd.preprocess.normalize import standardized
from deepcr_ccd.tiling.tiles import plan_tiles


def tiles(shape):
    return plan_tiles(shape, 16, halo=9, stride=2)


@pytest.mark.parametrize("dtype", [">i2", ">f4", "<f4", "f8", "u2"])
def test_tiles_of_any_type_are_those_of_the_whole(dtype, rng):
    data = rng.normal(300, 40, (50, 61)).astype(dtype)
    plane = NetworkInput(data, 2.0)
    whole = plane.whole()
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole, data.astype(np.float32) * 2)
    padded = np.pad(whole, 30, mode="reflect")
    for tile in tiles(data.shape):
        (y0, y1), (x0, x1) = tile.read
        expected = padded[y0 + 30 : y1 + 30, x0 + 30 : x1 + 30]
        np.testing.assert_array_equal(plane.read(tile), expected)


@pytest.mark.parametrize("fraction", [0.005, 0.1])
def test_bad_pixels_are_filled_in_every_tile(fraction, rng):
    data = rng.normal(50, 3, (60, 70)).astype(np.float32)
    bad = rng.random(data.shape) < fraction
    data[bad] = np.nan
    data[30, 30], bad[30, 30] = 1e30, True
    data[31, 31], bad[31, 31] = -1e30, True
    before = data.copy()
    plane = NetworkInput(data, bad=bad, radius=9)
    whole = plane.whole()
    np.testing.assert_array_equal(data, before)
    np.testing.assert_array_equal(whole[~bad], data[~bad])
    good = data[~bad]
    assert ((whole >= good.min()) & (whole <= good.max())).all()
    assert whole[30, 30] == good.max()  # its own value, but no higher than any
    assert abs(whole[31, 31] - 50) < 5
    padded = np.pad(whole, 30, mode="reflect")
    for tile in tiles(data.shape):
        (y0, y1), (x0, x1) = tile.read
        expected = padded[y0 + 30 : y1 + 30, x0 + 30 : x1 + 30]
        np.testing.assert_array_equal(plane.read(tile), expected)


def test_bad_pixels_beyond_the_radius_have_the_median(rng):
    data = rng.normal(50, 3, (100, 100)).astype(np.float32)
    bad = np.zeros(data.shape, bool)
    bad[:60] = True
    data[:60] = np.nan
    whole = NetworkInput(data, bad=bad, radius=9).whole()
    assert (whole[:50] == np.median(data[60:])).all()


def test_float64_beyond_float32():
    whole = NetworkInput(np.array([[1e300, -1e300, 1.0]])).whole()
    assert np.isfinite(whole).all()


def test_statistics_are_those_of_the_array(rng, monkeypatch):
    monkeypatch.setattr("deepcr_ccd.tiling.tiles.BLOCK_PIXELS", 500)
    data = rng.normal(50, 3, (120, 130)).astype(np.float32)
    bad = rng.random(data.shape) < 0.02
    data[bad] = np.nan
    plane = NetworkInput(data, 2.0, bad)
    clean = np.where(bad, 0, data * np.float32(2))
    for one, other in zip(
        measure_background(plane, bad)[:2],
        measure_background(clean, bad)[:2],
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    linear = standardized(plane, bad)
    assert linear.offset == pytest.approx(clean[~bad].mean(dtype=float))
    assert linear.scale == pytest.approx(clean[~bad].std(dtype=float))


def test_memory_mapped_frames_are_not_read_whole(tmp_path, rng):
    path = tmp_path / "frame.npy"
    np.save(path, rng.normal(50, 3, (64, 64)).astype(">f4"))
    mapped = np.load(path, mmap_mode="r")
    plane = NetworkInput(mapped)
    assert plane.data is mapped
    tile = tiles(mapped.shape)[5]
    assert plane.read(tile).dtype == np.float32
