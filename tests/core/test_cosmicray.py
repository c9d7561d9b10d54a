"""`cosmicray_deepcr`: what comes in and goes out, units, excluded pixels, fills."""

import copy
from functools import partial

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDData,
    NDDataArray,
    NDDataRef,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.utils.exceptions import AstropyUserWarning
from conftest import full_ccd, random_model
from scipy import ndimage

import deepcr_ccd
from deepcr_ccd.core.cosmicray import KEYWORDS
from deepcr_ccd.inpainting.local import fill_pixels
from deepcr_ccd.pipeline.detect import count_objects

# A published model, which needs electrons, unless a test says otherwise.
cosmicray_deepcr = partial(deepcr_ccd.cosmicray_deepcr, model="ACS-WFC")
cosmicray_probability = partial(deepcr_ccd.cosmicray_probability, model="ACS-WFC")


@pytest.fixture(scope="module")
def truth(ccd):
    """What ACS-WFC finds in the frame, as probability and mask."""
    probability = cosmicray_probability(ccd)
    return probability, probability > 0.5


def snapshot(ccd):
    return copy.deepcopy(ccd), ccd.data.tobytes()


def test_mask_is_the_thresholded_probability(ccd, truth):
    probability, crmask = truth
    assert crmask.sum() > 50
    cleaned = cosmicray_deepcr(ccd)
    np.testing.assert_array_equal(cleaned.mask, crmask)
    stricter = cosmicray_deepcr(ccd, threshold=0.9)
    np.testing.assert_array_equal(stricter.mask, probability > 0.9)
    assert stricter.mask.sum() < crmask.sum()


def test_flagged_pixels_are_filled_and_others_untouched(ccd, truth):
    _, crmask = truth
    cleaned = cosmicray_deepcr(ccd, inpaint="mean")
    np.testing.assert_array_equal(cleaned.data[~crmask], ccd.data[~crmask])
    fill, _ = fill_pixels(ccd.data, crmask, np.zeros_like(crmask), "mean")
    np.testing.assert_allclose(cleaned.data[crmask], fill, rtol=1e-6)
    assert np.median(ccd.data[crmask] - cleaned.data[crmask]) > 100
    kept = cosmicray_deepcr(ccd, inpaint=None)
    np.testing.assert_array_equal(kept.data, ccd.data)
    np.testing.assert_array_equal(kept.mask, crmask)
    assert kept.header["CRFILL"] == "none"


@pytest.mark.parametrize(
    ("kind", "power"),
    [(StdDevUncertainty, 1), (VarianceUncertainty, 2), (InverseVariance, -2)],
)
def test_ccddata_keeps_all_its_attributes(ccd, kind, power):
    full = full_ccd(ccd, kind)
    before, raw = snapshot(full)
    cleaned = cosmicray_deepcr(full)
    # the input
    assert full.data.tobytes() == raw
    np.testing.assert_array_equal(full.mask, before.mask)
    np.testing.assert_array_equal(full.uncertainty.array, before.uncertainty.array)
    assert full.header == before.header
    # the output
    assert type(cleaned) is CCDData
    assert cleaned.unit == u.electron
    assert cleaned.data.dtype == np.float32
    assert cleaned.mask.dtype == bool
    crmask = cleaned.mask & ~full.mask
    assert (cleaned.mask & full.mask == full.mask).all()
    assert not np.shares_memory(cleaned.mask, full.mask)
    np.testing.assert_array_equal(cleaned.data[full.mask], full.data[full.mask])
    np.testing.assert_array_equal(cleaned.flags, full.flags)
    np.testing.assert_array_equal(cleaned.psf, full.psf)
    assert cleaned.wcs.wcs.crval.tolist() == [10, 20]
    assert cleaned.wcs is not full.wcs
    assert cleaned.header["OBJECT"] == "M 5"
    assert type(cleaned.uncertainty) is kind
    _, sigma = fill_pixels(full.data, crmask, full.mask, "median")
    got = cleaned.uncertainty.array
    np.testing.assert_allclose(got[crmask], sigma**power, rtol=1e-5)
    np.testing.assert_array_equal(got[~crmask], full.uncertainty.array[~crmask])
    assert cleaned.uncertainty.parent_nddata is cleaned


