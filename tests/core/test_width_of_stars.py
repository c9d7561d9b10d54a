"""The width of the stars of a frame: measured, given, recorded, and what it changes."""

import dataclasses

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.nddata import CCDData

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability, detect_cosmics
from deepcr_ccd.models.loaded_network import MAX_ENGINES
from deepcr_ccd.models.model import Model, ModelCard
from deepcr_ccd.models.networks.build import build_network
from deepcr_ccd.notices import DeepCRWarning
from deepcr_ccd.preprocess.star_width import StarWidth
from deepcr_ccd.simulation.point_events import add_event

SIZE = 256
WIDTHS = [1.5, 3.0, 6.0]


@pytest.fixture(scope="module")
def how():
    """A model that is told, with random weights, and how it runs."""
    torch.manual_seed(3)
    arguments = {"width": [4, 6], "levels": 2, "stem": 2, "star_widths": WIDTHS}
    network = build_network("unet", arguments)
    for parameter in (*network.gains, *network.shifts):
        torch.nn.init.normal_(parameter, std=0.5)
    card = ModelCard(
        name="told",
        task="mask",
        architecture="unet",
        arguments=arguments,
        unit=None,
        transform="noise",
        instrument="any",
    )
    model = Model(card, network, device="cpu", precision="float32", engine="torch")
    frame = exposure(3.5)[0].data
    # Some pixels are flagged, and not all.
    threshold = float(np.percentile(model.probability(frame), 97))
    card = dataclasses.replace(card, threshold=threshold)
    model = Model(card, network, device="cpu", precision="float32", engine="torch")
    return {"model": model, "inpaint": None}


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


@pytest.fixture(autouse=True)
def _many_flags_are_expected(recwarn):
    """Random weights flag what they like."""


def test_recorded_as_measured(how):
    ccd, _ = exposure(3.5)
    cleaned = cosmicray_deepcr(ccd, **how)
    assert cleaned.header["CRPSF"] == pytest.approx(3.57, rel=0.1)
    assert "CRPSF" not in ccd.header


def test_what_is_given_counts(how):
    ccd, _ = exposure(3.5)
    told = cosmicray_deepcr(ccd, psffwhm=1.7, **how)
    assert told.header["CRPSF"] == 1.7
    assert (told.mask != cosmicray_deepcr(ccd, **how).mask).any()


def test_probability_and_detect_cosmics_take_it(how):
    ccd, _ = exposure(3.5)
    model = how["model"]
    sharp, wide = (
        cosmicray_probability(ccd, psffwhm=fwhm, model=model) for fwhm in (1.7, 3.5)
    )
    assert np.abs(sharp - wide).max() > 1e-4
    mask, _ = detect_cosmics(ccd.data, psffwhm=1.7, model=model)
    told = cosmicray_deepcr(ccd.data, psffwhm=1.7, **how)[1]
    np.testing.assert_array_equal(mask, told)
    # astroscrappy's default is not that of the frame.
    measured, _ = detect_cosmics(ccd.data, psffwhm=2.5, model=model)
    expected = detect_cosmics(ccd.data, model=model)[0]
    np.testing.assert_array_equal(measured, expected)
    assert (measured != mask).any()


@pytest.mark.parametrize("wrong", [0, -1, np.nan, np.inf, "wide", True, [2.0]])
def test_wrong_width(wrong):
    with pytest.raises(ValueError, match="psffwhm=.* must be a FWHM in px, above 0"):
        cosmicray_deepcr(np.zeros((32, 32)), psffwhm=wrong)


def test_a_model_that_is_not_told():
    ccd, _ = exposure(3.5)
    with pytest.warns(DeepCRWarning, match="psffwhm= has no effect"):
        cleaned = cosmicray_deepcr(ccd, model="ACS-WFC", psffwhm=2.0, inpaint=None)
    assert "CRPSF" not in cleaned.header


def test_dask_is_told_the_same(how):
    da = pytest.importorskip("dask.array")
    ccd, _ = exposure(3.5)
    lazy = CCDData(da.from_array(ccd.data, chunks=100), unit=u.electron)
    expected = cosmicray_deepcr(ccd, **how)
    got = cosmicray_deepcr(lazy, **how)
    assert got.header["CRPSF"] == expected.header["CRPSF"]
    np.testing.assert_array_equal(np.asarray(got.mask), expected.mask)
    given = cosmicray_deepcr(lazy, psffwhm=1.7, **how)
    assert given.header["CRPSF"] == 1.7


def test_planes_have_their_own(how):
    planes = [exposure(fwhm)[0].data for fwhm in (2.2, 5.0)]
    cleaned = cosmicray_deepcr(CCDData(np.stack(planes), unit=u.electron), **how)
    assert cleaned.header["CRPSF"] == "differs between planes"
    for plane, mask in zip(planes, cleaned.mask, strict=True):
        np.testing.assert_array_equal(mask, cosmicray_deepcr(plane, **how)[1])


def test_raw_colours_are_told_their_width(how):
    """Each colour has every second pixel: stars are half as wide there."""
    ccd, _ = exposure(4.0)
    ccd.header["BAYERPAT"] = "RGGB"
    given = cosmicray_deepcr(ccd, psffwhm=4.0, **how)
    red = ccd.data[::2, ::2]
    alone = cosmicray_deepcr(red, psffwhm=2.0, **how)[1]
    np.testing.assert_array_equal(given.mask[::2, ::2], alone)


def test_number_of_engines_is_bounded(how):
    model = how["model"]
    for fwhm in np.linspace(1.5, 6, 9):
        model.engine_for(StarWidth.of(fwhm))
    assert len(model._built) <= MAX_ENGINES
