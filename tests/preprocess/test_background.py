import numpy as np
import pytest

from deepcr_ccd.demo import simulate
from deepcr_ccd.preprocess.background import measure_background
from deepcr_ccd.tiling.tiles import plan_tiles, read_tile


def test_flat_noise(rng):
    noise = measure_background(rng.normal(100, 7, (500, 400)).astype(np.float32))
    np.testing.assert_allclose(noise.background, 100, atol=1.5)
    np.testing.assert_allclose(noise.rms, 7, rtol=0.1)
    sky, sigma = noise.at()
    assert sky.shape == sigma.shape == (500, 400)
    assert sky.dtype == np.float32


def test_slope_is_followed(rng):
    truth = np.indices((300, 300))[1] * 0.5 + 50
    sky, sigma = measure_background(rng.poisson(truth).astype(np.float32)).at()
    inside = (slice(40, -40), slice(40, -40))
    assert np.abs(sky - truth)[inside].max() < 4
    np.testing.assert_allclose(sigma[inside], np.sqrt(truth)[inside], rtol=0.15)


@pytest.mark.parametrize("turn", range(4))
def test_background_is_lower_in_dark_regions(rng, turn):
    """Vignetting that steepens towards an edge, then a field stop."""
    row = np.arange(300.0)[:, None]
    lit = np.where(row < 270, 1000 - (row / 20) ** 2, 0)
    truth = np.rot90(np.tile(lit, 280), turn)
    frame = rng.normal(truth, 10).astype(np.float32)
    frame[rng.random(frame.shape) < 0.02] += 500
    noise = measure_background(frame)
    assert noise.dark_offset is not None
    sky, sigma = noise.at()
    off = np.rot90(sky - truth, -turn)
    assert off[:255].max() < 45
    assert off[280:].max() < 45
    np.testing.assert_allclose(sigma, 10, rtol=0.25)


def test_bad_pixels_are_not_dark_regions(rng):
    frame = rng.normal(1000, 10, (256, 256)).astype(np.float32)
    dead = np.zeros(frame.shape, dtype=bool)
    dead[100:150, 60:120] = True
    frame[dead] = 0
    assert measure_background(frame).dark_offset.min() < -900
    assert measure_background(frame, dead).dark_offset is None


def test_noise_stars_and_columns_are_not_dark_regions(rng):
    stars = simulate((256, 256), n_stars=1500, n_tracks=0, seed=1).data
    columns = rng.normal(1000, 10, (256, 256))
    columns[:, ::37] = 0
    for frame in (stars, columns, rng.poisson(0.3, (300, 300))):
        assert measure_background(frame.astype(np.float32)).dark_offset is None


def test_crowded_field():
    frame = simulate((256, 256), n_stars=1500, n_tracks=0, seed=1).data
    noise = measure_background(frame)
    assert np.median(frame) > 66
    assert abs(np.median(noise.background) - 60) < 5
    # Faint stars cannot be told from noise: it is overestimated, but not by much.
    assert 8.5 < np.median(noise.rms) < 15


def test_cosmic_rays_hardly_matter(rng):
    frame = rng.normal(0, 5, (256, 256))
    frame[rng.random(frame.shape) < 0.03] += 2000
    noise = measure_background(frame.astype(np.float32))
    np.testing.assert_allclose(noise.background, 0, atol=1.5)
    np.testing.assert_allclose(noise.rms, 5, rtol=0.2)


def test_bad_pixels_are_left_out(rng):
    frame = rng.normal(20, 3, (200, 200)).astype(np.float32)
    bad = rng.random(frame.shape) < 0.3
    bad[:100, :100] = True
    noise = measure_background(np.where(bad, 1e6, frame).astype(np.float32), bad)
    np.testing.assert_allclose(noise.background, 20, atol=1.2)
    np.testing.assert_allclose(noise.rms, 3, rtol=0.2)


