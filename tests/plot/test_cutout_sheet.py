import numpy as np
import pytest
from astropy.nddata import CCDData
from matplotlib.figure import Figure

from deepcr_ccd import cosmicray_deepcr
from deepcr_ccd.plot import plot_cutouts
from deepcr_ccd.plot.outlines import outline_segments


@pytest.fixture
def frames(rng):
    """A frame with four cosmic rays, the frame without, and the mask."""
    after = rng.normal(100, 5, (60, 80)).astype(np.float32)
    crmask = np.zeros(after.shape, dtype=bool)
    before = after.copy()
    for place, charge in (
        ((slice(10, 11), slice(20, 21)), 5000),  # one pixel, the brightest
        ((slice(30, 31), slice(40, 50)), 100),  # ten pixels, the largest
        ((slice(0, 2), slice(0, 2)), 300),  # in the corner
        ((slice(50, 51), slice(70, 72)), 200),
    ):
        before[place] += charge
        crmask[place] = True
    return before, after, crmask


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


def test_brightest_and_largest_come_first(frames):
    before, after, crmask = frames
    figure = plot_cutouts(before, after, crmask, fig=Figure())
    assert figure.get_suptitle() == "4 cosmic rays: before, flagged, after"
    places = [title.split(": ")[0] for title in titles(figure)]
    assert places == ["x=20, y=10", "x=0, y=0", "x=44, y=30", "x=70, y=50"]
    figure = plot_cutouts(
        before, after, crmask, number=2, order="largest", fig=Figure()
    )
    assert figure.get_suptitle().startswith("2 largest of 4 cosmic rays")
    assert titles(figure) == [
        "x=44, y=30: 10 px, 1000",
        "x=0, y=0: 4 px, 1200",
    ]


def test_panels_of_a_cosmic_ray(frames):
    before, after, crmask = frames
    figure = plot_cutouts(before, after, crmask, number=1, size=9, fig=Figure())
    old, outlined, new = (ax.images[0] for ax in figure.axes)
    cut = np.s_[6:15, 16:25]
    for image, frame in ((old, before), (outlined, before), (new, after)):
        np.testing.assert_array_equal(image.get_array(), frame[cut])
        assert image.get_extent() == [15.5, 24.5, 5.5, 14.5]
    assert old.norm is outlined.norm is new.norm
    assert old.norm.vmin < 100 < old.norm.vmax < 1000
    lines = [len(ax.collections) for ax in figure.axes]
    assert lines == [0, 1, 0]
    np.testing.assert_array_equal(
        figure.axes[1].collections[0].get_segments(),
        outline_segments(crmask[cut], origin=(6, 16)),
    )


def test_cutouts_stay_in_the_frame_and_hold_the_cosmic_ray():
    crmask = np.zeros((30, 64), dtype=bool)
    crmask[2, 3:50] = True
    frame = np.where(crmask, 50.0, 0.0)
    figure = plot_cutouts(frame, frame, crmask, fig=Figure())
    assert figure.axes[0].images[0].get_array().shape == (30, 59)
    assert figure.axes[0].images[0].get_extent() == [-0.5, 58.5, -0.5, 29.5]


def test_charge_without_fills_is_above_the_median(frames):
    before, _, crmask = frames
    figure = plot_cutouts(before, before, crmask, number=1, fig=Figure())
    charge = before[10, 20] - np.median(before[~crmask])
    assert titles(figure) == [f"x=20, y=10: 1 px, {charge:.0f}"]


def test_cleaned_frame_and_its_mask(ccd):
    bad = np.zeros(ccd.shape, dtype=bool)
    bad[:, 7] = True
    before = CCDData(ccd.data.astype(">f4"), unit="electron", mask=bad)
    cleaned = cosmicray_deepcr(before)
    copy = cleaned.mask.copy()
    figure = plot_cutouts(before, cleaned, number=100, fig=Figure())
    number = cleaned.header["CRNOBJ"]
    assert len(figure.axes) == 3 * number
    assert figure.get_suptitle().startswith(f"{number} cosmic rays")
    assert all(title.endswith(" electron") for title in titles(figure))
    np.testing.assert_array_equal(cleaned.mask, copy)


def test_frames_with_nan_integers_and_without_cosmic_rays(frames):
    before, after, crmask = frames
    before[10, 20] = np.nan
    figure = plot_cutouts(before, after, crmask, fig=Figure())
    figure.canvas.draw()
    assert titles(figure)[-1] == "x=20, y=10: 1 px, 0"
    whole = after.astype(np.uint16)
    figure = plot_cutouts(whole, whole, np.zeros_like(crmask), fig=Figure())
    figure.canvas.draw()
    assert figure.get_suptitle() == "0 cosmic rays: before, flagged, after"
    assert not figure.axes


def test_a_figure_of_its_own_and_a_part_of_one(frames):
    import matplotlib.pyplot as plt

    figure = plot_cutouts(*frames)
    assert plt.gcf() is figure
    plt.close(figure)
    part = Figure().subfigures(1, 2)[1]
    assert plot_cutouts(*frames, fig=part) is part
    assert len(part.axes) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"number": 0}, "number=0; allowed are whole numbers from 1 on"),
        ({"order": "faint"}, "order='faint'; allowed are 'brightest', 'largest'"),
        ({"size": 2}, "size=2; allowed are whole numbers from 3 on, in px"),
        ({"crmask": None}, "crmask=None takes the mask of after, which has none"),
        ({"after": np.ones((3, 3))}, r"after has shape \(3, 3\); allowed is that of"),
    ],
)
def test_wrong_options(frames, options, message):
    arguments = dict(zip(("before", "after", "crmask"), frames, strict=True))
    with pytest.raises(ValueError, match=message):
        plot_cutouts(**(arguments | options), fig=Figure())
