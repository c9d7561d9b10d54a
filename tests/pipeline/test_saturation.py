"""Saturation is a region: stars and their bleeding, and no cosmic ray."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData
from astropy.utils.exceptions import AstropyUserWarning

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability, detect_cosmics
from deepcr_ccd.nddata.gain import saturation_level
from deepcr_ccd.segmentation.connected import label_pixels

SHAPE = (240, 256)
LEVEL = 60000


def star(peak, width=2.5, shape=SHAPE, at=(100, 120)):
    """A star with a Moffat's wings."""
    y, x = np.indices(shape)
    r2 = (y - at[0]) ** 2 + (x - at[1]) ** 2
    return peak * (1 + r2 / width**2) ** -2.5


def bleeding(frame, rng, scatter=0.0, at=(100, 120), length=40, level=LEVEL):
    """Fill a column on both sides of a star, less and less wide."""
    for step in range(-length, length + 1):
        half = int(3 * (1 - abs(step) / length))
        columns = slice(at[1] - half, at[1] + half + 1)
        frame[at[0] + step, columns] = level + rng.normal(0, scatter, 2 * half + 1)


def make_frame(rng, peak=4e6, scatter=60.0):
    """Sky and a saturated star that bleeds; returns it and what is full."""
    frame = rng.poisson(300 + star(peak)) + rng.normal(0, 5, SHAPE)
    frame = np.minimum(frame, LEVEL)
    bleeding(frame, rng, scatter)
    return frame, frame > 0.9 * LEVEL


def add_tracks(frame, value):
    """Add tracks far from the star; returns where."""
    tracks = np.zeros(frame.shape, dtype=bool)
    for row in range(10, 230, 20):
        tracks[row, 200:206] = tracks[row + 1, 205:209] = True
    frame[tracks] = value
    return tracks


