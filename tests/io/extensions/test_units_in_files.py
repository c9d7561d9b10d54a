"""Units as headers in the wild have them, and what wins over them."""

import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from deepcr_ccd import clean_files
from deepcr_ccd.evaluation.frames import read_labelled_frames
from deepcr_ccd.io.fits_file import FitsFile
from deepcr_ccd.nddata.units import header_unit, parse_unit
from deepcr_ccd.training.config import _label_set


@pytest.mark.parametrize(
    ("unit", "texts"),
    [
        (u.adu, "adu ADU ADUs DN DNs dn counts Counts COUNTS cts DU"),
        (u.adu, "data number|Data Numbers|digital number"),
        (u.ct, "count ct COUNT"),
        (u.adu / u.s, "counts/s counts/sec COUNTS/S DN/s DN/SEC ADU/s ADU/S cps"),
        (u.adu / u.s, "counts / second|DN s-1|counts per second|adu s**-1"),
        (u.adu / u.min, "counts/min adu/minute"),
        (u.electron, "electron electrons ELECTRONS e- E- e (electron)"),
        (u.electron / u.s, "electrons/s ELECTRONS/S electrons/sec e-/s e-/sec E-/S"),
        (u.electron / u.s, "Electrons/S|e- s-1|e/s|electrons per sec|ELECTRONS S-1"),
        (u.electron / u.h, "e-/hour e-/hr electrons/hrs"),
        (u.electron / u.s / u.pix, "e-/s/pix electron/(s*pixel) ELECTRONS/S/PIX"),
        (u.photon, "photon photons PHOTONS ph"),
        (u.MJy / u.sr, "MJy/sr|MJY/SR|MJy sr-1"),
        (u.Jy / u.beam, "Jy/beam JY/BEAM"),
        (u.mJy, "mJy"),
        (u.K, "K Kelvin kelvin"),
        (u.electron**2, "electron2 ELECTRONS**2 e-^2 (electron)**2"),
        (u.erg / u.s / u.cm**2, "erg/s/cm2|ergs/s/cm^2|erg s-1 cm-2"),
        (1e-20 * u.erg / u.s / u.cm**2 / u.AA, "10**(-20)*erg/s/cm**2/Angstrom"),
        (
            1e-20 * u.erg / u.s / u.cm**2 / u.AA,
            "1E-20 erg/s/cm^2/Ang|1e-20 erg/(s cm2 Angstrom)",
        ),
        (u.Unit("nmgy"), "nanomaggy nanomaggies"),
    ],
)
def test_spellings(unit, texts):
    for text in texts.split("|") if "|" in texts else texts.split():
        assert parse_unit(text) == unit, text


@pytest.mark.parametrize(
    "text", ["intensity", "furlongs", "mag(AB)", "((((", "s^(1/0)", "log(adu)", "\x00"]
)
def test_unknown_units(text):
    with pytest.raises(ValueError, match="is unknown; use electron, adu or another"):
        parse_unit(text)


@pytest.mark.parametrize("wrong", [1, None, u.adu])
def test_a_unit_is_text(wrong):
    with pytest.raises(TypeError, match=r"unit=.* must be text, such as 'electron'"):
        parse_unit(wrong)


@pytest.mark.parametrize(
    ("card", "found"),
    [
        ("BUNIT   = 'DNs     '", (u.adu, "DNs")),
        ("BUNIT   = 'intensity'", (None, "intensity")),
        ("BUNIT   = ''", (None, "")),
        ("BUNIT   =", (None, "")),
        ("BUNIT   = 'none'", (None, "")),
        ("BUNIT   =                    T", (None, "True")),
        ("BUNIT   = 'cut off", (None, "a card that cannot be read")),
        ("OTHER   = 'DN'", (None, "")),
    ],
)
def test_cards(card, found):
    assert header_unit(fits.Header.fromstring(card.ljust(80))) == found


@pytest.mark.parametrize(
    "text",
    [
        "10**99999999",
        "10+9999999999 m",
        "((10**99)**99)**99 m",
        "1e999999 adu",
        "1e999 adu",
        "999999999 adu",
        "(" * 300 + "m" + ")" * 300,
        "m" * 20_000,
    ],
)
def test_units_that_would_be_worked_out_for_ever_are_unknown(text):
    with pytest.raises(ValueError, match=r"^unit .{,90} is (too long|unknown)"):
        parse_unit(text)
    shown = text if len(text) <= 80 else text[:80] + "..."
    header = fits.Header({"BUNIT": text}) if len(text) < 1000 else {"BUNIT": text}
    assert header_unit(header) == (None, shown)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("10^-17 erg/s/cm^2/angstrom", 1e-17 * u.erg / u.s / u.cm**2 / u.AA),
        ("10**-17 erg s**-1 cm**-2 Angstrom**-1", 1e-17 * u.erg / u.s / u.cm**2 / u.AA),
        ("1.380649e-23 J", 1.380649e-23 * u.J),
        ("100000 s", 1e5 * u.s),
        ("1e300 adu", 1e300 * u.adu),
    ],
)
def test_numbers_in_units(text, unit):
    assert (1 * parse_unit(text) / unit).to_value(u.one) == pytest.approx(1, rel=1e-12)


