"""Frames of every class: masks are heeded, results are of the same class."""

import pathlib

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, NDData, NDDataRef, StdDevUncertainty
from astropy.utils.masked import Masked

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability, deepCR, inpaint
from deepcr_ccd import detect_cosmics as detect
from deepcr_ccd.nddata.array_classes import put_together


@pytest.fixture(scope="module")
def frame():
    """Plain sky with eight tracks, data and where they are; the upper half is bad."""
    rng = np.random.default_rng(0)
    data = (rng.poisson(300, (96, 96)) + rng.normal(0, 5, (96, 96))).astype("f4")
    tracks = np.zeros(data.shape, bool)
    for k in range(8):
        tracks[6 + 11 * k, 10 + 8 * k : 15 + 8 * k] = True
    data[tracks] += 1500
    mask = np.zeros(data.shape, bool)
    mask[:48] = True
    return data, tracks, mask


def dask_masked(data, mask):
    da = pytest.importorskip("dask.array")
    chunks = 48
    arrays = (da.from_array(part, chunks) for part in (data, mask))
    return da.ma.masked_array(*arrays)


MASKED = {
    "Masked": lambda data, mask: Masked(data, mask=mask),
    "Masked Quantity": lambda data, mask: Masked(data * u.adu, mask=mask),
    "numpy.ma": np.ma.MaskedArray,
    "numpy.ma, float64": lambda data, mask: np.ma.MaskedArray(data.astype(float), mask),
    "dask": dask_masked,
}


@pytest.mark.parametrize("kind", MASKED)
def test_masked_classes(frame, kind):
    data, tracks, mask = frame
    own = MASKED[kind](data, mask)
    cleaned, crmask = cosmicray_deepcr(own)
    if kind == "dask":
        assert cleaned.chunks == own.chunks
        assert crmask.chunks == own.chunks
        cleaned, crmask = cleaned.compute(), crmask.compute()
        own = own.compute()
    assert type(cleaned) is type(own)
    assert type(crmask) is np.ndarray
    assert getattr(cleaned, "unit", None) == getattr(own, "unit", None)
    assert not crmask[mask].any()
    assert crmask[tracks & ~mask].all()
    np.testing.assert_array_equal(cleaned.mask, mask | crmask)
    np.testing.assert_array_equal(own.mask, mask)
    values = cleaned.data if isinstance(cleaned, np.ma.MaskedArray) else None
    values = cleaned.unmasked if values is None else values
    np.testing.assert_array_equal(np.asarray(values)[mask], data[mask])
    assert np.asarray(values)[crmask].max() < 500


@pytest.mark.parametrize("kind", MASKED)
def test_masked_classes_elsewhere(frame, kind):
    data, tracks, mask = frame
    own = MASKED[kind](data, mask)
    p = np.asarray(cosmicray_probability(own))
    np.testing.assert_array_equal(np.isnan(p), mask)
    crmask, cleanarr = detect(own)
    assert not crmask[mask].any()
    assert crmask[tracks & ~mask].all()
    assert type(crmask) is type(cleanarr) is np.ndarray
    flagged = deepCR(mask="ACS-WFC", device="CPU").clean(own, inpaint=False)
    assert not flagged[mask].any()
    assert flagged[tracks & ~mask].all()
    # Which reads what is lazy.
    filled, _ = inpaint(own, tracks & ~mask, method="mean")
    if kind == "dask":
        own = own.compute()
    assert type(filled) is type(own)
    np.testing.assert_array_equal(filled.mask, mask)
    assert not np.shares_memory(filled.mask, own.mask)


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize(
    ("dtype", "given", "kept"),
    [
        *[("f4", -1, -1), ("f8", 1e300, 1e300), ("f4", np.inf, np.inf)],
        *[("i4", -1, -1), ("u2", 65535, 65535), ("i4", 2**31 - 1, 2.0**31)],
        *[("f4", np.nan, np.nan), ("f8", None, 1e20), ("i4", None, 1e20)],
    ],
)
def test_masked_arrays_keep_fill_value_and_hard_mask(frame, dtype, given, kept, hard):
    data, tracks, mask = frame
    how = {"fill_value": given, "hard_mask": hard}
    own = np.ma.MaskedArray(data.astype(dtype), mask, **how)
    before = own.copy()
    cleaned, crmask = cosmicray_deepcr(own, inpaint="mean")
    filled, _ = inpaint(own, mask, method="mean")
    for result in (cleaned, filled):
        assert result.hardmask is hard
        assert result.dtype == ("f8" if dtype == "f8" else "f4")
        assert result.fill_value == kept or np.isnan([result.fill_value, kept]).all()
        expected = np.array(kept, result.dtype)
        np.testing.assert_array_equal(result.filled()[mask], expected)
    # Pixels under a hard mask are filled, too; the user's stay.
    assert (filled.data != data)[mask].mean() > 0.9
    assert crmask[tracks & ~mask].all()
    np.testing.assert_array_equal(own.data, before.data)
    np.testing.assert_array_equal(own.mask, mask)
    assert own.hardmask is hard
    np.testing.assert_array_equal(own.fill_value, before.fill_value)


