import numpy as np
import pytest
from matplotlib.figure import Figure

from deepcr_ccd import cosmicray_probability
from deepcr_ccd.plot import plot_probability
from deepcr_ccd.plot.outlines import outline_segments


def test_map_with_its_threshold(ccd):
    frame = ccd.data.copy()
    frame[10:12] = np.nan
    probability = cosmicray_probability(frame)
    copy = probability.copy()
    figure = Figure()
    ax = plot_probability(probability, 0.6, ax=figure.subplots(), margin=0)
    figure.canvas.draw()
    above = probability > 0.6
    assert ax.get_title().endswith(f"groups, {above.sum()} px")
    assert ax.get_title().startswith("above 0.6: ")
    (lines,) = ax.collections
    np.testing.assert_array_equal(lines.get_segments(), outline_segments(above))
    shown = ax.images[0].get_array()
    np.testing.assert_array_equal(np.isnan(np.ma.filled(shown, np.nan)), np.isnan(copy))
    np.testing.assert_array_equal(shown[~np.isnan(copy)].min(), np.float32(1e-4))
    np.testing.assert_array_equal(shown[above], copy[above])
    assert (ax.images[0].norm.vmin, ax.images[0].norm.vmax) == (1e-4, 1)
    bar = figure.axes[1]
    assert bar.get_ylabel() == "probability of a cosmic ray"
    assert [0.6, 0.6] in [list(line.get_ydata()) for line in bar.lines]
    np.testing.assert_array_equal(probability, copy)


def test_small_probabilities_differ_in_colour():
    probability = np.array([[0, 1e-4, 1e-3, 1e-2, 0.1, 1]])
    image = plot_probability(probability, ax=Figure().subplots()).images[0]
    colors = image.cmap(image.norm(image.get_array()))[0]
    np.testing.assert_array_equal(colors[0], colors[1])
    assert np.linalg.norm(np.diff(colors[1:], axis=0), axis=1).min() > 0.2


def test_without_threshold():
    import matplotlib.pyplot as plt

    ax = plot_probability(np.full((9, 9), np.nan))
    assert ax.get_title() == "probability of a cosmic ray"
    assert not ax.collections
    assert plt.gcf() is ax.get_figure()
    plt.close(ax.get_figure())


@pytest.mark.parametrize(
    ("probability", "threshold", "message"),
    [
        (np.full((5, 5), 1.5), None, "probability is from 1.5 to 1.5; allowed are"),
        (np.full((5, 5), -0.5), None, r"allowed are values in \[0, 1\], or NaN"),
        (np.zeros((5, 5)), 1, r"threshold=1; allowed are numbers in \[0, 1\)"),
        (np.zeros((5, 5)), np.nan, "threshold=nan; allowed are"),
        (np.zeros((2, 5, 5)), None, r"probability has shape \(2, 5, 5\); allowed is"),
    ],
)
def test_wrong_values(probability, threshold, message):
    with pytest.raises(ValueError, match=message):
        plot_probability(probability, threshold, ax=Figure().subplots())