def test_uncertainty_in_another_unit(ccd):
    full = full_ccd(ccd)
    expected = cosmicray_deepcr(full)
    filled = expected.mask & ~full.mask
    full.uncertainty = StdDevUncertainty(
        np.full(ccd.shape, 9.0), unit=1000 * u.electron
    )
    got = cosmicray_deepcr(full).uncertainty
    assert got.unit == 1000 * u.electron
    np.testing.assert_allclose(
        got.array[filled] * 1000, expected.uncertainty.array[filled], rtol=1e-5
    )


def test_unknown_uncertainty_is_left_alone(ccd):
    full = ccd.copy()
    full.uncertainty = UnknownUncertainty(np.full(ccd.shape, 9.0))
    with pytest.warns(AstropyUserWarning, match="UnknownUncertainty, which is not"):
        cleaned = cosmicray_deepcr(full)
    np.testing.assert_array_equal(cleaned.uncertainty.array, 9)


def test_equal_neighbours_leave_the_uncertainty():
    flat = CCDData(
        np.full((40, 40), 50.0),
        unit=u.electron,
        uncertainty=InverseVariance(np.full((40, 40), 0.02)),
    )
    flat.data[20, 20:24] = 3000
    cleaned = cosmicray_deepcr(flat)
    assert cleaned.mask[20, 20:24].all()
    np.testing.assert_array_equal(cleaned.uncertainty.array, 0.02)


def test_keywords(ccd, truth):
    _, crmask = truth
    full = full_ccd(ccd)
    full.data[50, 50] = np.nan
    header = cosmicray_deepcr(full).header
    assert header["CRMODEL"] == "ACS-WFC"
    assert header["CRTHRESH"] == 0.5
    assert header["CRNPIX"] == (crmask & ~full.mask).sum()
    assert header["CRNSKIP"] == 13
    assert header["CRFILL"] == "median"
    assert 3 <= header["CRNOBJ"] <= 12
    assert len(header["HISTORY"]) == 2
    assert "by ACS-WFC" in header["HISTORY"][1]
    assert all(len(key) <= 8 for key in KEYWORDS)
    assert "CRPSF" not in header, "of models that are told the width of stars"
    assert all(header.comments[key] for key in KEYWORDS if key in header)
    header.tostring()
    bare = cosmicray_deepcr(full, add_keyword=False).header
    assert bare == full.header


def test_written_file_reads_back(ccd, tmp_path):
    cleaned = cosmicray_deepcr(full_ccd(ccd))
    cleaned.flags = cleaned.psf = None
    cleaned.write(tmp_path / "a.fits")
    back = CCDData.read(tmp_path / "a.fits")
    np.testing.assert_array_equal(back.data, cleaned.data)
    np.testing.assert_array_equal(back.mask, cleaned.mask)
    assert back.unit == u.electron
    for key in KEYWORDS:
        assert back.header.get(key) == cleaned.header.get(key)


@pytest.mark.parametrize("history", [None, "taken", ["taken"]])
def test_plain_dict_headers(ccd, history):
    meta = {} if history is None else {"HISTORY": history}
    plain = NDData(ccd.data, unit=u.electron, meta=meta)
    cleaned = cosmicray_deepcr(plain)
    assert cleaned.meta["CRMODEL"] == "ACS-WFC"
    assert "cosmic rays" in str(cleaned.meta["HISTORY"])
    assert ("taken" in str(cleaned.meta["HISTORY"])) == (history is not None)
    assert plain.meta == meta


@pytest.mark.parametrize("kind", [NDData, NDDataRef, NDDataArray, CCDData])
def test_nddata_classes_come_back_as_they_are(ccd, truth, kind):
    class Mine(kind):
        pass

    for cls in (kind, Mine):
        mine = cls(ccd.data, unit=u.electron)
        mine.origin = "ours"
        cleaned = cosmicray_deepcr(mine)
        assert type(cleaned) is cls
        assert cleaned.origin == "ours"
        np.testing.assert_array_equal(cleaned.mask, truth[1])
        assert mine.mask is None


