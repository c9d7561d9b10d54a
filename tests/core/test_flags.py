"""Integer flags of CCDData: bad ones are excluded, cosmic rays are entered."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, FlagCollection, StdDevUncertainty
from astropy.utils import minversion

from deepcr_ccd import DeepCRWarning, cosmicray_deepcr, cosmicray_probability


@pytest.fixture
def ccd():
    data = np.random.default_rng(0).normal(100, 5, (80, 80)).astype(np.float32)
    data[50, 50:60] += 500
    flags = np.zeros(data.shape, np.int16)
    flags[:, 0] = 1
    flags[50, 50] = 1  # bad, on the track
    flags[50, 55] = 2
    return CCDData(
        data,
        unit="electron",
        flags=flags,
        uncertainty=StdDevUncertainty(np.full(data.shape, 5.0)),
    )


def track(ccd):
    where = np.zeros(ccd.shape, dtype=bool)
    where[50, 51:60] = True
    return where


@pytest.mark.parametrize("inpaint", ["median", None])
@pytest.mark.parametrize(
    ("dq", "flagged", "filled"),
    [
        ("gemini", 8, 8),
        ({"cosmic_ray": 32, "bad": 1, "replaced": 16}, 32, 16),
        ({"cosmic_ray": 5, "bad": [1], "codes": True}, 5, 5),
    ],
)
def test_flags(ccd, dq, flagged, filled, inpaint):
    before = ccd.flags.copy()
    cleaned = cosmicray_deepcr(ccd, dq=dq, inpaint=inpaint, device="cpu")
    assert cleaned.header["CRNSKIP"] == 81
    np.testing.assert_array_equal(ccd.flags, before)
    number = flagged if inpaint is None else filled
    codes = isinstance(dq, dict) and "codes" in dq
    expected = np.where(track(ccd), number if codes else before | number, before)
    np.testing.assert_array_equal(cleaned.flags, expected)
    assert cleaned.flags.dtype == np.int16
    # Bad pixels are masked, and keep their values.
    np.testing.assert_array_equal(cleaned.mask, track(ccd) | (before == 1))
    assert cleaned.data[50, 50] == ccd.data[50, 50]
    if inpaint is not None:
        assert cleaned.data[50, 55] < 150


def test_without_a_convention_flags_stay(ccd):
    cleaned = cosmicray_deepcr(ccd, device="cpu")
    np.testing.assert_array_equal(cleaned.flags, ccd.flags)
    assert cleaned.mask[50, 50]
    assert not cleaned.mask[:, 0].any()


def test_planes_that_a_header_names(ccd):
    ccd.meta.update({"MP_BAD": 0, "MP_INTRP": 2, "MP_CR": 3})
    cleaned = cosmicray_deepcr(ccd, dq="lsst", device="cpu")
    assert (cleaned.flags[track(ccd)] & 12 == 12).all()
    del ccd.meta["MP_CR"]
    with pytest.raises(ValueError, match="the header of ccd names no plane MP_CR"):
        cosmicray_deepcr(ccd, dq="lsst", device="cpu")
    with pytest.raises(ValueError, match="from keywords MP_.*, and the header of ccd"):
        cosmicray_deepcr(CCDData(ccd, meta={}), dq="lsst", device="cpu")


@pytest.mark.skipif(not minversion("astropy", "8.0"), reason="reads no flags")
@pytest.mark.parametrize("kind", [fits.ImageHDU, fits.CompImageHDU])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4"])
def test_flags_that_astropy_reads_from_files(tmp_path, ccd, kind, dtype):
    hdus = [fits.PrimaryHDU()]
    for ver in (1, 2):
        flags = ccd.flags * (ver == 2)
        hdus += [
            fits.ImageHDU(ccd.data, name="SCI", ver=ver),
            kind(flags.astype(dtype), name="DQ"),
        ]
        hdus[-1].header["EXTVER"] = ver
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    places = {"hdu": ("SCI", 2), "hdu_flags": ("DQ", 2)}
    read = CCDData.read(tmp_path / "a.fits", unit="electron", **places)
    np.testing.assert_array_equal(read.flags, ccd.flags)
    cleaned = cosmicray_deepcr(read, dq="gemini", device="cpu")
    expected = np.where(track(ccd), ccd.flags | 8, ccd.flags)
    np.testing.assert_array_equal(cleaned.flags, expected)
    first = CCDData.read(
        tmp_path / "a.fits", unit="electron", hdu="SCI", hdu_flags="DQ"
    )
    assert not first.flags.any()


def test_lists_and_probabilities(ccd):
    first, second = cosmicray_deepcr([ccd, ccd], dq="gemini", device="cpu")
    np.testing.assert_array_equal(first.flags, second.flags)
    assert (first.flags[track(ccd)] & 8 > 0).all()
    probability = cosmicray_probability(ccd, dq="gemini", device="cpu")
    np.testing.assert_array_equal(np.isnan(probability), ccd.flags == 1)


def test_frames_without_flags(ccd):
    with pytest.warns(DeepCRWarning, match="dq= has no effect: ccd has no flags"):
        cosmicray_deepcr(CCDData(ccd.data, unit="adu"), dq="hst", device="cpu")
    with pytest.warns(DeepCRWarning, match="dq= has no effect: ccd has no flags"):
        cosmicray_deepcr(ccd.data, dq="hst", device="cpu")


def test_flags_that_cannot_be_used(ccd):
    ccd.flags = ccd.flags.astype(np.uint8)
    with pytest.raises(ValueError, match="dq='hst': the number 4096 .* ccd of uint8"):
        cosmicray_deepcr(ccd, dq="hst", device="cpu")
    with pytest.raises(ValueError, match=r"^dq\['replaced'\]=256 does not fit into fl"):
        dq = {"cosmic_ray": 8, "replaced": 256}
        cosmicray_deepcr(ccd, dq=dq, device="cpu")
    ccd.flags = ccd.flags.astype(float)
    with pytest.raises(TypeError, match="flags of ccd must be .* not float64"):
        cosmicray_deepcr(ccd, dq="gemini", device="cpu")
    ccd.flags = FlagCollection(shape=ccd.shape)
    with pytest.raises(TypeError, match="integers, not FlagCollection"):
        cosmicray_deepcr(ccd, dq="gemini", device="cpu")
    with pytest.raises(ValueError, match="dq='nots' is unknown"):
        cosmicray_deepcr(ccd, dq="nots", device="cpu")


def test_dask_arrays_have_no_flags(ccd):
    dask_array = pytest.importorskip("dask.array")
    lazy = CCDData(ccd.data, unit="adu", flags=ccd.flags)
    lazy._data = dask_array.from_array(ccd.data)
    with pytest.raises(ValueError, match="dq='gemini' needs frames in memory"):
        cosmicray_deepcr(lazy, dq="gemini", device="cpu")
    with pytest.raises(ValueError, match="dq needs frames in memory"):
        cosmicray_deepcr(lazy, dq={"cosmic_ray": 8}, device="cpu")
