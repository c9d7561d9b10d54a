import numpy as np
import pytest
from astropy.nddata import CCDData

from deepcr_ccd import cosmicray_deepcr, detect_cosmics
from deepcr_ccd.pipeline.charge_leaks import REACH, drop_leaks


def sky(rng, shape=(300, 300)):
    return rng.normal(300, 14, shape)


@pytest.mark.parametrize("leak", [80, 200, 600])
@pytest.mark.parametrize("corners", [False, True])
def test_hot_pixels(leak, corners, rng):
    data, inmask = sky(rng), np.zeros((300, 300), dtype=bool)
    inmask[15:290:30, 15:290:30] = True
    near = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    near += [(-1, -1), (1, 1), (-1, 1), (1, -1)] if corners else []
    for y, x in near:
        data[np.roll(inmask, (y, x), (0, 1))] += leak
    data[inmask] += 5000
    before = data.astype("f4")
    assert detect_cosmics(before, inmask=inmask)[0].sum() <= 4
    before[inmask] = np.nan
    assert cosmicray_deepcr(before)[1].sum() <= 4


@pytest.mark.parametrize("side", [(-1,), (1,), (-1, 1)])
@pytest.mark.parametrize("value", [5000, -300, np.nan])
@pytest.mark.parametrize("turn", [False, True])
def test_bad_columns(side, value, turn, rng):
    data, mask = sky(rng), np.zeros((300, 300), dtype=bool)
    mask[:, 150] = True
    for step in side:
        data[:, 150 + step] += 250
    data[:, 150] += value
    if turn:
        data, mask = data.T, mask.T
    assert detect_cosmics(data, inmask=mask)[0].sum() <= 0.02 * 300 * len(side)


def test_cosmic_rays_that_cross_masked_pixels(rng):
    """Hot pixels, bad columns and pixels without a value; on both sides."""
    data, mask = sky(rng, (300, 300)), np.zeros((300, 300), dtype=bool)
    affected = np.zeros(data.shape, dtype=bool)
    for number, y in enumerate(range(10, 290, 20)):
        for x in range(20, 280, 20):
            length = 4 + number % 4
            affected[y, x : x + length] = True
            mask[y, x + 1 + number % 3] = True
    mask[:, 143] = True
    data[affected] += 400
    for value in (5000, 0, np.nan):
        data[mask] = 700 + value
        crmask = detect_cosmics(data, inmask=mask)[0]
        assert crmask[affected & ~mask].mean() > 0.97


def test_single_pixels_beside_masked_ones(rng):
    """A CR-affected pixel beside a hot pixel or a bad column that does not leak."""
    data, mask = sky(rng, (300, 300)), np.zeros((300, 300), dtype=bool)
    mask[10:290:20, 10:290:20] = True
    affected = np.roll(mask, 1, axis=1)
    mask[:, 151] = True
    affected[5:290:20, 152] = True
    data[affected] += 500
    for value in (300, 6000):
        data[mask] = 300 + value
        crmask = detect_cosmics(data, inmask=mask)[0]
        assert crmask[affected & ~mask].mean() > 0.97


def test_nothing_is_dropped_elsewhere(rng):
    plane = rng.normal(0, 1, (90, 80))
    crmask = rng.random(plane.shape) < 0.1
    assert drop_leaks(crmask, plane, None) is crmask
    bad = np.zeros_like(crmask)
    bad[40:44] = True
    crmask &= ~bad
    changed = drop_leaks(crmask, plane, bad) != crmask
    assert not changed[:39].any()
    assert not changed[45:].any()


def test_cutouts_of_a_frame_give_what_the_whole_frame_does(rng):
    plane = rng.exponential(100, (60, 70))
    bad = rng.random(plane.shape) < 0.1
    plane[bad] = np.where(rng.random(bad.sum()) < 0.2, np.nan, 5000)
    crmask = (rng.random(plane.shape) < 0.2) & ~bad
    whole = drop_leaks(crmask, plane, bad)
    assert (whole != crmask).sum() > 30
    for y in range(0, 60, 20):
        for x in range(0, 70, 35):
            rows = slice(max(y - REACH, 0), y + 20 + REACH)
            columns = slice(max(x - REACH, 0), x + 35 + REACH)
            part = drop_leaks(*(a[rows, columns] for a in (crmask, plane, bad)))
            part = part[y - rows.start :, x - columns.start :][:20, :35]
            np.testing.assert_array_equal(part, whole[y : y + 20, x : x + 35])


@pytest.mark.parametrize("grow", [0, 2])
def test_dask_drops_them_too(grow, rng):
    da = pytest.importorskip("dask.array")
    data, mask = sky(rng), np.zeros((300, 300), dtype=bool)
    mask[:, 99] = mask[100, :] = True
    data[:, 98] += 250
    data[101, :] += 250
    data[mask] += 4000
    data[50, 90:110] += 500
    options = {"grow": grow, "inpaint": None, "precision": "float32"}
    expected = cosmicray_deepcr(CCDData(data, unit="adu", mask=mask), **options)
    lazy = CCDData(da.from_array(data, chunks=100), unit="adu", mask=mask)
    found = np.asarray(cosmicray_deepcr(lazy, **options).mask)
    np.testing.assert_array_equal(found, expected.mask)
    assert (found & ~mask).sum() < 40 * (1 + 4 * grow)


@pytest.mark.parametrize("length", [1, 3, 5, 9])
@pytest.mark.parametrize("how", ["border", "wide", "column"])
@pytest.mark.parametrize("value", [np.nan, 300])
def test_cosmic_rays_along_pixels_without_a_value(length, how, value, rng):
    """Borders and regions without data leak nothing, narrow columns only long lines."""
    data, bad = sky(rng), np.zeros((300, 300), dtype=bool)
    bad[:, {"border": np.s_[:20], "wide": np.s_[15:20], "column": 19}[how]] = True
    affected = np.zeros_like(bad)
    for y in range(10, 280, 20):
        affected[y : y + length, 20] = True
    data[affected] += 700
    data[bad] = value
    crmask = cosmicray_deepcr(CCDData(data, unit="adu", mask=bad)).mask & ~bad
    if how != "column" or length < 6:
        assert crmask[affected].mean() > 0.9
    else:
        assert crmask[affected].mean() < 0.7


def test_a_track_beside_few_pixels_without_a_value(rng):
    """A leak would be on their other side as well."""
    for missing in ([(31, 32)], [(31, 31)], [(31, 30), (31, 31)], [(29, 30), (29, 31)]):
        data = sky(rng, (64, 64))
        affected = np.zeros(data.shape, dtype=bool)
        affected[30:32, 29:32] = True
        data[affected] += 900
        for place in missing:
            data[place] = np.nan
        crmask = cosmicray_deepcr(data)[1]
        there = affected & np.isfinite(data)
        assert crmask[there].mean() > 0.7, missing


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_leaks_around_hot_pixels_without_a_value(width, rng):
    """They are on all sides of it."""
    data, hot = sky(rng), np.zeros((300, 300), dtype=bool)
    for y in range(15, 290, 30):
        for x in range(15, 290, 30):
            hot[y : y + width, x : x + width] = True
    near = np.zeros_like(hot)
    for step in (-1, 1):
        for axis in (0, 1):
            near |= np.roll(hot, step, axis)
    data[near] += 600
    data[hot] = np.nan
    assert cosmicray_deepcr(data)[1].sum() <= 0.02 * near.sum()
