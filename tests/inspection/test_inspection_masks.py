"""Masks of an inspection equal those of the package, pixel for pixel."""

import dataclasses

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData

from deepcr_ccd import cosmicray_deepcr, load_model
from deepcr_ccd import inspect as open_page
from deepcr_ccd.demo import simulate
from deepcr_ccd.inspection.codes import EXCLUDED, encode, grid_cuts, threshold_grid
from deepcr_ccd.inspection.images import frame_source
from deepcr_ccd.inspection.inspection import Inspection
from deepcr_ccd.inspection.planes import Settings
from deepcr_ccd.options import CleanOptions
from deepcr_ccd.segmentation.hysteresis import Thresholds, threshold_levels

EXACT = {"model": "universal", "device": "cpu", "precision": "float32"}


def inspect(ccd, **options):
    chosen = CleanOptions(**EXACT, **options)
    model = chosen.load_model()
    source = frame_source(ccd, chosen, model)
    return Inspection(source, chosen, model.card.thresholds(None, None, None))


@pytest.fixture(scope="module")
def frame():
    """A frame with a bad column, a hot pixel, and charge that leaks from it."""
    ccd = simulate((120, 140), n_stars=12, n_tracks=14, seed=3)
    ccd.mask = np.zeros(ccd.shape, dtype=bool)
    ccd.data[:, 70] += 40_000
    for row in range(20, 90, 12):
        ccd.data[row : row + 5, 71] += 900
    ccd.mask[:, 70] = True
    ccd.data[5, 5] = np.nan
    return ccd


@pytest.fixture(scope="module")
def inspection(frame):
    return inspect(frame)


def test_codes_decide_as_probabilities_do(rng):
    grid = threshold_grid(0.45, 0.2)
    cuts = np.array(grid, dtype=np.float32)
    near = [np.nextafter(cuts, np.float32(side)) for side in (-1, 2)]
    probability = np.concatenate([cuts, *near, rng.random(1000, dtype=np.float32)])
    probability = np.clip(probability, 0, 1)[None]
    codes = encode(probability, grid)
    for seed, extend in [(0.45, 0.2), (0.5, 0.001), (0.995, 0.995), (1.0, 0.85)]:
        thresholds = Thresholds(seed, extend)
        levels = threshold_levels(codes, grid_cuts(grid, thresholds))
        np.testing.assert_array_equal(
            levels, threshold_levels(probability, thresholds.cuts)
        )


def test_codes_of_excluded_pixels_and_of_thresholds_off_the_grid():
    grid = threshold_grid()
    assert encode(np.full((1, 1), np.nan, np.float32), grid)[0, 0] == EXCLUDED
    assert encode(np.ones((1, 1), np.float32), grid)[0, 0] == len(grid) - 1
    with pytest.raises(ValueError, match="not of the grid"):
        grid_cuts(grid, Thresholds(0.12345, 0.1))
    with pytest.raises(ValueError, match="too many"):
        threshold_grid(*np.linspace(0.1234, 0.9876, 60))


@pytest.mark.filterwarnings("ignore:.*pixels are flagged")
@pytest.mark.parametrize(
    ("seed", "extend", "grow"),
    [
        (0.45, 0.2, 0),
        (0.3, 0.05, 1),
        (0.9, 0.9, 0),
        (0.995, 0.1, 2.5),
        (0.995, 0.995, 5),
    ],
)
def test_masks_are_those_of_the_package(frame, inspection, seed, extend, grow):
    settings = Settings(Thresholds(seed, extend), grow)
    found = inspection.plane(0).automatic_mask(settings)
    cleaned = cosmicray_deepcr(
        frame,
        threshold=seed,
        extend_threshold=extend,
        grow=grow,
        inpaint=None,
        **EXACT,
    )
    np.testing.assert_array_equal(found, cleaned.mask & ~frame.mask)
    assert found.any()


def test_charge_that_leaks_is_dropped(inspection):
    plane = inspection.plane(0)
    dropped = plane.dropped(Thresholds(0.45, 0.2))
    columns = dropped % plane.data.shape[1]
    assert dropped.size > 10
    assert set(columns) <= {69, 71}
    assert not plane.automatic_mask(Settings(Thresholds(0.45, 0.2))).flat[dropped].any()


def test_stacks_and_raw_colour_frames(frame):
    stack = np.stack([frame.data[:60, :60], frame.data[60:, 80:]])
    opened = inspect(stack)
    assert [tab.title for tab in opened.source.tabs] == ["frame [0]", "frame [1]"]
    expected = cosmicray_deepcr(stack, inpaint=None, **EXACT)[1]
    np.testing.assert_array_equal(opened.image_mask(0), expected & np.isfinite(stack))
    raw = CCDData(frame.data, unit="adu", meta=fits.Header({"BAYERPAT": "RGGB"}))
    opened = inspect(raw, grow=1)
    assert opened.plane(0).step == 2
    expected = cosmicray_deepcr(raw, grow=1, inpaint=None, **EXACT).mask
    np.testing.assert_array_equal(opened.mask(0), expected)


def test_fills_are_those_of_the_package(frame, inspection):
    cleaned = cosmicray_deepcr(frame, **EXACT)
    crmask = inspection.mask(0)
    values, sigma = inspection.plane(0).fills(crmask)
    np.testing.assert_array_equal(values, cleaned.data[crmask])
    assert (sigma > 0).all()
    unfilled = inspect(frame, inpaint=None)
    assert unfilled.plane(0).fills(crmask) == (None, None)


def test_thresholds_of_the_user_are_on_the_grid(frame):
    opened = inspect(frame, threshold=0.4321, extend_threshold=0.1234)
    assert {0.4321, 0.1234, 0.45, 0.2, 0.85} <= set(opened.grid)
    assert opened.state.settings.thresholds == (0.4321, 0.1234)
    model = load_model("universal", device="cpu")
    rate = inspect(frame, target_fpr=1e-3)
    seed = model.card.threshold_for(1e-3)
    assert rate.state.settings.thresholds == (seed, seed)
    assert dataclasses.asdict(rate.options)["target_fpr"] == 1e-3


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (
            {"gain": 1.5 * u.electron / u.adu, "readnoise": 5.0},
            "gain=u.Quantity(1.5, 'electron / adu')",
        ),
        ({"satlevel": 1000 * u.adu}, "satlevel=u.Quantity(1000.0, 'adu')"),
        ({"psffwhm": np.float32(2.5)}, "psffwhm=2.5"),
    ],
)
def test_calls_with_quantities_can_be_repeated(option, text):
    frame = simulate((64, 64))
    frame = CCDData(frame.data, unit="adu")
    with open_page(frame, browser=False, device="cpu", **option) as session:
        assert text in session.call
        mask = session.mask
    names = {"ccd": frame, "u": u, "cosmicray_deepcr": cosmicray_deepcr}
    np.testing.assert_array_equal(eval(session.call, names), mask)  # noqa: S307
