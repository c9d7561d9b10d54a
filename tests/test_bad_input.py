"""The table of bad input: each row has a defined result, or an error of one line."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepcr_ccd import (
    clean_files,
    cosmicray_deepcr,
    cosmicray_probability,
    detect_cosmics,
    inpaint,
)
from deepcr_ccd.compat.deepcr import deepCR

SIDE = 24


def sample(dtype=np.float32):
    """A frame that any type can hold, with a cosmic ray on it."""
    frame = np.random.default_rng(0).normal(60, 4, (SIDE, SIDE))
    frame[10, 8:13] = 120
    return np.rint(frame).astype(dtype)


def with_value(value, dtype=np.float32):
    frame = sample(dtype)
    frame[3:5, 4] = value
    return frame


def read_only():
    frame = sample()
    frame.flags.writeable = False
    return frame


GOOD = {
    **{kind: sample(kind) for kind in ("u1", "i1", ">i2", "u2", "i4", "u8", "f2")},
    **{kind: sample(kind) for kind in ("<f4", ">f4", "<f8", ">f8", "g")},
    "bool": sample() > 62,
    "one pixel": sample()[:1, :1],
    "one row": sample()[:1],
    "one column": sample()[:, :1],
    "all NaN": np.full((SIDE, SIDE), np.nan),
    "all equal": np.full((SIDE, SIDE), 7.0),
    "all zero": np.zeros((SIDE, SIDE)),
    "NaN": with_value(np.nan),
    "inf": with_value(np.inf),
    "-inf": with_value(-np.inf),
    "1e30": with_value(1e30),
    "1e300": with_value(1e300, np.float64),
    "all 1e30": np.full((SIDE, SIDE), 1e30),
    "negative sky": sample() - 1000,
    "read-only": read_only(),
    "Fortran order": np.asfortranarray(sample()),
    "strided": np.repeat(sample(), 2, axis=1)[:, ::2],
    "list": sample().tolist(),
    "masked whole": np.ma.masked_all((SIDE, SIDE)),
}
BAD = {
    "0-size": np.zeros((0, SIDE)),
    "scalar": 5.0,
    "None": None,
    "1-D": np.zeros(SIDE),
    "4-D": np.zeros((1, 1, SIDE, SIDE)),
    "complex": sample().astype(complex),
    "object": np.full((SIDE, SIDE), None),
    "text": np.full((SIDE, SIDE), "a"),
    "dates": np.zeros((SIDE, SIDE), dtype="M8[s]"),
    "ragged": {"a": 1},
}


@pytest.mark.parametrize("row", GOOD)
@pytest.mark.filterwarnings("ignore:overflow encountered")
# All of a frame may be above the default satlevel of detect_cosmics.
@pytest.mark.filterwarnings("ignore:satlevel=65536 excludes 100 %")
@pytest.mark.filterwarnings("ignore:no pixel was examined")
@pytest.mark.filterwarnings("ignore:readnoise= is not used")
def test_every_door_takes(row):
    frame = GOOD[row]
    before = np.array(frame, copy=True)
    plain = np.asarray(np.ma.getdata(frame), dtype=np.float64)
    known = np.isfinite(plain) & ~np.ma.getmaskarray(frame)
    p = cosmicray_probability(frame)
    assert p.shape == plain.shape
    np.testing.assert_array_equal(np.isnan(p), ~known)
    assert ((p[known] >= 0) & (p[known] <= 1)).all()
    cleaned, crmask = cosmicray_deepcr(frame)
    assert not crmask[~known].any()
    assert np.isfinite(np.ma.getdata(cleaned)[known]).all()
    if not isinstance(frame, np.ma.MaskedArray):
        mask, clean = detect_cosmics(np.asarray(frame), readnoise=5.0)
        assert mask.dtype == bool
        assert clean.dtype.kind == "f"
        assert clean.shape == plain.shape
        assert not mask[~np.isfinite(plain)].any()
        assert deepCR("ACS-WFC").clean(frame, inpaint=False).shape == plain.shape
    if known.any() and known.sum() > 1:
        target = np.zeros(plain.shape, dtype=bool)
        target[tuple(np.argwhere(known)[0])] = True
        filled, sigma = inpaint(frame, target, method="median")
        assert np.isfinite(np.ma.getdata(filled)[target]).all()
        assert (sigma[~target] == 0).all()
    np.testing.assert_array_equal(
        np.asarray(np.ma.getdata(frame)), np.ma.getdata(before)
    )


@pytest.mark.parametrize("row", BAD)
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (cosmicray_deepcr, "ccd"),
        (cosmicray_probability, "ccd"),
        (detect_cosmics, "indat"),
        (lambda frame: inpaint(frame, np.zeros((SIDE, SIDE), bool)), "data"),
        (lambda frame: deepCR("ACS-WFC").clean(frame), "img0"),
    ],
)
def test_every_function_refuses(row, function, name):
    with pytest.raises((TypeError, ValueError)) as caught:
        function(BAD[row])
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "unit",
    [
        None, u.dimensionless_unscaled, u.adu, u.Jy, u.electron / u.s, u.m,
    ],
)  # fmt: skip
def test_units(unit):
    """The default model takes any; those of one camera say what they take."""
    data = sample()
    frame = data if unit is None else CCDData(data, unit=unit)
    expected = cosmicray_probability(data)
    np.testing.assert_array_equal(cosmicray_probability(frame), expected)
    if unit in (None, u.adu):
        return
    with pytest.raises(ValueError, match="cannot be taken to electron") as caught:
        cosmicray_deepcr(frame, model="ACS-WFC")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("unit", [u.mag, u.ABmag, u.dex, u.mag / u.arcsec**2])
@pytest.mark.parametrize("kind", [CCDData, u.Quantity])
def test_logarithmic_units_are_refused(unit, kind):
    """There cosmic rays are faint, and the noise is another."""
    if unit == u.ABmag and kind is u.Quantity:
        frame = u.Magnitude(sample(), unit)
    else:
        frame = kind(sample(), unit=unit)
    for function in (cosmicray_deepcr, cosmicray_probability):
        with pytest.raises(ValueError, match="ccd is in .*, which is logarithmic"):
            function(frame)


@pytest.mark.parametrize(
    ("function", "given", "match"),
    [
        (cosmicray_probability, "modell", "did you mean 'model'"),
        (inpaint, "metod", "did you mean 'method'"),
        (detect_cosmics, "sigclp", "did you mean 'sigclip'"),
        (cosmicray_probability, "sigclip", "nothing to tune"),
    ],
)
def test_unknown_arguments(function, given, match):
    with pytest.raises(TypeError, match=match):
        function(sample(), **{given: 1})


@pytest.mark.parametrize("wrong", [True, "0.5", [0.5], np.nan, 2])
@pytest.mark.parametrize("name", ["threshold", "extend_threshold"])
def test_thresholds_are_probabilities(name, wrong):
    with pytest.raises(ValueError, match=f"{name}=.*must be a probability"):
        cosmicray_deepcr(sample(), **{name: wrong})


VALUES = st.floats(width=32, allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None)
@given(
    data=hnp.arrays(
        dtype=st.sampled_from([np.float32, np.float64]),
        shape=hnp.array_shapes(min_dims=2, max_dims=2, max_side=20),
        elements=VALUES,
    ),
    fraction=st.floats(0, 1),
    grow=st.sampled_from([0, 1, 2.5]),
    fill=st.sampled_from(["auto", "median", "mean", "idw", "interpolate", None]),
    threshold=st.floats(0, 1),
)
@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.filterwarnings("ignore:.*of the examined pixels")
@pytest.mark.filterwarnings("ignore:no pixel was examined")
def test_what_holds_of_any_frame(data, fraction, grow, fill, threshold):
    bad = np.random.default_rng(0).random(data.shape) < fraction
    before = data.copy(), bad.copy()
    ccd = CCDData(data, mask=bad, unit=u.adu)
    result = cosmicray_deepcr(ccd, grow=grow, inpaint=fill, threshold=threshold)
    np.testing.assert_array_equal(data, before[0])
    np.testing.assert_array_equal(bad, before[1])
    found = result.mask & ~bad
    assert result.mask[bad].all()
    assert not found[~np.isfinite(data)].any()
    assert result.header["CRNPIX"] == found.sum()
    same = ~found if fill else np.ones_like(found)
    np.testing.assert_array_equal(result.data[same], data[same])
    assert np.isfinite(result.data[found]).all()


@pytest.mark.filterwarnings("ignore:.*of the examined pixels")
@pytest.mark.parametrize("seed", range(6))
def test_fills_of_pixels_that_overflow_in_the_unit_of_the_sky(seed):
    """The sky is the smallest number there is, and some pixels are 1."""
    rng = np.random.default_rng(seed)
    data = np.full((12, 20), 1e-45, np.float32)
    data.flat[rng.choice(data.size, 6, replace=False)] = [1, -1, 1, -1, 1e10, 3e-5]
    result = cosmicray_deepcr(CCDData(data, unit=u.adu))
    assert np.isfinite(result.data).all()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small file of several extensions, and its content."""
    path = tmp_path_factory.mktemp("fuzz") / "a.fits"
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(sample(">f4"), name="SCI"),
        fits.ImageHDU(sample(">f4") ** 0.5, name="ERR"),
        fits.ImageHDU(np.zeros((SIDE, SIDE), np.int16), name="DQ"),
    ]
    hdus[1].header["BUNIT"] = "ELECTRONS"
    hdus[1].header["GAIN"] = 1.5
    fits.HDUList(hdus).writeto(path)
    return path.read_bytes()


