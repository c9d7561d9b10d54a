"""The width of a frame's stars, measured on frames of known stars and cosmic rays."""

import numpy as np
import pytest
from scipy.special import erf

from deepcr_ccd.preprocess.background import measure_background
from deepcr_ccd.preprocess.star_width import (
    NO_STARS,
    UNKNOWN,
    StarWidth,
    measure_star_width,
    width_code,
)
from deepcr_ccd.simulation.cosmic_rays import add_deposits, simulate_deposit

SIZE = 400


def add_source(frame, y, x, sigma, charge):
    """Add a Gaussian, integrated over pixels."""

    def share(size, centre):
        edges = (np.arange(size + 1) - 0.5 - centre) / (sigma * np.sqrt(2))
        return 0.5 * np.diff(erf(edges))

    ny, nx = frame.shape
    frame += charge * share(ny, y)[:, None] * share(nx, x)


def exposure(fwhm, stars, tracks=60, events=0.0, seed=1):
    """Return a frame with stars, tracks of cosmic rays, and events of one charge."""
    rng = np.random.default_rng(seed)
    frame = np.full((SIZE, SIZE), 50.0)
    for _ in range(stars):
        y, x = rng.uniform(10, SIZE - 10, 2)
        add_source(frame, y, x, fwhm / 2.3548, 10 ** rng.uniform(3.3, 5))
    if events:
        for charge in (600, 6000) * 40:
            y, x = rng.uniform(10, SIZE - 10, 2)
            add_source(frame, y, x, events, charge)
    library = [simulate_deposit(rng) for _ in range(100)]
    charge = add_deposits(frame, library, rng, tracks)
    noise = rng.normal(0, 4, frame.shape)
    return (rng.poisson(frame + charge) + noise).astype(np.float32)


def measured(frame, bad=None):
    return measure_star_width(frame, bad, measure_background(frame, bad))


@pytest.mark.parametrize("fwhm", [1.5, 1.8, 2.5, 3.5, 5.0, 7.0])
def test_width_of_stars_among_cosmic_rays(fwhm):
    width = measured(exposure(fwhm, 60))
    # As pixels sample it.
    expected = np.hypot(fwhm, 2.3548 * np.sqrt(1 / 12))
    assert width.stars
    assert width.fwhm == pytest.approx(expected, rel=0.12)
    assert 0 < width.error < 0.1 * fwhm
    assert width.number >= 10


def test_three_stars_are_enough_without_cosmic_rays():
    frame = np.full((SIZE, SIZE), 50.0)
    for place in (60, 200, 340):
        add_source(frame, place, place + 0.3, 1.2, 20_000)
    frame = np.random.default_rng(1).poisson(frame).astype(np.float32)
    width = measured(frame)
    assert width.stars
    assert width.number == 3


def test_cosmic_rays_are_no_stars():
    assert measured(exposure(0, 0, tracks=300)).stars is False


def test_short_tracks_that_are_alike_are_no_stars():
    """As many cosmic rays of an exposure are, where there are few stars."""

    def frame(long):
        rng = np.random.default_rng(4)
        data = np.full((SIZE, SIZE), 50.0)
        y, x = np.mgrid[-6:7, -6:7]
        for _ in range(150):
            angle, charge = rng.uniform(0, np.pi), 10 ** rng.uniform(3.3, 5)
            row, column = rng.integers(10, SIZE - 10, 2)
            dy, dx = y - rng.uniform(-0.5, 0.5), x - rng.uniform(-0.5, 0.5)
            along = dx * np.cos(angle) + dy * np.sin(angle)
            across = dy * np.cos(angle) - dx * np.sin(angle)
            shape = np.exp(-0.5 * ((along / (0.6 * long)) ** 2 + (across / 0.6) ** 2))
            part = data[row - 6 : row + 7, column - 6 : column + 7]
            part += charge * shape / shape.sum()
        return (rng.poisson(data) + rng.normal(0, 4, data.shape)).astype(np.float32)

    assert measured(frame(1.0)).stars
    assert measured(frame(1.3)) == UNKNOWN
    # A few others that agree are no stars either.
    few = frame(1.3)
    for x in (60, 200, 340):
        add_source(few, 200, x, 2.1, 3e4)
    assert measured(few) == UNKNOWN


@pytest.mark.parametrize("sigma", [0.35, 0.5, 0.65, 0.8])
def test_events_of_one_charge_are_no_stars(sigma):
    """Whether alone, or with stars that are wider."""
    assert measured(exposure(0, 0, tracks=0, events=sigma)).stars is False
    width = measured(exposure(3.5, 60, tracks=0, events=sigma))
    assert width.fwhm == pytest.approx(3.6, rel=0.15)


def test_nothing_is_known_of_an_empty_frame():
    assert measured(exposure(0, 0, tracks=0)) is UNKNOWN


def test_bad_pixels_are_left_out():
    frame = exposure(2.5, 60)
    bad = np.zeros(frame.shape, dtype=bool)
    bad[:, :200] = True
    width = measured(frame)
    frame[:, :200] = np.random.default_rng(2).choice([-9e9, 9e9], (SIZE, 200))
    assert measured(frame, bad).fwhm == pytest.approx(width.fwhm, rel=0.1)


def test_the_unit_does_not_matter():
    frame = exposure(2.5, 60)
    width = measured(frame)
    assert measured(frame * 1e-12).fwhm == pytest.approx(width.fwhm, rel=1e-3)


def test_small_frames_tell_nothing():
    assert measured(np.zeros((10, 12), np.float32)) is UNKNOWN


def test_code():
    centres = (1.0, 2.0, 4.0)
    assert width_code(UNKNOWN, centres) == (0, 0, 0, 0)
    assert width_code(NO_STARS, centres) == (0, 0, 0, 1)
    assert width_code(StarWidth.of(0.5), centres) == (1, 0, 0, 0)
    assert width_code(StarWidth.of(9), centres) == (0, 0, 1, 0)
    assert width_code(StarWidth.of(2), centres) == (0, 1, 0, 0)
    between = width_code(StarWidth.of(2 * np.sqrt(2)), centres)
    assert between == (0, 0.5, 0.5, 0)


def test_in_words():
    assert str(StarWidth.of(2.341)) == "2.34 px"
    assert (str(NO_STARS), str(UNKNOWN)) == ("no stars", "unknown")


def test_the_noise_of_a_bright_surface_is_no_star():
    """Maxima on the disk of a planet are many, wide and alike."""
    rng = np.random.default_rng(3)
    y, x = np.indices((256, 256)) - 128
    disk = 3000 * np.clip(1 - (np.hypot(y, x) / 80) ** 2, 0, None) ** 0.3 + 5
    frame = rng.poisson(disk) + rng.normal(0, 4, disk.shape)
    assert measured(frame.astype(np.float32)).stars is None


@pytest.mark.parametrize("fwhm", [1.8, 2.5])
def test_stars_beside_wider_knots(fwhm):
    """As in a nebula, or among galaxies: a third as many sources are wide."""
    rng = np.random.default_rng(2)
    frame = rng.normal(100, 5, (300, 300))
    for number in range(80):
        wide = number % 4 == 0
        y, x = rng.uniform(12, 288, 2)
        sigma = (6.0 if wide else fwhm) / 2.355
        add_source(frame, y, x, sigma, 10 ** rng.uniform(3.3, 4.5) * (1 + 6 * wide))
    width = measured(frame.astype(np.float32))
    assert width.stars
    np.testing.assert_allclose(width.fwhm, fwhm, rtol=0.15)
