import numpy as np
import pytest
from scipy import ndimage

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability
from deepcr_ccd.preprocess.synthetic_noise import (
    DitheredFrame,
    dither,
    find_quantization_step,
    pad_thin_frame,
)
from deepcr_ccd.tiling.tiles import plan_tiles, read_tile


def tracks(rng, shape, number=60):
    affected = np.zeros(shape, dtype=bool)
    for _ in range(number):
        y, x = rng.integers(0, shape[0]), rng.integers(5, shape[1] - 10)
        affected[y, x : x + 6] = True
    return affected


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.3, 0.4, 0.5])
@pytest.mark.parametrize("level", [100.0, 100.25, 100.5])
def test_coarse_quantization(sigma, level, rng):
    """Cosmic rays of eight counts, where the noise is half of one or less."""
    affected = tracks(rng, (400, 400))
    data = np.rint(rng.normal(level, sigma, affected.shape) + 8 * affected)
    for unit in (1, 1.7):
        crmask = cosmicray_deepcr((data * unit).astype("f4"), inpaint=None)[1]
        assert crmask[affected].mean() > 0.9
        assert (crmask & ~ndimage.binary_dilation(affected, iterations=2)).sum() < 30


def test_few_photons(rng):
    affected = tracks(rng, (400, 400))
    data = rng.poisson(0.05, affected.shape) + 8 * affected
    crmask = cosmicray_deepcr(data.astype("i2"), inpaint=None)[1]
    assert crmask[affected].mean() > 0.85


def test_quantization_steps(rng):
    fine = rng.normal(0, 1, (90, 80))
    assert find_quantization_step(fine, None) == 0
    assert find_quantization_step(np.rint(fine), None) == 0
    assert find_quantization_step(np.zeros((90, 80)), None) == 0
    assert find_quantization_step(np.rint(0.3 * fine) * 2.5 + 7, None) == 2.5
    bad = np.zeros(fine.shape, dtype=bool)
    bad[:, ::2] = True
    assert find_quantization_step(np.rint(0.3 * fine), bad) == 0
    # What holds no data is not coarse.
    fine[:, :60] = 0
    assert find_quantization_step(fine, None) == 0


def test_dither_depends_on_the_place_only():
    shape = 90, 70
    whole = dither(None, shape)
    assert np.abs(whole).max() <= 0.5
    np.testing.assert_allclose(whole.std(), 12**-0.5, rtol=0.02)
    np.testing.assert_allclose(whole.mean(), 0, atol=0.01)
    for shift in ((0, 1), (1, 0), (1, 1)):
        product = whole * np.roll(whole, shift, (0, 1))
        assert abs(product.mean()) < 0.005
    for tile in plan_tiles(shape, 32, halo=9, stride=2):
        np.testing.assert_array_equal(dither(tile, shape), read_tile(whole, tile))
    seen = DitheredFrame(np.zeros(shape), 2.0)
    np.testing.assert_array_equal(seen[3:5, 7:9], 2 * whole[3:5, 7:9])
    np.testing.assert_array_equal(seen[np.array([4, 9])], 2 * whole[[4, 9]])


@pytest.mark.parametrize("ny", [5, 7, 9, 11, 15])
@pytest.mark.parametrize("turn", [False, True])
def test_strips(ny, turn, rng):
    affected = tracks(rng, (ny, 900), 25)
    data = rng.normal(300, 17, affected.shape) + 300 * affected
    if turn:
        data, affected = data.T, affected.T
    crmask = cosmicray_deepcr(data.astype("f4"), inpaint=None)[1]
    assert crmask[affected].mean() > 0.87
    assert (crmask & ~affected).sum() < 0.4 * affected.sum()
    small = cosmicray_probability(data, tile_size=64, precision="float32")
    whole = cosmicray_probability(data, precision="float32")
    np.testing.assert_allclose(small, whole, atol=1e-4)


def test_only_thin_frames_are_padded():
    for shape in ((16, 40), (15, 40), (300, 3)):
        tile = plan_tiles(shape, 512, halo=8, stride=8, reflect=False)[0]
        numbers = np.ones([stop - start for start, stop in tile.read], np.float32)
        seen, inside = pad_thin_frame(numbers, tile, shape, 8)
        np.testing.assert_array_equal(seen[inside], 1)
        grown = [n - m for n, m in zip(seen.shape, numbers.shape, strict=True)]
        assert grown == [32 if size < 16 else 0 for size in shape]
        if seen is not numbers:
            beyond = np.sinh(seen[seen != 1])
            np.testing.assert_allclose(beyond.std(), 1, rtol=0.1)
