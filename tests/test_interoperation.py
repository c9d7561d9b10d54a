"""The package among those that it is used with, each the real one."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.table import Table
from astropy.wcs import WCS

from deepcr_ccd import cosmicray_deepcr
from deepcr_ccd.demo import simulate
from deepcr_ccd.simulation.cosmic_rays import add_deposits, simulate_deposit

SHAPE = (160, 170)
BIAS, GAIN, READNOISE = 500.0, 2.0, 6.0


def sky(seed=1):
    """Stars on a sky, in electron, without noise and cosmic rays."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(SHAPE)
    scene = np.full(SHAPE, 150.0)
    table = {"x": [], "y": [], "flux": []}
    for _ in range(25):
        at, flux = rng.uniform(15, 145, 2), rng.uniform(5e3, 5e4)
        radius = np.hypot(y - at[0], x - at[1])
        scene += flux / (2 * np.pi * 1.5**2) * np.exp(-(radius**2) / (2 * 1.5**2))
        for key, value in zip(table, (at[1], at[0], flux), strict=True):
            table[key].append(value)
    return scene, Table(table)


def observe(scene, flat, rng):
    """Return a raw frame in adu, and which pixels are CR-affected."""
    deposits = [simulate_deposit(rng, pixel=15, thickness=20) for _ in range(40)]
    charge = add_deposits(scene, deposits, rng, 25)
    electrons = rng.poisson(scene * flat + charge) + rng.normal(0, READNOISE, SHAPE)
    header = {"EXPTIME": 60.0, "OBJECT": "field"}
    raw = CCDData(electrons / GAIN + BIAS, unit=u.adu, header=header)
    return raw, charge > 5 * np.sqrt(scene * flat + READNOISE**2)


@pytest.fixture(scope="module")
def night():
    """Calibrations, and three raw frames of one field."""
    rng = np.random.default_rng(4)
    flat = 1 + 0.05 * np.sin(np.arange(SHAPE[1]) / 20)[None] * np.ones(SHAPE)
    scene, table = sky()
    bias = CCDData(np.full(SHAPE, BIAS), unit=u.adu)
    frames = [observe(scene, flat, rng) for _ in range(3)]
    return bias, CCDData(flat, unit=u.dimensionless_unscaled), frames, scene, table


def test_in_a_reduction_of_ccdproc(night):
    ccdproc = pytest.importorskip("ccdproc")
    bias, flat, frames, scene, _ = night
    cleaned = []
    for raw, affected in frames:
        ccd = ccdproc.subtract_bias(raw, bias)
        ccd = ccdproc.create_deviation(
            ccd, gain=GAIN * u.electron / u.adu, readnoise=READNOISE * u.electron,
            disregard_nan=True,
        )  # fmt: skip
        ccd = ccdproc.gain_correct(ccd, GAIN * u.electron / u.adu)
        ccd = ccdproc.flat_correct(ccd, flat)
        result = cosmicray_deepcr(ccd)
        assert result.unit == u.electron
        assert result.header["EXPTIME"] == 60
        assert result.mask[affected].mean() > 0.93
        assert result.mask.mean() < 2 * affected.mean() + 0.01
        cleaned.append(result)
    stack = ccdproc.combine(cleaned, method="average", mem_limit=1e9)
    # Masked pixels do not count: what is left is noise.
    pull = (stack.data - scene) / np.sqrt((scene + READNOISE**2) / 3)
    assert (np.abs(pull) > 6)[~stack.mask].mean() < 3e-4
    assert np.std(pull[~stack.mask]) == pytest.approx(1, abs=0.1)


def test_with_ccd_process(night):
    ccdproc = pytest.importorskip("ccdproc")
    bias, _, ((raw, affected), *_), _, _ = night
    ccd = ccdproc.ccd_process(
        raw,
        master_bias=bias,
        error=True,
        gain=GAIN * u.electron / u.adu,
        readnoise=READNOISE * u.electron,
        gain_corrected=False,
    )
    result = cosmicray_deepcr(ccd)
    assert result.mask[affected].mean() > 0.93
    filled = result.mask & (result.data != ccd.data)
    assert filled.any()
    assert (result.uncertainty.array[filled] > 0).all()
    np.testing.assert_array_equal(
        result.uncertainty.array[~filled], ccd.uncertainty.array[~filled]
    )


