import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty, VarianceUncertainty
from conftest import random_model

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability, load_model
from deepcr_ccd.demo import simulate
from deepcr_ccd.inpainting import network
from deepcr_ccd.nddata.uncertainty import POWERS
from deepcr_ccd.pipeline import dask_blocks as chunks
from deepcr_ccd.pipeline import dask_clean as chunked
from deepcr_ccd.preprocess import background as sky

da = pytest.importorskip("dask.array")

SHAPE = (301, 283)


@pytest.fixture(scope="module")
def frame():
    """Stars and tracks on a sky that varies, with bad pixels of all kinds."""
    ccd = simulate(SHAPE, n_stars=40, n_tracks=60, seed=3)
    data = ccd.data.astype(np.float32) + np.linspace(0, 300, SHAPE[1], dtype=np.float32)
    data[50:60, 100:103] = np.nan
    data[200, 5] = np.inf
    data[130:150, 140:160] = 9e4
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:, 222] = True
    # Wider than the network sees.
    mask[205:, :70] = True
    return data, mask


@pytest.fixture(scope="module")
def universal():
    return load_model("universal", device="cpu", precision="float32")


@pytest.fixture(autouse=True)
def chunks_as_they_are(monkeypatch):
    """Frames here are small, and so are their chunks: none are put together."""
    monkeypatch.setattr(chunks, "NARROW", 0)


CHUNKS = [(100, 90), (301, 283), ((37, 3, 261), (141, 142))]


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("what", ["plain", "bad"])
def test_chunks_give_what_the_frame_gives(frame, universal, chunks, what):
    data, mask = frame
    if what == "plain":
        data, mask = np.nan_to_num(data, nan=100, posinf=100), None
    whole = CCDData(data, mask=mask, unit="adu")
    lazy = CCDData(da.from_array(data, chunks), mask=mask, unit="adu")
    expected = cosmicray_probability(whole, model=universal)
    probability = cosmicray_probability(lazy, model=universal)
    assert probability.chunks == lazy.data.chunks
    np.testing.assert_allclose(probability.compute(), expected, atol=4e-6)
    options = {"model": universal, "grow": 1.5, "satlevel": 8e4}
    expected = cosmicray_deepcr(whole, **options)
    cleaned = cosmicray_deepcr(lazy, **options)
    assert cleaned.mask[expected.mask].all()
    np.testing.assert_array_equal(cleaned.mask.compute(), expected.mask)
    assert cleaned.data.dtype == expected.data.dtype
    np.testing.assert_allclose(cleaned.data.compute(), expected.data, rtol=2e-5)
    assert cleaned.unit == u.adu
    assert cleaned.header["CRMODEL"] == "universal"
    assert "CRNPIX" not in cleaned.header


def test_chunks_know_the_stars_of_their_blocks(frame, universal, monkeypatch):
    """Also where blocks are wider than chunks, and across their edges."""
    for module in (network, chunked):
        monkeypatch.setattr(module, "BLOCK_SIZE", 120)
    data, mask = frame
    expected = cosmicray_deepcr(CCDData(data, mask=mask, unit="adu"), model=universal)
    for sizes in ((100, 90), (37, 301)):
        lazy = CCDData(da.from_array(data, sizes), mask=mask, unit="adu")
        cleaned = cosmicray_deepcr(lazy, model=universal)
        np.testing.assert_array_equal(cleaned.mask.compute(), expected.mask)
        np.testing.assert_allclose(cleaned.data.compute(), expected.data, rtol=5e-5)


@pytest.mark.parametrize("name", ["ACS-WFC", "WFC3-UVIS"])
def test_other_transforms(frame, name):
    data, mask = frame
    data = data.astype(">f8")
    model = load_model(name, device="cpu", precision="float32")
    whole = CCDData(data, mask=mask, unit="adu")
    lazy = CCDData(da.from_array(data, (128, 101)), mask=da.asarray(mask), unit="adu")
    options = {"model": model} | ({"gain": 2.0} if name == "ACS-WFC" else {})
    expected = cosmicray_deepcr(whole, inpaint="median", **options)
    cleaned = cosmicray_deepcr(lazy, **options)
    np.testing.assert_array_equal(cleaned.mask.compute(), expected.mask)
    np.testing.assert_allclose(cleaned.data.compute(), expected.data, rtol=1e-6)
    assert cleaned.header["CRFILL"] == "median"
    if name == "ACS-WFC":
        with pytest.raises(ValueError, match="does not work on dask arrays"):
            cosmicray_deepcr(lazy, inpaint="network", **options)