def test_arrays_give_cleaned_and_crmask(ccd, truth):
    cleaned, crmask = cosmicray_deepcr(ccd.data)
    assert type(cleaned) is np.ndarray
    np.testing.assert_array_equal(crmask, truth[1])
    np.testing.assert_array_equal(cleaned, cosmicray_deepcr(ccd).data)


def test_quantities(ccd, truth):
    quantity = ccd.data * u.electron
    cleaned, crmask = cosmicray_deepcr(quantity)
    assert cleaned.unit == u.electron
    np.testing.assert_array_equal(crmask, truth[1])
    np.testing.assert_array_equal(cleaned.value, cosmicray_deepcr(ccd).data)


def test_masked_arrays(ccd):
    mask = np.zeros(ccd.shape, dtype=bool)
    mask[10:20, 10:20] = True
    cleaned, crmask = cosmicray_deepcr(np.ma.MaskedArray(ccd.data, mask))
    assert isinstance(cleaned, np.ma.MaskedArray)
    assert not (crmask & mask).any()
    np.testing.assert_array_equal(cleaned.mask, mask | crmask)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i2", "u2", "i4", "u1", "i8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_dtypes(ccd, dtype, order):
    data = np.clip(np.rint(ccd.data), 0, 250 if dtype == "u1" else 30000)
    array = data.astype(np.dtype(order + dtype))
    cleaned, crmask = cosmicray_deepcr(array)
    assert cleaned.dtype == (np.float64 if dtype == "f8" else np.float32)
    assert cleaned.dtype.isnative
    reference = array.astype(np.float32)
    expected, mask = cosmicray_deepcr(reference)
    np.testing.assert_array_equal(crmask, mask)
    np.testing.assert_allclose(cleaned, expected, rtol=1e-5)


def test_arrays_of_any_memory_layout(ccd, truth, tmp_path):
    path = tmp_path / "frame.npy"
    np.save(path, ccd.data)
    readonly = ccd.data.copy()
    readonly.flags.writeable = False
    for array in (
        readonly,
        np.asfortranarray(ccd.data),
        np.repeat(ccd.data, 2, axis=1)[:, ::2],
        ccd.data[::-1, ::-1].copy()[::-1, ::-1],
        np.load(path, mmap_mode="r"),
    ):
        cleaned, crmask = cosmicray_deepcr(array)
        np.testing.assert_array_equal(crmask, truth[1])
        assert cleaned.flags.writeable
        cleaned = cosmicray_deepcr(CCDData(array, unit=u.electron))
        np.testing.assert_array_equal(cleaned.mask, truth[1])
        assert cleaned.data.flags.writeable


def test_float64_keeps_what_float32_cannot_hold():
    frame = np.full((32, 32), 100.0) + np.arange(32) * 1e-9
    frame[5, 5:9] = 4000
    cleaned, crmask = cosmicray_deepcr(frame)
    assert crmask[5, 5:9].all()
    np.testing.assert_array_equal(cleaned[~crmask], frame[~crmask])


# units and gain


def test_adu_with_gain_is_the_same_frame(ccd, truth):
    gain = 2.5
    full = full_ccd(ccd)
    full.header["GAIN"] = gain
    adu = CCDData(ccd.data / np.float32(gain), unit=u.adu, meta=full.header)
    for value in (gain, gain * u.electron / u.adu, "GAIN"):
        cleaned = cosmicray_deepcr(adu, gain=value)
        assert cleaned.unit == u.adu
        np.testing.assert_array_equal(cleaned.mask, truth[1])
        np.testing.assert_array_equal(cleaned.data[~truth[1]], adu.data[~truth[1]])
        p = cosmicray_probability(adu, gain=value)
        np.testing.assert_allclose(p, truth[0], atol=1e-4)


def test_scaled_units(ccd, truth):
    kilo = CCDData(ccd.data.astype(float) / 1000, unit=1000 * u.electron)
    np.testing.assert_array_equal(cosmicray_deepcr(kilo).mask, truth[1])


