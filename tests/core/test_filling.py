"""`inpaint`: a mask of the user's own is filled, in any kind of frame."""

import copy

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import UnknownUncertainty
from astropy.utils.exceptions import AstropyDeprecationWarning, AstropyUserWarning
from conftest import full_ccd

from deepcr_ccd import cosmicray_probability, inpaint
from deepcr_ccd.inpainting.local import fill_pixels


@pytest.fixture(scope="module")
def crmask(ccd):
    return cosmicray_probability(ccd, model="ACS-WFC") > 0.5


def test_array(ccd, crmask):
    before = ccd.data.copy()
    filled, sigma = inpaint(ccd.data, crmask, method="idw")
    value, spread = fill_pixels(ccd.data, crmask, np.zeros_like(crmask), "idw")
    np.testing.assert_array_equal(filled[crmask], value)
    np.testing.assert_array_equal(sigma[crmask], spread)
    np.testing.assert_array_equal(sigma[~crmask], 0)
    np.testing.assert_array_equal(filled[~crmask], before[~crmask])
    np.testing.assert_array_equal(ccd.data, before)


@pytest.mark.parametrize("method", ["median", "mean", "idw", "interpolate", "network"])
def test_ccd(ccd, crmask, method):
    full = full_ccd(ccd)
    before = copy.deepcopy(full)
    model = "ACS-WFC" if method == "network" else None
    filled = inpaint(full, crmask, method=method, model=model)
    np.testing.assert_array_equal(filled.mask, full.mask)
    assert (filled.uncertainty.array[crmask] != 9).all()
    assert (filled.uncertainty.array[~crmask] == 9).all()
    assert filled.header == before.header
    np.testing.assert_array_equal(full.data, before.data)
    assert np.abs(filled.data[crmask] - 60).mean() < 60


def test_fills_by_the_network_of_the_default_model():
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:120, :120]
    clean = np.full(y.shape, 100.0)
    for _ in range(25):
        cy, cx = rng.uniform(5, 115, 2)
        clean += rng.uniform(500, 4000) * np.exp(
            -((y - cy) ** 2 + (x - cx) ** 2) / 2 / 1.6**2
        )
    mask = rng.random(clean.shape) < 0.02
    frame = rng.poisson(clean).astype("f4")
    filled, sigma = inpaint(frame, mask)
    named = inpaint(frame, mask, method="network", model="universal")
    np.testing.assert_array_equal(filled, named[0])
    np.testing.assert_array_equal(sigma, named[1])
    median, _ = inpaint(frame, mask, method="median")
    error, other = (np.std((part - clean)[mask]) for part in (filled, median))
    assert error < 0.5 * other


def test_takes_the_previous_name_of_an_argument(rng):
    frame = rng.normal(100, 5, (40, 40))
    frame[20:22, 18:25] += 40 * np.arange(1, 8)
    crmask = frame > 130
    expected, _ = inpaint(frame, crmask, cr_affected=True)
    assert (expected != inpaint(frame, crmask)[0]).any()
    with pytest.warns(
        AstropyDeprecationWarning, match='argument "cr_affected" instead'
    ):
        got, _ = inpaint(frame, crmask, struck=True)
    np.testing.assert_array_equal(got, expected)


def test_warns_of_the_line_that_called_it(ccd, crmask):
    ccd = ccd.copy()
    ccd.uncertainty = UnknownUncertainty(np.ones(ccd.shape, np.float32))
    with pytest.warns(AstropyUserWarning, match="not renewed") as caught:
        inpaint(ccd, crmask, method="median")
    assert caught[0].filename == __file__


def test_quantity_and_masked_array(ccd, crmask):
    filled, sigma = inpaint(ccd.data * u.electron, crmask)
    assert filled.unit == sigma.unit == u.electron
    bad = np.zeros_like(crmask)
    bad[:, 50] = True
    filled, _ = inpaint(np.ma.MaskedArray(ccd.data, bad), crmask)
    np.testing.assert_array_equal(filled.mask, bad)


def test_with_an_inpainting_model(ccd, crmask):
    expected, _ = inpaint(ccd.data, crmask, method="network", model="ACS-WFC")
    got, _ = inpaint(ccd.data, crmask, method="network", model="ACS-WFC-F606W-2-32")
    np.testing.assert_array_equal(got, expected)
    half = ccd.data / np.float32(2) * u.adu
    adu, _ = inpaint(half, crmask, method="network", model="ACS-WFC", gain=2)
    np.testing.assert_allclose(2 * adu.value, expected, rtol=1e-4, atol=0.01)


def test_stack(ccd, crmask):
    stack = np.stack([ccd.data, ccd.data + 10])
    filled, _ = inpaint(stack, np.stack([crmask, crmask]), method="median")
    np.testing.assert_allclose(filled[1] - filled[0], 10, atol=1e-3)


@pytest.mark.parametrize(
    ("mask", "options", "error", "match"),
    [
        (np.zeros((3, 3), bool), {}, ValueError, "mask has shape"),
        (np.full((8, 8), "a"), {}, TypeError, "mask must hold truth values"),
        (np.ones((8, 8), bool), {}, ValueError, "mask leaves no good pixel"),
        (np.zeros((8, 8)), {"method": "x"}, ValueError, "method='x' is unknown"),
        (np.zeros((8, 8)), {"method": None}, ValueError, "method=None is unknown"),
    ],
)
def test_bad_arguments(mask, options, error, match):
    with pytest.raises(error, match=match):
        inpaint(np.zeros((8, 8)), mask, **options)