def test_arrays_and_stacks(frame, universal):
    stack = np.nan_to_num(np.stack([frame[0], frame[0][::-1]]), nan=50, posinf=50)
    lazy = da.from_array(stack, (1, 150, 150))
    expected, mask = cosmicray_deepcr(stack, model=universal, inpaint="mean")
    cleaned, crmask = cosmicray_deepcr(lazy, model=universal, inpaint="mean")
    np.testing.assert_array_equal(crmask.compute(), mask)
    np.testing.assert_allclose(cleaned.compute(), expected, rtol=1e-5)
    cleaned, _ = cosmicray_deepcr(lazy, model=universal, inpaint=None)
    np.testing.assert_array_equal(cleaned.compute(), stack)


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty])
def test_uncertainty_is_that_of_the_fills(frame, universal, kind):
    data, mask = frame
    value = 9.0 ** POWERS[kind]
    uncertainty = kind(np.full(SHAPE, value))
    whole = CCDData(data, mask=mask, unit="adu", uncertainty=uncertainty)
    lazy = CCDData(
        da.from_array(data, 120), mask=mask, unit="adu", uncertainty=uncertainty
    )
    options = {"model": universal, "inpaint": "median"}
    expected = cosmicray_deepcr(whole, **options).uncertainty
    got = cosmicray_deepcr(lazy, **options).uncertainty
    assert type(got) is kind
    assert got.unit == expected.unit
    np.testing.assert_allclose(got.array.compute(), expected.array, rtol=1e-5)
    assert (uncertainty.array == value).all()


def test_uncertainties_without_a_value_stay(frame, universal):
    """A pixel without weight has 0 or NaN, and does not get the one-sigma of a fill."""
    data, mask = frame
    options = {"model": universal, "inpaint": "median"}
    flagged = cosmicray_deepcr(CCDData(data, mask=mask, unit="adu"), **options).mask
    sigma = np.full(SHAPE, 9.0)
    rows, columns = np.nonzero(flagged & ~mask)
    sigma[rows[::3], columns[::3]] = 0
    sigma[rows[1::3], columns[1::3]] = np.nan
    uncertainty = StdDevUncertainty(sigma)
    arrays = [
        cosmicray_deepcr(
            CCDData(values, mask=mask, unit="adu", uncertainty=uncertainty), **options
        ).uncertainty.array
        for values in (data, da.from_array(data, 120))
    ]
    assert (arrays[0][rows[::3], columns[::3]] == 0).all()
    assert np.isnan(arrays[0][rows[1::3], columns[1::3]]).all()
    np.testing.assert_allclose(arrays[1].compute(), arrays[0], rtol=1e-5)


def test_nothing_is_computed_before_it_is_asked_for(frame):
    """But for the measure of the frame, which is taken once."""
    seen = []

    def load(block):
        seen.append(block.shape)
        return block

    data = np.nan_to_num(frame[0], nan=60, posinf=60)
    data[130:150, 140:160] = 60
    lazy = da.from_array(data, (150, 283)).map_blocks(load, dtype=np.float32)
    seen.clear()
    model = random_model(transform="scaled")
    probability = cosmicray_probability(lazy, model=model)
    # One pass tells whether pixels are bad, and one whether any are saturated; a
    # transform without statistics needs none.
    assert len(seen) == 6
    seen.clear()
    probability = cosmicray_probability(lazy, model=model, satlevel=np.inf)
    assert len(seen) == 3
    seen.clear()
    probability[:40].compute()
    assert 1 <= len(seen) <= 2


