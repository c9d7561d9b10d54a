from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from deepcr_ccd import windows
from deepcr_ccd.plane import Plane
from deepcr_ccd.windows import map_windows, read_windows, window_units


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
    for values, usable, which in read_windows(data, good, rows, columns, 3):
        np.testing.assert_array_equal(values, expected[0][which])
        np.testing.assert_array_equal(usable, expected[1][which])
        seen[which] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("dtype", [">i2", np.float32, np.float64])
def test_windows_of_a_plane_are_those_of_its_pixels(rng, dtype):
    data = rng.integers(0, 3000, (40, 50)).astype(dtype)
    good = rng.random(data.shape) < 0.8
    rows, columns = rng.integers(0, 40, 30), rng.integers(0, 50, 30)
    plane = Plane(data, 0.5, finite=False)
    (found,) = read_windows(plane, good, rows, columns, 4)
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
    list(read_windows(data, np.ones(data.shape, dtype=bool), rows, columns, 2))
    assert data.read == 3 * 5 * 5


def test_window_units_know_no_unit(rng):
    values = rng.normal(50, 4, (6, 49))
    good = rng.random(values.shape) < 0.7
    values[~good] = 0
    numbers, mean, spread = window_units(values, good)
    again, moved, wider = window_units(np.where(good, 250 * values - 9e3, 0), good)
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
    numbers, mean, spread = window_units(np.where(good, 7.0, 0), good)
    np.testing.assert_allclose(mean, [7, 0])
    np.testing.assert_array_equal(spread, 1)
    np.testing.assert_allclose(numbers[:, :25], 0, atol=1e-12)


@pytest.mark.parametrize("threads", [0, 3])
def test_map_windows_keeps_the_order(rng, threads, monkeypatch):
    monkeypatch.setattr(windows, "PART", 50)
    data = rng.normal(size=(60, 50)).astype(np.float32)
    targets = rng.random(data.shape) < 0.1
    every = np.ones(data.shape, dtype=bool)

    def centre(values, usable):
        assert usable.any()
        return values[:, values.shape[1] // 2]

    if threads:
        with ThreadPoolExecutor(threads) as pool:
            out = map_windows(centre, data, every, targets, 2, pool.map)
    else:
        out = map_windows(centre, data, every, targets, 2)
    np.testing.assert_array_equal(out, data[targets])
