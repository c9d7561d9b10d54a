import numpy as np
import pytest
import torch
from scipy import ndimage

from deepcr_ccd.simulation.cosmic_rays import simulate_deposit
from deepcr_ccd.simulation.defects import (
    add_banding,
    add_columns,
    add_hot_pixels,
    bleed,
    shade,
)
from deepcr_ccd.training.datasets import SimulatedFrames
from deepcr_ccd.training.labelled import MixedFrames


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_hot_pixels(rng):
    charge = add_hot_pixels(rng, np.full((400, 400), 3.0), 0.02)
    assert 0.018 < (charge > 0).mean() < 0.022
    assert charge.min() == 0
    assert charge.max() > 20 * np.median(charge[charge > 0])


def test_columns_have_one_level_and_are_few(rng):
    for _ in range(20):
        offset = add_columns(rng, np.full((50, 60), 4.0))
        assert offset.shape == (50, 60)
        struck = offset != 0
        assert struck.any()
        assert min(struck.any(axis=0).sum(), struck.any(axis=1).sum()) <= 12


def test_banding_is_constant_along_a_line(rng):
    shapes = {add_banding(rng, (30, 40), 5.0).shape for _ in range(20)}
    assert shapes == {(30, 1), (1, 40)}
    lines = add_banding(rng, (20000, 20000), 5.0)
    assert 0.4 < lines.std() < 6.5


def test_shade_has_one_edge(rng):
    for _ in range(40):
        light = shade(rng, (50, 60))
        assert light.shape == (50, 60)
        assert light.min() >= 0
        assert light.max() <= 1
        assert 0 < (light > 0.5).mean() < 1
        for side in (light > 0.5, light < 0.5):
            assert ndimage.label(side)[1] <= 2
        # Next to each other, both are mostly one or the other.
        assert abs(np.diff(light, axis=0)).mean() < 0.05


def test_nothing_is_struck_where_there_are_no_data():
    data = simulated(np.full((2, 64, 64), 50, np.float32), defects=1.0)
    empty = 0
    for i in range(150):
        seen = data.observe(np.random.default_rng([7, i]))
        blank = seen.frame == 0
        if blank.mean() < 0.1 or seen.quiet.min() < 20:
            continue
        empty += 1
        inside = ndimage.binary_erosion(blank)
        assert not (seen.truth | seen.ignore)[inside].any()
    assert empty >= 4


def test_bleeding_keeps_charge_within_the_column():
    frame = np.zeros((41, 5))
    frame[20, 2] = 1000.0
    held = bleed(frame, 100.0)
    assert held.max() <= 100
    np.testing.assert_allclose(held.sum(axis=0), frame.sum(axis=0))
    assert (held[:, 2] > 0).sum() == 11  # 5 each way, and one for the halves
    assert held[:, [0, 1, 3, 4]].max() == 0


def simulated(scenes, **options):
    rng = np.random.default_rng(1)
    deposits = [[simulate_deposit(rng) for _ in range(50)]]
    return SimulatedFrames(scenes, deposits, length=40, size=64, seed=3, **options)


def test_many_hot_pixels_are_clean_and_few_are_ignored():
    data = simulated(np.zeros((2, 64, 64), np.float32), defects=1.0)
    quiet = np.full((64, 64), 100.0)
    few = many = 0
    for i in range(60):
        spoilt, doubtful = data._spoil(np.random.default_rng(i), quiet, quiet / 10, 5.0)
        assert np.isfinite(spoilt).all()
        if doubtful.any():
            few += 1
            assert doubtful.mean() < 0.006
        else:
            many += (spoilt - np.median(spoilt, axis=0) > 30).mean() > 0.003
    assert few > 10
    assert many > 10


def test_stars_that_saturate_are_clean():
    y, x = np.mgrid[:64, :64] - 31.7
    star = (3e6 / (1 + (y**2 + x**2) / 4) ** 2.5).astype(np.float32)
    data = simulated(np.stack([star, star]))
    core = np.zeros((64, 64), bool)
    core[24:40, 24:40] = True
    clean = 0
    for i in range(20):
        seen = data.observe(np.random.default_rng([3, i]))
        full = (seen.frame >= 0.99 * seen.frame.max()) & (seen.quiet > 1e4)
        groups, _ = ndimage.label(full)
        assert not (seen.truth & seen.ignore).any()
        clean += (full & ~seen.truth & ~seen.ignore).sum()
        assert (full & seen.truth).sum() == 0 or groups.max() > 1
    assert clean > 200


def test_mixture_draws_in_shares_and_by_number():
    class Constant(torch.utils.data.Dataset):
        def __init__(self, value):
            self.value = value

        def __len__(self):
            return 1000

        def __getitem__(self, index):
            return self.value

    mixed = MixedFrames([Constant(0), Constant(1)], [3, 1], length=1000, seed=2)
    drawn = [mixed[i] for i in range(len(mixed))]
    assert 0.2 < np.mean(drawn) < 0.3
    assert [mixed[i] for i in reversed(range(1000))] == drawn[::-1]
    with pytest.raises(ValueError, match="shares must be one for each"):
        MixedFrames([Constant(0)], [1, 2], length=10)
    with pytest.raises(ValueError, match=r"datasets\[0\] has 1000 items"):
        MixedFrames([Constant(0)], [1], length=1001)
