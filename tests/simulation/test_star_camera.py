"""Frames whose star width is told, and what is labelled on them."""

import numpy as np
import pytest

from deepcr_ccd.simulation.cosmic_rays import simulate_deposit
from deepcr_ccd.simulation.defects import add_equal_hot_pixels, add_spots, compress
from deepcr_ccd.simulation.point_events import add_event, event_fwhm, spread_of
from deepcr_ccd.simulation.psf import make_psf, make_sharp_psf, psf_fwhm
from deepcr_ccd.simulation.scenes import make_scene, make_scene_with_psf
from deepcr_ccd.simulation.star_camera import SceneBank, StarCamera, _widest_spread

SIZE = 64


@pytest.fixture(scope="module")
def camera():
    rng = np.random.default_rng(1)
    light = np.stack([make_scene(rng, SIZE, "cluster"), np.zeros((SIZE, SIZE))])
    light = light.astype(np.float32)
    bank = SceneBank(light, np.array([2.0, 0.0]), np.array([False, True]))
    library = [simulate_deposit(rng) for _ in range(50)]
    return StarCamera([bank], [1.0], [library])


def test_exposures_depend_on_the_generator_alone(camera):
    one, other = (camera.observe(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.frame, other.frame)
    np.testing.assert_array_equal(one.truth, other.truth)


def test_labels(camera):
    told = []
    truths = dropped = 0
    for seed in range(60):
        seen = camera.observe(np.random.default_rng(seed))
        assert seen.frame.dtype == np.float32
        assert np.isfinite(seen.frame).all()
        assert not (seen.truth & seen.ignore).any()
        dropped += seen.dropped.any()
        told.append(seen.star_width.stars)
        truths += int(seen.truth.sum())
    assert truths > 60
    # Events that stars could be too, where something is told.
    assert 0 < dropped < 60
    # Two of three are told of something; half of the scenes have no stars.
    assert 0.15 < np.mean([stars is False for stars in told]) < 0.6
    assert sum(stars is True for stars in told) > 5


def test_what_is_sharper_than_stars():
    assert event_fwhm(_widest_spread(3.0, told=True)) == pytest.approx(0.81 * 3.0)
    assert event_fwhm(_widest_spread(1.3, told=True)) == pytest.approx(0.62 * 1.3)
    assert _widest_spread(3.0, told=False) == 0.5
    assert _widest_spread(0.0, told=True) == 0.9


def test_event_keeps_its_charge_and_place():
    charge = np.zeros((21, 24))
    add_event(charge, 9.7, 12.2, 0.8, 1000)
    assert charge.sum() == pytest.approx(1000, rel=1e-3)
    y, x = np.indices(charge.shape)
    assert (charge * y).sum() / charge.sum() == pytest.approx(9.7, abs=1e-2)
    assert (charge * x).sum() / charge.sum() == pytest.approx(12.2, abs=1e-2)
    assert spread_of(event_fwhm(0.6)) == pytest.approx(0.6)


def test_event_at_the_corner_is_cut():
    charge = np.zeros((8, 8))
    add_event(charge, -0.5, 7.5, 0.5, 100)
    assert charge[0, 7] == charge.max() > 0
    assert 20 < charge.sum() < 30


@pytest.mark.parametrize("seed", range(4))
def test_psf_fwhm(seed):
    """About that of the profile, and of the width of a pixel."""
    psf, fwhm = make_psf(np.random.default_rng(seed))
    assert psf_fwhm(psf, sampled=False) == pytest.approx(np.hypot(fwhm, 0.6), rel=0.35)


def test_sharp_psfs_are_sharp():
    widths = [
        psf_fwhm(make_sharp_psf(np.random.default_rng(seed)), sampled=True)
        for seed in range(8)
    ]
    assert 1.1 < min(widths) < max(widths) < 2.6


def test_scene_is_the_same_with_its_psf():
    scene = make_scene_with_psf(np.random.default_rng(3), SIZE, "sparse")
    np.testing.assert_array_equal(
        scene.light, make_scene(np.random.default_rng(3), SIZE, "sparse")
    )
    assert scene.psf is not None
    assert not scene.sampled
    assert make_scene_with_psf(np.random.default_rng(3), SIZE, "slits").psf is None


def test_compression_makes_blocks():
    rng = np.random.default_rng(1)
    frame = rng.normal(100, 5, (64, 64))
    blocks = compress(rng, frame, np.full(frame.shape, 5.0))
    assert blocks.shape == frame.shape
    assert 0 < np.abs(blocks - frame).mean() < 15
    # Within a block there is less of the highest frequency.
    assert np.diff(blocks, axis=1).std() < np.diff(frame, axis=1).std()


def test_equal_hot_pixels():
    charge = add_equal_hot_pixels(np.random.default_rng(1), np.ones((99, 99)), 0.01)
    levels = np.unique(charge)
    assert len(levels) == 2
    assert levels[0] == 0
    assert 8 <= levels[1] <= 100


def test_spots_are_light():
    spots = add_spots(np.random.default_rng(2), (64, 64), 100)
    assert spots.shape == (64, 64)
    assert spots.min() >= 0
    assert spots.max() > 10