def test_fill_value_that_is_too_large_for_the_result():
    source = np.ma.MaskedArray(np.ones((4, 4)), fill_value=1e300)
    result = put_together(source, np.ones((4, 4), "f4"), np.zeros((4, 4), bool), None)
    assert result.fill_value == np.ma.default_fill_value(np.dtype("f4"))


def test_masked_chunks_keep_their_fill_value(frame):
    data, _, mask = frame
    da = pytest.importorskip("dask.array")
    own = da.from_array(np.ma.MaskedArray(data, mask, fill_value=-1), 48)
    cleaned, _ = cosmicray_deepcr(own, inpaint=None)
    assert cleaned.compute().fill_value == -1
    assert inpaint(own, mask, method="mean")[0].fill_value == -1


def test_ccddata_of_masked_chunks(frame):
    data, tracks, mask = frame
    cleaned = cosmicray_deepcr(CCDData(dask_masked(data, mask), unit="adu"))
    crmask = np.asarray(cleaned.mask)
    assert crmask[mask].all()
    assert crmask[tracks].all()
    assert (np.asarray(cleaned.data)[mask] == data[mask]).all()


def test_masks_of_masked_arrays(frame):
    """Where a mask is masked itself, a pixel is neither used nor filled."""
    data, tracks, mask = frame
    unknown = np.ma.MaskedArray(np.zeros_like(mask), mask)
    assert not detect(data, inmask=unknown)[0][mask].any()
    targets = np.ma.MaskedArray(tracks, mask)
    for asked in (targets, Masked(tracks, mask=mask)):
        filled, _ = inpaint(data, asked, method="mean")
        np.testing.assert_array_equal(filled != data, tracks & ~mask)


@pytest.mark.parametrize("container", [list, tuple])
def test_lists_of_ccddata(frame, container):
    data, _, mask = frame
    frames = [
        CCDData(
            data,
            unit="adu",
            mask=mask,
            meta=fits.Header({"OBJECT": "M 5"}),
            uncertainty=StdDevUncertainty(np.full(data.shape, 18.0)),
        ),
        CCDData(data[::-1, :80].astype(float), unit="electron"),
        NDDataRef(data[:64], unit="Jy", mask=mask[:64]),
    ]
    got = cosmicray_deepcr(container(frames))
    assert type(got) is list
    probabilities = cosmicray_probability(container(frames))
    for one, cleaned, p in zip(frames, got, probabilities, strict=True):
        alone = cosmicray_deepcr(one)
        assert type(cleaned) is type(one)
        assert cleaned.unit == one.unit
        assert cleaned.meta == alone.meta
        np.testing.assert_array_equal(cleaned.data, alone.data)
        np.testing.assert_array_equal(cleaned.mask, alone.mask)
        np.testing.assert_array_equal(p, cosmicray_probability(one))
    np.testing.assert_array_equal(
        got[0].uncertainty.array, cosmicray_deepcr(frames[0]).uncertainty.array
    )
    masks = [np.zeros(one.data.shape, bool) for one in frames]
    masks[1][50, 40] = True
    filled = inpaint(container(frames), masks, method="mean")
    changed = [(a.data != b.data).sum() for a, b in zip(frames, filled, strict=True)]
    assert changed == [0, 1, 0]
    same = [CCDData(data, unit="adu"), CCDData(data + 1, unit="adu")]
    for masks in (mask, np.stack([mask, mask])):
        filled = inpaint(same, masks, method="mean")
        assert [type(one) for one in filled] == [CCDData, CCDData]
        assert (filled[1].data != same[1].data)[mask].mean() > 0.9
    with pytest.raises(ValueError, match="mask has 1 masks for 2 frames"):
        inpaint(same, [mask])


def test_lists_are_checked_before_any_is_cleaned(frame):
    data, _, _ = frame
    good = CCDData(data, unit="adu")
    with pytest.raises(ValueError, match=r"ccd\[1\] has shape \(5,\)"):
        cosmicray_deepcr([good, CCDData(np.ones(5), unit="adu")])
    for bad in (data, data * u.adu, None, "frame.fits"):
        with pytest.raises(TypeError, match="ccd is a mixture of"):
            cosmicray_deepcr([good, bad])
    for function, name in ((detect, "indat"), (deepCR().clean, "img0")):
        with pytest.raises(TypeError, match=f"{name} is a list of CCDData"):
            function([good, good])


@pytest.mark.parametrize("kind", [k for k in MASKED if "64" not in k])
def test_lists_of_masked_arrays_are_stacks_with_masks(frame, kind):
    data, tracks, mask = frame
    cleaned, crmask = cosmicray_deepcr(
        [MASKED[kind](data, mask), MASKED[kind](data, ~mask)]
    )
    crmask = np.asarray(crmask)
    assert crmask.shape == (2, *data.shape)
    assert not (crmask[0] & mask).any()
    assert not (crmask[1] & ~mask).any()
    assert crmask[0][tracks & ~mask].all()
    assert crmask[1][tracks & mask].all()
    if kind == "Masked Quantity":
        assert cleaned.unit == u.adu


