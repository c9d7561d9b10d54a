"""Conventions of data-quality flags, by observatory or from a dictionary."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

from deepcr_ccd.choices import DQ_CONVENTIONS
from deepcr_ccd.nddata.data_quality import convention_for, read_convention
from deepcr_ccd.nddata.observatories import CONVENTIONS, observatory_of


@pytest.mark.parametrize(
    ("name", "good", "bad", "flagged", "filled"),
    [
        ("hst", [32, 64, 4096, 8192], [1, 4, 16, 256, 2048], 4096, 4096),
        ("jwst", [2, 4, 16, 4096], [1, 5, 512], 4, 4),
        ("gemini", [2, 8, 32], [1, 4, 16, 64, 12], 8, 8),
        ("noirlab", [5, 6, 7, 8, 16], [1, 2, 3, 4], 5, 5),
        ("des", [4, 16, 32, 1024], [1, 2, 8, 64, 128, 512], 16, 20),
        ("eso", [1, 2, 16, 32, 64], [256, 512, 8192, 1 << 30, 1 << 31], 32, 16),
    ],
)
def test_what_numbers_mean(name, good, bad, flagged, filled):
    convention = read_convention(name)
    numbers = np.array([0, *good, *bad], np.uint32)
    expected = [False] * (1 + len(good)) + [True] * len(bad)
    assert convention.is_bad(numbers).tolist() == expected
    assert convention.is_bad(numbers.astype(">i4")).tolist() == expected
    assert (convention.number(False), convention.number(True)) == (flagged, filled)
    # A cosmic ray that was found before is searched again.
    assert not convention.is_bad(np.array([flagged, filled])).any()


@pytest.mark.parametrize("dtype", ["i1", "i2", ">i2", "i4", "i8"])
def test_the_sign_is_one_bit(dtype):
    """Numbers below zero have no bits beyond the width of their plane."""
    lowest = np.array([np.iinfo(dtype).min, 0], dtype)
    width = 8 * lowest.itemsize
    for bit in (8, 20, 31, 62):
        convention = read_convention({"cosmic_ray": 4, "bad": 1 << bit})
        assert convention.is_bad(lowest).tolist() == [bit == width - 1, False]
    # All but the bit of cosmic rays.
    assert read_convention({"cosmic_ray": 4}).is_bad(lowest).tolist() == [True, False]
    if width == 16:
        assert not CONVENTIONS["eso"].is_bad(lowest).any()
    codes = {"cosmic_ray": 5, "bad": [1 << 20, -128], "codes": True}
    assert read_convention(codes).is_bad(lowest).tolist() == [width == 8, False]


def test_bits_are_added_and_codes_replaced():
    flags = np.array([0, 7, 64, 64], np.uint8)
    before, crmask = flags.copy(), np.array([True, True, True, False])
    assert CONVENTIONS["gemini"].flag(flags, crmask, True).tolist() == [8, 15, 72, 64]
    assert CONVENTIONS["noirlab"].flag(flags, crmask, True).tolist() == [5, 5, 5, 64]
    assert CONVENTIONS["gemini"].flag(flags, crmask, True).dtype == np.uint8
    np.testing.assert_array_equal(flags, before)


def test_dictionaries():
    convention = read_convention({"cosmic_ray": 8})
    assert convention.is_bad(np.array([0, 8, 1, 9])).tolist() == [0, 0, 1, 1]
    convention = read_convention({"cosmic_ray": 8 | 1, "bad": 2, "replaced": 16})
    assert (convention.cosmic_ray, convention.bad, convention.replaced) == (9, 2, 16)
    codes = {"cosmic_ray": 5, "bad": [1, 3], "codes": True}
    assert read_convention(codes).is_bad(np.array([1, 2, 3, 5])).tolist() == [
        1,
        0,
        1,
        0,
    ]
    assert read_convention({**codes, "bad": 3}).bad == (3,)
    none = read_convention({**codes, "bad": []})
    assert not none.is_bad(np.array([0, 1, 5])).any()
    assert read_convention({"cosmic_ray": np.int16(4)}).cosmic_ray == 4


@pytest.mark.parametrize(
    ("dq", "error", "match"),
    [
        (
            "hts",
            ValueError,
            r"dq='hts' is unknown: did you mean 'hst'\? allowed are",
        ),
        ("spitzer", ValueError, "jwst, gemini, noirlab, des, eso, lsst, or a dict"),
        ("", ValueError, "dq='' is unknown: allowed are hst"),
        (4096, TypeError, "dq=4096 must be the name of an observatory or a dict"),
        ({}, ValueError, "must have 'cosmic_ray'"),
        (
            {"cr": 8},
            ValueError,
            "dq has no 'cr'; allowed are cosmic_ray, bad,",
        ),
        ({"cosmic_ray": "8"}, TypeError, r"dq\['cosmic_ray'\]='8' must be a whole"),
        ({"cosmic_ray": True}, TypeError, r"dq\['cosmic_ray'\]=True must be a whole"),
        ({"cosmic_ray": 0}, ValueError, r"dq\['cosmic_ray'\]=0 must be from 1"),
        ({"cosmic_ray": 1 << 63}, ValueError, "must be from 1 to 2"),
        ({"cosmic_ray": 8, "replaced": -1}, ValueError, r"dq\['replaced'\]=-1 must be"),
        ({"cosmic_ray": 8, "bad": 0.5}, TypeError, r"dq\['bad'\]=0.5 must be a whole"),
        (
            {"cosmic_ray": 8, "bad": [1]},
            TypeError,
            r"dq\['bad'\]=\[1\] must be a",
        ),
        ({"cosmic_ray": 8, "codes": 1}, TypeError, r"dq\['codes'\]=1 must be True or"),
        ({"cosmic_ray": 8, "codes": True}, ValueError, "must have 'bad', a list"),
        (
            {"cosmic_ray": 8, "codes": True, "bad": ["a"]},
            TypeError,
            "'a' must be a whole",
        ),
        *(
            (
                {"cosmic_ray": 8, "codes": True, "bad": bad},
                TypeError,
                r"dq\['bad'\]=.* must be a list of codes",
            )
            for bad in ("1", b"1", {1: 2})
        ),
    ],
)
def test_wrong_conventions(dq, error, match):
    with pytest.raises(error, match=match):
        read_convention(dq)


def test_lsst_has_its_bits_in_the_header():
    lsst = read_convention("lsst")
    header = {"MP_BAD": 0, "MP_CR": 3, "MP_INTRP": 2, "MP_DETECTED": 5}
    found = convention_for(lsst, header)
    assert (found.cosmic_ray, found.replaced, found.bad) == (8, 12, 5)
    header = {"MP_CR": 3}
    assert convention_for(lsst, header).number(filled=True) == 8
    with pytest.raises(ValueError, match="dq='lsst' takes the bits from keywords MP_"):
        convention_for(lsst, fits.Header())
    # Keys of CCDData's meta may be anything, and numbers NumPy's.
    header = {1: 2, None: 3, "MP_CR": np.int16(3), "MP_DETECTED": "none"}
    assert convention_for(lsst, header).cosmic_ray == 8
    assert set(DQ_CONVENTIONS) == {*CONVENTIONS, "lsst"}


@pytest.mark.parametrize("number", [70, -1, 3.0, "3", True])
@pytest.mark.parametrize("plane", ["CR", "BAD", "INTRP"])
def test_numbers_of_lsst_that_are_no_bits(plane, number):
    header = {"MP_CR": 3, "MP_BAD": 0, f"MP_{plane}": number}
    message = f"the header has MP_{plane}={number!r}: allowed are whole numbers from 0"
    with pytest.raises(ValueError, match=message):
        convention_for(read_convention("lsst"), header)


def test_telescopes_that_headers_name():
    assert observatory_of({"TELESCOP": "JWST"}) == "jwst"
    assert observatory_of({"TELESCOP": "Gemini-South "}) == "gemini"
    assert observatory_of({"TELESCOP": "ESO-VLT-U4", "INSTRUME": "MUSE"}) == "eso"
    assert observatory_of({"TELESCOP": "CTIO 4.0-m telescope"}) is None
    assert observatory_of(CCDData(np.zeros((2, 2)), unit="adu").meta) is None
