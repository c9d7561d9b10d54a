from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sample_files import make_stars

from deepcr_ccd.inpainting import cutouts as windows
from deepcr_ccd.inpainting import network
from deepcr_ccd.inpainting.cutouts import PixelFlag, read_cutouts
from deepcr_ccd.inpainting.feature_layout import FITS, NEAR_RAYS, PROFILE, RAYS
from deepcr_ccd.inpainting.features import (
    BlockStatistics,
    compute_features,
    measure_block,
    normalize_cutouts,
)
from deepcr_ccd.inpainting.network import map_cutouts
from deepcr_ccd.inpainting.star_templates import StarTemplates
from deepcr_ccd.preprocess.network_input import Plane


def one_by_one(data, good, rows, columns, radius):
    """Read windows a pixel at a time."""
    values, usable = [], []
    for row, column in zip(rows, columns, strict=True):
        for dy in range(-radius, radius + 1):
            for dx in range(-radius, radius + 1):
                y, x = row + dy, column + dx
                inside = 0 <= y < data.shape[0] and 0 <= x < data.shape[1]
                known = inside and bool(good[y, x]) and np.isfinite(data[y, x])
                usable.append(known)
                values.append(data[y, x] if known else 0)
    shape = len(rows), -1
    return np.reshape(values, shape), np.reshape(usable, shape)


@pytest.mark.parametrize("dtype", ["<f4", "f8", ">i2"])
@pytest.mark.parametrize("bound", ["ELEMENTS", "PIXELS"])
@pytest.mark.parametrize("sparse", [0, np.inf])
def test_windows_are_what_lies_around(rng, dtype, bound, sparse, monkeypatch):
    monkeypatch.setattr(windows, bound, 100)
    monkeypatch.setattr(windows, "SPARSE", sparse)
    data = rng.integers(0, 3000, (23, 31)).astype(dtype)
    if data.dtype.kind == "f":
        data[3, 4] = np.nan
    good = rng.random(data.shape) < 0.8
    rows, columns = rng.integers(0, 23, 40), rng.integers(0, 31, 40)
    expected = one_by_one(data, good, rows, columns, 3)
    seen = np.zeros(40, dtype=int)
    for values, usable, which in read_cutouts(data, good, rows, columns, 3):
        np.testing.assert_array_equal(values, expected[0][which])
        np.testing.assert_array_equal(usable, expected[1][which])
        seen[which] += 1
    assert (seen == 1).all()


def test_flags_of_pixels_are_kept(rng):
    data = rng.normal(size=(20, 300)).astype(np.float32)
    data[3, 4] = np.nan
    flags = rng.integers(0, 3, data.shape).astype(np.uint8)
    for columns in (np.arange(290), np.array([1, 4, 299])):
        rows = np.full(columns.size, 2)
        for values, found, which in read_cutouts(data, flags, rows, columns, 2):
            expected, _ = one_by_one(data, flags > 0, rows, columns, 2)
            np.testing.assert_array_equal(values, expected[which])
            around = np.pad(flags * np.isfinite(data), 2)
            for flag, column in zip(found, columns[which], strict=True):
                window = around[2:7, column : column + 5]
                np.testing.assert_array_equal(flag, window.ravel())


@pytest.mark.parametrize("dtype", [">i2", np.float32, np.float64])
def test_windows_of_a_plane_are_those_of_its_pixels(rng, dtype):
    data = rng.integers(0, 3000, (40, 50)).astype(dtype)
    good = rng.random(data.shape) < 0.8
    rows, columns = rng.integers(0, 40, 30), rng.integers(0, 50, 30)
    plane = Plane(data, 0.5, finite=False)
    (found,) = read_cutouts(plane, good, rows, columns, 4)
    values, usable = one_by_one(data * 0.5, good, rows, columns, 4)
    np.testing.assert_allclose(found.values, values[found.which])
    np.testing.assert_array_equal(found.good, usable[found.which])


def test_few_windows_are_read_alone(rng):
    """And of a frame that converts what is read of it, no more than these."""

    class Counting:
        def __init__(self, data):
            self.data, self.shape, self.read = data, data.shape, 0

        def __getitem__(self, index):
            values = self.data[index]
            self.read += values.size
            return values

    data = Counting(rng.normal(size=(300, 400)).astype(np.float32))
    rows, columns = np.array([3, 150, 299]), np.array([399, 200, 0])
    list(read_cutouts(data, np.ones(data.shape, dtype=bool), rows, columns, 2))
    assert data.read == 3 * 5 * 5


def test_window_units_know_no_unit(rng):
    values = rng.normal(50, 4, (6, 49))
    good = rng.random(values.shape) < 0.7
    values[~good] = 0
    numbers, mean, spread = normalize_cutouts(values, good)
    again, moved, wider = normalize_cutouts(np.where(good, 250 * values - 9e3, 0), good)
    np.testing.assert_allclose(again, numbers, atol=1e-4)
    np.testing.assert_allclose(moved, 250 * mean - 9e3)
    np.testing.assert_allclose(wider, 250 * spread)
    back = mean[:, None] + spread[:, None] * np.sinh(numbers[:, :49])
    np.testing.assert_allclose(back[good], values[good], rtol=1e-5)
    np.testing.assert_array_equal(numbers[:, 49:], good)
    assert (numbers[:, :49][~good] == 0).all()


