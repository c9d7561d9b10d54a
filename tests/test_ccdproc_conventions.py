"""What users of ccdproc are used to: keywords, warnings, and what is said of errors."""

import inspect

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.utils.exceptions import AstropyUserWarning

import deepcr_ccd
from deepcr_ccd import DeepCRWarning, clean_files, cosmicray_deepcr
from deepcr_ccd.compat.lacosmic_arguments import IGNORED
from deepcr_ccd.notices import INSTEAD_OF_LACOSMIC


@pytest.fixture
def data():
    data = np.random.default_rng(3).normal(300, 18, (64, 70)).astype("f4")
    data[20, 20:26] += 2000
    return data


class Keyword:
    """As ccdproc's."""

    def __init__(self, name, value):
        self.name, self.value = name, value


@pytest.mark.parametrize("header", [fits.Header, dict])
@pytest.mark.parametrize("lazy", [False, True])
def test_keywords_of_the_user(data, header, lazy):
    if lazy:
        data = pytest.importorskip("dask.array").from_array(data, 70)
    ccd = CCDData(data, unit="adu", meta=header({"OBJECT": "M 5"}))
    for given, expected in (
        ({"MYKEY": "cleaned"}, {"MYKEY": "cleaned"}),
        ({"MYKEY": 3, "OTHER": True}, {"MYKEY": 3, "OTHER": True}),
        (fits.Header({"MYKEY": "cleaned"}), {"MYKEY": "cleaned"}),
        (Keyword("MYKEY", 2.5), {"MYKEY": 2.5}),
        ({"a long keyword": 1}, {"a long keyword": 1}),
        (False, {}),
        (None, {}),
        ({}, {}),
    ):
        meta = cosmicray_deepcr(ccd, add_keyword=given).meta
        assert {k.lower(): v for k, v in meta.items()} == {
            **{k.lower(): v for k, v in expected.items()},
            "object": "M 5",
        }
    assert "MYKEY" in cosmicray_deepcr(ccd, add_keyword="MYKEY").meta
    for yes in (True, np.True_):
        assert cosmicray_deepcr(ccd, add_keyword=yes).meta["CRMODEL"] == "universal"
    assert list(ccd.meta) == ["OBJECT"]


def test_keywords_of_ccdproc(data):
    ccdproc = pytest.importorskip("ccdproc")
    ccd = CCDData(data, unit="adu")
    keyword = ccdproc.Keyword("MYKEY", value="yes")
    assert cosmicray_deepcr(ccd, add_keyword=keyword).meta["MYKEY"] == "yes"


def test_keywords_are_checked_before_the_work(data, monkeypatch):
    def fail(*_, **__):
        raise AssertionError

    monkeypatch.setattr("deepcr_ccd.core.cosmicray.clean_frame", fail)
    ccd = CCDData(data, unit="adu", meta=fits.Header())
    with pytest.raises(TypeError, match="add_keyword=3.5 must be True, False, a str"):
        cosmicray_deepcr(ccd, add_keyword=3.5)
    with pytest.raises(ValueError, match="add_keyword=.*MYKEY"):
        cosmicray_deepcr(ccd, add_keyword={"MYKEY": [1, 2]})


def test_arguments_of_lacosmic_say_what_to_do(data):
    refused = IGNORED | {"gain_apply": False, "verbose": True}
    # The one that it has too: for models that are told the width of stars.
    del refused["psffwhm"]
    for name, value in refused.items():
        with pytest.raises(
            TypeError, match=f"cosmicray_deepcr has no argument {name}="
        ):
            cosmicray_deepcr(data, **{name: value})
    with pytest.raises(TypeError, match="nothing to tune; threshold="):
        cosmicray_deepcr(data, sigclip=5)
    with pytest.raises(TypeError, match="the unit stays"):
        cosmicray_deepcr(data, gain_apply=False)
    with pytest.raises(TypeError, match="did you mean 'threshold'"):
        cosmicray_deepcr(data, treshold=0.4)
    known = inspect.signature(cosmicray_deepcr).parameters
    assert not set(INSTEAD_OF_LACOSMIC) & set(known)


def test_arguments_of_ccdproc_are_known():
    ccdproc = pytest.importorskip("ccdproc")
    theirs = set(inspect.signature(ccdproc.cosmicray_lacosmic).parameters)
    ours = set(inspect.signature(cosmicray_deepcr).parameters)
    assert theirs - ours <= set(INSTEAD_OF_LACOSMIC)


@pytest.mark.parametrize("readnoise", [None, 5.0])
def test_gain_of_electrons_that_is_not_one(data, readnoise):
    """The warning of ccdproc."""
    ccd = CCDData(data, unit="electron")
    message = "Image unit is electron but gain value is not 1.0"
    for gain in (2.0, 2.0 * u.electron / u.adu):
        with pytest.warns(DeepCRWarning, match=message) as caught:
            cosmicray_deepcr(ccd, gain=gain, readnoise=readnoise)
        assert caught[0].filename == __file__
    if readnoise:
        cosmicray_deepcr(ccd, gain=1.0, readnoise=readnoise)


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ({"SATURATE": 50000}, {}),
        ({}, {"satlevel": 50000 * u.adu}),
        ({}, {"readnoise": 2.5 * u.adu}),
    ],
)
def test_gain_of_electrons_that_converts_something_else(data, header, options):
    """It has an effect, so that there is no warning."""
    y, x = np.mgrid[:64, :70]
    star = 3e5 * np.exp(-((y - 41) ** 2 + (x - 35) ** 2) / 8)
    ccd = CCDData(np.minimum(data + star, 1.1e5), unit="electron", meta=header)
    cleaned = cosmicray_deepcr(ccd, gain=2.0, **options)
    assert cleaned.header["CRNSKIP"] == (ccd.data >= 1e5).sum() > 9
    # A level that is in the frame's unit needs no gain.
    with pytest.warns(DeepCRWarning, match="gain= has no effect"):
        cosmicray_deepcr(ccd, gain=2.0, satlevel=100_000)


def test_warnings_of_no_effect_have_a_category(data):
    assert issubclass(DeepCRWarning, AstropyUserWarning)
    assert deepcr_ccd.DeepCRWarning is DeepCRWarning
    with pytest.warns(DeepCRWarning, match="gain= has no effect"):
        cosmicray_deepcr(CCDData(data, unit="adu"), gain=2.0)


def test_read_noise_of_counts_needs_a_gain(data):
    ccd = CCDData(data, unit="adu")
    with pytest.raises(ValueError, match=r"readnoise=5 is in electron .* give gain="):
        cosmicray_deepcr(ccd, readnoise=5)


def test_unknown_options_of_files_get_the_nearest_name(tmp_path):
    match = r"clean_files has no argument treshold=: did you mean 'threshold'\?"
    with pytest.raises(TypeError, match=match):
        clean_files([], tmp_path, treshold=0.3)