@settings(max_examples=80, deadline=None)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_cleaned_or_reported(whole, tmp_path_factory, data):
    """Bits that flip, and ends that are missing."""
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 4), "flips")):
        # Mostly in headers, where it hurts.
        place = data.draw(st.integers(0, len(content) * 8 - 1), "bit")
        content[place // 8] ^= 1 << place % 8
    if data.draw(st.booleans(), "cut"):
        content = content[: data.draw(st.integers(0, len(content)), "length")]
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "a.fits"
    path.write_bytes(content)
    table = clean_files([path], folder / "out", workers=1)
    (status,) = table["status"]
    assert status in ("done", "failed")
    left = [p.name for p in (folder / "out").glob("*")]
    assert left == (["a.fits"] if status == "done" else [])
    assert "\n" not in table["message"][0]
    assert path.read_bytes() == bytes(content)
    if status == "done":
        with fits.open(folder / "out" / "a.fits") as hdus:
            hdus.verify("ignore")
            assert sum(hdu.data is not None for hdu in hdus) >= 1
    else:
        assert table["message"][0]


CARD = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)


@settings(max_examples=60, deadline=None)
@given(
    cards=st.dictionaries(
        st.sampled_from(
            ["BUNIT", "GAIN", "RDNOISE", "EXTNAME", "EXTVER", "HISTORY", "BSCALE",
             "BZERO", "BLANK", "CRMODEL", "CRDIGEST", "WCSAXES", "CTYPE1", "CRVAL1",
             "DATE-OBS", "INSTRUME", "TELESCOP"]
        ),
        st.one_of(CARD, st.integers(-(2**31), 2**31), st.floats(-1e30, 1e30)),
        max_size=6,
    )
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_odd_headers_are_cleaned_or_reported(cards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    header = fits.Header()
    for key, value in cards.items():
        try:
            header[key] = value
        except ValueError:
            continue
    try:
        fits.PrimaryHDU(sample(), header).writeto(folder / "a.fits")
    except (ValueError, TypeError, fits.VerifyError):
        return
    table = clean_files([folder / "a.fits"], folder / "out", workers=1)
    (status,) = table["status"]
    assert status in ("done", "failed")
    left = [p.name for p in (folder / "out").glob("*")]
    assert left == (["a.fits"] if status == "done" else [])
    assert (status == "failed") == bool(table["message"][0]) or status == "done"