def test_units_of_windows_without_spread_or_pixels():
    good = np.ones((2, 25), dtype=bool)
    good[1] = False
    numbers, mean, spread = normalize_cutouts(np.where(good, 7.0, 0), good)
    np.testing.assert_allclose(mean, [7, 0])
    np.testing.assert_array_equal(spread, 1)
    np.testing.assert_allclose(numbers[:, :25], 0, atol=1e-12)


@pytest.mark.parametrize("threads", [0, 3])
@pytest.mark.parametrize("block", [17, 1024])
def test_map_windows_keeps_the_order(rng, threads, block, monkeypatch):
    monkeypatch.setattr(network, "PART", 50)
    monkeypatch.setattr(network, "BLOCK", block)
    data = rng.normal(size=(60, 50)).astype(np.float32)
    targets = rng.random(data.shape) < 0.1
    every = np.full(data.shape, PixelFlag.GOOD, dtype=np.uint8)

    def centre(values, flags, block):
        assert (flags == PixelFlag.GOOD).any()
        assert block.stars.profile.shape == (PROFILE,)
        middle = values[:, values.shape[1] // 2]
        return np.stack([middle, -middle], axis=1)

    known = centre, data, every, targets, 2, 2
    if threads:
        with ThreadPoolExecutor(threads) as pool:
            out = map_cutouts(*known, pool.map)
    else:
        out = map_cutouts(*known)
    np.testing.assert_array_equal(out, np.stack([data[targets], -data[targets]], 1))


def test_stars_are_those_of_the_block(monkeypatch):
    """A piece of a frame that holds a block tells what the frame tells."""
    monkeypatch.setattr(network, "BLOCK", 40)
    data = make_stars((130, 90), fwhm=2)
    data[:, 40:] = make_stars((130, 90), fwhm=4)[:, 40:]
    flags = np.full(data.shape, PixelFlag.GOOD, dtype=np.uint8)
    targets = np.zeros(data.shape, dtype=bool)
    targets[[20, 60, 60, 100], [20, 20, 60, 85]] = True
    flags[targets] = PixelFlag.CR

    def told(values, _, block):
        return np.tile(block.stars.profile[:2], (len(values), 1))

    whole = map_cutouts(told, data, flags, targets, 2, 2)
    assert len(np.unique(whole[:, 0])) == 4
    piece = np.s_[40:, 40:]
    part = map_cutouts(
        told, data[piece], flags[piece], targets[piece], 2, 2, origin=(40, 40)
    )
    np.testing.assert_array_equal(part, whole[2:])


def test_windows_say_what_is_held(rng):
    """Struck pixels are hidden from the window, and told apart from it."""
    values = rng.normal(50, 4, (3, 49))
    flags = np.full(values.shape, PixelFlag.GOOD, dtype=np.uint8)
    flags[0, [24, 25]] = PixelFlag.CR
    flags[1, [24, 17]] = PixelFlag.BAD, PixelFlag.CR
    values[0, 24:26] = 900
    values[1, 17], values[1, 24] = 700, 0
    profile = rng.normal(size=PROFILE).astype(np.float32)
    stars = StarTemplates(profile, np.empty((0, 7, 7), dtype=np.float32), 4.0)
    rays = np.array([-3.0, 0.0, 40.0, 8e5])
    numbers, mean, spread = compute_features(
        values, flags, BlockStatistics(stars, rays)
    )
    own, expected, _ = normalize_cutouts(
        np.where(flags == PixelFlag.GOOD, values, 0), flags == PixelFlag.GOOD
    )
    np.testing.assert_array_equal(numbers[:, :98], own)
    np.testing.assert_array_equal(mean, expected)
    held = numbers[:, 98 : 98 + 25].reshape(3, 5, 5)
    back = mean[:, None, None] + spread[:, None, None] * held
    expected = values.reshape(3, 7, 7)[:, 1:6, 1:6]
    known = flags.reshape(3, 7, 7)[:, 1:6, 1:6] > 0
    np.testing.assert_allclose(back[known], expected[known], rtol=1e-4)
    assert held[1, 2, 2] == 0
    np.testing.assert_array_equal(numbers[:, 98 + 25], [1, 0, 0])
    logs = numbers[:, 98 + 26 : 98 + 26 + RAYS]
    np.testing.assert_array_equal(logs[:, :2], -8)
    np.testing.assert_allclose(logs[:, 2], np.log(40 / spread), rtol=1e-5)
    np.testing.assert_array_equal(logs[:, 3], 8)
    np.testing.assert_allclose(logs[:, 4], np.log(4 / spread), rtol=1e-5)
    there = slice(-PROFILE - FITS - NEAR_RAYS, -PROFILE - FITS)
    np.testing.assert_array_equal(numbers[:, there], 0)
    there = slice(-PROFILE - FITS, -FITS)
    np.testing.assert_array_equal(numbers[:, there], np.tile(profile, (3, 1)))
    np.testing.assert_array_equal(numbers[:, -FITS:], 0)


def test_a_hidden_pixel_has_no_effect(rng):
    values = np.where(np.arange(49) == 24, 0, rng.normal(50, 4, (1, 49)))
    flags = np.full(values.shape, PixelFlag.GOOD, dtype=np.uint8)
    flags[0, 24] = PixelFlag.BAD
    block = measure_block(np.zeros((20, 20), np.float32), np.zeros((20, 20), np.uint8))
    numbers, _, _ = compute_features(values, flags, block)
    assert numbers[0, 24] == numbers[0, 98 + 12] == 0
