"""Layers of edits stay when thresholds move."""

import numpy as np
import pytest

from deepcr_ccd.inspection.edits import Edit, apply_edits, count_changes, read_edits
from deepcr_ccd.inspection.objects import list_objects
from deepcr_ccd.inspection.planes import Settings
from deepcr_ccd.inspection.state import Conflict, State
from deepcr_ccd.segmentation.hysteresis import Thresholds

GRID = [0.2, 0.5, 0.85, 1.0]


def flat(*pixels):
    return np.array([8 * y + x for y, x in pixels])


@pytest.fixture
def crmask():
    """Two groups: a diagonal of three pixels, and a single one."""
    mask = np.zeros((6, 8), dtype=bool)
    mask[[1, 2, 3], [1, 2, 3]] = True
    mask[4, 6] = True
    return mask


def test_a_rejected_group_stays_out_when_it_grows_or_shrinks(crmask):
    edits = [Edit("reject", flat((1, 1), (2, 2), (3, 3)))]
    only = np.zeros_like(crmask)
    only[4, 6] = True
    np.testing.assert_array_equal(apply_edits(crmask, None, edits), only)
    larger = crmask.copy()
    larger[0, 0:2] = True
    np.testing.assert_array_equal(apply_edits(larger, None, edits), only)
    smaller = crmask.copy()
    smaller[2, 2] = False
    np.testing.assert_array_equal(apply_edits(smaller, None, edits), only)
    assert crmask.sum() == 4


def test_an_accepted_group_stays_whatever_the_thresholds(crmask):
    edits = [Edit("accept", flat((4, 6)))]
    nothing = np.zeros_like(crmask)
    assert apply_edits(nothing, None, edits).nonzero() == ([4], [6])


def test_accepting_takes_a_rejection_back(crmask):
    edits = [
        Edit("reject", flat((1, 1), (2, 2), (3, 3))),
        Edit("accept", flat((2, 2))),
    ]
    np.testing.assert_array_equal(apply_edits(crmask, None, edits), crmask)


def test_the_last_stroke_of_the_brush_counts(crmask):
    pixels = flat((0, 5), (4, 6))
    add, remove = Edit("add", pixels), Edit("remove", pixels)
    added = apply_edits(crmask, None, [remove, add])
    assert added[0, 5] and added[4, 6]
    removed = apply_edits(crmask, None, [add, remove])
    assert not removed[0, 5] and not removed[4, 6]
    added = apply_edits(crmask, None, [add])
    assert count_changes(crmask, added) == {"added": 1, "removed": 0}
    removed = apply_edits(crmask, None, [remove])
    assert count_changes(crmask, removed) == {"added": 0, "removed": 1}


def test_pixels_drawn_by_hand_can_be_rejected(crmask):
    pixels = flat((0, 5), (0, 6))
    edits = [Edit("add", pixels), Edit("reject", pixels)]
    np.testing.assert_array_equal(apply_edits(crmask, None, edits), crmask)


def test_excluded_pixels_are_never_flagged(crmask):
    bad = np.zeros_like(crmask)
    bad[0, 5] = True
    edited = apply_edits(crmask, bad, [Edit("add", flat((0, 5), (0, 6)))])
    assert not edited[0, 5] and edited[0, 6]


def test_edits_of_a_page_are_read():
    (edit,) = read_edits([["add", [3, 2, 9, 1]]], 10)
    assert edit.kind == "add"
    np.testing.assert_array_equal(edit.pixels, [3, 4, 9])
    assert read_edits([["add", []]], 10)[0].pixels.size == 0


@pytest.mark.parametrize(
    "items",
    [
        {},
        [["draw", [1, 1]]],
        [["add"]],
        [["add", "11"]],
        [["add", [1]]],
        [["add", [1, 0]]],
        [["add", [-1, 2]]],
        [["add", [9, 2]]],
        [["add", [0, 10**12]]],
        [["add", [4, 2, 5, 1]]],
        [["add", [1.0, 1]]],
        [["add", [True, 1]]],
    ],
)
def test_other_edits_are_refused(items):
    with pytest.raises(ValueError, match="edit"):
        read_edits(items, 10)


def test_a_state_that_another_page_changed_is_a_conflict():
    state = State(GRID, Settings(Thresholds(0.5, 0.2)), [10, 10])
    state.change(0, 0, 1, 1, 0, [["add", [1, 1]]])
    assert state.describe(0) == {
        "revision": 1,
        "seed": 1,
        "extend": 1,
        "grow": 0.0,
        "edits": [["add", [1, 1]]],
        "unsaved": True,
    }
    assert state.describe(1)["edits"] == []
    with pytest.raises(Conflict):
        state.change(0, 0, 1, 0, 0, [])
    # What changes nothing has no new revision.
    state.change(0, 1, 1, 1, 0.0, [["add", [1, 1]]])
    assert state.revision == 1
    state.change(0, 1, 0, 3, 2.5, [])
    assert state.settings == (Thresholds(0.2, 0.2), 2.5)


def test_thresholds_growth_and_edits_are_changes_to_be_saved():
    state = State(GRID, Settings(Thresholds(0.5, 0.2)), [10, 10])
    start = (state.start["seed"], state.start["extend"], 0)
    assert not state.has_unsaved_changes
    changes = [
        (0, 1, 1, 0, []),
        (0, *start[:2], 1.5, []),
        (1, *start, [["add", [1, 1]]]),
    ]
    for tab, *values in changes:
        state.change(tab, state.revision, *values)
        assert state.has_unsaved_changes
        saved = state.snapshot()
        # What is changed while a file is written is not saved.
        state.change(0, state.revision, 0, 0, 7, [["add", [3, 1]]])
        state.mark_saved(saved)
        assert state.has_unsaved_changes
        assert saved.settings.grow == values[2] and saved.edits(0) == []
        state.change(0, state.revision, *values[:3], [])
        assert not state.has_unsaved_changes
    state.change(1, state.revision, *start, [])
    assert state.has_unsaved_changes


@pytest.mark.parametrize(
    "values",
    [
        (4, 0, 0),
        (-1, 0, 0),
        (True, 0, 0),
        (1, 0.5, 0),
        (1, 1, -1),
        (1, 1, 21),
        (1, 1, float("nan")),
        (1, 1, "1"),
    ],
)
def test_other_settings_are_refused(values):
    state = State(GRID, Settings(Thresholds(0.5, 0.2)), [10])
    with pytest.raises(ValueError, match="must be"):
        state.change(0, 0, *values, [])
    assert state.revision == 0


def test_objects_are_measured():
    crmask = np.zeros((20, 30), dtype=bool)
    crmask[4, 5:15] = True
    crmask[10:13, 20:23] = True
    data = np.arange(600.0).reshape(20, 30)
    probability = np.where(crmask, 0.7, 0.0).astype(np.float32)
    probability[4, 7] = 1
    found = list_objects(crmask, data, probability, 0.6)
    np.testing.assert_array_equal(found["first"], [125, 320])
    np.testing.assert_array_equal(found["size"], [10, 9])
    np.testing.assert_array_equal(found["peak"], [134, 382])
    np.testing.assert_allclose(found["x"], [9.5, 21])
    np.testing.assert_allclose(found["y"], [4, 11])
    # A line of ten pixels has ten times the second moment of one.
    np.testing.assert_allclose(found["elongation"], [10, 1])
    np.testing.assert_allclose(found["doubt"], [0, 0.75], atol=1e-6)
    none = list_objects(np.zeros_like(crmask), data, probability, 0.6)
    assert all(column.size == 0 for column in none.values())
