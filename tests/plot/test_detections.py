import itertools

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from deepcr_ccd import cosmicray_deepcr
from deepcr_ccd.plot import plot_detections
from deepcr_ccd.plot.outlines import BLUE, RED, YELLOW, outline_segments


def sides(segments):
    """The unit sides that lines consist of, as sets of (x, y) of their middles."""
    found = set()
    for (x0, y0), (x1, y1) in segments:
        steps = int(abs(x1 - x0) + abs(y1 - y0))
        for i in range(steps):
            part = (i + 0.5) / steps
            found.add((x0 + part * (x1 - x0), y0 + part * (y1 - y0)))
    return found


def test_outline_runs_along_the_sides_of_pixels():
    mask = np.zeros((6, 7), dtype=bool)
    mask[2, 3:5] = True
    segments = outline_segments(mask)
    assert len(segments) == 4
    assert sides(segments) == {
        (3, 1.5),
        (4, 1.5),
        (3, 2.5),
        (4, 2.5),
        (2.5, 2),
        (4.5, 2),
    }
    moved = outline_segments(mask, origin=(10, 20))
    np.testing.assert_array_equal(moved, segments + [20, 10])


def test_outline_with_a_margin_and_at_the_edge():
    mask = np.zeros((5, 5), dtype=bool)
    mask[0, 0] = True
    segments = outline_segments(mask, margin=2)
    assert (segments.min(), segments.max()) == (-2.5, 2.5)
    assert len(sides(segments)) == 20
    assert outline_segments(np.zeros((5, 5), dtype=bool), margin=3).shape == (0, 2, 2)


def test_every_side_between_flagged_and_other_pixels(rng):
    mask = rng.random((23, 31)) < 0.3
    wide = np.pad(mask, 1)
    number = sum(np.count_nonzero(np.diff(wide, axis=axis)) for axis in (0, 1))
    assert len(sides(outline_segments(mask))) == number


def lines(ax):
    return {
        to_hex(c.get_color()[0]).upper(): np.array(c.get_segments())
        for c in ax.collections
    }


@pytest.fixture
def masks():
    truth, flagged = np.zeros((2, 40, 50), dtype=bool)
    truth[5, 5:8] = truth[20, 20] = truth[30, 40:44] = truth[10, 30] = True
    flagged[5, 6:9] = flagged[10, 30] = flagged[35, 3] = True
    flagged[21, 21] = True  # touches a cosmic ray at a corner only
    return truth, flagged


def test_found_missed_and_false(masks):
    truth, flagged = masks
    ax = Figure().subplots()
    assert plot_detections(np.zeros((40, 50)), flagged, truth, ax=ax, margin=0) is ax
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["found: 2", "missed: 2", "false: 2"]
    assert ax.get_title() == "4 cosmic rays, 4 flagged groups"
    found = np.zeros_like(truth)
    found[5, 6:9] = found[10, 30] = True
    missed = np.zeros_like(truth)
    missed[20, 20] = missed[30, 40:44] = True
    for color, mask in ((BLUE, found), (YELLOW, missed), (RED, flagged & ~found)):
        np.testing.assert_array_equal(lines(ax)[color], outline_segments(mask))


def test_colours_differ_for_colour_blind_people():
    # Machado, Oliveira & Fernandes (2009), severity 1; on linear RGB.
    kinds = {
        "normal": np.eye(3),
        "protanopia": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        "deuteranopia": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        "tritanopia": [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    }
    for kind, matrix in kinds.items():
        seen = [
            np.clip(matrix @ np.power(to_rgb(color), 2.2), 0, 1) ** (1 / 2.2)
            for color in (BLUE, YELLOW, RED)
        ]
        for one, other in itertools.combinations(seen, 2):
            assert np.linalg.norm(one - other) > 0.3, kind


def test_mask_of_the_cleaned_frame(ccd):
    cleaned = cosmicray_deepcr(ccd)
    before = cleaned.data.copy()
    ax = plot_detections(cleaned, ax=Figure().subplots(), margin=0)
    numbers = cleaned.header["CRNOBJ"], cleaned.header["CRNPIX"]
    assert ax.get_title() == "{} cosmic rays, {} px".format(*numbers)
    expected = outline_segments(cleaned.mask)
    np.testing.assert_array_equal(lines(ax)[BLUE], expected)
    np.testing.assert_array_equal(cleaned.data, before)
    assert ax.get_legend() is None
    again = plot_detections(cleaned, cleaned.mask, ax=Figure().subplots())
    assert again.get_title() == ax.get_title()


def test_pixels_that_were_bad_before_are_no_cosmic_rays():
    bad, flagged = np.zeros((2, 30, 30), dtype=bool)
    bad[:, 4] = flagged[10, 10] = True
    before = CCDData(np.zeros((30, 30)), unit="adu", mask=bad)
    after = CCDData(np.zeros((30, 30)), unit="adu", mask=bad | flagged)
    for ax in (
        plot_detections(before, after.mask, ax=Figure().subplots()),
        plot_detections(after, bad=bad, ax=Figure().subplots()),
    ):
        assert ax.get_title() == "1 cosmic ray, 1 px"


def frames():
    data = np.arange(400).reshape(20, 20) % 17
    gaps = data.astype(float)
    gaps[3:5] = np.nan
    return {
        "integers": data.astype(np.uint16),
        "big-endian": data.astype(">f4"),
        "big-endian integers": data.astype(">i2"),
        "NaN": gaps,
        "only NaN": np.full((20, 20), np.nan),
        "Quantity": data * u.adu,
        "masked array": np.ma.masked_array(data, np.zeros((20, 20), bool)),
        "constant": np.ones((20, 20)),
    }


@pytest.mark.parametrize("kind", frames())
def test_every_kind_of_frame_is_drawn(kind, masks):
    frame = frames()[kind]
    flagged = masks[1][:20, :20]
    figure = Figure()
    ax = plot_detections(frame, flagged, masks[0][:20, :20], ax=figure.subplots())
    figure.canvas.draw()
    shown = ax.images[0].get_array()
    assert shown.dtype.isnative
    expected = np.asarray(getattr(frame, "value", frame), dtype=float)
    np.testing.assert_array_equal(np.ma.filled(shown, np.nan), expected)
    assert np.isfinite([ax.images[0].norm.vmin, ax.images[0].norm.vmax]).all()


def test_a_figure_of_its_own(ccd):
    import matplotlib.pyplot as plt

    ax = plot_detections(ccd, ccd.data > 500)
    assert plt.gcf() is ax.get_figure()
    plt.close(ax.get_figure())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "crmask=None takes the mask of ccd, which has none: give crmask="),
        ({"crmask": np.zeros((3, 3), bool)}, r"crmask has shape \(3, 3\)"),
        ({"crmask": False, "truth": np.zeros((3, 3), bool)}, "truth has shape"),
        ({"crmask": False, "bad": np.zeros((3, 3), bool)}, "bad has shape"),
        ({"crmask": False, "margin": -1}, r"margin=-1; allowed are whole numbers >= 0"),
        ({"crmask": False, "margin": 0.5}, r"margin=0.5; allowed are whole numbers"),
        ({"crmask": False, "linewidth": 0}, "linewidth=0; allowed is a positive"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        plot_detections(np.ones((20, 20)), ax=Figure().subplots(), **options)


def test_stack_is_no_frame():
    with pytest.raises(ValueError, match=r"ccd has shape \(2, 5, 5\); allowed is"):
        plot_detections(np.ones((2, 5, 5)), False)
