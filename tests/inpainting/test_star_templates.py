import numpy as np
import pytest
from sample_files import make_stars

from deepcr_ccd.inpainting import star_templates as stars
from deepcr_ccd.inpainting.feature_layout import PROFILE_SIZE
from deepcr_ccd.inpainting.star_templates import MAX_STARS, find_star_templates

CLEAR = np.zeros((120, 130), dtype=bool)


def gaussian(fwhm):
    line = np.arange(-3, 4) ** 2
    return np.exp(-4 * np.log(2) * (line[:, None] + line) / fwhm**2)


@pytest.mark.parametrize("fwhm", [2.0, 3.0])
def test_profile_is_that_of_the_stars(fwhm):
    profile, images, noise = find_star_templates(make_stars(CLEAR.shape, fwhm), CLEAR)
    assert profile.dtype == np.float32
    assert profile.shape == (PROFILE_SIZE,)
    # Their centres are up to 0.4 px from that of a pixel.
    np.testing.assert_allclose(profile[:49].reshape(7, 7), gaussian(fwhm), atol=0.08)
    assert profile[24] == 1
    assert profile[49 + 4] == 0
    assert profile[49 + 1] > 0.02
    assert np.expm1(profile[-1]) > 30
    assert images.dtype == np.float32
    assert images.shape == (MAX_STARS, 7, 7)
    np.testing.assert_array_equal(images[:, 3, 3], 1)
    np.testing.assert_allclose(images.mean(0), gaussian(fwhm), atol=0.08)
    assert noise == pytest.approx(1, rel=0.5)


def test_profile_knows_no_unit_and_is_not_moved_by_hidden_pixels():
    frame = make_stars(CLEAR.shape, 3)
    expected = find_star_templates(frame, CLEAR).profile
    np.testing.assert_allclose(
        find_star_templates(0.01 * frame - 7, CLEAR).profile, expected, atol=1e-3
    )
    hidden = CLEAR.copy()
    hidden[30:32, :] = True
    spoiled = np.where(hidden, np.nan, frame)
    found = find_star_templates(spoiled, hidden).profile
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(
        found, find_star_templates(np.where(hidden, 9e9, frame), hidden).profile
    )
    assert 0 < found[-1] < expected[-1]
    seen = find_star_templates(spoiled, CLEAR)
    assert 0.5 < seen.noise < 10
    assert np.isfinite(seen.images).all()
    np.testing.assert_allclose(found[:49], expected[:49], atol=0.05)


@pytest.mark.parametrize(
    "what", ["noise", "hot", "flat", "saturated", "small", "hidden"]
)
def test_what_is_no_star(rng, what):
    frame = rng.normal(100, 1, CLEAR.shape).astype(np.float32)
    hidden = CLEAR
    if what == "hot":
        frame[rng.random(frame.shape) < 0.002] = 5000
    elif what == "flat":
        frame[:] = 7
    elif what == "saturated":
        frame = np.minimum(make_stars(CLEAR.shape, 5), 400)
    elif what == "small":
        frame = make_stars((20, 9), 3)
        hidden = np.zeros(frame.shape, dtype=bool)
    elif what == "hidden":
        frame, hidden = make_stars(CLEAR.shape, 3), ~CLEAR
    profile, images, _ = find_star_templates(frame, hidden)
    np.testing.assert_array_equal(profile, 0)
    assert images.shape == (0, 7, 7)


def test_stars_of_all_brightnesses_are_used(monkeypatch):
    """The brightest may be saturated: they do not outvote the others."""
    frame = make_stars(CLEAR.shape, 3)
    monkeypatch.setattr(stars, "MAX_STARS", 5)
    found = find_star_templates(frame, CLEAR).profile
    assert np.expm1(found[-1]) == pytest.approx(5)
    np.testing.assert_allclose(found[:49].reshape(7, 7), gaussian(3), atol=0.1)
