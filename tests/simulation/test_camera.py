import numpy as np
import pytest
from scipy import ndimage

from deepcr_ccd.simulation.camera import CameraSimulator, LabelThresholds, label_charge
from deepcr_ccd.simulation.cosmic_rays import simulate_deposit


def make_camera(scenes, **options):
    rng = np.random.default_rng(1)
    deposits = [[simulate_deposit(rng) for _ in range(50)]]
    return CameraSimulator(scenes, deposits, size=64, **options)


def test_labels():
    charge = np.zeros((20, 20))
    charge[5, 5:9] = 10, 2, 0.7, 0.3
    charge[15, 15] = 2
    truth, ignore = label_charge(charge, np.ones_like(charge))
    assert truth[5, 5:9].tolist() == [True, True, True, False]
    assert ignore[5, 5:9].tolist() == [False, False, False, True]
    assert (truth[15, 15], ignore[15, 15]) == (False, True)
    assert truth.sum() == 3
    assert ignore.sum() == 2
    truth, _ = label_charge(charge, np.ones_like(charge), LabelThresholds(pixel=5))
    assert truth.sum() == 1


def test_nothing_is_labelled_where_there_are_no_data():
    camera = make_camera(np.full((2, 64, 64), 50, np.float32), defects=1.0)
    empty = 0
    for i in range(150):
        observed = camera.observe(np.random.default_rng([7, i]))
        blank = observed.frame == 0
        if blank.mean() < 0.1 or observed.noiseless.min() < 20:
            continue
        empty += 1
        inside = ndimage.binary_erosion(blank)
        assert not (observed.truth | observed.ignore)[inside].any()
    assert empty >= 4


def test_many_hot_pixels_are_clean_and_few_are_ignored():
    camera = make_camera(np.zeros((2, 64, 64), np.float32), defects=1.0)
    level = np.full((64, 64), 100.0)
    few = many = 0
    for i in range(60):
        rng = np.random.default_rng(i)
        spoilt, ambiguous = camera._add_defects(rng, level, level / 10, 5.0)
        assert np.isfinite(spoilt).all()
        if ambiguous.any():
            few += 1
            assert ambiguous.mean() < 0.006
        else:
            many += (spoilt - np.median(spoilt, axis=0) > 30).mean() > 0.003
    assert few > 10
    assert many > 10


def test_stars_that_saturate_are_clean():
    y, x = np.mgrid[:64, :64] - 31.7
    star = (3e6 / (1 + (y**2 + x**2) / 4) ** 2.5).astype(np.float32)
    camera = make_camera(np.stack([star, star]))
    core = np.zeros((64, 64), bool)
    core[24:40, 24:40] = True
    clean = 0
    for i in range(20):
        observed = camera.observe(np.random.default_rng([3, i]))
        full = (observed.frame >= 0.99 * observed.frame.max()) & (
            observed.noiseless > 1e4
        )
        groups, _ = ndimage.label(full)
        assert not (observed.truth & observed.ignore).any()
        clean += (full & ~observed.truth & ~observed.ignore).sum()
        assert (full & observed.truth).sum() == 0 or groups.max() > 1
    assert clean > 200


def test_size_must_fit_the_scenes():
    with pytest.raises(ValueError, match="size=64 is more than scenes have"):
        make_camera(np.zeros((1, 63, 90), np.float32))