def test_decam_works_in_adu(ccd):
    adu = CCDData(ccd.data, unit=u.adu)
    how = {"model": "decam", "precision": "float32"}
    expected = cosmicray_probability(adu, **how)
    electrons = CCDData(ccd.data * 4, unit=u.electron)
    got = cosmicray_probability(electrons, gain=4, **how)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    with pytest.raises(ValueError, match="works in adu: give gain="):
        cosmicray_probability(electrons, model="decam")


def test_any_unit_serves_a_standardised_model(ccd):
    how = {"model": "WFC3-UVIS", "precision": "float32"}
    expected = cosmicray_probability(ccd, **how)
    for unit in (u.Jy, u.electron / u.s, u.dimensionless_unscaled):
        other = CCDData(ccd.data * 1e-3, unit=unit)
        got = cosmicray_probability(other, **how)
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_units_that_do_not_serve(ccd):
    with pytest.raises(ValueError, match="in adu .*give gain="):
        cosmicray_deepcr(CCDData(ccd.data, unit=u.adu))
    for unit in (u.Jy, u.dimensionless_unscaled, u.electron / u.s):
        with pytest.raises(ValueError, match="cannot be taken to electron"):
            cosmicray_deepcr(CCDData(ccd.data, unit=unit), gain=1.0)


def test_arguments_without_effect_warn(ccd):
    with pytest.warns(AstropyUserWarning, match="gain= has no effect") as caught:
        deepcr_ccd.cosmicray_deepcr(ccd, model="ACS-WFC", gain=1.0)
    assert caught[0].filename == __file__
    with pytest.warns(AstropyUserWarning, match="gain= has no effect") as caught:
        deepcr_ccd.cosmicray_probability(ccd, model="ACS-WFC", gain=1.0)
    assert caught[0].filename == __file__
    with pytest.warns(AstropyUserWarning, match="readnoise= has no effect"):
        cosmicray_deepcr(ccd, readnoise=5.0)


# what is excluded


def test_excluded_pixels(ccd, truth):
    probability, crmask = truth
    odd = ccd.copy()
    odd.data[30, 40] = np.nan
    odd.data[31, 40] = np.inf
    odd.data[32, 40] = -np.inf
    odd.mask = np.zeros(odd.shape, dtype=bool)
    odd.mask[60:64, 70] = True
    odd.data[60:64, 70] = 1e7
    bad = odd.mask | ~np.isfinite(odd.data)
    p = cosmicray_probability(odd)
    np.testing.assert_array_equal(np.isnan(p), bad)
    cleaned = cosmicray_deepcr(odd)
    assert cleaned.header["CRNSKIP"] == bad.sum() == 7
    np.testing.assert_array_equal(cleaned.data[bad], odd.data[bad])
    # Only as far as an ordinary pixel would reach, and hardly that.
    changed = np.abs(np.nan_to_num(p - probability)) > 1e-6
    y, x = np.nonzero(changed)
    near = (abs(y - 31) <= 10) & (abs(x - 40) <= 9) | (abs(y - 61.5) <= 10.5) & (
        abs(x - 70) <= 9
    )
    assert near.all()
    np.testing.assert_array_equal((p > 0.5)[~bad], crmask[~bad])


@pytest.mark.parametrize("value", [np.nan, 1e9, -1e9])
@pytest.mark.parametrize("tile_size", [None, 16])
def test_bad_pixels_disturb_no_more_than_ordinary_ones(value, tile_size, rng):
    frame = rng.normal(60, 8, (64, 64))
    expected = cosmicray_probability(frame)
    mask = rng.random(frame.shape) < 0.03
    mask[:, 17] = mask[31, :] = True
    ordinary = frame.copy()
    ordinary[mask] = rng.normal(60, 8, mask.sum())
    typical = np.abs(cosmicray_probability(ordinary) - expected).max()
    spoiled = np.where(mask, value, frame)
    got = cosmicray_probability(np.ma.MaskedArray(spoiled, mask), tile_size=tile_size)
    assert np.nanmax(np.abs(got - expected)) <= max(typical, 0.01)


