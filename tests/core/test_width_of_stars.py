"""The width of the stars of a frame: measured, given, recorded, and what it changes."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability, detect_cosmics
from deepcr_ccd.notices import DeepCRWarning
from deepcr_ccd.simulation.point_events import add_event

SIZE = 256
HOW = {"device": "cpu", "precision": "float32", "engine": "torch"}


def exposure(fwhm, events=0.65, seed=3):
    """Return a frame of stars and of events that are sharper, and where these are."""
    rng = np.random.default_rng(seed)
    light, charge = np.full((2, SIZE, SIZE), 0.0)
    for _ in range(40):
        y, x = rng.uniform(8, SIZE - 8, 2)
        add_event(light, y, x, fwhm / 2.3548, 10 ** rng.uniform(3.3, 4.8))
    places = rng.integers(8, SIZE - 8, (30, 2))
    for y, x in places:
        add_event(charge, y, x, events, 10 ** rng.uniform(3, 4))
    frame = rng.poisson(light + charge + 50) + rng.normal(0, 4, light.shape)
    clear = light[tuple(places.T)] < 20
    return CCDData(frame.astype(np.float32), unit=u.electron), places[clear].T


def test_recorded_as_measured():
    ccd, _ = exposure(3.5)
    cleaned = cosmicray_deepcr(ccd, inpaint=None, **HOW)
    assert cleaned.header["CRPSF"] == pytest.approx(3.57, rel=0.1)
    assert "CRPSF" not in ccd.header


def test_sharper_than_the_stars_is_flagged():
    ccd, places = exposure(3.5)
    assert cosmicray_deepcr(ccd, inpaint=None, **HOW).mask[tuple(places)].mean() > 0.9
    # In a camera whose stars are as sharp they may be stars.
    told = cosmicray_deepcr(ccd, inpaint=None, psffwhm=1.7, **HOW)
    assert told.header["CRPSF"] == 1.7
    assert told.mask[tuple(places)].mean() < 0.8


def test_probability_and_detect_cosmics_take_it():
    ccd, places = exposure(3.5)
    sharp, wide = (
        cosmicray_probability(ccd, psffwhm=fwhm, **HOW) for fwhm in (1.7, 3.5)
    )
    assert sharp[tuple(places)].mean() < wide[tuple(places)].mean()
    mask, _ = detect_cosmics(ccd.data, psffwhm=1.7, **HOW)
    told = cosmicray_deepcr(ccd.data, psffwhm=1.7, inpaint=None, **HOW)[1]
    np.testing.assert_array_equal(mask, told)
    # astroscrappy's default is not that of the frame.
    measured, _ = detect_cosmics(ccd.data, psffwhm=2.5, **HOW)
    np.testing.assert_array_equal(measured, detect_cosmics(ccd.data, **HOW)[0])
    assert (measured != mask).any()


@pytest.mark.parametrize("wrong", [0, -1, np.nan, np.inf, "wide", True, [2.0]])
def test_wrong_width(wrong):
    with pytest.raises(ValueError, match="psffwhm=.* must be a FWHM in px, above 0"):
        cosmicray_deepcr(np.zeros((32, 32)), psffwhm=wrong)


def test_models_that_are_not_told():
    ccd, _ = exposure(3.5)
    with pytest.warns(DeepCRWarning, match="psffwhm= has no effect"):
        cleaned = cosmicray_deepcr(ccd, model="ACS-WFC", psffwhm=2.0, **HOW)
    assert "CRPSF" not in cleaned.header


def test_dask_is_told_the_same():
    da = pytest.importorskip("dask.array")
    ccd, _ = exposure(3.5)
    lazy = CCDData(da.from_array(ccd.data, chunks=100), unit=u.electron)
    expected = cosmicray_deepcr(ccd, inpaint=None, **HOW)
    got = cosmicray_deepcr(lazy, inpaint=None, **HOW)
    assert got.header["CRPSF"] == expected.header["CRPSF"]
    np.testing.assert_array_equal(np.asarray(got.mask), expected.mask)
    given = cosmicray_deepcr(lazy, inpaint=None, psffwhm=1.7, **HOW)
    assert given.header["CRPSF"] == 1.7


def test_planes_have_their_own():
    planes = [exposure(fwhm)[0].data for fwhm in (2.2, 5.0)]
    stack = CCDData(np.stack(planes), unit=u.electron)
    cleaned = cosmicray_deepcr(stack, inpaint=None, **HOW)
    assert cleaned.header["CRPSF"] == "differs between planes"
    for plane, mask in zip(planes, cleaned.mask, strict=True):
        alone = cosmicray_deepcr(plane, inpaint=None, **HOW)[1]
        np.testing.assert_array_equal(mask, alone)


def test_raw_colours_are_told_their_width():
    """Each colour has every second pixel: stars are half as wide there."""
    ccd, _ = exposure(4.0)
    ccd.header["BAYERPAT"] = "RGGB"
    given = cosmicray_deepcr(ccd, inpaint=None, psffwhm=4.0, **HOW)
    red = ccd.data[::2, ::2]
    alone = cosmicray_deepcr(red, inpaint=None, psffwhm=2.0, **HOW)[1]
    np.testing.assert_array_equal(given.mask[::2, ::2], alone)


def test_hot_pixels_however_dense():
    rng = np.random.default_rng(1)
    frame = rng.poisson(50, (SIZE, SIZE)) + rng.normal(0, 4, (SIZE, SIZE))
    hot = rng.random(frame.shape) < 0.01
    frame[hot] += 20 * np.sqrt(66)
    cleaned = cosmicray_deepcr(CCDData(frame, unit=u.electron), inpaint=None, **HOW)
    assert cleaned.mask[hot].mean() > 0.95
    assert cleaned.mask[~hot].mean() < 0.002
