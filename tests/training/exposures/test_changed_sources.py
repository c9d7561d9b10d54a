"""Labels leave out what moved or changed between exposures, and keep cosmic rays."""

import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData
from astropy.utils.exceptions import AstropyUserWarning
from scipy import ndimage

from deepcr_ccd.simulation.cosmic_rays import add_deposits, simulate_deposit
from deepcr_ccd.training.exposure_labels import label_exposures
from deepcr_ccd.training.exposures.star_shapes import (
    SHARP,
    normalised,
    star_shapes,
    unlike_stars,
)

SIZE = 200
Y, X = np.mgrid[:SIZE, :SIZE]


def star(y, x, flux, fwhm):
    """A Moffat profile."""
    width = fwhm / 2 / np.sqrt(2**0.4 - 1)
    light = (1 + ((Y - y) ** 2 + (X - x) ** 2) / width**2) ** -2.5
    return flux * light / light.sum()


def exposures(
    number,
    *,
    seed=1,
    stars=40,
    movers=0,
    step=9.0,
    trail=0.0,
    flares=0,
    fwhm=3.0,
    seeing=(1, 1, 1, 1, 1),
    n_cosmic_rays=30,
):
    """Frames; what moved or flared in each; and what cosmic rays left."""
    rng = np.random.default_rng(seed)
    fixed = [
        (*rng.uniform(8, SIZE - 8, 2), 10 ** rng.uniform(3, 5)) for _ in range(stars)
    ]
    moving = [
        (*rng.uniform(40, SIZE - 40, 2), rng.uniform(0, 6.3)) for _ in range(movers)
    ]
    flaring = [(*rng.uniform(20, SIZE - 20, 2), 2e4) for _ in range(flares)]
    deposits = [simulate_deposit(rng) for _ in range(300)]
    frames, changed, charges = [], [], []
    for k in range(number):
        width = fwhm * seeing[k]
        steady = sum(star(*one, width) for one in fixed)
        steady = steady + sum(star(*one, width) for one in flaring)
        other = np.zeros((SIZE, SIZE))
        for y, x, t in moving:
            for part in np.linspace(-trail / 2, trail / 2, int(2 * trail) + 1):
                far = step * k + part
                place = y + far * np.sin(t), x + far * np.cos(t)
                other += star(*place, 3e4 / (int(2 * trail) + 1), width)
        if k == 1:
            other += sum(0.5 * star(*one, width) for one in flaring)
        charge = add_deposits(np.zeros((SIZE, SIZE)), deposits, rng, n_cosmic_rays)
        frames.append(
            rng.poisson(200 + steady + other + charge) + rng.normal(0, 5, Y.shape)
        )
        changed.append(other)
        charges.append(charge)
    return frames, changed, charges


