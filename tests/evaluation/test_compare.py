import sys

import numpy as np
import pytest
from astroscrappy import detect_cosmics

from deepcr_ccd import load_model
from deepcr_ccd.evaluation.baselines import AstroscrappyGrid, CosmicConn
from deepcr_ccd.evaluation.compare import compare
from deepcr_ccd.evaluation.scores import RocCurve
from deepcr_ccd.simulation.camera import CameraSimulator
from deepcr_ccd.simulation.cosmic_rays import simulate_deposit
from deepcr_ccd.simulation.scenes import make_scene


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(11)
    scenes = np.stack([make_scene(rng, 96, "sparse") for _ in range(2)])
    deposits = [simulate_deposit(rng) for _ in range(100)]
    camera = CameraSimulator(scenes, [deposits], size=96)
    return [camera.observe(np.random.default_rng([5, i])) for i in range(3)]


def test_rows_are_the_scores_of_each_method(frames):
    model = load_model("universal", device="cpu")
    result = compare({"sparse": frames}, {"ours": model}, astroscrappy=True)
    table = result.table()
    assert table["method"].tolist() == ["ours", "astroscrappy, tuned"]
    roc, grid = RocCurve(), AstroscrappyGrid()
    for item in frames:
        roc.add(model.probability(item.frame), item.truth, item.ignore)
        grid.add(item.frame, item.readnoise, item.truth, item.ignore)
    for column, fpr in (("TPR at 0.05%", 5e-4), ("TPR at 0.5%", 5e-3)):
        expected = [round(100 * curve.tpr_at(fpr), 2) for curve in (roc, grid)]
        assert table[column].tolist() == expected
        assert expected[0] > 60
    # A pixel of tolerance can only help.
    for row in table:
        for fpr in ("0.01", "0.05", "0.1", "0.5"):
            assert row[f"TPR at {fpr}%, 3x3"] >= row[f"TPR at {fpr}%"]
    precision, recall = result.precisions["sparse", "ours"]
    assert precision[0] == 1
    assert recall[0] == 0
    assert precision[np.searchsorted(recall, 0.5)] > 0.95


def test_cosmic_conn_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cosmic_conn", None)
    with pytest.raises(ImportError, match="pip install cosmic-conn"):
        CosmicConn()


def test_cosmic_conn_finds_a_bright_ray():
    pytest.importorskip("cosmic_conn")
    frame = np.random.default_rng(0).normal(100, 10, (300, 310)).astype("f4")
    frame[50, 50:60] += 500
    p = CosmicConn("ground_imaging").probability(frame)
    assert p.shape == frame.shape
    assert p[50, 50:60].min() > 0.9
    assert (p > 0.5).sum() < 20


def test_grid_with_tolerance():
    grid = AstroscrappyGrid(sigclips=[4.5], objlims=[5])
    frame = np.random.default_rng(0).normal(100, 10, (64, 64)).astype("f4")
    frame[20, 20] += 3000
    truth = np.zeros((64, 64), bool)
    truth[20, 21] = True  # one beside what can be found
    grid.add(frame, 6.5, truth, np.zeros_like(truth))
    assert grid.curve()[1][1] == 0
    x, y = grid.curve(tolerant=True)
    assert y[1] == 1
    assert x[1] == 0


def test_points_of_the_grid_are_those_of_astroscrappy(frames):
    item = max(frames, key=lambda frame: frame.truth.sum())
    grid = AstroscrappyGrid(sigclips=[2], objlims=[2])
    grid.add(item.frame, item.readnoise, item.truth, item.ignore)
    crmask, _ = detect_cosmics(
        item.frame,
        sigclip=2,
        objlim=2,
        readnoise=item.readnoise,
        satlevel=np.inf,
    )
    affected, clean = item.truth & ~item.ignore, ~item.truth & ~item.ignore
    fpr, tpr = crmask[clean].mean(), crmask[affected].mean()
    assert tpr > 0.2
    assert fpr > 0
    assert grid.tpr_at(fpr) == pytest.approx(tpr)
    # Below its own false positive rate there is only chance to interpolate with.
    assert grid.tpr_at(fpr / 2) == pytest.approx(tpr / 2)
