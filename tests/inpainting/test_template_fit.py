import numpy as np
import pytest
from sample_files import make_stars

from deepcr_ccd.inpainting import template_fit
from deepcr_ccd.inpainting.cutouts import read_cutouts
from deepcr_ccd.inpainting.feature_layout import TemplateFit
from deepcr_ccd.inpainting.pixel_flags import PixelFlag
from deepcr_ccd.inpainting.star_templates import find_star_templates
from deepcr_ccd.inpainting.template_fit import fit_star_templates

#: The middle of a star of `make_stars`, and the pixel beside it.
ROWS, COLUMNS = np.array([60, 60]), np.array([60, 61])


def fits(frame, flags, rows=ROWS, columns=COLUMNS, radius=6, scale=1.0, charge=(0, 0)):
    """Return the fits to good pixels, and to CR-affected ones too, of some pixels."""
    stars = find_star_templates(frame, flags != PixelFlag.GOOD)
    found = np.empty((2, 5, len(rows)), dtype=np.float32)
    for values, cutout_flags, which in read_cutouts(
        frame, flags, rows, columns, radius
    ):
        mean, spread = np.empty((2, len(which)))
        mean[:], spread[:] = 100 * scale, 10 * scale
        expected = np.tile(np.multiply(charge, scale), (len(which), 1))
        found[:, :, which] = fit_star_templates(
            values, cutout_flags, mean, spread, stars, expected
        )
    return TemplateFit(*found[0]), TemplateFit(*found[1])


@pytest.fixture
def field():
    frame = make_stars((130, 120), 2.5)
    return frame, np.full(frame.shape, PixelFlag.GOOD, dtype=np.uint8)


def test_wings_tell_what_a_hidden_core_holds(field):
    frame, flags = field
    core = (frame[ROWS, COLUMNS] - 100) / 10
    flags[59:62, 59:62] = PixelFlag.BAD
    found, other = fits(frame, flags)
    assert (found.found == 1).all()
    np.testing.assert_allclose(found.value, core, rtol=0.25)
    assert (np.abs(found.value - core) < 4 * np.exp(found.log_sigma)).all()
    np.testing.assert_allclose(found.peak, core[0], rtol=0.25)
    assert (found.log_misfit < 3).all()
    # There are no CR-affected pixels.
    np.testing.assert_array_equal(other, 0)


def test_values_of_affected_pixels_tell_more(field):
    """A cosmic ray that adds a little to a star leaves its shape to be seen."""
    frame, flags = field
    quiet = frame.copy()
    affected = np.s_[57:64, 58:63]
    flags[affected] = PixelFlag.CR
    frame[60, 58:63] += 40
    wings, whole = fits(frame, flags)
    truth = (quiet[ROWS, COLUMNS] - 100) / 10
    assert (whole.found == 1).all()
    np.testing.assert_allclose(whole.value, truth, rtol=0.2)
    assert (np.abs(whole.value - truth) < np.abs(wings.value - truth)).all()
    assert (whole.log_sigma < wings.log_sigma).all()


def test_the_charge_to_expect_is_allowed_for(field):
    """All of a star is affected, evenly: its height follows from the usual charge."""
    frame, flags = field
    truth = (frame[ROWS, COLUMNS] - 100) / 10
    flags[57:64, 57:64] = PixelFlag.CR
    frame[57:64, 57:64] += np.random.default_rng(2).normal(1500, 150, (7, 7))
    _, plain = fits(frame, flags)
    _, informed = fits(frame, flags, charge=(1500, 500))
    off, better = (np.abs(fit.value - truth) for fit in (plain, informed))
    assert (better < 0.3 * off).all()
    assert (better < 4 * np.exp(informed.log_sigma)).all()


def test_another_star_beside_does_not_spoil_a_fit(field):
    frame, flags = field
    y, x = np.indices(frame.shape)
    square = (y - 63.2) ** 2 + (x - 62.9) ** 2
    truth = frame[60, 60]
    frame = frame + 1500 * np.exp(-4 * np.log(2) * square / 2.5**2)
    flags[60, 60] = PixelFlag.BAD
    fit, _ = fits(frame.astype(np.float32), flags, ROWS[:1], COLUMNS[:1])
    assert fit.value[0] == pytest.approx((truth - 100) / 10, rel=0.2)


def test_fits_know_no_unit(field):
    frame, flags = field
    flags[59:62, 59:62] = PixelFlag.CR
    for one, other in zip(
        fits(frame, flags, charge=(200, 300)),
        fits(0.01 * frame, flags, scale=0.01, charge=(200, 300)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_plain_background_shows_no_star(field):
    frame, flags = field
    rows, columns = np.array([66]), np.array([66])
    flags[66, 66] = PixelFlag.CR
    frame[66, 66] = 5000
    fit, _ = fits(frame, flags, rows, columns)
    assert abs(fit.value[0]) < 1


def test_cutouts_are_fitted_each_by_itself(field, monkeypatch):
    frame, flags = field
    rows, columns = (plane.ravel() for plane in np.mgrid[55:66, 55:66])
    flags[59:62, 59:62] = PixelFlag.CR
    expected = fits(frame, flags, rows, columns)
    monkeypatch.setattr(template_fit, "CUTOUTS_PER_BATCH", 7)
    for one, other in zip(fits(frame, flags, rows, columns), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("radius", [2, 3, 4])
def test_small_cutouts_are_fitted_as_far_as_they_go(field, radius):
    frame, flags = field
    flags[60, 60] = PixelFlag.BAD
    fit, _ = fits(frame, flags, ROWS[:1], COLUMNS[:1], radius)
    assert fit.value[0] == pytest.approx((frame[60, 60] - 100) / 10, rel=0.25)


@pytest.mark.parametrize("value", [0.0, -1e300, 1e300])
def test_pixels_that_are_far_off_make_finite_fits(field, value):
    frame, flags = field
    frame = frame.astype(np.float64)
    flags[59:62, 59:62] = PixelFlag.CR
    frame[61, 60] = value
    for found in fits(frame, flags):
        assert np.isfinite(found).all()
        assert (found.found == 1).all()


def test_without_stars_or_pixels_there_is_no_fit(field):
    frame, flags = field
    flags[56:65, 56:65] = PixelFlag.BAD
    for found in fits(frame, flags):
        np.testing.assert_array_equal(found, 0)
    noise = np.random.default_rng(3).normal(100, 1, frame.shape)
    for found in fits(noise, np.full_like(flags, PixelFlag.GOOD)):
        np.testing.assert_array_equal(found, 0)
