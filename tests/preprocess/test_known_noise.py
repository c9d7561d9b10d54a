import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    InverseVariance,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.utils.exceptions import AstropyUserWarning

from deepcr_ccd import (
    clean_files,
    cosmicray_deepcr,
    cosmicray_probability,
    detect_cosmics,
)
from deepcr_ccd.preprocess.background import measure_background
from deepcr_ccd.preprocess.known_noise import KnownNoise, NoiseRatio
from deepcr_ccd.preprocess.noise_check import measure_ratio

READNOISE = 3.0


class OwnVariance(VarianceUncertainty):
    """A class of a user's own."""


def lines(axis=0, seed=1, tracks=12):
    """Return a raw frame with bright sky lines, its sky, and where tracks are."""
    rng = np.random.default_rng(seed)
    y = np.arange(400)[:, None]
    sky = np.full((400, 300), 30.0)
    for height, place in zip(
        rng.uniform(500, 20000, 25), rng.uniform(0, 400, 25), strict=True
    ):
        sky += height * np.exp(-0.5 * (y - place) ** 2)
    affected = np.zeros(sky.shape, dtype=bool)
    for _ in range(tracks):
        y, x = rng.integers(5, 390), rng.integers(5, 290)
        affected[y, x : x + 5] = True
    charge = affected * (8 * np.sqrt(sky + 9) + 100)
    raw = rng.poisson(sky + charge) + rng.normal(0, READNOISE, sky.shape)
    return tuple(np.swapaxes(a, 0, axis) for a in (raw, sky, affected))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("source", ["scene", "data"])
def test_subtracted_sky_lines(axis, source):
    raw, sky, affected = lines(axis)
    light = sky if source == "scene" else np.maximum(raw, 0)
    sigma = np.sqrt(light + READNOISE**2)
    ccd = CCDData((raw - sky).astype("f4"), unit="electron")
    # Without it, noise of bright lines is flagged.
    assert (cosmicray_deepcr(ccd, inpaint=None).mask & ~affected).sum() > 60
    masks = []
    for uncertainty in (
        StdDevUncertainty(sigma),
        StdDevUncertainty(1.5 * sigma / 1000, unit=u.Unit("1000 electron")),
        VarianceUncertainty(sigma**2),
        OwnVariance(sigma**2),
        InverseVariance(sigma**-2),
    ):
        ccd.uncertainty = uncertainty
        crmask = cosmicray_deepcr(ccd, inpaint=None).mask
        assert crmask[affected].mean() > 0.96
        assert (crmask & ~affected).sum() < 30
        masks.append(crmask)
    for crmask in masks:
        assert (crmask != masks[0]).sum() < 3
    # Pixels of low probability are only followed from others.
    assert masks[-1][cosmicray_probability(ccd) > 0.55].all()


@pytest.mark.parametrize(
    "options", [{"readnoise": READNOISE}, {"gain": 1, "readnoise": 5.0}, {}]
)
def test_noise_follows_a_known_background(options):
    raw, sky, affected = lines()
    crmask, _ = detect_cosmics(raw, inbkg=sky, satlevel=np.inf, **options)
    assert crmask[affected].mean() > 0.97
    assert (crmask & ~affected).sum() < 40
    assert detect_cosmics(raw / 2, inbkg=sky / 2)[0].sum() < 1.3 * affected.sum()