def test_bad_regions_are_filled_alike_in_every_tiling(rng):
    frame = rng.normal(60, 8, (80, 90))
    frame[20:60, 30:70] = np.nan
    frame[rng.random(frame.shape) < 0.2] = np.nan
    whole = cosmicray_probability(frame)
    tiled = cosmicray_probability(frame, tile_size=16)
    np.testing.assert_allclose(tiled, whole, atol=1e-6)
    assert np.nanmax(whole) < 0.5


def test_saturation_level(ccd):
    """In any unit, a star that reaches it is excluded."""
    y, x = np.mgrid[: ccd.shape[0], : ccd.shape[1]]
    star = 2e5 * np.exp(-((y - 41) ** 2 + (x - 51) ** 2) / 8)
    bright = ccd.copy()
    bright.data = np.minimum(bright.data + star, 6e4 + ccd.data)
    core = bright.data >= 6e4
    skipped = cosmicray_deepcr(bright, satlevel=6e4).header["CRNSKIP"]
    assert skipped == core.sum() > 20
    adu = CCDData(bright.data / 2, unit=u.adu, meta={"SAT": 3e4, "G": 2.0})
    for level in (3e4, 3e4 * u.adu, 6e4 * u.electron, "SAT"):
        cleaned = cosmicray_deepcr(adu, gain=2, satlevel=level)
        assert cleaned.meta["CRNSKIP"] == skipped
        assert not cleaned.mask[core].any()
    assert cosmicray_deepcr(adu, gain=2, satlevel=np.inf).meta["CRNSKIP"] == 0


@pytest.mark.parametrize("how", ["mask", "nan"])
def test_frames_without_a_good_pixel(how):
    data = np.full((20, 20), 5.0)
    mask = how == "mask"
    if not mask:
        data[:] = np.nan
    frame = CCDData(data, unit=u.electron, mask=np.full(data.shape, mask))
    assert np.isnan(cosmicray_probability(frame)).all()
    with pytest.warns(AstropyUserWarning, match="no pixel was examined"):
        cleaned = cosmicray_deepcr(frame)
    assert cleaned.header["CRNPIX"] == 0
    assert cleaned.header["CRNSKIP"] == 400
    np.testing.assert_array_equal(cleaned.data, data)
    np.testing.assert_array_equal(cleaned.mask, frame.mask)


@pytest.mark.parametrize("value", [0.0, -500.0, 1e30, -1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_frames_give_finite_probabilities(value, dtype):
    frame = np.full((30, 30), value, dtype=dtype)
    frame[0, 0] = 1e300 if dtype == np.float64 else 1e38
    for model in ("ACS-WFC", "WFC3-UVIS", "decam"):
        p = cosmicray_probability(frame, model=model)
        assert np.isfinite(p).all()
        assert (p >= 0).all()
        assert (p <= 1).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 2), (5, 7)])
def test_tiny_frames(shape):
    cleaned, crmask = cosmicray_deepcr(np.full(shape, 50.0))
    assert cleaned.shape == crmask.shape == shape
    np.testing.assert_array_equal(cleaned, 50)


def test_grow(ccd, truth):
    _, crmask = truth
    masked = ccd.copy()
    masked.mask = np.zeros(ccd.shape, dtype=bool)
    y, x = np.argwhere(crmask)[0]
    masked.mask[y, x + 1 if not crmask[y, x + 1] else x - 1] = True
    base = cosmicray_deepcr(masked, inpaint=None).mask & ~masked.mask

    cross = ndimage.generate_binary_structure(2, 1)
    for grow, structure in ((1, cross), (1.5, np.ones((3, 3), bool))):
        grown = cosmicray_deepcr(masked, grow=grow, inpaint=None).mask & ~masked.mask
        expected = ndimage.binary_dilation(base, structure) & ~masked.mask
        np.testing.assert_array_equal(grown, expected)


@pytest.mark.parametrize("bad", [False, True])
def test_the_mask_is_where_the_probability_is_above_the_threshold(ccd, bad):
    frame = ccd.copy()
    if bad:
        frame.data[40:44, 30:50] = np.nan
        frame.data[::17, ::13] = np.inf
    probability = cosmicray_probability(frame)
    assert np.isnan(probability).any() == bad
    for threshold in (0.2, 0.9):
        found = cosmicray_deepcr(frame, threshold=threshold, inpaint=None)
        np.testing.assert_array_equal(found.mask, probability > threshold)


