import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.utils.exceptions import AstropyUserWarning
from sample_files import series
from scipy import ndimage

from deepcr_ccd.training.exposure_labels import label_exposures
from deepcr_ccd.training.exposures.comparison import compare_exposure
from deepcr_ccd.training.exposures.registration import find_shift

#: In small frames a few cosmic rays that look like stars are more than one of twenty.
SHAPES = pytest.mark.filterwarnings("ignore:.*have the shape of stars")


def check(labelled, charges, found=0.95, false=3e-4):
    sigma = 8
    for item, charge in zip(labelled, charges, strict=True):
        strong = (charge > 10 * sigma) & ~item.ignore
        assert strong.sum() > 30
        assert (item.truth & strong).sum() / strong.sum() > found
        clean = (charge < 0.5) & ~ndimage.binary_dilation(charge > 0.5, np.ones((3, 3)))
        clean &= ~item.ignore
        assert (item.truth & clean).sum() / clean.sum() < false
        assert not (item.truth & item.ignore).any()
        assert item.ignore.mean() < 0.2


def test_shift_is_measured():
    frames, _ = series(3, shifts=[(0, 0), (3, -5), (1.4, 0.7)], seed=3)
    assert find_shift(frames[1], frames[0]) == pytest.approx((3, -5), abs=0.1)
    assert find_shift(frames[2], frames[0]) == pytest.approx((1.4, 0.7), abs=0.15)
    flat = np.zeros((30, 30))
    assert find_shift(flat, flat) == (0, 0)


@SHAPES
@pytest.mark.parametrize("number", [2, 4])
def test_satellites_are_no_cosmic_rays(number):
    frames, charges = series(number, seed=2)
    y, x = np.mgrid[:128, :128]
    off = np.abs((y - 20) * 0.9 - (x - 10) * 0.43)
    # It flickers: what is left on its way is less than a track as well.
    light = 300 * np.exp(-0.5 * (off / 1.5) ** 2) * ((x < 105) | (x > 110))
    frames[1] = frames[1] + light
    labelled = label_exposures(frames, core=10.0, grow=3.0)
    affected = charges[1] > 0.5
    assert not (labelled[1].truth & (light > 1) & ~affected).any()
    assert labelled[1].ignore[light > 100].mean() > 0.95
    check(labelled, charges, found=0.9)
    every = labelled[1].truth | labelled[1].ignore
    assert every[light < 1e-6].mean() < 0.25


@pytest.mark.parametrize("seed", range(6))
def test_cosmic_rays_that_meet_are_no_shift(seed):
    """In a small field with next to no stars, nothing else tells of one."""
    frames, _ = series(2, seed=seed, kind="sparse")
    assert find_shift(frames[1], frames[0]) == pytest.approx((0, 0), abs=0.3)


@pytest.mark.parametrize("number", [2, 5])
def test_where_the_charge_of_saturated_stars_ends_is_not_known(number):
    rng = np.random.default_rng(6)
    frames = rng.normal(100, 3, (number, 60, 60))
    frames[:, 20:40, 30] = 1000
    frames[0, 40, 30] = 600
    frames[1, 40, 30] = 1000
    frames[1, 41, 31] = 400
    # A cosmic ray that saturates.
    frames[0, 10, 10:12] = 1500, 700
    first, second, *_ = label_exposures(frames, satlevel=1000)
    assert first.ignore[40, 30] and second.ignore[41, 31]
    assert first.truth[10, 11] and first.ignore[10, 10]
    assert np.count_nonzero(first.truth) == 1
    assert not second.truth.any()


def test_limits_say_what_is_affected():
    """Above both limits, and no fainter pixel of a cosmic ray that is."""
    rng = np.random.default_rng(5)
    frames = rng.normal(100, 1, (5, 60, 60))
    bright = {(20, 20): 200, (20, 21): 60, (20, 22): 8, (40, 40): 25, (40, 41): 25}
    for place, charge in bright.items():
        frames[0][place] += charge
    every = label_exposures(frames)[0]
    assert all(every.truth[place] for place in bright)
    item = label_exposures(frames, core=50, grow=20)[0]
    assert np.argwhere(item.truth).tolist() == [[20, 20], [20, 21]]
    assert item.ignore[20, 22] and item.ignore[40, 40:42].all()


@SHAPES
def test_another_field_is_told():
    first, _ = series(2, seed=1, size=200)
    second, _ = series(1, seed=2, size=200)
    with pytest.warns(AstropyUserWarning, match=r"exposures\[2\] has fewer than 3"):
        label_exposures([*first, *second])
    label_exposures([*first, *second], register=False)
    # Where there are no sources, there is nothing to go by, and nothing to label.
    rng = np.random.default_rng(3)
    label_exposures(rng.normal(100, 5, (2, 64, 64)))


