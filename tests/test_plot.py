import numpy as np
import pytest
from matplotlib.figure import Figure

from deepcr_ccd.plot import plot_before_after


def test_three_panels_share_one_stretch(ccd):
    axes = Figure().subplots(1, 3)
    crmask = np.zeros(ccd.shape, dtype=bool)
    crmask[3, 4:7] = True
    plot_before_after(ccd, crmask, ccd.data, axes, unit="electron")
    before, mask, after = (ax.images[0] for ax in axes)
    np.testing.assert_array_equal(before.get_array(), ccd.data)
    np.testing.assert_array_equal(mask.get_array(), crmask)
    assert before.norm.vmin == after.norm.vmin < np.median(ccd.data)
    assert [ax.get_title() for ax in axes] == [
        "before (electron)",
        "mask: 3 px",
        "after",
    ]


def test_frames_without_good_pixels():
    frame = np.full((5, 5), np.nan)
    plot_before_after(frame, np.ones((5, 5), bool), frame, Figure().subplots(1, 3))


def test_wrong_number_of_axes(ccd):
    with pytest.raises(ValueError, match="axes must be 3 of them, not 2"):
        plot_before_after(ccd, ccd.data > 0, ccd, Figure().subplots(1, 2))