def test_background_that_is_not_finite_somewhere():
    raw, sky, affected = lines()
    whole, _ = detect_cosmics(raw, inbkg=sky)
    sky[7, 9] = np.nan
    raw[7, 9] += 5000
    part, cleaned = detect_cosmics(raw, inbkg=sky, cleantype="median")
    assert not part[7, 9]
    assert cleaned[7, 9] == raw[7, 9]
    assert (part != whole).sum() < 3
    assert np.isfinite(cleaned).all()
    with pytest.raises(ValueError, match="inbkg has no finite values"):
        detect_cosmics(raw, inbkg=np.full(raw.shape, np.nan))


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty])
@pytest.mark.parametrize("value", [0, np.nan, np.inf, 1e-3, 30.0**4])
def test_noise_that_cannot_be_true(rng, kind, value):
    frame = rng.normal(300, 17, (200, 150))
    frame[50, 40:46] += 400
    ccd = CCDData(frame, unit="adu")
    expected = cosmicray_deepcr(ccd).mask
    ccd.uncertainty = kind(np.full(frame.shape, value))
    with pytest.warns(AstropyUserWarning, match="uncertainty is not used"):
        crmask = cosmicray_deepcr(ccd).mask
    np.testing.assert_array_equal(crmask, expected)
    with pytest.warns(AstropyUserWarning, match="invar is not used"):
        crmask, _ = detect_cosmics(frame, invar=np.full(frame.shape, 1e9))
    np.testing.assert_array_equal(crmask, expected)


@pytest.mark.parametrize("lazy", [False, True])
def test_read_noise_that_cannot_be_true(rng, lazy):
    data = rng.normal(100, 5, (200, 200)).astype(np.float32)
    data[100, 50:60] += 200
    frame = pytest.importorskip("dask.array").from_array(data, 90) if lazy else data
    expected = np.asarray(cosmicray_probability(data))
    np.testing.assert_array_equal(
        cosmicray_probability(frame, readnoise=3, gain=1), expected
    )
    with pytest.warns(AstropyUserWarning, match="is 1e.03 times the scatter"):
        p = np.asarray(cosmicray_probability(frame, readnoise=5000, gain=1))
    np.testing.assert_array_equal(p, expected)


def test_uniform_uncertainties_change_nothing():
    """Uncertainties that hold the noise of stars and cosmic rays, and constant ones."""
    from deepcr_ccd.evaluation.frames import simulate_frames

    for seen in simulate_frames("extragalactic", 4, size=300, seed=9):
        ccd = CCDData(seen.frame, unit="electron")
        before = cosmicray_deepcr(ccd, inpaint=None).mask
        for light in (seen.frame, seen.noiseless, np.median(seen.frame)):
            variance = np.maximum(light, 0) + seen.readnoise**2
            ccd.uncertainty = VarianceUncertainty(np.full(ccd.shape, variance))
            after = cosmicray_deepcr(ccd, inpaint=None).mask
            assert (before & seen.truth & ~after).sum() <= 0.01 * before.sum() + 3
            assert (after & ~seen.truth).sum() <= (before & ~seen.truth).sum() + 3


def test_pixels_whose_noise_is_not_known(rng):
    frame = rng.normal(300, 17, (200, 150)).astype("f4")
    frame[50, 40:46] += 400
    frame[120, 40:46] += 400
    inverse = np.full(frame.shape, 17.0**-2)
    inverse[50] = 0
    inverse[51] = np.nan
    ccd = CCDData(frame, unit="adu", uncertainty=InverseVariance(inverse))
    crmask = cosmicray_deepcr(ccd).mask
    np.testing.assert_array_equal(crmask, cosmicray_deepcr(frame)[1])
    assert crmask[50, 40:46].all()


def test_frames_without_noise_cannot_be_compared():
    frame = np.full((90, 80), 60000, np.float32)
    frame[40, 30:36] += 5000
    uncertainty = StdDevUncertainty(np.full(frame.shape, 30.0))
    ccd = CCDData(frame, unit="adu", uncertainty=uncertainty)
    crmask = cosmicray_deepcr(ccd).mask
    np.testing.assert_array_equal(crmask, cosmicray_deepcr(frame)[1])


@pytest.mark.parametrize("scale", [1e-26, 1.0, 1e20])
def test_any_unit(scale):
    raw, sky, affected = lines()
    sigma = np.sqrt(sky + 9) * scale
    ccd = CCDData((raw - sky) * scale, unit="adu", uncertainty=StdDevUncertainty(sigma))
    crmask = cosmicray_deepcr(ccd, inpaint=None).mask
    assert (crmask & ~affected).sum() < 30
    assert crmask[affected].mean() > 0.97


