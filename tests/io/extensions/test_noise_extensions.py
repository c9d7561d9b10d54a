"""Extensions that tell the noise follow filled pixels, or a warning names them."""

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
from conftest import random_model

from deepcr_ccd.batch.job import Job, run_job
from deepcr_ccd.batch.options import FileOptions
from deepcr_ccd.io.extensions.noise_planes import noise_kind
from deepcr_ccd.io.fits_file import FitsFile
from deepcr_ccd.io.fits_image import CleanedImage, Image

SHAPE = (4, 6)
PLACES = (np.array([0, 1, 2, 2]), np.array([3, 0, 1, 4]))
#: One-sigma of the fills; of the last nothing is known.
SIGMA = np.array([2.0, 4.0, 0.5, 0.0])
POWERS = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}


def plane(name, value=10.0, dtype="f4", shape=SHAPE, **header):
    hdu = fits.ImageHDU(np.full(shape, value, dtype), name=name)
    hdu.header.update(header)
    return hdu


def write_file(path, *planes, unit="electron"):
    image = plane("SCI", 100.0, BUNIT=unit) if unit else plane("SCI", 100.0)
    fits.HDUList([fits.PrimaryHDU(), image, *planes]).writeto(path)
    return path


def fill(path, sigma=SIGMA, **options):
    out = path.with_name("out.fits")
    file = FitsFile(path, **options)
    new = CleanedImage(PLACES, np.arange(4.0), sigma, [])
    file.write(out, [new] * len(file.images), overwrite=True)
    return out


@pytest.mark.parametrize(
    ("name", "header", "kind"),
    [
        ("ERR", {}, StdDevUncertainty),
        ("Error", {}, StdDevUncertainty),
        ("SIGMA", {}, StdDevUncertainty),
        ("RMS", {}, StdDevUncertainty),
        ("STDDEV", {}, StdDevUncertainty),
        ("NOISE", {}, StdDevUncertainty),
        ("ERR2", {}, StdDevUncertainty),
        ("SCIERR", {}, StdDevUncertainty),
        ("CHIP1.ERR", {}, StdDevUncertainty),
        ("VAR", {}, VarianceUncertainty),
        ("VARIANCE", {}, VarianceUncertainty),
        ("GREEN_VAR", {}, VarianceUncertainty),
        ("VAR_N1", {}, VarianceUncertainty),
        ("STAT", {}, VarianceUncertainty),
        ("IVAR", {}, InverseVariance),
        ("INV_VAR", {}, InverseVariance),
        ("INVVAR", {}, InverseVariance),
        ("WHT", {}, UnknownUncertainty),
        ("WEIGHT", {}, UnknownUncertainty),
        ("VAR_POISSON", {}, UnknownUncertainty),
        ("VAR_RNOISE", {}, UnknownUncertainty),
        ("SKY_RMS", {}, UnknownUncertainty),
        ("UNCERT", {}, StdDevUncertainty),
        ("UNCERT", {"UTYPE": "StdDevUncertainty"}, StdDevUncertainty),
        ("UNCERT", {"UTYPE": "VarianceUncertainty"}, VarianceUncertainty),
        ("UNCERT", {"UTYPE": "InverseVariance"}, InverseVariance),
        ("UNCERT", {"UTYPE": "ivar"}, InverseVariance),
        ("UNCERT", {"UTYPE": "UnknownUncertainty"}, UnknownUncertainty),
        ("ERR", {"UTYPE": "VarianceUncertainty"}, VarianceUncertainty),
        ("MYNOISE", {"UTYPE": "InverseVariance"}, InverseVariance),
        ("ERR", {"HDUCLAS2": "ERROR", "HDUCLAS3": "MSE"}, VarianceUncertainty),
        ("E1", {"HDUCLAS2": "ERROR", "HDUCLAS3": "INVMSE"}, InverseVariance),
        ("E1", {"HDUCLAS2": "ERROR", "HDUCLAS3": "INVRMSE"}, UnknownUncertainty),
        ("STD", {}, StdDevUncertainty),
        ("DERR", {}, StdDevUncertainty),
        ("ERRORS", {}, StdDevUncertainty),
        ("SIG_MAP", {}, StdDevUncertainty),
        ("VARIMG", {}, VarianceUncertainty),
        ("IVARIMG", {}, InverseVariance),
        ("INVERSE_VARIANCE", {}, InverseVariance),
        ("UNCERT_RAND", {}, UnknownUncertainty),
        ("DET01-IVARRAW", {}, UnknownUncertainty),
        ("SCI", {}, None),
        ("DQ", {}, None),
        ("READNOISE", {}, None),
        ("AREA", {}, None),
        ("", {}, None),
    ],
)
def test_kinds_of_noise(name, header, kind):
    assert noise_kind(name, fits.Header(header)) is kind


