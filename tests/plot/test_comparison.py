import sys

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData
from astroscrappy import detect_cosmics
from matplotlib.figure import Figure
from scipy import ndimage

from deepcr_ccd import cosmicray_deepcr
from deepcr_ccd.plot import plot_comparison
from deepcr_ccd.plot.baselines import baseline_crmask
from deepcr_ccd.plot.outlines import outline_segments


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.fixture
def masks():
    ours, theirs = np.zeros((2, 40, 50), dtype=bool)
    ours[5, 5:8] = ours[20, 20] = ours[30, 30] = True
    theirs[5, 7:9] = theirs[35, 3] = True
    return ours, theirs


def test_what_only_one_method_flags(masks):
    ours, theirs = masks
    ax = Figure().subplots()
    others = {"other": theirs}
    figure = plot_comparison(np.ones((40, 50)), ours, others, axes=ax, margin=0)
    assert figure is ax.get_figure()
    assert ax.get_title() == "deepcr_ccd: 3 groups, other: 2"
    assert labels(ax) == ["both: 1", "only deepcr_ccd: 2", "only other: 1"]
    parts = np.zeros((3, 40, 50), dtype=bool)
    parts[0, 5, 5:9] = parts[1, 20, 20] = parts[1, 30, 30] = parts[2, 35, 3] = True
    for lines, mask in zip(ax.collections, parts, strict=True):
        np.testing.assert_array_equal(lines.get_segments(), outline_segments(mask))


def test_functions_give_masks_or_frames(masks):
    ours, theirs = masks
    frame = CCDData(np.ones((40, 50)), unit="adu")
    seen = []

    def returns_mask(ccd):
        seen.append(ccd)
        return theirs

    others = {
        "mask": returns_mask,
        "frame": lambda ccd: CCDData(ccd.data, unit=ccd.unit, mask=theirs),
    }
    axes = Figure().subplots(1, 2)
    plot_comparison(frame, ours, others, axes=axes, name="this")
    assert seen == [frame] or seen[0] is frame
    assert labels(axes[0]) == ["both: 1", "only this: 2", "only mask: 1"]
    assert labels(axes[1]) == ["both: 1", "only this: 2", "only frame: 1"]
    with pytest.raises(ValueError, match=r"others\['x'\] gives a frame without a mask"):
        plot_comparison(frame, ours, {"x": lambda ccd: ccd}, axes=axes[0])


def test_masked_pixels_are_left_out_of_all(masks):
    ours, theirs = masks
    bad = np.zeros_like(ours)
    bad[:6] = True
    frame = CCDData(np.ones((40, 50)), unit="adu", mask=bad)
    ax = Figure().subplots()
    plot_comparison(frame, ours | bad, {"other": theirs}, axes=ax)
    assert labels(ax) == ["both: 0", "only deepcr_ccd: 2", "only other: 1"]


def test_astroscrappy_with_gain_and_read_noise_of_the_header(ccd):
    adu = CCDData(
        (ccd.data / 2).astype(">f4"), unit="adu", meta={"EGAIN": 2.0, "RN": 5}
    )
    copy = adu.data.copy()
    crmask = baseline_crmask(adu, "astroscrappy", gain="EGAIN", readnoise="RN")
    expected, _ = detect_cosmics(ccd.data, readnoise=5)
    np.testing.assert_array_equal(crmask, expected)
    assert crmask.sum() > 20
    np.testing.assert_array_equal(adu.data, copy)
    ours = cosmicray_deepcr(ccd, inpaint=None).mask
    axes = Figure().subplots(1, 2)
    names = ["astroscrappy", "ccdproc"]
    plot_comparison(adu, ours, names, axes=axes, gain="EGAIN", readnoise="RN")
    number = ndimage.label(expected, np.ones((3, 3)))[1]
    assert axes[0].get_title().endswith(f"groups, astroscrappy: {number}")
    # It is the same method, with a little lower default of the saturation level.
    assert axes[1].get_title().endswith(f"groups, ccdproc: {number}")


def test_masked_and_nan_pixels_of_a_baseline(ccd):
    frame = ccd.copy()
    frame.data[20:24] = np.nan
    frame.mask = np.zeros(ccd.shape, dtype=bool)
    frame.mask[:, 60:64] = True
    for name in ("astroscrappy", "ccdproc"):
        crmask = baseline_crmask(frame, name)
        assert crmask.any()
        assert not crmask[20:24].any()
        assert not crmask[:, 60:64].any()
        assert not baseline_crmask(np.full((30, 30), np.nan), name).any()


def test_a_figure_of_its_own(masks):
    import matplotlib.pyplot as plt

    ours, theirs = masks
    others = {f"no. {i}": theirs for i in range(4)}
    figure = plot_comparison(np.ones((40, 50)) * u.adu, ours, others)
    assert plt.gcf() is figure
    assert [ax.axison for ax in figure.axes] == [True] * 4 + [False] * 2
    # Nothing is cut off.
    figure.canvas.draw()
    for ax in figure.axes[:4]:
        box = ax.get_legend().get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
    plt.close(figure)


@pytest.mark.parametrize(
    ("others", "error", "message"),
    [
        ("astroscrapy", ValueError, "allowed are .*: did you mean 'astroscrappy'"),
        ({"x": "lacosmic"}, ValueError, "others has 'lacosmic'; allowed are"),
        ({}, ValueError, "others is empty; give one method at least"),
        ([np.zeros((40, 50))], TypeError, "others holds something that has no name"),
        ({"x": np.zeros((2, 2))}, ValueError, r"others\['x'\] has shape \(2, 2\)"),
        (["astroscrappy"], ValueError, "give gain="),
        (
            {"x": False, "y": False},
            ValueError,
            "axes must be 2, one for each",
        ),
    ],
)
def test_wrong_others(masks, others, error, message):
    frame = CCDData(np.ones((40, 50)), unit="adu")
    with pytest.raises(error, match=message):
        plot_comparison(frame, masks[0], others, axes=Figure().subplots())


def test_baseline_that_is_not_installed(masks, monkeypatch):
    monkeypatch.setitem(sys.modules, "astroscrappy", None)
    with pytest.raises(ImportError, match="'astroscrappy' is not installed: pip"):
        plot_comparison(np.ones((40, 50)), masks[0], "astroscrappy")