def test_stacks_and_what_is_no_noise(rng):
    frames = rng.normal(300, 17, (2, 90, 80))
    frames[:, 50, 40:46] += 400
    stack = CCDData(frames, unit="adu")
    expected = cosmicray_deepcr(stack).mask
    sigma = np.full(frames.shape, 17.0)
    for uncertainty in (StdDevUncertainty(sigma), UnknownUncertainty(sigma)):
        stack.uncertainty = uncertainty
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = cosmicray_deepcr(stack, inpaint=None)
        np.testing.assert_array_equal(result.mask, expected)
    # An uncertainty that is true of one plane only.
    sigma[1] = 900
    stack.uncertainty = StdDevUncertainty(sigma)
    with pytest.warns(AstropyUserWarning, match="5[2345] times the scatter") as said:
        cosmicray_deepcr(stack)
    assert len(said) == 1


def test_photon_variance_per_signal(rng):
    scene = np.full((300, 300), 80.0)
    scene[::9, ::7] += 3000
    frame = rng.poisson(scene) + rng.normal(0, 4, scene.shape)
    noise = measure_background(frame.astype("f4"))
    for gain in (1.0, 4.0):
        variance = (np.maximum(frame, 0) + 16) / gain**2
        known = KnownNoise(variance, 2)
        part = measure_ratio(known, (frame / gain).astype("f4"), None, noise)
        assert part.slope == pytest.approx(1 / gain, rel=0.02)
    assert measure_ratio(KnownNoise(scene + 16, 2), frame, None, noise).slope == 0


def test_dask_uses_known_noise_as_memory_does():
    da = pytest.importorskip("dask.array")
    raw, sky, _ = lines()
    for sigma in (np.sqrt(sky + 9), np.sqrt(np.maximum(raw, 0) + 9)):
        data = (raw - sky).astype("f4")
        ccd = CCDData(data, unit="electron", uncertainty=StdDevUncertainty(sigma))
        expected = cosmicray_probability(ccd, precision="float32")
        mask = cosmicray_deepcr(ccd, precision="float32").mask
        for array in (sigma, da.from_array(sigma, chunks=(90, 300))):
            lazy = CCDData(da.from_array(data, chunks=(150, 111)), unit="electron")
            lazy.uncertainty = StdDevUncertainty(array)
            found = cosmicray_probability(lazy, precision="float32")
            np.testing.assert_allclose(found.compute(), expected, atol=2e-3)
            crmask = cosmicray_deepcr(lazy, precision="float32").mask
            assert np.mean(crmask.compute() != mask) < 1e-4


@pytest.mark.parametrize(("name", "power"), [("ERR", 1), ("VAR", 2), ("IVAR", -2)])
def test_files(name, power, tmp_path):
    raw, sky, affected = lines()
    hdus = [fits.PrimaryHDU(), fits.ImageHDU((raw - sky).astype("f4"), name="SCI")]
    noise = np.sqrt(sky + 9).astype("f4") ** power
    fits.HDUList([*hdus, fits.ImageHDU(noise, name=name)]).writeto(tmp_path / "a.fits")
    clean_files([tmp_path / "a.fits"], tmp_path / "out", unit="electron")
    with fits.open(tmp_path / "out" / "a.fits") as cleaned:
        changed = cleaned["SCI"].data != hdus[1].data
    assert changed[affected].mean() > 0.97
    assert (changed & ~affected).sum() < 30


def test_noise_of_objects_is_left_out():
    """Photon noise, and errors of the flat field, which grow with the signal."""
    low, slope = np.float32(8), 1.0
    excess = np.array([0, 50, 1000, 2e4, 1e5], np.float32)
    one = np.ones((1, 1), np.float32)
    for flat in (0, 0.01, 0.04):
        known = np.sqrt(low**2 + slope * excess + (flat * excess) ** 2)
        noise = KnownNoise(known[None], 1)
        ratio = NoiseRatio(noise, one, low * one, (1, 5), slope)
        np.testing.assert_allclose(ratio.relative(known, excess, low), 1, rtol=1e-3)
    brighter = ratio.relative(3 * low + 0 * excess, 0 * excess, low)
    np.testing.assert_allclose(brighter, 3, rtol=1e-3)
