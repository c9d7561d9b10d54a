import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from deepcr_ccd.evaluation.baselines import AstroscrappyGrid
from deepcr_ccd.evaluation.object_scores import ObjectScores
from deepcr_ccd.evaluation.reliability import Reliability
from deepcr_ccd.evaluation.scores import RocCurve
from deepcr_ccd.evaluation.star_harm import star_harm


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
    np.testing.assert_array_equal(first.positives, second.positives)
    np.testing.assert_array_equal(first.negatives, second.negatives)


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


def test_no_affected_pixels_no_true_positive_rate():
    roc, grid = RocCurve(), AstroscrappyGrid(sigclips=[4.5], objlims=[5])
    frame = np.random.default_rng(0).normal(100, 10, (40, 40)).astype("f4")
    truth = np.zeros(frame.shape, bool)
    truth[5, 5] = True
    roc.add(np.full(frame.shape, 0.3), truth, truth)
    grid.add(frame, 6.5, truth, truth)
    for curve in (roc, grid):
        for fpr in (0, 5e-4, 1):
            assert np.isnan(curve.tpr_at(fpr))
        fpr, tpr = curve.curve()[:2]
        assert np.isnan(tpr).all()
        assert (fpr[0], fpr[-1]) == (0, 1)
    precision, recall, _ = roc.precision()
    assert np.isnan(recall).all()
    assert (precision[0], precision[-1]) == (1, 0)
    assert 0.3 < roc.threshold_at(0.5) < 0.31


def test_certain_probabilities():
    truth = np.array([[True, False]])
    roc = RocCurve()
    roc.add(np.array([[1.0, 0.0]]), truth)
    assert roc.tpr_at(0) == 1


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="truth has shape"):
        RocCurve().add(np.zeros((2, 2)), np.zeros((3, 3), bool))


def test_objects():
    truth = np.zeros((40, 40), dtype=bool)
    truth[5, 5:8] = truth[20, 20] = truth[30, 30:40] = True
    charge = np.where(truth, 100.0, 0)
    crmask = np.zeros_like(truth)
    crmask[5, 5:7] = True
    crmask[10, 10] = True
    crmask[15, 15:17] = True
    ignore = np.zeros_like(truth)
    ignore[15, 16] = True
    scores = ObjectScores(sizes=(1, 2, 5, 100))
    scores.add(crmask, truth, charge, ignore)
    # One true, one false; the third touches what nobody can decide.
    assert scores.purity == 0.5
    table = scores.completeness()
    assert table["number"].tolist() == [1, 1, 1]
    assert table["found"].tolist() == [0, 1, 0]
    np.testing.assert_allclose(table["covered"], [0, 2 / 3, 0])
    by_charge = scores.completeness("charge")
    assert by_charge["low"].tolist() == [100, 300, 1000]
    with pytest.raises(ValueError, match="by='colour'"):
        scores.completeness("colour")
    assert np.isnan(ObjectScores().purity)


def test_reliability_is_that_of_scikit_learn(rng):
    probability = rng.random((60, 60))
    truth = rng.random(probability.shape) < probability**2
    ignore = rng.random(probability.shape) < 0.1
    curve = Reliability()
    curve.add(np.where(ignore, np.nan, probability), truth)
    fraction, mean = calibration_curve(truth[~ignore], probability[~ignore], n_bins=10)
    np.testing.assert_allclose(curve.table()["affected"], fraction)
    np.testing.assert_allclose(curve.table()["probability"], mean)
    assert curve.table()["number"].sum() == (~ignore).sum()


def test_star_harm():
    before = np.zeros((40, 40))
    positions = np.array([[10, 10], [10, 30], [30, 10], [30, 30], [0, 0]])
    fluxes = np.array([500.0, 500.0, 5e4, 5e4, 5e4])
    for (y, x), flux in zip(positions, fluxes, strict=True):
        before[y, x] = flux
    crmask = np.zeros(before.shape, dtype=bool)
    crmask[10, 10] = crmask[30, 10] = True
    after = np.where(crmask, 0, before)
    truth = np.zeros_like(crmask)
    truth[31, 10] = True
    table = star_harm(before, after, crmask, positions, fluxes, truth=truth)
    # The star in the corner and the one with a cosmic ray are left out.
    assert table["number"].tolist() == [2, 1]
    assert table["flagged"].tolist() == [0.5, 0]
    assert table["bias"].tolist() == [-0.5, 0]