def test_stack_is_cleaned_plane_by_plane(ccd):
    other = ccd.data[::-1].copy()
    stack = CCDData(
        np.stack([ccd.data, other]),
        unit=u.electron,
        uncertainty=StdDevUncertainty(np.full((2, *ccd.shape), 9.0)),
    )
    cleaned = cosmicray_deepcr(stack)
    one = ccd.copy()
    one.uncertainty = StdDevUncertainty(np.full(ccd.shape, 9.0))
    two = one.copy()
    two.data = other
    parts = [cosmicray_deepcr(one), cosmicray_deepcr(two)]
    for i, part in enumerate(parts):
        np.testing.assert_array_equal(cleaned.data[i], part.data)
        np.testing.assert_array_equal(cleaned.mask[i], part.mask)
        np.testing.assert_allclose(cleaned.uncertainty.array[i], part.uncertainty.array)
    assert cleaned.header["CRNPIX"] == sum(p.header["CRNPIX"] for p in parts)
    assert cleaned.header["CRNOBJ"] == sum(p.header["CRNOBJ"] for p in parts)
    p = cosmicray_probability(stack)
    assert p.shape == stack.shape
    assert p.dtype == np.float32
    np.testing.assert_array_equal(p[1], cosmicray_probability(two))


@pytest.mark.parametrize(
    ("frame", "error", "match"),
    [
        (np.zeros(5), ValueError, r"ccd has shape \(5,\)"),
        (np.zeros((2, 2, 2, 2)), ValueError, "ccd has shape"),
        (np.zeros((0, 5)), ValueError, "not empty"),
        (np.zeros((3, 3), dtype=complex), TypeError, "real numbers, not complex"),
        (np.full((3, 3), "a"), TypeError, "real numbers"),
        (np.full((3, 3), None), TypeError, "real numbers, not object"),
        (5, ValueError, "ccd has shape"),
    ],
)
def test_bad_frames(frame, error, match):
    with pytest.raises(error, match=match):
        cosmicray_deepcr(frame)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"threshold": 1.5}, ValueError, "threshold=1.5 must be a probability"),
        ({"threshold": "high"}, ValueError, "threshold='high'"),
        ({"threshold": np.nan}, ValueError, "threshold=nan"),
        ({"grow": -1}, ValueError, "grow=-1 must be a radius"),
        ({"grow": "1"}, ValueError, "grow='1'"),
        ({"inpaint": "spline"}, ValueError, "inpaint='spline' is unknown; allowed"),
        ({"inpaint": "network", "model": "decam"}, ValueError, "names none"),
        ({"model": "nothing"}, ValueError, "'nothing' is unknown"),
        ({"model": "ACS-WFC-F606W-3-32"}, ValueError, "is unknown; .*known are"),
        ({"device": "cuda:77"}, ValueError, "is absent"),
        ({"tile_size": -2}, ValueError, "tile_size=-2"),
        ({"satlevel": "SAT"}, ValueError, "no keyword 'SAT'"),
        ({"gain": "G"}, ValueError, "no keyword 'G'"),
    ],
)
def test_bad_arguments(options, error, match):
    frame = np.full((16, 16), 50.0)
    with pytest.raises(error, match=match):
        cosmicray_deepcr(frame, **options)


def test_wrong_mask_shape():
    frame = NDData(np.zeros((4, 4)), unit=u.electron)
    for shape in ((3, 3), (4,), (1, 4, 4)):
        frame.mask = np.zeros(shape, dtype=bool)
        with pytest.raises(ValueError, match="mask of ccd has shape"):
            cosmicray_deepcr(frame)


def test_one_mask_for_all_planes(ccd):
    mask = np.zeros(ccd.shape, dtype=bool)
    mask[10:20] = True
    stack = NDData(np.stack([ccd.data, ccd.data]), unit=u.electron, mask=mask)
    cleaned = cosmicray_deepcr(stack)
    assert cleaned.mask.shape == stack.data.shape
    assert cleaned.mask[:, 10:20].all()


