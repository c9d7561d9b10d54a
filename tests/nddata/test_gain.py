import numpy as np
import pytest
from astropy import units as u

from deepcr_ccd.nddata.gain import (
    convert_satlevel,
    resolve_gain,
    resolve_readnoise,
    unit_factor,
)

HEADER = {"GAIN": 1.9, "RDNOISE": 5, "SATURATE": 60000, "OBJECT": "M 5"}


@pytest.mark.parametrize(
    "gain",
    [
        1.9,
        np.float32(1.9),
        "GAIN",
        1.9 * u.electron / u.adu,
        1.9 * u.electron / u.DN,
        1.9 * u.electron / u.count,
        0.0019 * u.electron / (u.adu / 1000),
    ],
)
def test_gain(gain):
    assert resolve_gain(gain, HEADER) == pytest.approx(1.9, rel=1e-6)


@pytest.mark.parametrize(
    ("gain", "error", "match"),
    [
        (0, ValueError, "gain=0 must be positive"),
        (-1.0, ValueError, "must be positive"),
        (np.nan, ValueError, "must be finite"),
        ("EGAIN", ValueError, "no keyword 'EGAIN'"),
        ("OBJECT", TypeError, "must be a number, a Quantity or the name"),
        (True, TypeError, "must be a number"),
        ([1, 2], TypeError, "must be a number"),
        (2 * u.s, ValueError, "has the unit s; allowed is electron / adu"),
        ([1, 2] * u.electron / u.adu, ValueError, "one finite number"),
    ],
)
def test_bad_gain(gain, error, match):
    with pytest.raises(error, match=match):
        resolve_gain(gain, HEADER)


def test_gain_keyword_without_header():
    with pytest.raises(ValueError, match="the header has no keyword 'GAIN'"):
        resolve_gain("GAIN", None)


def test_readnoise():
    assert resolve_readnoise(None) is None
    assert resolve_readnoise("RDNOISE", HEADER) == 5
    assert resolve_readnoise(5 * u.electron) == 5
    assert resolve_readnoise(2 * u.adu, gain=2.5) == 5
    with pytest.raises(ValueError, match="allowed is electron"):
        resolve_readnoise(2 * u.adu)
    with pytest.raises(ValueError, match="must not be negative"):
        resolve_readnoise(-1)


def test_satlevel():
    assert convert_satlevel(None, u.adu) is None
    assert convert_satlevel(np.inf, u.adu) == np.inf
    assert convert_satlevel(6e4, u.adu) == 6e4
    assert convert_satlevel("SATURATE", u.adu, HEADER) == 6e4
    assert convert_satlevel(60 * 1000 * u.adu, u.adu) == 6e4
    assert convert_satlevel(1.2e5 * u.electron, u.adu, gain=2.0) == pytest.approx(6e4)
    assert convert_satlevel(6e4 * u.adu, u.electron, gain=2.0) == pytest.approx(1.2e5)
    with pytest.raises(ValueError, match="give it in that unit, or give gain="):
        convert_satlevel(1e5 * u.electron, u.adu)
    with pytest.raises(ValueError, match="does not convert"):
        convert_satlevel(1e5 * u.m, u.adu, gain=2.0)
    with pytest.raises(ValueError, match="the frame has none"):
        convert_satlevel(1e5 * u.adu, None)


@pytest.mark.parametrize(
    ("unit", "wanted", "gain", "factor", "used"),
    [
        (u.electron, "electron", None, 1, False),
        (1000 * u.electron, "electron", None, 1000, False),
        (u.adu, "electron", 2.0, 2, True),
        (u.DN, "electron", 2.0, 2, True),
        (u.adu, "adu", None, 1, False),
        (u.electron, "adu", 2.0, 0.5, True),
        (None, "electron", None, 1, False),
        (None, "electron", 2.0, 2, True),
        (None, "adu", 2.0, 1, False),
        (u.Jy, None, None, 1, False),
    ],
)
def test_unit_factor(unit, wanted, gain, factor, used):
    unit = None if unit is None else u.Unit(unit)
    assert unit_factor(unit, wanted, gain, "m") == (factor, used)


def test_missing_gain_names_the_argument():
    with pytest.raises(ValueError, match="model 'm' works in electron: give gain="):
        unit_factor(u.adu, "electron", None, "m")


@pytest.mark.parametrize("unit", [u.Jy, u.electron / u.s, u.mag, u.Unit("")])
def test_units_that_cannot_be_converted(unit):
    with pytest.raises(ValueError, match="convert it to electron or adu first"):
        unit_factor(unit, "electron", 2.0, "m")