def test_frames_without_a_good_pixel():
    lazy = da.full((40, 50), np.nan, chunks=20)
    p = cosmicray_probability(lazy)
    assert np.isnan(p.compute()).all()
    cleaned = cosmicray_deepcr(CCDData(lazy, unit="adu"))
    assert not cleaned.mask.compute().any()
    assert np.isnan(cleaned.data.compute()).all()


def test_bands_are_bounded(frame, universal, monkeypatch):
    monkeypatch.setattr(chunks, "BAND_PIXELS", 40 * SHAPE[1])
    data, mask = frame
    lazy = CCDData(da.from_array(data, 283), mask=mask, unit="adu")
    whole = CCDData(data, mask=mask, unit="adu")
    expected = cosmicray_probability(whole, model=universal)
    np.testing.assert_allclose(
        cosmicray_probability(lazy, model=universal).compute(), expected, atol=2e-6
    )


def test_on_a_cluster(frame, universal):
    distributed = pytest.importorskip("distributed")
    data, mask = frame
    options = {"model": universal}
    expected = cosmicray_deepcr(CCDData(data, mask=mask, unit="adu"), **options)
    lazy = CCDData(da.from_array(data, 150), mask=mask, unit="adu")
    with distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=":0"):
        cleaned = cosmicray_deepcr(lazy, **options)
        np.testing.assert_array_equal(cleaned.mask.compute(), expected.mask)
        np.testing.assert_allclose(cleaned.data.compute(), expected.data, rtol=2e-5)


def test_noise_of_many_bands_is_that_in_memory(rng, monkeypatch):
    """Bands are measured on threads, but for what keeps one band."""
    monkeypatch.setattr(sky, "SAMPLES_PER_BAND", 20_000)
    monkeypatch.setattr(chunks, "BAND_PIXELS", 100_000)
    frame = rng.normal(100, 5, (1000, 900)).astype(np.float32)
    frame += np.linspace(0, 300, 1000, dtype=np.float32)[:, None]
    bad = rng.random(frame.shape) < 0.05
    expected = sky.measure_background(frame, bad)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        threaded = sky.measure_background(frame, bad)
        lazy = sky.measure_background(
            chunks.Rows(da.from_array(frame, chunks=(150, 300)), np.asarray),
            chunks.Rows(da.from_array(bad, chunks=(150, 300)), np.asarray),
        )
    finally:
        torch.set_num_threads(before)
    for other in (threaded, lazy):
        np.testing.assert_array_equal(other.background, expected.background)
        np.testing.assert_array_equal(other.rms, expected.rms)


@pytest.mark.parametrize("kind", ["plain", "scaled", "compressed"])
def test_files_go_through_in_chunks_as_the_docs_say(kind, tmp_path, monkeypatch):
    """Run the code of docs/large_frames.rst, in chunks that fit a small frame."""
    page = Path(__file__).parents[2] / "docs" / "large_frames.rst"
    code = re.search(r"::\n\n((?: {4}.*\n|\n)+)", page.read_text()).group(1)
    assert "(1000, 2500)" in code
    code = textwrap.dedent(code).replace("(1000, 2500)", "(100, 120)")
    frame = simulate((280, 260), n_stars=40, n_tracks=40, seed=3)
    types = {"plain": np.float32, "scaled": np.uint16, "compressed": np.int16}
    counts = np.rint(np.clip(frame.data, 0, 32000)).astype(types[kind])
    make = fits.CompImageHDU if kind == "compressed" else fits.ImageHDU
    hdu = make(counts, name="SCI")
    hdu.header["OBJECT"] = ("M 5", "kept")
    monkeypatch.chdir(tmp_path)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto("mosaic.fits")
    exec(compile(code, page, "exec"), {})
    expected = cosmicray_deepcr(CCDData(counts, unit="adu"))
    assert expected.mask.sum() > 100
    with fits.open("cleaned.fits") as hdus:
        assert hdus[-1].header.cards["OBJECT"][1:] == ("M 5", "kept")
        np.testing.assert_allclose(hdus[-1].data, expected.data, rtol=1e-3, atol=0.5)
    mask = fits.getdata("mask.fits") > 0
    assert (mask != expected.mask).sum() <= 0.01 * expected.mask.sum()