#: Where cosmic rays are, by the seed of a frame.
STRUCK = [np.s_[40, 30:36], np.s_[10, 70:75], np.s_[80, 8:13]]


def frame_file(path, bunit=None, seed=0, hdus=()):
    rng = np.random.default_rng(seed)
    data = rng.normal(300, 17, (96, 96)).astype("f4")
    data[STRUCK[seed]] += 2000
    hdu = fits.PrimaryHDU(data)
    if bunit is not None:
        hdu.header["BUNIT"] = (bunit, "as they write it")
    fits.HDUList([hdu, *hdus]).writeto(path)
    return path


def test_an_unknown_unit_is_a_warning(tmp_path):
    path = frame_file(tmp_path / "a.fits", "intensity")
    said = r"a\.fits\[PRIMARY,1\]: BUNIT='intensity' is no known unit"
    with pytest.warns(AstropyUserWarning, match=said):
        image = FitsFile(path).images[0]
    assert image.unit == u.dimensionless_unscaled
    (row,) = clean_files([path], tmp_path / "out")
    assert row["status"] == "done"
    assert row["pixels"] > 5
    assert "BUNIT='intensity' is no known unit" in row["message"]
    old, new = path.read_bytes(), (tmp_path / "out" / "a.fits").read_bytes()
    card = fits.Header.fromfile(path).cards["BUNIT"].image.encode()
    assert card in old
    assert card in new


@pytest.mark.parametrize("bunit", [None, "intensity", "ELECTRONS"])
def test_the_unit_asked_for_wins(tmp_path, bunit):
    path = frame_file(tmp_path / "a.fits", bunit)
    if bunit == "ELECTRONS":
        said = r"a\.fits\[PRIMARY,1\]: BUNIT='ELECTRONS', and the unit asked for"
        with pytest.warns(AstropyUserWarning, match=said):
            image = FitsFile(path, unit="ADUs").images[0]
    else:
        image = FitsFile(path, unit="ADUs").images[0]
    assert image.unit == u.adu
    options = {"model": "ACS-WFC", "unit": "adu"}
    (row,) = clean_files([path], tmp_path / "out", gain=2, **options)
    assert row["status"] == "done"
    assert fits.getheader(tmp_path / "out" / "a.fits").get("BUNIT") == bunit


def test_the_same_unit_asked_for_is_no_matter(tmp_path):
    path = frame_file(tmp_path / "a.fits", "ELECTRONS")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert FitsFile(path, unit="e-").images[0].unit == u.electron


def test_models_that_need_a_unit_say_so(tmp_path):
    path = frame_file(tmp_path / "a.fits", "intensity")
    (row,) = clean_files([path], tmp_path / "out", model="ACS-WFC")
    assert row["status"] == "failed"
    assert "model 'ACS-WFC' works in electron: give unit=" in row["message"]
    (row,) = clean_files([path], tmp_path / "out", model="ACS-WFC", unit="electron")
    assert row["status"] == "done"


def test_one_warning_a_spelling(tmp_path):
    """And not one a chip."""
    hdus = [fits.PrimaryHDU()]
    for ver in (1, 2, 3):
        hdus.append(fits.ImageHDU(np.zeros((8, 8), "f4"), name="SCI"))
        hdus[-1].ver = ver
        hdus[-1].header["BUNIT"] = "intensity"
    path = tmp_path / "a.fits"
    fits.HDUList(hdus).writeto(path)
    with pytest.warns(AstropyUserWarning) as said:
        FitsFile(path)
    assert [str(w.message) for w in said] == [
        "a.fits[SCI,1 and 2 more]: BUNIT='intensity' is no known unit; "
        "the image counts as one without"
    ]


@pytest.mark.parametrize("bunit", [None, "intensity", "MJy/sr", "counts/sec"])
@pytest.mark.filterwarnings("ignore:.*is no known unit")
@pytest.mark.filterwarnings("ignore:.*sources in common")
def test_training_and_evaluation_take_any_unit(tmp_path, bunit):
    paths = [frame_file(tmp_path / f"{i}.fits", bunit, seed=i) for i in range(3)]
    frames = _label_set(["*.fits"], tmp_path, {})
    assert len(frames) == 3
    assert all(item.truth[STRUCK[i]].all() for i, item in enumerate(frames))
    truth = np.zeros((96, 96), "u1")
    truth[40, 30:36] = 1
    path = frame_file(
        tmp_path / "t.fits", bunit, hdus=[fits.ImageHDU(truth, name="TRUTH")]
    )
    (item,) = read_labelled_frames([path], gain=2.0)
    factor = 2.0 if bunit is None or bunit == "intensity" else 1.0
    np.testing.assert_allclose(item.frame, fits.getdata(path) * factor)
    assert len(read_labelled_frames(paths)) == 3