@pytest.mark.parametrize(
    ("name", "utype", "kind"),
    [
        ("ERR", None, StdDevUncertainty),
        ("VAR", None, VarianceUncertainty),
        ("IVAR", None, InverseVariance),
        ("UNCERT", None, StdDevUncertainty),
        ("UNCERT", "VarianceUncertainty", VarianceUncertainty),
        ("UNCERT", "InverseVariance", InverseVariance),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_planes_follow(tmp_path, name, utype, kind, compressed):
    """They are read as what they are, and hold the spread of the fills afterwards."""
    hdu = plane(name)
    if compressed:
        hdu = fits.CompImageHDU(hdu.data, name=name, quantize_level=0)
    if utype:
        hdu.header["UTYPE"] = utype
    path = write_file(tmp_path / "a.fits", hdu)
    uncertainty = FitsFile(path).images[0].read().uncertainty
    assert type(uncertainty) is kind
    assert (uncertainty.array == 10).all()
    assert uncertainty.unit == u.electron ** POWERS[kind]
    expected = np.full(SHAPE, 10.0, "f4")
    expected[PLACES] = [*SIGMA[:3] ** POWERS[kind], 10.0]
    np.testing.assert_array_equal(fits.getdata(fill(path), name), expected)


def test_all_planes_of_an_image_follow(tmp_path):
    planes = [plane(name) for name in ("VAR", "IVAR", "ERR")]
    path = write_file(tmp_path / "a.fits", *planes)
    out = fill(path)
    for name, power in {"ERR": 1, "VAR": 2, "IVAR": -2}.items():
        new = fits.getdata(out, name)
        np.testing.assert_allclose(new[PLACES][:3], SIGMA[:3] ** power)
        assert (new == 10).sum() == 24 - 3
    # Errors as such are the first to be believed.
    assert isinstance(FitsFile(path).images[0].read().uncertainty, StdDevUncertainty)


def test_planes_follow_the_image_of_their_version(tmp_path):
    path = tmp_path / "a.fits"
    hdus = [fits.PrimaryHDU()]
    for ver in (1, 2):
        hdus += [plane("SCI", 100.0), plane("VAR", 10.0 * ver)]
        hdus[-1].ver = hdus[-2].ver = ver
    fits.HDUList(hdus).writeto(path)
    file = FitsFile(path)
    news = [CleanedImage(PLACES, np.zeros(4), SIGMA * ver, []) for ver in (1, 2)]
    file.write(tmp_path / "out.fits", news)
    for ver in (1, 2):
        new = fits.getdata(tmp_path / "out.fits", ("VAR", ver))
        np.testing.assert_allclose(new[PLACES], [*(SIGMA * ver)[:3] ** 2, 10 * ver])


def test_what_ccddata_writes(tmp_path):
    for kind, power in POWERS.items():
        path = tmp_path / f"{kind.__name__}.fits"
        values = np.full(SHAPE, 10.0)
        CCDData(np.ones(SHAPE), unit="adu", uncertainty=kind(values)).write(path)
        new = CCDData.read(fill(path))
        assert type(new.uncertainty) is kind
        np.testing.assert_allclose(
            new.uncertainty.array[PLACES], [*SIGMA[:3] ** power, 10]
        )


@pytest.mark.parametrize(
    ("name", "unit", "factor"),
    [
        ("VAR", "Jy2", 1),
        ("VAR", "JY**2", 1),
        ("VAR", "Jy", 1),  # as of the image: somebody copied it
        ("VAR", "Jy squared", 1),  # unknown
        ("VAR", "mJy2", 1e6),
        ("IVAR", "Jy-2", 1),
        ("IVAR", "mJy-2", 1e-6),
        ("ERR", "mJy", 1e3),
    ],
)
@pytest.mark.filterwarnings("ignore:.*and the unit asked for is used")
def test_units_of_planes(tmp_path, name, unit, factor):
    path = write_file(tmp_path / "a.fits", plane(name, BUNIT=unit), unit="Jy")
    power = {"ERR": 1, "VAR": 2, "IVAR": -2}[name]
    new = fits.getdata(fill(path), name)[PLACES]
    np.testing.assert_allclose(new[:3], SIGMA[:3] ** power * factor, rtol=1e-6)
    for unit in (None, "adu"):
        image = FitsFile(path, unit=unit).images[0]
        expected = (u.Unit("adu") if unit else u.Jy) ** power
        one = 1 * image.read().uncertainty.unit
        assert one.to_value(expected) == pytest.approx(1 / factor)


def test_a_unit_that_does_not_go_with_the_image(tmp_path):
    path = write_file(tmp_path / "a.fits", plane("ERR", BUNIT="Jy"))
    with pytest.warns(AstropyUserWarning, match=r"a\.fits\[ERR,1\].*BUNIT 'Jy'"):
        out = fill(path)
    assert (fits.getdata(out, "ERR") == 10).all()
    assert FitsFile(path).images[0].read().uncertainty is None


@pytest.mark.parametrize(
    ("hdu", "why"),
    [
        (plane("WHT"), "a variance, a weight or something else"),
        (plane("VAR_POISSON"), "a variance, a weight or something else"),
        (plane("UNCERT", UTYPE="UnknownUncertainty"), "a variance, a weight"),
        (plane("VAR", shape=(2, 3)), r"its shape \(2, 3\) is not that"),
    ],
)
def test_what_does_not_follow_is_named(tmp_path, hdu, why):
    path = write_file(tmp_path / "a.fits", hdu)
    with pytest.warns(AstropyUserWarning, match=rf"a\.fits\[{hdu.name},1\].*{why}"):
        out = fill(path)
    assert (fits.getdata(out, hdu.name) == 10).all()
    # Nothing is stale where nothing was filled.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fill(path, sigma=None)


def test_tables_named_like_noise_are_left_alone(tmp_path):
    table = fits.BinTableHDU.from_columns(
        [fits.Column("slit", "J", array=[1, 2])], name="VAR"
    )
    path = write_file(tmp_path / "a.fits", table)
    assert fits.getdata(fill(path), "VAR")["slit"].tolist() == [1, 2]


def test_integers_zeros_and_what_is_no_number(tmp_path):
    """Pixels of no weight get none, and a small noise does not become none."""
    values = np.full(SHAPE, 10.0, "f4")
    values[0, 3], values[1, 0], values[3, 5] = np.nan, 0, np.nan
    floats = fits.ImageHDU(values, name="IVAR")
    whole = plane("VAR", 10, "i2")
    whole.data[0, 3] = 0
    scaled = plane("ERR", 10, "u2")
    path = write_file(tmp_path / "a.fits", floats, whole, scaled)
    out = fill(path, sigma=np.array([2.0, 4.4, 0.2, 0.4]))
    expected = values.copy()
    expected[PLACES] = [np.nan, 0, 25, 6.25]
    np.testing.assert_allclose(fits.getdata(out, "IVAR"), expected)
    new = fits.getdata(out, "VAR")
    assert new.dtype == ">i2"
    assert new[PLACES].tolist() == [0, 19, 1, 1]
    assert fits.getdata(out, "ERR")[PLACES].tolist() == [2, 4, 1, 1]


def test_constant_planes(tmp_path):
    """HST's arrays of one value become explicit; of those of 0 nothing is known."""
    for value in (7.5, 0.0):
        hdu = fits.ImageHDU(name="ERR")
        hdu.header.update({"NPIX1": 6, "NPIX2": 4, "PIXVALUE": value})
        path = write_file(tmp_path / f"{value}.fits", hdu)
        with fits.open(fill(path)) as hdus:
            assert ("PIXVALUE" in hdus["ERR"].header) == (value == 0)
            if value:
                new = hdus["ERR"].data[PLACES]
                np.testing.assert_array_equal(new, [2, 4, 0.5, 7.5])


@pytest.mark.parametrize("name", ["ERR", "VAR", "IVAR"])
def test_a_cleaned_file_says_the_spread(tmp_path, name):
    rng = np.random.default_rng(0)
    data = rng.normal(300, 17, (128, 128)).astype("f4")
    data[40, 30:36] += 2000
    data[80:84, 70] += 2000
    path = tmp_path / "a.fits"
    values = {"ERR": 20.0, "VAR": 400.0, "IVAR": 1 / 400}
    hdu = plane(name, values[name], shape=data.shape)
    fits.HDUList([fits.PrimaryHDU(data), hdu]).writeto(path)
    row = run_job(Job(path, tmp_path / "out.fits"), FileOptions())
    assert row["status"] == "done"
    with fits.open(tmp_path / "out.fits") as hdus:
        crmask = hdus["MASK"].data > 0
        new = hdus[name].data
    sigma = {"ERR": new, "VAR": new**0.5, "IVAR": new**-0.5}[name]
    assert crmask[40, 30:36].all()
    assert ((sigma[crmask] > 5) & (sigma[crmask] < 60)).all()
    np.testing.assert_allclose(sigma[~crmask], 20, rtol=1e-6)
    assert (np.abs(sigma[crmask] - 20) > 1e-3).all()


def test_noise_is_read_for_models_that_use_it(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    path = tmp_path / "a.fits"
    hdu = plane("ERR", shape=(64, 64))
    fits.HDUList([fits.PrimaryHDU(rng.normal(300, 17, (64, 64))), hdu]).writeto(path)
    read = Image.read
    asked = []

    def spy(image, **options):
        ccd = read(image, **options)
        asked.append(ccd.uncertainty)
        return ccd

    monkeypatch.setattr(Image, "read", spy)
    other = tmp_path / "other.safetensors"
    random_model(unit=None, transform="standardized", threshold=1.0).save(other)
    run_job(Job(path, tmp_path / "m.fits"), FileOptions(masks_only=True))
    run_job(
        Job(path, tmp_path / "n.fits"), FileOptions(masks_only=True, model=str(other))
    )
    assert (asked[0].array == 10).all()
    assert asked[1] is None


@pytest.mark.parametrize("name", ["N7_UNC", "UNCERT_RAND", "BKG_ERR", "N7.VARIMG"])
def test_noise_of_which_it_is_not_clear_whose_it_is(tmp_path, name):
    path = write_file(tmp_path / "a.fits", plane(name))
    with pytest.warns(AstropyUserWarning, match=rf"{name},1\] stays as it is"):
        out = fill(path)
    assert (fits.getdata(out, name) == 10).all()


@pytest.mark.parametrize(
    "name", ["STD", "ERRORS", "DERR", "VARIMG", "INVERSE_VARIANCE"]
)
def test_other_names_of_noise_follow(tmp_path, name):
    out = fill(write_file(tmp_path / "a.fits", plane(name)))
    power = POWERS[noise_kind(name, fits.Header())]
    found = fits.getdata(out, name)
    assert np.allclose(found[PLACES][:3], SIGMA[:3] ** power)
    assert (found == 10).sum() >= found.size - 4