KINDS = {
    "float32": lambda a: a.astype("f4"),
    "big-endian integers": lambda a: np.rint(a).astype(">i4"),
    "uint16": lambda a: np.rint(a).astype("u2"),
    "lying": lambda a: a.T.astype("f4"),
    "tiny": lambda a: a * 1e-20,
    "less the sky": lambda a: (a - 300).astype("f4"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scatter", [0.0, 60.0])
def test_a_star_that_bleeds_is_left_out(kind, scatter):
    frame, full = make_frame(np.random.default_rng(3), scatter=scatter)
    tracks = add_tracks(frame, 3000)
    convert = KINDS[kind]
    near = np.zeros(full.shape, dtype=bool)
    near[30:210, 30:190] = True
    if kind == "lying":
        full, tracks, near = full.T, tracks.T, near.T
    cleaned = cosmicray_deepcr(CCDData(convert(frame), unit="adu"))
    assert cleaned.mask[tracks].mean() > 0.98
    assert not (cleaned.mask & near & ~tracks).any()
    assert full.sum() <= cleaned.header["CRNSKIP"] < 3 * full.sum()
    unchanged = cosmicray_deepcr(CCDData(convert(frame), unit="adu"), satlevel=np.inf)
    assert unchanged.header["CRNSKIP"] == 0
    assert unchanged.mask[full].sum() > 30


def test_levels_that_are_only_near_each_other():
    """After a flat field, pixels that were full are no longer equal."""
    rng = np.random.default_rng(5)
    frame, full = make_frame(rng, scatter=400.0)
    frame *= 1 + 0.03 * np.sin(np.arange(SHAPE[0]) / 40)[:, None]
    frame *= rng.normal(1, 0.004, SHAPE)
    probability = cosmicray_probability(frame.astype("f4"))
    assert np.isnan(probability[full]).mean() > 0.97
    assert np.isnan(probability).sum() < 3 * full.sum()
    assert not (probability > 0.5).any()


def test_amplifiers_with_levels_of_their_own():
    rng = np.random.default_rng(6)
    frame = rng.poisson(300 + star(4e6) + star(2e6, at=(100, 200))).astype("f4")
    frame[:, 160:] = np.minimum(frame[:, 160:], 40000)
    frame[:, :160] = np.minimum(frame[:, :160], LEVEL)
    bleeding(frame, rng)
    bleeding(frame, rng, at=(100, 200), level=40000)
    cleaned = cosmicray_deepcr(CCDData(frame, unit="adu"))
    full = (frame == LEVEL) | (frame == 40000)
    assert cleaned.header["CRNSKIP"] > 0.95 * full.sum()
    assert cleaned.header["CRNPIX"] <= 1


@pytest.mark.parametrize("dtype", ["u2", "i2"])
def test_values_that_wrap_around(dtype):
    """The core of a star whose counts began anew at zero is left out."""
    rng = np.random.default_rng(7)
    counts = rng.poisson(300 + star(3e5, 3.5)).astype("i8")
    frame = (counts % 65536).astype("u2").view(dtype)
    wrapped = counts > (65535 if dtype == "u2" else 32767)
    probability = cosmicray_probability(frame)
    assert np.isnan(probability[wrapped]).mean() > 0.95
    assert np.isnan(probability).sum() < 4 * wrapped.sum()
    assert not (probability > 0.5).any()


@pytest.mark.parametrize("shape", ["tracks", "column", "blobs"])
@pytest.mark.parametrize("satlevel", [None, "auto", 65535.0, 30000.0, np.inf])
def test_no_cosmic_ray_is_taken_for_saturation(shape, satlevel):
    """All its pixels may be at the converter's end: it has no wings."""
    frame = np.random.default_rng(8).normal(300, 18, (200, 200))
    tracks = np.zeros(frame.shape, dtype=bool)
    for k in range(20, 190, 24):
        if shape == "tracks":
            tracks[k, 30:40] = tracks[k + 1, 40:52] = True
            tracks[np.arange(k, k + 8), np.arange(80, 88)] = True
        elif shape == "column":
            tracks[k : k + 14, k] = True
        else:
            tracks[k : k + 3, 30:33] = tracks[k : k + 2, 80:84] = True
    frame[tracks] = 65535
    assert not np.isnan(cosmicray_probability(frame, satlevel=satlevel)).any()
    crmask, _ = detect_cosmics(frame, satlevel=satlevel)
    assert crmask[tracks].mean() > 0.9


def test_a_cosmic_ray_that_crosses_a_saturated_star():
    frame, _ = make_frame(np.random.default_rng(9), scatter=0)
    steps = np.arange(60)
    track = np.zeros(SHAPE, dtype=bool)
    track[130 - steps // 2, 90 + steps] = True
    frame[track] = LEVEL
    crmask = cosmicray_deepcr(frame, inpaint=None)[1]
    ends = track & (np.abs(np.arange(SHAPE[1]) - 120) > 12)
    assert crmask[ends].mean() > 0.95


def test_a_bad_column_at_the_end_of_the_scale():
    frame = np.random.default_rng(10).normal(300, 18, (200, 220))
    frame[60:, 77] = 65535
    ccd = CCDData(frame, unit="adu")
    cleaned = cosmicray_deepcr(ccd)
    assert 140 <= cleaned.header["CRNSKIP"] <= 3 * 143
    assert not cleaned.mask[:, 70:85].any()


FLAT = {
    "few counts": lambda rng: rng.poisson(3, (200, 200)).astype("u1"),
    "sky": lambda rng: rng.poisson(500, (200, 200)).astype("u2"),
    "constant": lambda _rng: np.full((50, 50), 7.0),
    "two values": lambda rng: (rng.random((100, 100)) < 0.4).astype("f4"),
    "stars": lambda rng: rng.poisson(300 + star(5e4, 4)).astype("u2"),
    "column": lambda rng: rng.normal(300, 18, SHAPE) + 90 * (np.arange(256) == 70),
    "lamp": lambda rng: rng.poisson(3e4 * np.hanning(200)[:, None] + np.ones(300)),
}


@pytest.mark.parametrize("kind", FLAT)
def test_nothing_is_saturated(kind):
    frame = FLAT[kind](np.random.default_rng(11))
    assert not np.isnan(cosmicray_probability(frame)).any()


def test_levels_that_headers_tell():
    for key, value in (("SATURATE", 50000), ("MAXLIN", "50000.0"), ("SATLEVEL", 5e4)):
        assert saturation_level(None, u.adu, {key: value}) == 50000
        assert saturation_level("auto", None, {key: value}) == 50000
        assert saturation_level(None, u.electron, {key: value}) is None
        assert saturation_level(None, u.electron, {key: value}, 2.0) == 100000
        assert saturation_level(np.inf, u.adu, {key: value}) == np.inf
        assert saturation_level(7, u.adu, {key: value}) == 7
    for value in (0, -1, "unknown", np.nan, np.inf):
        assert saturation_level(None, u.adu, {"SATURATE": value}) is None
    assert saturation_level(None, u.adu, {"SATURATA": 4e4, "SATURATB": 5e4}) == 5e4
    rng = np.random.default_rng(12)
    frame = rng.poisson(300 + star(1e5, 4)).astype("f4")
    ccd = CCDData(frame, unit="adu", meta={"SATURATE": 50000})
    assert cosmicray_deepcr(ccd).header["CRNSKIP"] == (frame >= 50000).sum() > 9
    ccd.header["SATURATE"] = 2e5
    assert cosmicray_deepcr(ccd).header["CRNSKIP"] == 0


@pytest.mark.filterwarnings("ignore:no pixel was examined")
def test_a_level_below_the_sky_leaves_all_of_it_out():
    frame = np.random.default_rng(13).normal(300, 18, (60, 60))
    with pytest.warns(AstropyUserWarning, match="satlevel=100 excludes 100 %"):
        assert not cosmicray_deepcr(frame, satlevel=100)[1].any()


def test_lazily_it_is_the_same():
    da = pytest.importorskip("dask.array")
    frame, full = make_frame(np.random.default_rng(14))
    frame[5, 7] = np.nan
    expected = np.isnan(cosmicray_probability(frame))
    assert expected[full].all()
    for chunks in (64, (240, 50), (37, 256)):
        lazy = cosmicray_probability(da.from_array(frame, chunks))
        np.testing.assert_array_equal(np.isnan(lazy.compute()), expected)


def test_groups_are_those_of_scipy():
    from scipy import ndimage

    where = np.random.default_rng(15).random((60, 70)) < 0.3
    for corners, structure in ((True, np.ones((3, 3))), (False, None)):
        number, labels = label_pixels(np.flatnonzero(where), 70, corners=corners)
        expected, count = ndimage.label(where, structure)
        assert number == count
        pairs = np.unique(np.stack([labels, expected[where]]), axis=1)
        assert pairs.shape[1] == number
