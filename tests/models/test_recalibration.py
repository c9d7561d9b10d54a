"""Probabilities that are what they say."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import random_model

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability, load_model
from deepcr_ccd.evaluation.frames import simulate_frames
from deepcr_ccd.evaluation.reliability import Reliability
from deepcr_ccd.models.model import Model, ModelCard
from deepcr_ccd.models.recalibration import check_points, network_threshold, recalibrate
from deepcr_ccd.simulation.scenes import KINDS

POINTS = ((0.01, 0.01), (0.3, 0.4), (0.5, 0.5), (0.6, 0.5), (0.7, 0.85), (1.0, 1.0))


def test_the_curve_is_linear_between_points():
    said = np.array([[0, 0.005, 0.155], [0.3, 0.65, np.nan]], dtype=np.float32)
    true = recalibrate(said.copy(), POINTS)
    assert true.dtype == np.float32
    expected = [[0, 0.005, 0.205], [0.4, 0.675, np.nan]]
    np.testing.assert_allclose(true, expected, rtol=1e-6)
    np.testing.assert_array_equal(recalibrate(said.copy(), ()), said)


@pytest.mark.parametrize("threshold", [0.0, 0.003, 0.2, 0.45, 0.5, 0.62171, 0.99, 1.0])
def test_thresholds_are_exact(threshold, rng):
    """On either side of it no number of float32 is on the wrong one."""
    cut = np.float32(network_threshold(threshold, POINTS))
    near = cut + np.arange(-50, 51, dtype=np.float32) * np.spacing(cut)
    said = np.concatenate([near, rng.random(2000)]).clip(0, 1).astype(np.float32)
    above = recalibrate(said.copy(), POINTS) > threshold
    np.testing.assert_array_equal(said > cut, above)
    assert network_threshold(threshold, ()) == threshold


def test_masks_are_cut_from_recalibrated_probabilities(ccd):
    model = random_model(recalibration=POINTS)
    plain = random_model()
    said = cosmicray_probability(ccd, model=plain)
    true = cosmicray_probability(ccd, model=model)
    np.testing.assert_array_equal(true, recalibrate(said.copy(), POINTS))
    assert np.abs(true - said).max() > 0.03
    # 0.5 is where the curve is flat.
    for threshold in (0.5, float(np.quantile(true, 0.95)), 0.9):
        mask = cosmicray_deepcr(ccd, model=model, threshold=threshold, inpaint=None)
        np.testing.assert_array_equal(mask.mask, true > threshold)
        assert mask.mask.any()


def test_cards_keep_the_curve(tmp_path):
    model = random_model(recalibration=[list(point) for point in POINTS])
    assert model.card.recalibration == POINTS
    model.save(tmp_path / "m.safetensors")
    again = Model.load(tmp_path / "m.safetensors").card
    assert again.recalibration == model.card.recalibration
    fields = json.loads(model.card.to_json())
    del fields["recalibration"]
    assert ModelCard.from_json(json.dumps(fields)).recalibration == ()


@pytest.mark.parametrize(
    "points",
    [
        [(0.1, 0.1), (0.5, 0.4), (0.4, 0.5), (1, 1)],
        [(0.1, 0.1), (0.4, 0.5), (0.5, 0.4), (1, 1)],
        [(0.1, 0.2), (1, 1)],
        [(0.1, 0.1), (0.9, 1)],
        [(-0.1, -0.1), (1, 1)],
        [(0.1, 0.1), (0.5, np.nan), (1, 1)],
    ],
)
def test_a_curve_rises(points):
    with pytest.raises(ValueError, match="recalibration=.* must be points that rise"):
        check_points(points)
    card = random_model().card
    with pytest.raises(ValueError, match="card of 'random': recalibration="):
        dataclasses.replace(card, recalibration=points)


def test_a_measured_curve_is_valid():
    rng = np.random.default_rng(1)
    said = rng.random((300, 300)).astype(np.float32)
    truth = rng.random(said.shape) < said**2
    reliability = Reliability(bins=20)
    reliability.add(said, truth)
    points = check_points(reliability.points())
    true = recalibrate(np.array([0.3, 0.5, 0.9], dtype=np.float32), points)
    np.testing.assert_allclose(true, [0.09, 0.25, 0.81], atol=0.03)


def test_the_shipped_model_is_calibrated():
    model = load_model("universal", device="cpu")
    found = Reliability(bins=5)
    for kind in KINDS:
        for item in simulate_frames(kind, 3, seed=12):
            found.add(model.probability(item.frame), item.truth, item.ignore)
    table = found.table()
    off = np.array(table["affected"] - table["probability"])
    assert np.sqrt(np.mean(off**2)) < 0.06
    np.testing.assert_allclose(off[[0, -1]], 0, atol=0.01)
