import numpy as np
import pytest
from matplotlib.figure import Figure

from deepcr_ccd.plot import plot_before_after


def test_three_panels_share_one_stretch(ccd):
    axes = Figure().subplots(1, 3)
    crmask = np.zeros(ccd.shape, dtype=bool)
    crmask[3, 4:7] = True
    figure = plot_before_after(ccd, crmask, ccd.data, axes, unit="electron")
    assert figure is axes[0].get_figure()
    before, mask, after = (ax.images[0] for ax in axes)
    np.testing.assert_array_equal(before.get_array(), ccd.data)
    np.testing.assert_array_equal(mask.get_array(), crmask)
    assert before.norm.vmin == after.norm.vmin < np.median(ccd.data)
    assert [ax.get_title() for ax in axes] == [
        "before (electron)",
        "cosmic rays: 3 px",
        "after",
    ]


def test_frames_without_good_pixels():
    frame = np.full((5, 5), np.nan)
    plot_before_after(frame, np.ones((5, 5), bool), frame, Figure().subplots(1, 3))


def test_wrong_number_of_axes(ccd):
    with pytest.raises(ValueError, match="axes must be 3 of them, not 2"):
        plot_before_after(ccd, ccd.data > 0, ccd, Figure().subplots(1, 2))


def test_wrong_shapes(ccd):
    with pytest.raises(ValueError, match=r"shapes .*; allowed is one shape \(ny, nx\)"):
        plot_before_after(ccd, ccd.data[1:] > 0, ccd)


def test_it_makes_a_figure_of_its_own(ccd):
    import matplotlib.pyplot as plt

    crmask = np.zeros(ccd.shape, dtype=bool)
    figure = plot_before_after(ccd, crmask, ccd)
    assert plt.gcf() is figure
    assert len(figure.axes) == 3
    plt.close(figure)


@pytest.mark.parametrize("kind", ["CCDData", "masked array"])
def test_pixels_masked_on_input_are_no_cosmic_rays(ccd, kind):
    crmask = np.zeros(ccd.shape, dtype=bool)
    crmask[3, 4:7] = True
    before = ccd.copy()
    before.mask = np.zeros(ccd.shape, dtype=bool)
    before.mask[10] = before.mask[3, 4] = True
    if kind == "masked array":
        before = np.ma.masked_array(before.data, before.mask)
    axes = Figure().subplots(1, 3)
    plot_before_after(before, before.mask | crmask, ccd, axes)
    assert axes[1].get_title() == "cosmic rays: 2 px"
    assert np.argwhere(axes[1].images[0].get_array()).tolist() == [[3, 5], [3, 6]]
