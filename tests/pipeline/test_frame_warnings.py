"""Frames that defeat the method get a warning, and no others do."""

import re

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from deepcr_ccd import clean_files, cosmicray_deepcr, detect_cosmics
from deepcr_ccd.pipeline.frame_warnings import is_cr_dominated

SHAPE = (256, 256)


def frame_of_tracks(fraction, seed=0):
    """Return a frame of which a fraction is CR-affected, and which pixels are."""
    rng = np.random.default_rng(seed)
    tracks = np.zeros(SHAPE, dtype=bool)
    while tracks.mean() < fraction:
        y, x = rng.integers(0, 250, 2)
        angle = rng.uniform(0, np.pi)
        for step in np.arange(0, rng.uniform(1, 12), 0.5):
            row, column = int(y + step * np.sin(angle)), int(x + step * np.cos(angle))
            tracks[row % 256, column % 256] = True
    frame = rng.normal(300, 18, SHAPE)
    frame[tracks] += 60 + 400 * rng.exponential(1, tracks.sum())
    return frame.astype("f4"), tracks


def test_too_much_is_flagged():
    frame, tracks = frame_of_tracks(0.15)
    with pytest.warns(AstropyUserWarning, match=r"1\d % of the examined pixels"):
        cleaned, crmask = cosmicray_deepcr(frame)
    assert crmask[tracks].mean() > 0.8
    with pytest.warns(AstropyUserWarning, match=r"1\d % of the examined pixels"):
        detect_cosmics(frame)
    frame, _ = frame_of_tracks(0.05)
    cosmicray_deepcr(frame)
    # One track on a cutout.
    small = np.random.default_rng(1).normal(300, 18, (12, 12))
    small[4:6, 1:10] += 2000
    assert cosmicray_deepcr(small)[1].mean() > 0.1


@pytest.mark.parametrize(
    ("fraction", "warning"),
    [
        (0.35, "is not noise|1. % of the examined"),
        (0.5, "is not noise"),
        (0.7, "is not noise"),
    ],
)
def test_most_is_missed(fraction, warning, tmp_path):
    frame, tracks = frame_of_tracks(fraction)
    frame[::16, ::16] = np.nan
    with pytest.warns(AstropyUserWarning, match=warning):
        _, crmask = cosmicray_deepcr(frame)
    assert crmask[tracks].mean() < 0.35
    with pytest.warns(AstropyUserWarning, match=warning):
        detect_cosmics(frame)
    fits.PrimaryHDU(frame).writeto(tmp_path / "a.fits")
    row = clean_files([tmp_path / "a.fits"], tmp_path / "out")[0]
    assert row["status"] == "done"
    assert re.search(warning, row["message"])


def skies():
    rng = np.random.default_rng(2)
    y, x = np.indices(SHAPE)
    plain = rng.normal(300, 18, SHAPE)
    crowded = plain.copy()
    for _ in range(800):
        cy, cx = rng.uniform(0, 256, 2)
        part = np.s_[
            max(int(cy) - 8, 0) : int(cy) + 9, max(int(cx) - 8, 0) : int(cx) + 9
        ]
        distance = (y[part] - cy) ** 2 + (x[part] - cx) ** 2
        crowded[part] += 10 ** rng.uniform(1.5, 4) * np.exp(-distance / 2)
    yield "plain", plain
    yield "crowded", crowded
    yield "few counts", rng.poisson(0.2, SHAPE)
    yield "counts", rng.poisson(3, SHAPE).astype("u1")
    yield "constant", np.full(SHAPE, 7.0)
    yield "border", np.where(x < 100, 0, plain)
    yield "lines", rng.poisson(100 + 5000 * np.exp(-((y % 16 - 8) ** 2) / 4.0))
    yield "small", plain[:20, :20]


@pytest.mark.parametrize(
    ("name", "frame"), skies(), ids=lambda v: v if isinstance(v, str) else ""
)
def test_ordinary_frames_are_not_cr_dominated(name, frame):
    assert not is_cr_dominated(frame, None), name
    bad = np.zeros(frame.shape, dtype=bool)
    bad[:, ::40] = True
    assert not is_cr_dominated(frame, bad), name


@pytest.mark.filterwarnings("ignore:no pixel was examined")
def test_a_satlevel_that_excludes_the_frame_is_said():
    frame = np.random.default_rng(0).normal(300, 18, (100, 100)).astype("f4")
    for satlevel in (100, 250):
        with pytest.warns(AstropyUserWarning, match=f"satlevel={satlevel} excludes"):
            cosmicray_deepcr(frame, satlevel=satlevel, inpaint=None)
        with pytest.warns(
            AstropyUserWarning, match="% of the pixels: give it in the unit"
        ):
            detect_cosmics(frame, satlevel=satlevel)
    cosmicray_deepcr(frame, satlevel=400, inpaint=None)


@pytest.mark.parametrize(
    ("good", "said"),
    [(0, "100 %"), (130, "99.8 %"), (6553, "90 %"), (6554, ""), (65536, "")],
)
@pytest.mark.parametrize("how", ["MASK", "NaN"])
def test_next_to_nothing_is_examined(good, said, how, tmp_path):
    data = np.random.default_rng(5).normal(300, 18, SHAPE).astype("f4")
    bad = np.arange(data.size).reshape(SHAPE) >= good
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data, name="SCI")])
    if how == "NaN":
        data[bad] = np.nan
    else:
        hdus.append(fits.ImageHDU(bad.astype("u1"), name="MASK"))
    hdus.writeto(tmp_path / "a.fits")
    row = clean_files([tmp_path / "a.fits"], tmp_path / "out")[0]
    assert row["status"] == "done"
    assert ("were excluded" in row["message"]) == bool(said)
    if said:
        assert f"a.fits[SCI,1]: {said} of the pixels are bad on input" in row["message"]


def test_noise_that_single_precision_cannot_hold():
    frame = np.random.default_rng(0).normal(300, 18, (100, 100))
    for level, dtype in ((3e9, "u4"), (2.0**40, "i8"), (1e12, "f8")):
        with pytest.warns(AstropyUserWarning, match="is lost beside a level of"):
            cosmicray_deepcr((frame + level).astype(dtype), inpaint=None)
    cosmicray_deepcr((frame + 1e7).astype("u4"), inpaint=None)
