import numpy as np
import pytest
from scipy import ndimage

from deepcr_ccd.simulation.defects import (
    add_banding,
    add_columns,
    add_hot_pixels,
    add_leaks,
    bleed,
    shade,
)


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
        changed = offset != 0
        assert changed.any()
        assert min(changed.any(axis=0).sum(), changed.any(axis=1).sum()) <= 12


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


def test_bleeding_keeps_charge_within_the_column():
    frame = np.zeros((41, 5))
    frame[20, 2] = 1000.0
    bled = bleed(frame, 100.0)
    assert bled.max() <= 100
    np.testing.assert_allclose(bled.sum(axis=0), frame.sum(axis=0))
    assert (bled[:, 2] > 0).sum() == 11  # 5 each way, and one for the halves
    assert bled[:, [0, 1, 3, 4]].max() == 0


def test_leaks_are_around_pixels_without_charge():
    leaks = add_leaks(np.random.default_rng(3), np.ones((300, 300), np.float32))
    level = leaks.max()
    assert 2 <= level <= 40
    assert set(np.unique(leaks)) == {0, level}
    groups, number = ndimage.label(leaks, np.ones((3, 3)))
    sizes = np.bincount(groups.ravel())[1:]
    assert number > 3
    assert np.median(sizes) in (4, 8)
