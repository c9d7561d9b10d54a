"""Raw colour frames are worked on colour by colour."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

from deepcr_ccd import clean_files, cosmicray_deepcr, cosmicray_probability, inpaint
from deepcr_ccd.nddata.bayer import colours_of, is_bayer

HEADER = {"BAYERPAT": "RGGB"}


def make_frame(shape=(301, 280), seed=0):
    """Sky in four colours with tracks; returns the frame, the sky, and the tracks."""
    rng = np.random.default_rng(seed)
    sky = np.tile([[1000.0, 1500], [1500, 1100]], (151, 140))[: shape[0], : shape[1]]
    frame = rng.poisson(sky).astype("f4")
    tracks = np.zeros(shape, dtype=bool)
    for _ in range(20):
        y, x = rng.integers(5, 270, 2)
        tracks[y : y + 2, x : x + 4] = True
    frame[tracks] += 3000
    return frame, sky, tracks


def test_each_colour_is_cleaned_by_itself():
    frame, sky, tracks = make_frame()
    ccd = CCDData(frame, unit="adu", meta=HEADER)
    cleaned = cosmicray_deepcr(ccd)
    assert cleaned.mask[tracks].mean() > 0.97
    # Beside the tracks, no more than their surely flagged pixels are followed to.
    assert cleaned.header["CRNPIX"] == cleaned.mask.sum() < tracks.sum() + 80
    alone = cosmicray_deepcr(ccd, extend_threshold=1)
    assert alone.mask.sum() < tracks.sum() + 40
    rest = (cleaned.data - sky)[tracks & cleaned.mask]
    assert np.abs(rest).mean() < 40
    np.testing.assert_array_equal(cleaned.data[~cleaned.mask], frame[~cleaned.mask])
    whole = cosmicray_deepcr(CCDData(frame, unit="adu"))
    assert whole.mask[tracks].mean() < 0.5
    for colour in colours_of(frame):
        part = cosmicray_deepcr(CCDData(frame[colour], unit="adu"))
        np.testing.assert_array_equal(part.mask, cleaned.mask[colour])
        np.testing.assert_array_equal(part.data, cleaned.data[colour])
    probability = cosmicray_probability(ccd)
    threshold = cleaned.header["CRTHRESH"]
    np.testing.assert_array_equal(probability > threshold, alone.mask)


def test_masks_grow_over_colours():
    frame, _, tracks = make_frame()
    mask = np.zeros(frame.shape, dtype=bool)
    mask[:, 100:110] = True
    ccd = CCDData(frame, unit="adu", meta=HEADER, mask=mask)
    plain = cosmicray_deepcr(ccd, inpaint="median")
    grown = cosmicray_deepcr(ccd, inpaint="median", grow=1)
    assert plain.header["CRNSKIP"] == mask.sum()
    assert grown.header["CRNPIX"] > 1.5 * plain.header["CRNPIX"]
    assert (grown.data[mask] == frame[mask]).all()
    assert (grown.mask & ~mask)[tracks & ~mask].mean() > 0.97


def test_fills_come_from_the_same_colour():
    frame, sky, tracks = make_frame()
    ccd = CCDData(frame, unit="adu", meta=HEADER)
    for method in ("median", "network"):
        filled = inpaint(ccd, tracks, method=method).data
        assert np.abs(filled - sky)[tracks].mean() < 40
    # Not so where nothing tells that there are colours.
    filled = inpaint(CCDData(frame, unit="adu"), tracks, method="median").data
    assert np.abs(filled - sky)[tracks].mean() > 60


def test_files_of_colour_cameras(tmp_path):
    frame, _, tracks = make_frame()
    header = fits.Header(HEADER)
    fits.PrimaryHDU(frame.astype("u2"), header).writeto(tmp_path / "c.fits")
    row = clean_files([tmp_path / "c.fits"], tmp_path / "out")[0]
    assert row["status"] == "done"
    cleaned = fits.getdata(tmp_path / "out" / "c.fits")
    assert (cleaned != frame)[tracks].mean() > 0.97
    assert (cleaned != frame).sum() < tracks.sum() + 80


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (3, 3)])
def test_small_frames(shape):
    ccd = CCDData(np.ones(shape), unit="adu", meta=HEADER)
    cleaned = cosmicray_deepcr(ccd)
    assert cleaned.shape == shape
    assert not cleaned.mask.any()


def test_which_frames_have_colours():
    frame = np.ones((4, 6))
    for header in (
        {"BAYERPAT": "RGGB"},
        {"BAYERPAT": "grbg    "},
        {"BAYERPATTERN": "BGGR"},
        {"COLORTYP": "GBRG", "XBAYROFF": 1},
        {"FILTER": "RGGB"},
        fits.Header({"BAYERPAT": "RGGB", "XBINNING": 1}),
    ):
        assert is_bayer(frame, header), header
        assert not is_bayer(np.ones((3, 4, 6)), header)
    for header in (
        None,
        {},
        {"BAYERPAT": ""},
        {"BAYERPAT": True},
        {"BAYERPAT": "NONE"},
        {"COLORTYP": "MONO"},
        {"FILTER": "G"},
        {"BAYERPAT": "RGGB", "XBINNING": 2, "YBINNING": 2},
    ):
        assert not is_bayer(frame, header), header


def test_lazily_they_are_refused():
    da = pytest.importorskip("dask.array")
    ccd = CCDData(da.ones((20, 20)), unit="adu", meta=HEADER)
    for function in (cosmicray_deepcr, cosmicray_probability):
        with pytest.raises(ValueError, match="Bayer"):
            function(ccd)