def test_lists_of_plain_arrays_are_stacks(frame):
    data, tracks, mask = frame
    cleaned, crmask = cosmicray_deepcr([data, data])
    assert type(cleaned) is np.ndarray
    assert cleaned.shape == (2, *data.shape)
    assert crmask[:, tracks].all()
    quantities, _ = cosmicray_deepcr([data * u.adu, data * u.adu])
    assert quantities.unit == u.adu
    np.testing.assert_array_equal(quantities.value, cleaned)
    rows = data.astype(float).tolist()
    assert cosmicray_deepcr(rows)[0].shape == data.shape
    with pytest.raises(ValueError, match=r"arrays of shapes \(9, 96\), \(96, 96\)"):
        cosmicray_deepcr([data, data[:9]])
    with pytest.raises(ValueError, match="ccd cannot be made an array"):
        cosmicray_deepcr([[1.0, 2.0], [3.0]])
    for other in (data * u.adu, Masked(data, mask=mask)):
        with pytest.raises(TypeError, match="ccd is a mixture of"):
            cosmicray_deepcr([np.ma.MaskedArray(data, mask), other])


def test_what_is_no_frame_says_how_to_read_it(frame, tmp_path):
    data, _, _ = frame
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data)])
    path = tmp_path / "frame.fits"
    hdus.writeto(path)
    with open(path, "rb") as file:
        wrong = [
            *("frame.fits", b"frame.fits", pathlib.Path("frame.fits"), file, None),
            *(hdus, hdus[1], hdus[0], ["a.fits", "b.fits"], [hdus[1], hdus[1]]),
            fits.CompImageHDU(data),
        ]
        for one in wrong:
            for function in (cosmicray_deepcr, cosmicray_probability, detect):
                with pytest.raises(TypeError, match="CCDData.read"):
                    function(one)
            with pytest.raises(TypeError, match="data.* CCDData.read"):
                inpaint(one, data > 0)
    with pytest.raises(ValueError, match="found in the 2-D frame"):
        cosmicray_deepcr(data[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda data: data.T,
        np.asfortranarray,
        lambda data: data[::-1, ::2],
        lambda data: np.asfortranarray(np.stack([data, data])),
        lambda data: data.T.astype(">f8"),
        lambda data: np.asfortranarray(data.astype("u2")),
    ],
)
def test_results_are_contiguous(frame, make):
    data = make(frame[0])
    mask = make(frame[2]).astype(bool)
    uncertainty = StdDevUncertainty(make(np.sqrt(np.abs(frame[0]))))
    ccd = CCDData(data, unit="adu", mask=mask, uncertainty=uncertainty)
    cleaned = cosmicray_deepcr(ccd, grow=1)
    filled = inpaint(ccd, mask, method="mean")
    out = [cleaned.data, cleaned.mask, cleaned.uncertainty.array]
    out += [filled.data, filled.uncertainty.array]
    out += cosmicray_deepcr(data, grow=1)
    out += cosmicray_deepcr(np.ma.MaskedArray(data, mask), inpaint=None)
    out += inpaint(data, mask, method="mean")
    out += [cosmicray_probability(ccd)]
    if data.ndim == 2:
        out += detect(data, inmask=mask)
        mdl = deepCR()
        out += [mdl.clean(data, inpaint=False), mdl.inpaint(data, mask)]
    for array in out:
        assert array.flags.c_contiguous
        assert array.dtype.isnative
    assert not ccd.data.flags.c_contiguous


@pytest.mark.parametrize("level", [300, 60000])
def test_float16_does_not_overflow(frame, level):
    data, tracks, _ = frame
    data = np.where(tracks, np.minimum(level + 5000, 65000), level + data / 10)
    data = data.astype(np.float16)
    cleaned, crmask = cosmicray_deepcr(data)
    expected, same = cosmicray_deepcr(data.astype(np.float32))
    np.testing.assert_array_equal(crmask, same)
    np.testing.assert_array_equal(cleaned, expected)
    assert crmask[tracks].all()
    crmask, cleaned = detect(data, inbkg=np.full(data.shape, level, np.float16))
    assert crmask[tracks].all()
    assert np.isfinite(cleaned).all()
    noise = np.full(data.shape, 2 if level == 300 else 30, "f2")
    ccd = CCDData(data, unit="adu", uncertainty=StdDevUncertainty(noise))
    assert np.isfinite(cosmicray_deepcr(ccd).uncertainty.array).all()


def test_nddata_whose_data_are_masked(frame):
    data, _, mask = frame
    cleaned = cosmicray_deepcr(NDData(Masked(data, mask=mask)))
    assert cleaned.mask[mask].all()