# filling


def test_auto_takes_the_network_in_its_domain_only(ccd):
    header = {"TELESCOP": "HST", "INSTRUME": "ACS", "DETECTOR": "WFC"}
    inside = CCDData(ccd.data, unit=u.electron, meta={**header, "FILTER1": "F606W"})
    outside = CCDData(ccd.data, unit=u.electron, meta={**header, "FILTER1": "F814W"})
    assert cosmicray_deepcr(inside).meta["CRFILL"] == "network"
    assert cosmicray_deepcr(outside).meta["CRFILL"] == "median"
    asked = cosmicray_deepcr(outside, inpaint="network")
    assert asked.meta["CRFILL"] == "network"
    np.testing.assert_array_equal(asked.data, cosmicray_deepcr(inside).data)


def test_network_in_another_unit(ccd):
    adu = CCDData(ccd.data / np.float32(2), unit=u.adu)
    expected = cosmicray_deepcr(ccd, inpaint="network").data
    got = cosmicray_deepcr(adu, gain=2, inpaint="network").data
    np.testing.assert_allclose(2 * got, expected, rtol=1e-4, atol=0.01)


@pytest.mark.filterwarnings("ignore:.*of the examined pixels")
def test_a_model_may_be_passed(ccd):
    model = random_model(threshold=0.0)
    cleaned = cosmicray_deepcr(full_ccd(ccd), model=model)
    # All pixels are CR-affected: there is nothing to fill from, and nothing is lost.
    assert cleaned.mask.all()
    np.testing.assert_array_equal(cleaned.data, ccd.data)
    np.testing.assert_array_equal(cleaned.uncertainty.array, 9)


@pytest.mark.filterwarnings("ignore:.*of the examined pixels")
def test_target_fpr(ccd):
    calibration = {"0.0001": 0.9, "0.01": 0.3}
    model = random_model(calibration=calibration)
    p = cosmicray_probability(ccd, model=model)
    for fpr, threshold in ((1e-4, 0.9), (1e-3, 0.6), (1e-2, 0.3)):
        cleaned = cosmicray_deepcr(ccd, model=model, target_fpr=fpr)
        assert cleaned.header["CRTHRESH"] == pytest.approx(threshold)
        np.testing.assert_array_equal(cleaned.mask, p > threshold)
    with pytest.raises(ValueError, match="is calibrated from 0.0001 to 0.01"):
        cosmicray_deepcr(ccd, model=model, target_fpr=0.5)
    with pytest.raises(ValueError, match="not both"):
        cosmicray_deepcr(ccd, model=model, target_fpr=1e-3, threshold=0.5)
    with pytest.raises(ValueError, match="'ACS-WFC' has no calibration"):
        cosmicray_deepcr(ccd, model="ACS-WFC", target_fpr=1e-3)


@pytest.mark.parametrize("how", ["satlevel", "mask", "nan outside"])
def test_rims_of_saturated_stars_are_not_flagged(how):
    """What hides the core of a star must not make its rim look like a cosmic ray."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:96, :96] - 48.3
    star = 1e6 / (1 + (y**2 + x**2) / 9) ** 2.5
    frame = rng.poisson(star + 200) + rng.normal(0, 4, star.shape)
    full = frame > 6e4
    assert full.sum() > 30
    ccd = CCDData(np.minimum(frame, 6e4), unit="electron")
    options = {}
    if how == "satlevel":
        options["satlevel"] = 6e4
    else:
        ccd.mask = full
    if how == "nan outside":
        ccd.data[0:5] = np.nan
    cleaned = cosmicray_deepcr(ccd, **options)
    assert cleaned.header["CRNPIX"] == 0
    assert cleaned.header["CRNSKIP"] == full.sum() + (480 if how[0] == "n" else 0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (7, 5), (40, 30)])
def test_objects_are_groups_that_touch(shape):
    rng = np.random.default_rng(5)
    for fraction in (0, 0.03, 0.3, 1):
        crmask = rng.random(shape) < fraction
        labels, number = ndimage.label(crmask, np.ones((3, 3)))
        assert count_objects(crmask) == number == labels.max()
