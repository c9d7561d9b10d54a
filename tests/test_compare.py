import numpy as np
import pytest
from astroscrappy import detect_cosmics

from deepcr_ccd import load_model
from deepcr_ccd.evaluation.compare import AstroscrappyGrid, compare
from deepcr_ccd.evaluation.scores import RocCurve
from deepcr_ccd.training.dataset import SimulatedFrames
from deepcr_ccd.training.scenes import make_scene
from deepcr_ccd.training.tracks import simulate_deposit


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(11)
    scenes = np.stack([make_scene(rng, 96, "sparse") for _ in range(2)])
    deposits = [simulate_deposit(rng) for _ in range(100)]
    data = SimulatedFrames(scenes, [deposits], length=0, size=96)
    return [data.observe(np.random.default_rng([5, i])) for i in range(3)]


def test_rows_are_the_scores_of_each_method(frames):
    model = load_model("universal", device="cpu")
    table = compare({"sparse": frames}, {"ours": model}, astroscrappy=True)
    assert table["method"].tolist() == ["ours", "astroscrappy, tuned"]
    roc, grid = RocCurve(), AstroscrappyGrid()
    for item in frames:
        roc.add(model.probability(item.frame), item.truth, item.ignore)
        grid.add(item.frame, item.readnoise, item.truth, item.ignore)
    for column, fpr in (("TPR at 0.05%", 5e-4), ("TPR at 0.5%", 5e-3)):
        expected = [round(100 * curve.tpr_at(fpr), 2) for curve in (roc, grid)]
        assert table[column].tolist() == expected
        assert expected[0] > 60


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
    struck, clean = item.truth & ~item.ignore, ~item.truth & ~item.ignore
    fpr, tpr = crmask[clean].mean(), crmask[struck].mean()
    assert tpr > 0.2
    assert fpr > 0
    assert grid.tpr_at(fpr) == pytest.approx(tpr)
    # Below its own false positive rate there is only chance to interpolate with.
    assert grid.tpr_at(fpr / 2) == pytest.approx(tpr / 2)