def test_coarsely_quantized_frames_have_noise(rng):
    counts = rng.poisson(0.3, (300, 300)).astype(np.float32)
    noise = measure_background(counts)
    np.testing.assert_allclose(noise.rms, 0.3**0.5, rtol=0.3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 70), (3, 3)])
@pytest.mark.parametrize("value", [0.0, 7.0])
def test_frames_without_noise_have_a_scale(shape, value):
    sky, sigma = measure_background(np.full(shape, value, np.float32)).at()
    assert sky.shape == shape
    np.testing.assert_allclose(sky, value, rtol=1e-6)
    assert (sigma > 0).all()
    bad = np.ones(shape, dtype=bool)
    assert (measure_background(np.full(shape, value, np.float32), bad).rms > 0).all()


def test_tiles_equal_the_frame(rng):
    frame = rng.normal(100, 5, (150, 170)).astype(np.float32)
    noise = measure_background(frame)
    whole = noise.at()
    for tile in plan_tiles(frame.shape, 64, halo=9, stride=2):
        for part, all_ in zip(noise.at(tile), whole, strict=True):
            np.testing.assert_allclose(part, read_tile(all_, tile), rtol=1e-5)


def test_bands_of_cells_equal_the_whole(rng, monkeypatch):
    frame = rng.normal(100, 5, (400, 300)).astype(np.float32)
    bad = rng.random(frame.shape) < 0.1
    whole = measure_background(frame, bad)
    monkeypatch.setattr("deepcr_ccd.preprocess.background.SAMPLES_PER_BAND", 1)
    for one, other in zip(measure_background(frame, bad)[:2], whole[:2], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("width", [48, 64, 128, 192])
@pytest.mark.parametrize("place", [320, 301])
def test_noise_is_lower_in_dark_regions(width, place, rng):
    truth = np.full((640, 640), 2000.0)
    inside = slice(place - width // 2, place + width // 2)
    truth[inside, inside] = 20
    frame = rng.poisson(truth) + rng.normal(0, 4, truth.shape)
    frame[rng.random(frame.shape) < 0.01] += 3000
    noise = measure_background(frame.astype(np.float32))
    sky, sigma = noise.at()
    deep = slice(inside.start + 12, inside.stop - 12)
    assert np.mean(sigma[deep, deep] < 8) > 0.9
    assert np.abs(sky - truth)[deep, deep].mean() < 10
    beyond = np.full(truth.shape, True)
    beyond[inside.start - 8 : inside.stop + 8, inside.start - 8 : inside.stop + 8] = 0
    beyond[inside.start - 80 : inside.stop + 80, inside] &= width < 100
    beyond[inside, inside.start - 80 : inside.stop + 80] &= width < 100
    assert sigma[beyond].min() > 0.7 * 2016**0.5


def test_dark_noise_is_the_same_in_tiles(rng):
    truth = np.full((300, 260), 900.0)
    truth[:, 90:150] = 3
    frame = rng.normal(truth, np.sqrt(truth)).astype(np.float32)
    bad = rng.random(frame.shape) < 0.05
    frame[bad] = 60000
    noise = measure_background(frame, bad)
    whole = noise.at()
    assert np.mean(whole[1][:, 100:140] < 3) > 0.9
    for tile in plan_tiles(frame.shape, 64, halo=9, stride=2):
        for part, all_ in zip(noise.at(tile), whole, strict=True):
            np.testing.assert_allclose(
                part, read_tile(all_, tile), rtol=1e-5, atol=1e-3
            )


def test_frames_of_which_little_is_good(rng):
    frame = rng.normal(300, 17, (64, 96)).astype(np.float32)
    bad = np.zeros(frame.shape, dtype=bool)
    bad[:52] = True
    noise = measure_background(frame, bad)
    np.testing.assert_allclose(noise.background, 300, atol=8)
    np.testing.assert_allclose(noise.rms, 17, rtol=0.2)
