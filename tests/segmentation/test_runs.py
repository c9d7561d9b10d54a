import numpy as np
import pytest
from astropy.nddata import CCDData

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability, detect_cosmics
from deepcr_ccd.segmentation.runs import (
    RUN,
    find_runs,
    highest_of_runs,
    sampled_rows,
)


def runs_one_by_one(plane):
    """Return which pixels are in runs, by going along every line."""
    found = np.zeros(plane.shape, dtype=bool)
    for values, inside in ((plane, found), (plane.T, found.T)):
        for line, where in zip(values, inside, strict=True):
            ends = np.flatnonzero(np.diff(line)) + 1
            for part in np.split(np.arange(line.size), ends):
                if part.size >= RUN:
                    where[part] = True
    return found


def measured_highest(plane):
    rows = sampled_rows(len(plane))
    return highest_of_runs(plane[rows], np.isnan(plane[rows]))


@pytest.mark.parametrize("seed", range(40))
def test_runs_along_rows_and_columns(seed):
    rng = np.random.default_rng(seed)
    plane = rng.normal(size=rng.integers(1, 100, 2))
    for _ in range(rng.integers(0, 8)):
        (y, x), (ny, nx) = rng.integers(0, plane.shape), rng.integers(1, 40, 2)
        plane[y : y + ny, x : x + nx] = rng.integers(0, 2)
    bad = rng.random(plane.shape) < 0.1
    expected = runs_one_by_one(plane) & ~bad
    found = find_runs(plane, bad, np.inf)
    assert (found is None) == (not expected.any())
    if found is not None:
        np.testing.assert_array_equal(found, expected)


def test_equal_values_may_be_data(rng):
    """In frames of few photons, of coarse converters, or without any noise."""
    shape = (200, 200)
    assert measured_highest(rng.normal(300, 18, shape)) == pytest.approx(300, abs=2)
    assert measured_highest(np.rint(rng.normal(300, 2, shape))) == 300
    padded = rng.normal(300, 18, shape)
    padded[:, :150] = 0
    assert measured_highest(padded) == 0
    for plane in (
        rng.poisson(0.05, shape).astype(float),
        np.rint(rng.normal(300, 0.3, shape)),
        np.full(shape, 7.0),
        np.full((3, 3), 7.0),
        np.full((1, 1), np.nan),
    ):
        assert measured_highest(plane) is None


def padded_frame(rng, fill):
    """Return a frame with a round field, its unexposed corners, and tracks beside."""
    y, x = np.indices((300, 300))
    outside = np.hypot(y - 150, x - 150) > 160
    outside[:20] = True
    data, affected = rng.normal(300, 18, (300, 300)), np.zeros((300, 300), dtype=bool)
    for start in range(60, 230, 20):
        affected[20:26, start] = affected[40:43, start + 7] = True
        affected[20, start + 7 : start + 12] = True
    data[affected] += 540
    data[outside] = fill
    return data, outside, affected & ~outside


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", ">i4", "u2"])
@pytest.mark.parametrize("fill", [0, 100])
def test_cosmic_rays_beside_padding_are_found(rng, fill, dtype):
    data, outside, affected = padded_frame(rng, fill)
    data = np.rint(data).astype(dtype)
    cleaned = cosmicray_deepcr(CCDData(data, unit="adu"))
    assert cleaned.mask[affected].mean() > 0.97
    assert not cleaned.mask[outside].any()
    assert cleaned.header["CRNSKIP"] > 0.98 * outside.sum()
    np.testing.assert_array_equal(cleaned.data[outside], data[outside])
    as_nan = np.where(outside, np.nan, data)
    same = cleaned.mask == cosmicray_deepcr(CCDData(as_nan, unit="adu")).mask
    assert same[~outside].mean() > 0.999
    assert detect_cosmics(data)[0][affected].mean() > 0.97
    assert np.isnan(cosmicray_probability(data)[outside]).mean() > 0.98


def test_bright_runs_are_of_saturated_stars(rng):
    """What happens to these is for ``satlevel=`` to say."""
    data = rng.normal(300, 18, (200, 200))
    data[50:150, 100:103] = 60000
    cleaned = cosmicray_deepcr(CCDData(data, unit="adu"), satlevel=np.inf)
    assert cleaned.header["CRNSKIP"] == 0


@pytest.mark.parametrize("chunks", [(300, 300), (70, 110)])
def test_dask_excludes_the_same(rng, chunks):
    da = pytest.importorskip("dask.array")
    data, _, affected = padded_frame(rng, 0)
    expected = cosmicray_probability(data)
    got = cosmicray_probability(da.from_array(data, chunks=chunks)).compute()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, atol=0.03)
    assert (got[affected] > 0.45).mean() > 0.95
