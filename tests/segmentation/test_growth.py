"""A mask is grown by discs of any radius, in little memory."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from deepcr_ccd import cosmicray_deepcr
from deepcr_ccd.segmentation import growth
from deepcr_ccd.segmentation.growth import grow_mask

RADII = [0.5, 1, 1.5, 2.9, 4, 4.99, 5, 5.1, np.sqrt(26), 7.5, 12, 20.3, 41, 100, 1e6]


def by_discs(mask, radius):
    """Return the definition: a disc around each pixel, here by distances."""
    if not mask.any():
        return mask
    y, x = np.indices(mask.shape)
    rows, columns = np.nonzero(mask)
    squares = [(y - r) ** 2 + (x - c) ** 2 for r, c in zip(rows, columns, strict=True)]
    return np.min(squares, axis=0) <= radius**2


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("shape", [(60, 41), (1, 50), (37, 1)])
def test_discs(radius, shape, rng, monkeypatch):
    monkeypatch.setattr(growth, "BLOCK_PIXELS", 500)
    probability = (rng.random(shape) < 0.01).astype(np.float32)
    probability.flat[7] = 1
    probability[rng.random(shape) < 0.1] = np.nan
    examined = np.isfinite(probability)
    mask = probability > 0.5
    expected = by_discs(mask, radius) & examined
    np.testing.assert_array_equal(grow_mask(mask, radius, ~examined), expected)


@pytest.mark.parametrize("radius", [3, 5.5, 13])
def test_discs_are_those_of_a_dilation(radius, rng):
    mask = rng.random((80, 90)) < 0.002
    reach = int(radius)
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    expected = ndimage.binary_dilation(mask, y**2 + x**2 <= radius**2)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(grow_mask(mask, radius), expected)


def test_empty_and_full_masks():
    for value in (0, 1):
        mask = np.full((30, 30), value, dtype=bool)
        assert (grow_mask(mask, 50) == value).all()


def test_large_radii_take_little_memory():
    mask = np.zeros((1000, 1000), dtype=bool)
    mask[500, 500] = True
    tracemalloc.start()
    grown = grow_mask(mask, 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6
    assert grown.sum() == 31417  # whole pixels in a circle of radius 100


@pytest.mark.filterwarnings("ignore:.* flagged as cosmic rays")
@pytest.mark.parametrize("grow", [0.5, 3, 9.5, 70, 1e5])
def test_chunks_are_grown_as_frames_are(grow, ccd):
    da = pytest.importorskip("dask.array")
    how = {"device": "cpu", "inpaint": None, "grow": grow}
    expected = cosmicray_deepcr(ccd.data, **how)[1]
    assert expected.any()
    chunks = da.from_array(ccd.data, chunks=(40, 37))
    got = cosmicray_deepcr(chunks, **how)[1].compute()
    np.testing.assert_array_equal(got, expected)