def test_photometry_of_photutils(night):
    aperture = pytest.importorskip("photutils.aperture")
    bias, flat, ((raw, _), *_), scene, table = night
    data = (raw.data - bias.data) * GAIN / flat.data
    result = cosmicray_deepcr(CCDData(data, unit=u.electron))
    places = np.transpose([table["x"], table["y"]])
    circles = aperture.CircularAperture(places, 4)

    def measure(values, mask=None):
        return np.asarray(
            aperture.aperture_photometry(values, circles, mask=mask)["aperture_sum"]
        )

    truth = measure(scene)
    before, after = measure(data) / truth - 1, measure(result.data) / truth - 1
    assert np.abs(after).max() < 0.06
    assert np.abs(after).max() <= np.abs(before).max() + 5e-4
    masked = measure(result.data, result.mask)
    free = ~np.array([
        result.mask[int(y) - 5 : int(y) + 6, int(x) - 5 : int(x) + 6].any()
        for x, y in places
    ])  # fmt: skip
    assert free.sum() > 5
    # No star loses its core to the mask.
    np.testing.assert_array_equal(masked[free], measure(result.data)[free])


def test_reprojection(night):
    reproject = pytest.importorskip("reproject")
    _, _, ((raw, affected), *_), _, _ = night
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = 150.0, 2.0
    wcs.wcs.crpix = 80.0, 80.0
    wcs.wcs.cdelt = -1e-4, 1e-4
    ccd = CCDData(raw.data, unit=u.adu, wcs=wcs)
    result = cosmicray_deepcr(ccd)
    assert result.wcs.wcs.crval.tolist() == [150, 2]
    target = wcs.deepcopy()
    target.wcs.crpix = 84.0, 77.0
    moved, footprint = reproject.reproject_interp(result, target, shape_out=SHAPE)
    inside = footprint[3:-10, 10:-3] > 0
    assert inside.all()
    expected = np.roll(result.data, (-3, 4), (0, 1))
    np.testing.assert_allclose(
        moved[3:-10, 10:-3], expected[3:-10, 10:-3], rtol=1e-3, atol=0.05
    )
    # A cosmic ray of some thousand electrons would stand out.
    assert np.nanmax(moved[np.roll(affected, (-3, 4), (0, 1))]) < raw.data.max() / 1.5


def test_collections_of_ccdproc_give_frames(night, tmp_path):
    ccdproc = pytest.importorskip("ccdproc")
    _, _, frames, _, _ = night
    for i, (raw, _) in enumerate(frames):
        raw.write(tmp_path / f"raw{i}.fits")
    collection = ccdproc.ImageFileCollection(tmp_path, glob_include="raw*.fits")
    for ccd, name in collection.ccds(ccd_kwargs={"unit": "adu"}, return_fname=True):
        cosmicray_deepcr(ccd).write(tmp_path / f"clean_{name}")
    done = ccdproc.ImageFileCollection(tmp_path, glob_include="clean_*.fits")
    assert len(done.files) == 3
    assert min(done.values("crnpix")) > 0
    assert set(done.values("crmodel")) == {"universal"}


def test_round_trip_of_a_written_frame(tmp_path):
    ccd = simulate((80, 90), n_stars=5, n_tracks=6, seed=8)
    ccd.uncertainty = StdDevUncertainty(np.sqrt(np.maximum(ccd.data, 1)))
    result = cosmicray_deepcr(ccd)
    result.write(tmp_path / "a.fits")
    back = CCDData.read(tmp_path / "a.fits")
    np.testing.assert_array_equal(back.data, result.data)
    np.testing.assert_array_equal(back.mask, result.mask)
    np.testing.assert_array_equal(back.uncertainty.array, result.uncertainty.array)
    assert back.unit == result.unit
    for key in ("CRMODEL", "CRVERS", "CRTHRESH", "CRNPIX", "CRNOBJ", "CRNSKIP"):
        assert back.header[key] == result.header[key]
