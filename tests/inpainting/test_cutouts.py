import numpy as np
import pytest

from deepcr_ccd.inpainting import cutouts as cutouts_module
from deepcr_ccd.inpainting.cutouts import crop_centre, read_cutouts
from deepcr_ccd.preprocess.network_input import NetworkInput


def one_by_one(data, good, rows, columns, radius):
    """Read cutouts a pixel at a time."""
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
@pytest.mark.parametrize("bound", ["MAX_CUTOUT_ELEMENTS", "MAX_FRAME_PIXELS"])
@pytest.mark.parametrize("sparse", [0, np.inf])
def test_cutouts_are_the_pixels_around_positions(
    rng, dtype, bound, sparse, monkeypatch
):
    monkeypatch.setattr(cutouts_module, bound, 100)
    monkeypatch.setattr(cutouts_module, "SPARSE_FRACTION", sparse)
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


def test_flags_are_kept(rng):
    data = rng.normal(size=(20, 300)).astype(np.float32)
    data[3, 4] = np.nan
    flags = rng.integers(0, 3, data.shape).astype(np.uint8)
    for columns in (np.arange(290), np.array([1, 4, 299])):
        rows = np.full(columns.size, 2)
        for values, found, which in read_cutouts(data, flags, rows, columns, 2):
            expected, _ = one_by_one(data, flags > 0, rows, columns, 2)
            np.testing.assert_array_equal(values, expected[which])
            around = np.pad(flags * np.isfinite(data), 2)
            for cutout, column in zip(found, columns[which], strict=True):
                expected = around[2:7, column : column + 5]
                np.testing.assert_array_equal(cutout, expected.ravel())


@pytest.mark.parametrize("dtype", [">i2", np.float32, np.float64])
def test_cutouts_of_a_plane_are_those_of_its_pixels(rng, dtype):
    data = rng.integers(0, 3000, (40, 50)).astype(dtype)
    good = rng.random(data.shape) < 0.8
    rows, columns = rng.integers(0, 40, 30), rng.integers(0, 50, 30)
    plane = NetworkInput(data, 0.5, finite=False)
    (found,) = read_cutouts(plane, good, rows, columns, 4)
    values, usable = one_by_one(data * 0.5, good, rows, columns, 4)
    np.testing.assert_allclose(found.values, values[found.which])
    np.testing.assert_array_equal(found.flags, usable[found.which])


def test_few_cutouts_are_read_alone(rng):
    """Of a frame that converts pixels as they are read, these are converted only."""

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


def test_centre_of_cutouts():
    cutouts = np.arange(2 * 25).reshape(2, 25)
    np.testing.assert_array_equal(crop_centre(cutouts, 0), [[12], [37]])
    inner = [6, 7, 8, 11, 12, 13, 16, 17, 18]
    np.testing.assert_array_equal(crop_centre(cutouts, 1), [inner, np.add(inner, 25)])
    wide = crop_centre(cutouts, 3).reshape(2, 7, 7)
    np.testing.assert_array_equal(wide[:, 1:6, 1:6].reshape(2, 25), cutouts)
    assert wide.sum() == cutouts.sum()
