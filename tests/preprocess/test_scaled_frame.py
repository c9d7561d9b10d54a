"""Frames in any unit: a frame times a number is found and filled as it was."""

import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty, VarianceUncertainty
from scipy import ndimage

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability, detect_cosmics, inpaint
from deepcr_ccd.preprocess.scaled_frame import find_scale_factor


@pytest.fixture(scope="module")
def scene():
    """Stars on plain sky with tracks, float64; some pixels are bad."""
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:160, :150]
    level = np.full(y.shape, 300.0)
    for _ in range(25):
        cy, cx = rng.uniform(5, 145, 2)
        level += rng.uniform(500, 9000) * np.exp(
            -((y - cy) ** 2 + (x - cx) ** 2) / 2 / 1.7**2
        )
    data = rng.poisson(level) + rng.normal(0, 5, y.shape)
    tracks = np.zeros(y.shape, bool)
    for k in range(12):
        tracks[8 + 12 * k, 10 + 9 * k : 15 + 9 * k] = True
    data[tracks] += 1500
    data[60:63, 20:24] = np.nan
    return data, tracks


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(scale, "f4") for scale in (1e-36, 1e-28, 1e-20, 1e18, 1e30)]
    + [(scale, "f8") for scale in (1e-200, 1e-40, 1e-26, 1e20, 1e35, 1e200)]
    + [(1e-28, ">f8"), (1e-28, ">f4")],
)
def test_scaling_a_frame_scales_its_fills(scene, scale, dtype):
    data, tracks = scene
    expected, crmask = cosmicray_deepcr(data)
    assert crmask[tracks].mean() > 0.9
    scaled = (data * scale).astype(dtype)
    got, same = cosmicray_deepcr(scaled)
    assert (same != crmask).sum() <= 2
    # Near a pixel whose flag differs by rounding, fills do too.
    both = same & crmask & ~ndimage.binary_dilation(same ^ crmask, iterations=5)
    back = got.astype(float) / scale
    np.testing.assert_allclose(back[both], expected[both], rtol=1e-3, atol=0.5)
    kept = ~(same | np.isnan(data))
    np.testing.assert_array_equal(got[kept], scaled[kept])


@pytest.mark.parametrize("power", [-90, -70, 60, 80])
@pytest.mark.parametrize("method", ["median", "mean", "idw", "interpolate", "network"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_powers_of_two_change_no_digit(scene, power, method, dtype):
    data, tracks = scene
    data = data.astype(dtype)
    scale = data.dtype.type(2.0**power)
    filled, sigma = inpaint(data, tracks, method=method, cr_affected=True)
    got, spread = inpaint(data * scale, tracks, method=method, cr_affected=True)
    np.testing.assert_allclose(got[tracks] / scale, filled[tracks], rtol=3e-6)
    np.testing.assert_allclose(spread[tracks] / scale, sigma[tracks], rtol=3e-5)
    p = cosmicray_probability(data)
    np.testing.assert_allclose(cosmicray_probability(data * scale), p, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-28, 1e25])
def test_uncertainties_of_scaled_frames(scene, scale):
    data, tracks = scene
    for kind, power in ((StdDevUncertainty, 1), (VarianceUncertainty, 2)):
        arrays = np.full(data.shape, (18.0 * scale) ** power)
        ccd = CCDData(data * scale, unit="Jy", uncertainty=kind(arrays))
        cleaned = cosmicray_deepcr(ccd, inpaint="mean")
        affected = cleaned.mask & ~np.isnan(data) & tracks
        sigma = cleaned.uncertainty.array[affected] ** (1 / power) / scale
        expected = inpaint(data, cleaned.mask, method="mean")[1][affected]
        np.testing.assert_allclose(sigma, expected, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e25])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_chunks_agree(scene, scale, dtype):
    da = pytest.importorskip("dask.array")
    data, tracks = scene
    data = (data * scale).astype(dtype)
    expected, crmask = cosmicray_deepcr(data)
    got, found = cosmicray_deepcr(da.from_array(data, (90, 70)))
    np.testing.assert_array_equal(found.compute(), crmask)
    assert crmask[tracks].mean() > 0.9
    back, expected = (
        np.asarray(part, float)[crmask] / scale for part in (got, expected)
    )
    np.testing.assert_allclose(back, expected, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e25])
def test_detect_cosmics_with_background_and_variance(scene, scale):
    data, tracks = scene
    options = {
        "inbkg": np.full(data.shape, 250 * scale),
        "invar": np.full(data.shape, 325 * scale**2),
        "satlevel": np.inf,
    }
    crmask, cleanarr = detect_cosmics(data * scale, **options)
    assert crmask[tracks].mean() > 0.9
    expected = detect_cosmics(data, inbkg=options["inbkg"] / scale, satlevel=np.inf)[1]
    both = crmask & tracks
    np.testing.assert_allclose(cleanarr[both] / scale, expected[both], rtol=0.02)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i2"])
@pytest.mark.parametrize("background", ["same", "float", "scalar"])
def test_unsigned_data_and_background(dtype, background):
    """Differences are those of numbers with a sign."""
    data = 100 + np.random.default_rng(0).poisson(3, (64, 64))
    data[20, 20:26] += 130 if dtype == "u1" else 2000
    inbkg = np.full((64, 64), 104)
    inbkg = inbkg.astype(dtype) if background == "same" else inbkg.astype(float)
    if background == "scalar":
        inbkg = 104
    crmask, cleanarr = detect_cosmics(data.astype(dtype), inbkg=inbkg)
    assert crmask[20, 20:26].all()
    assert crmask.sum() <= (12 if dtype == "u1" else 8)
    assert ((cleanarr[crmask] > 98) & (cleanarr[crmask] < 108)).all()


def test_ordinary_frames_are_not_scaled(scene):
    data, _ = scene
    for scale in (1e-6, 1e-3, 1.0, 1e3, 1e6):
        assert find_scale_factor(data * scale) == 1
    for scale in (1e-28, 1e20):
        factor = find_scale_factor(data * scale)
        assert np.log2(factor) == np.rint(np.log2(factor))
        assert 0.5 < factor * scale * 12 < 3
    assert find_scale_factor(np.zeros((9, 9))) == 1
    assert find_scale_factor(np.full((9, 9), np.nan)) == 1
    assert find_scale_factor(np.full((9, 9), 2.0**-90)) == 2.0**90
    bad = np.ones((9, 9), bool)
    assert find_scale_factor(np.zeros((9, 9), "u1"), bad) == 1
