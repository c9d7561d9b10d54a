import numpy as np
import pytest
from sklearn.metrics import roc_curve

from deepcr_ccd.evaluation.scores import RocCurve


@pytest.fixture
def frames(rng):
    truth = rng.random((3, 60, 70)) < 0.05
    logit = rng.normal(-4, 2, truth.shape) + 5 * truth
    ignore = rng.random(truth.shape) < 0.1
    # Values in the middle of bins, so that bins and thresholds say the same.
    logit = (np.floor(logit * 100) + 0.5) / 100
    return 1 / (1 + np.exp(-logit)), truth, ignore


def test_curve_is_that_of_scikit_learn(frames):
    probability, truth, ignore = frames
    roc = RocCurve(bins=4002)
    for p, t, i in zip(*frames, strict=True):
        roc.add(p, t, i)
    fpr, tpr, _ = roc_curve(truth[~ignore], probability[~ignore])
    for x in (1e-3, 5e-3, 0.1):
        assert roc.tpr_at(x) == pytest.approx(np.interp(x, fpr, tpr), abs=2e-3)
    x, y, threshold = roc.curve()
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert (np.diff(threshold) <= 0).all()


def test_threshold_keeps_its_promise(frames):
    probability, truth, ignore = frames
    roc = RocCurve()
    roc.add(probability[0], truth[0], ignore[0])
    for fpr in (0.001, 0.01, 0.1):
        flagged = probability[0] >= roc.threshold_at(fpr)
        clean = ~truth[0] & ~ignore[0]
        assert flagged[clean].mean() <= fpr


def test_ignored_pixels_and_nan_count_nowhere(frames):
    probability, truth, ignore = (f[0] for f in frames)
    first, second = RocCurve(), RocCurve()
    first.add(probability, truth, ignore)
    second.add(np.where(ignore, np.nan, probability), np.where(ignore, ~truth, truth))
    np.testing.assert_array_equal(first.struck, second.struck)
    np.testing.assert_array_equal(first.clean, second.clean)


def test_tolerance_of_one_pixel():
    truth = np.zeros((20, 20), dtype=bool)
    truth[10, 10] = True
    probability = np.full(truth.shape, 0.01)
    probability[11, 11] = 0.99
    strict, tolerant = RocCurve(), RocCurve(tolerant=True)
    for roc in (strict, tolerant):
        roc.add(probability, truth)
    assert strict.tpr_at(0) == 0
    assert tolerant.tpr_at(0) == 1
    probability[15, 15] = 0.999
    tolerant.add(probability, truth)
    assert tolerant.tpr_at(0) == 0


def test_certain_probabilities():
    truth = np.array([[True, False]])
    roc = RocCurve()
    roc.add(np.array([[1.0, 0.0]]), truth)
    assert roc.tpr_at(0) == 1


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="truth has shape"):
        RocCurve().add(np.zeros((2, 2)), np.zeros((3, 3), bool))