@pytest.mark.parametrize("seed", range(3))
def test_few_stars_tell_of_a_shift(seed):
    shift = (5 - 4 * seed, 3.4 + seed)
    frames, _ = series(2, seed=seed, kind="sparse", size=300, shifts=[(0, 0), shift])
    assert find_shift(frames[1], frames[0]) == pytest.approx(shift, abs=0.2)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_repeated_exposures(number):
    frames, charges = series(number)
    labelled = label_exposures(frames)
    check(labelled, charges)
    np.testing.assert_allclose(labelled[0].frame, frames[0], rtol=1e-6)


@SHAPES
@pytest.mark.parametrize(
    "shifts", [[(0, 0), (2, 3), (-4, 1)], [(0, 0), (0.5, 0.3), (1.3, -0.8)]]
)
def test_drifts(shifts):
    frames, charges = series(3, shifts=shifts, seed=5)
    check(label_exposures(frames), charges, found=0.9, false=1e-3)


def test_gain_and_units():
    frames, charges = series(3)
    ccds = [CCDData(f / 2, unit=u.adu, meta={"GAIN": 2.0}) for f in frames]
    labelled = label_exposures(ccds, gain="GAIN")
    for one, two in zip(labelled, label_exposures(frames), strict=True):
        np.testing.assert_allclose(one.frame, two.frame, rtol=1e-5)
        assert (one.truth == two.truth).mean() > 0.999


def test_what_is_bad_or_saturated_is_ignored():
    frames, _ = series(2, seed=4)
    frames[0][20, 30] = np.nan
    frames[1][40, 50] = 1e6
    first, second = label_exposures(frames, satlevel=9e5)
    assert first.ignore[20, 30]
    assert second.ignore[20, 30]
    assert first.ignore[40, 50]
    assert second.ignore[40, 50]


@SHAPES
def test_movers_are_ignored():
    frames, charges = series(5, seed=6, kind="sparse")
    y, x = np.indices(frames[0].shape)
    for i, frame in enumerate(frames):
        frame += 400 * np.exp(-0.5 * ((y - 60) ** 2 + (x - 50 - 2.5 * i) ** 2) / 1.2**2)
    for i, item in enumerate(label_exposures(frames, register=False)):
        place = slice(58, 63), slice(48 + int(2.5 * i), 53 + int(2.5 * i))
        free = charges[i][place] < 1
        assert not (item.truth[place] & free).any()
        assert item.ignore[60, 50 + round(2.5 * i)]


@pytest.mark.parametrize(
    ("exposures", "match"),
    [
        ([np.zeros((4, 4))], "two or more, not 1"),
        ([np.zeros((4, 4)), np.zeros((4, 5))], r"exposures\[1\] has shape \(4, 5\)"),
        ([np.zeros((2, 4, 4))] * 2, r"exposures\[0\] has shape"),
        ([np.full((4, 4), np.nan)] * 2, "has no good pixel"),
    ],
)
def test_bad_input(exposures, match):
    with pytest.raises(ValueError, match=match):
        label_exposures(exposures)


def test_real_pair(data_folder):
    """The README of the data counts 3,000 to 6,000 cosmic rays per exposure."""
    with fits.open(data_folder / "hst_stis" / "o56502020_raw.fits") as hdus:
        pair = [hdus["SCI", v].data[10:1010, 20:410].astype(float) for v in (1, 2)]
    for item in label_exposures([f - np.median(f) for f in pair]):
        _, number = ndimage.label(item.truth, np.ones((3, 3)))
        assert 1500 < number < 6000
        assert 0.01 < item.truth.mean() < 0.06
        assert item.ignore.mean() < 0.25


def test_excess_is_level_though_the_sky_changes():
    frames, charges = series(3, seed=6, size=320)
    # Twilight, brighter in one corner, in the second exposure alone.
    slope = np.linspace(0, 12, 320)
    frames[1] = (frames[1] + slope + slope[:, None]).astype(np.float32)
    good = [np.zeros((320, 320), bool)] * 3
    excess = compare_exposure(1, frames, good, [(0.0, 0.0)] * 3).strength
    # It was 0.45 sigma too high where only each exposure's own sky came off.
    assert abs(np.median(excess)) < 0.15
    check(label_exposures(frames), charges)


def test_bright_track_of_the_other_exposure_of_a_pair():
    # A bright, wide track is no dark region of the other one's excess.
    rng = np.random.default_rng(2)
    pair = [rng.normal(50, 8, (128, 128)).astype(np.float32) for _ in range(2)]
    pair[1][40:70, 60:64] += 20_000
    pair[0][90, 20:24] += 400
    labelled = label_exposures(pair)
    assert labelled[0].truth.sum() == 4
    assert labelled[0].truth[90, 20:24].all()
    assert labelled[1].truth[40:70, 60:64].all()
    assert labelled[1].truth.sum() < 130