def quietly(frames, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        return label_exposures(frames, **options)


def labelled_of_changed(labelled, changed, charges):
    """Core pixels of what changed, away from cosmic rays: labelled, ignored, all."""
    counts = np.zeros(3, dtype=int)
    for item, other, charge in zip(labelled, changed, charges, strict=True):
        core = (other > 0.4 * other.max()) & (other > 100)
        core &= ndimage.maximum_filter(charge, 15) < 5
        counts += [(item.truth & core).sum(), (item.ignore & core).sum(), core.sum()]
    return counts


@pytest.mark.parametrize(
    ("number", "options"),
    [
        (2, {"step": 9}),
        (3, {"step": 9}),
        (5, {"step": 9}),
        (2, {"step": 30}),
        (2, {"step": 2}),
        (3, {"step": 2}),
        (5, {"step": 1}),
        (2, {"trail": 6}),
        (3, {"trail": 15, "step": 22}),
        (2, {"fwhm": 2.0}),
        (2, {"fwhm": 6.0}),
    ],
)
def test_objects_that_moved_are_not_labelled(number, options):
    frames, changed, charges = exposures(number, movers=6, **options)
    wrong, _, total = labelled_of_changed(quietly(frames), changed, charges)
    assert total > 25
    assert wrong <= 0.03 * total


@pytest.mark.parametrize("number", [2, 3])
def test_a_star_that_flares_is_not_labelled(number):
    frames, changed, charges = exposures(number, flares=6)
    wrong, ignored, total = labelled_of_changed(quietly(frames), changed, charges)
    assert total > 20
    assert wrong == 0
    assert ignored >= 0.9 * total


@pytest.mark.parametrize("seeing", [(1, 1.1), (1, 1.3), (1, 1.3, 1), (1.3, 1, 1.15)])
def test_changes_of_seeing_are_not_labelled(seeing):
    frames, _, charges = exposures(len(seeing), seeing=seeing)
    false = total = found = 0
    for item, charge in zip(quietly(frames), charges, strict=True):
        false += (item.truth & (ndimage.maximum_filter(charge, 3) < 0.5)).sum()
        total += (charge > 150).sum()
        found += (item.truth & (charge > 150)).sum()
    assert false < 12 * len(seeing)
    assert found > 0.93 * total


@pytest.mark.parametrize(("number", "fwhm"), [(2, 1.3), (2, 2.0), (2, 3.0), (3, 3.0)])
def test_cosmic_rays_stay_labelled(number, fwhm):
    frames, _, charges = exposures(number, fwhm=fwhm, seed=4, n_cosmic_rays=60)
    strong = np.stack(charges) > 150
    truth = np.stack([item.truth for item in quietly(frames)])
    assert strong.sum() > 500
    assert truth[strong].mean() > 0.95


def test_what_is_ignored_is_said():
    frames, _, _ = exposures(3, movers=6, n_cosmic_rays=10)
    with pytest.warns(
        AstropyUserWarning, match="label_exposures: of .* 1[5-9]|2[0-9] "
    ):
        label_exposures(frames)
    frames, _, _ = exposures(2, seeing=(1, 1.3), n_cosmic_rays=0)
    with pytest.warns(AstropyUserWarning, match=r"the seeing of exposures\[0\], "):
        label_exposures(frames)
    # Nothing of the kind in plain exposures.
    frames, _, _ = exposures(2, n_cosmic_rays=20)
    label_exposures(frames)


def test_shapes_of_stars():
    wide = np.stack(
        [
            star(100 + dy, 100 + dx, 1e5, 3.0)[94:107, 94:107]
            for dy in (-0.4, 0, 0.4)
            for dx in (-0.4, 0, 0.4)
        ]
    )
    stars = star_shapes(wide, 6)
    np.testing.assert_allclose(np.linalg.norm(stars, axis=1), 1)
    pixels = np.zeros((3, 7, 7))
    pixels[0, 3, 3] = pixels[1, 3, 2:6] = 1000
    pixels[2] = star(100.2, 100.1, 1e4, 3.0)[97:104, 97:104]
    unlike = unlike_stars(pixels, np.full(3, 49.0), stars)
    assert unlike[0] == unlike[1] == 1
    assert unlike[2] < 0.03
    # Half of them are too few to go by.
    assert len(star_shapes(wide[:4], 6)) == 0
    assert len(star_shapes(wide[:0], 1)) == 0
    np.testing.assert_allclose(normalised(pixels[:1])[0], SHARP[0])


@pytest.mark.parametrize(
    ("exposures", "options", "error", "message"),
    [
        (None, {}, TypeError, "exposures must be a list of frames, not NoneType"),
        ("a.fits", {}, TypeError, "exposures='a.fits' must be a list of frames"),
        (2, {"core": "5"}, TypeError, "core='5' must be a number"),
        (2, {"grow": np.nan}, ValueError, "grow=nan must be positive"),
        (2, {"core": True}, TypeError, "core=True must be a number"),
        (
            2,
            {"satlevel": 5 * u.adu},
            ValueError,
            "satlevel=<Quantity 5. adu> has a unit",
        ),
    ],
)
def test_bad_arguments_are_named(exposures, options, error, message):
    if exposures == 2:
        exposures = np.random.default_rng(0).normal(100, 5, (2, 40, 40))
    with pytest.raises(error, match=message):
        label_exposures(exposures, **options)


def test_exposures_without_a_common_unit():
    one, other = np.random.default_rng(0).normal(100, 5, (2, 40, 40))
    pair = [CCDData(one, unit="adu"), CCDData(other, unit="electron")]
    message = r"exposures\[1\] is in electron, exposures\[0\] in adu: convert them"
    with pytest.raises(ValueError, match=message):
        label_exposures(pair)
    first, second = label_exposures(pair, gain=2.0)
    np.testing.assert_allclose(first.frame, 2 * one, rtol=1e-6)
    np.testing.assert_allclose(second.frame, other, rtol=1e-6)
    # Without a unit they are in counts, if there is a gain.
    np.testing.assert_allclose(label_exposures([one, other], gain=2)[0].frame, 2 * one)
