import dataclasses
import datetime

import numpy as np
import pytest
import torch
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning
from sample_datasets import simulated_frames
from scipy import ndimage

from deepcr_ccd import cosmicray_probability, load_model
from deepcr_ccd.evaluation.scores import RocCurve
from deepcr_ccd.inpainting.feature_layout import feature_layout
from deepcr_ccd.models.model import Model, ModelCard
from deepcr_ccd.models.networks.unet import UNet
from deepcr_ccd.simulation.scenes import make_scene
from deepcr_ccd.training import inpaint_datasets as fill_frames
from deepcr_ccd.training.batch_norm import fold_norm
from deepcr_ccd.training.datasets import LabelledFrames
from deepcr_ccd.training.distillation import ReferenceNetwork, reference_network
from deepcr_ccd.training.fit import Recipe, _Run, train_model
from deepcr_ccd.training.inpaint_datasets import InpaintCutouts, InpaintFrames
from deepcr_ccd.training.pruning import prune_channels

ARGUMENTS = {"in_channels": 1, "width": [8, 8], "levels": 2, "stem": 2}


@pytest.fixture(scope="module")
def data():
    return simulated_frames()


def test_stem_and_levels_of_one_width():
    net = UNet(width=[8, 8, 16], levels=3, stem=2)
    assert (net.radius, net.stride) == (47, 8)
    assert net(torch.zeros(1, 1, 32, 48)).shape == (1, 1, 32, 48)
    with pytest.raises(TypeError, match="must have an entry for each of 2"):
        UNet(width=[8, 8, 8], levels=2)


def test_radius_with_a_stem():
    net = UNet(width=2, levels=2, stem=2).double()
    for parameter in net.parameters():
        torch.nn.init.uniform_(parameter, 0.1, 1)
    reach = 0
    with torch.inference_mode():
        base = net(torch.zeros(1, 1, 64, 64, dtype=torch.double))
        for at in range(28, 28 + net.stride):
            frame = torch.zeros(1, 1, 64, 64, dtype=torch.double)
            frame[0, 0, at, at] = 1
            y, x = torch.nonzero((net(frame) - base)[0, 0], as_tuple=True)
            reach = max(reach, int((y - at).abs().max()), int((x - at).abs().max()))
    assert reach == net.radius == 19


def test_tiles_of_a_network_with_a_stem_are_exact(rng):
    from deepcr_ccd.models.model import Model

    torch.manual_seed(2)
    card = ModelCard(
        name="n",
        task="mask",
        architecture="unet",
        arguments=ARGUMENTS,
        unit=None,
        transform="noise",
    )
    model = Model(card, UNet(**ARGUMENTS), device="cpu")
    for shape in ((1, 1), (37, 141), (90, 64)):
        frame = rng.normal(9, 3, shape)
        whole = cosmicray_probability(frame, model=model, tile_size=1000)
        for tile_size in (16, 50):
            tiled = cosmicray_probability(frame, model=model, tile_size=tile_size)
            np.testing.assert_allclose(tiled, whole, atol=2e-6)


def test_norm_is_folded():
    torch.manual_seed(0)
    net = UNet(**ARGUMENTS, norm=True)
    for _ in range(3):
        net(torch.randn(4, 1, 16, 16) * 3 + 1)
    net.eval()
    x = torch.randn(2, 1, 24, 16)
    with torch.inference_mode():
        expected = net(x)
        got = fold_norm(net, ARGUMENTS)(x)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-5)


def card(name="small"):
    return ModelCard(
        name=name,
        task="mask",
        architecture="unet",
        arguments=ARGUMENTS,
        unit=None,
        transform="noise",
    )


def test_training_learns_and_resumes_exactly(data, tmp_path):
    recipe = Recipe(
        steps=160, batch=8, rate=1e-2, warmup=5, workers=0, checkpoint_every=80
    )
    # Scores may be of NumPy, which checkpoints are not read with.
    options = {
        "recipe": recipe,
        "device": "cpu",
        "validate": lambda _: {"score": np.float64(1.5)},
    }
    whole = train_model(data, card(), tmp_path / "a", **options)
    lines = []

    class StopError(Exception):
        pass

    def stop(line):
        lines.append(line)
        if len(lines) == 2:
            raise StopError

    with pytest.raises(StopError):
        train_model(data, card(), tmp_path / "b", report=stop, **options)
    # Ended in the middle: the checkpoint of step 80 is there, that of step 160 is not.
    resumed = train_model(data, card(), tmp_path / "b", report=lines.append, **options)
    assert "resumed at step 80" in lines
    for one, two in zip(
        whole.network.parameters(), resumed.network.parameters(), strict=True
    ):
        assert torch.equal(one, two)
    history = Table.read(tmp_path / "b" / "history.ecsv")
    assert history["step"].tolist() == [80, 160]
    assert history["loss"][1] < 0.75 * history["loss"][0]
    saved = load_model(tmp_path / "b" / "small.safetensors", device="cpu")
    roc = RocCurve()
    for i in range(500, 520):
        seen = data.observe(np.random.default_rng([1, i]))
        probability = cosmicray_probability(seen.frame, model=saved)
        roc.add(probability, seen.truth, seen.ignore)
    assert roc.tpr_at(0.02) > 0.5


def test_dataset_must_be_long_enough(data, tmp_path):
    with pytest.raises(ValueError, match="dataset has 4000 items"):
        train_model(data, card(), tmp_path, recipe=Recipe(steps=1000))


def test_fine_tuning_starts_from_a_model(data, tmp_path):
    recipe = Recipe(steps=20, batch=8, rate=5e-3, workers=0, checkpoint_every=20)
    first = train_model(data, card(), tmp_path / "a", recipe=recipe, device="cpu")
    still = Recipe(steps=1, batch=2, rate=0.0, decay=0.0, workers=0)
    again = train_model(
        data, card("tuned"), tmp_path / "b", recipe=still, start=first, device="cpu"
    )
    for one, two in zip(
        first.network.parameters(), again.network.parameters(), strict=True
    ):
        assert torch.equal(one, two)
    assert again.card.name == "tuned"
    other = ModelCard(name="o", task="mask", architecture="unet")
    with pytest.raises(ValueError, match="start='tuned' has another network"):
        train_model(data, other, tmp_path / "c", recipe=still, start=again)


def test_cards_tell_where_a_model_comes_from(data, tmp_path):
    recipe = Recipe(steps=1, batch=2, workers=0)
    mine = dataclasses.replace(card(), fill="universal-inpaint", date="2020-01-01")
    first = train_model(data, mine, tmp_path / "a", recipe=recipe, device="cpu")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    assert (first.card.parent, first.card.date) == ("", today)
    options = {"recipe": recipe, "start": first, "device": "cpu"}
    train_model(data, card("tuned"), tmp_path / "b", **options)
    tuned = load_model(tmp_path / "b" / "tuned.safetensors", device="cpu").card
    assert (tuned.parent, tuned.fill) == ("small", "universal-inpaint")
    other = dataclasses.replace(card("other"), fill="mine")
    made = train_model(data, other, tmp_path / "c", **options)
    assert (made.card.parent, made.card.fill) == ("small", "mine")


def test_checkpoints_of_other_runs(data, tmp_path):
    recipe = Recipe(steps=1, batch=2, workers=0)
    train_model(data, card(), tmp_path, recipe=recipe, device="cpu")

    def again(card, **changed):
        longer = dataclasses.replace(recipe, steps=2, **changed)
        train_model(data, card, tmp_path, recipe=longer, device="cpu")

    wider = dataclasses.replace(card(), arguments={**card().arguments, "width": [4, 8]})
    with pytest.raises(ValueError, match="is of another network: use") as caught:
        again(wider)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    again(card())
    with pytest.warns(AstropyUserWarning, match=r"is of other settings: the run"):
        again(card(), rate=1e-4)
    more = dataclasses.replace(card(), training_data="9 exposures in 3 sets")
    with pytest.warns(AstropyUserWarning, match=r"other data and other settings"):
        again(more, clip=0.5)
    # As earlier versions wrote them.
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state["digests"]
    torch.save(state, tmp_path / "checkpoint.pt")
    again(more, rate=1e-5)


def test_fine_tuning_does_not_forget_where_labels_are_ignored(data, tmp_path):
    """It keeps cosmic rays although the labels have clean pixels alone."""
    recipe = Recipe(steps=80, batch=8, rate=5e-3, workers=0, checkpoint_every=80)
    first = train_model(data, card(), tmp_path / "a", recipe=recipe, device="cpu")
    rng = np.random.default_rng(4)
    frame = rng.normal(100, 5, (96, 96))
    ignored = rng.random(frame.shape) < 0.005
    frame[ignored] += 400
    items = LabelledFrames(
        [
            (
                frame,
                np.zeros_like(ignored),
                ndimage.binary_dilation(ignored, iterations=4),
            )
        ],
        length=400,
        size=64,
        seed=1,
    )
    tuning = Recipe(steps=100, batch=4, rate=2e-3, workers=0, warmup=0)
    tuned = train_model(
        items, card(), tmp_path / "b", recipe=tuning, start=first, device="cpu"
    )
    before, after = (
        model.probability(frame)[ignored].mean() for model in (first, tuned)
    )
    assert before > 0.3
    # Without the reference the mean falls to 0.0003 of what it was.
    assert after > 0.2 * before


def test_a_teacher_is_the_target_where_labels_are_ignored(data, tmp_path):
    """Elsewhere its probabilities have the weight that the recipe gives them."""
    recipe = Recipe(steps=80, batch=8, rate=5e-3, workers=0, checkpoint_every=80)
    teacher = train_model(data, card(), tmp_path / "a", recipe=recipe, device="cpu")
    rng = np.random.default_rng(4)
    frame = rng.normal(100, 5, (96, 96))
    crmask = rng.random(frame.shape) < 0.005
    frame[crmask] += 400
    clean, every = np.zeros_like(crmask), np.ones_like(crmask)
    smaller = dataclasses.replace(
        card("student"), arguments={**card().arguments, "width": [4, 8]}
    )

    def train_student(folder, ignore, weight):
        items = LabelledFrames([(frame, clean, ignore)], length=640, size=64, seed=1)
        recipe = Recipe(
            steps=150, batch=4, rate=2e-2, warmup=5, workers=0, teacher_weight=weight
        )
        folder = tmp_path / folder
        model = train_model(items, smaller, folder, recipe=recipe, teacher=teacher)
        return model.probability(frame)[crmask].mean()

    assert teacher.probability(frame)[crmask].mean() > 0.3
    # The labels are wrong: they have no cosmic rays. Without a teacher they count.
    assert train_student("b", clean, 0.0) < 0.05
    assert train_student("c", clean, 1.0) > 0.2
    assert train_student("d", every, 0.0) > 0.2
    # It may start with channels of the teacher, which the first step does not change.
    frames = [data[number]["frame"] for number in range(8)]
    start = prune_channels(teacher, [4, 8], frames)
    still = Recipe(steps=1, batch=2, rate=0.0, decay=0.0, workers=0)
    options = {"recipe": still, "start": start, "teacher": teacher}
    again = train_model(data, smaller, tmp_path / "f", **options)
    expected, got = (model.probability(frame) for model in (start, again))
    np.testing.assert_allclose(got, expected, atol=0.02)
    linear = dataclasses.replace(smaller, transform="scaled")
    with pytest.raises(ValueError, match="teacher='small' must be a detection model"):
        train_model(data, linear, tmp_path / "e", recipe=recipe, teacher=teacher)


def test_a_teacher_with_test_time_rotations(data, tmp_path):
    """Each step uses one rotation; their mean is what the teacher gives."""
    recipe = Recipe(steps=1, batch=2, workers=0)
    plain = train_model(data, card(), tmp_path / "a", recipe=recipe, device="cpu")
    rotating = Model(dataclasses.replace(plain.card, turns=4), plain.network)
    frames = torch.stack([data[number]["frame"] for number in range(4)])
    network = ReferenceNetwork(plain.network, weight=0.5, rotations=4)
    rotated = torch.stack([network.probability(frames, step) for step in range(4)])
    assert rotated.std(dim=0).max() > 1e-3
    run = rotating.to(precision="float32", engine="torch").engine_for()
    expected = np.stack([run(frame.numpy()) for frame in frames])
    np.testing.assert_allclose(rotated.mean(dim=0), expected, atol=0.02)
    made = [
        reference_network(card(), plain.network, None, teacher, 0.3)
        for teacher in (plain, rotating)
    ]
    assert [(one.weight, one.rotations) for one in made] == [(0.3, 1), (0.3, 4)]


def test_steps_use_one_rotation_after_the_other(data, tmp_path, monkeypatch):
    recipe = Recipe(steps=1, batch=2, workers=0)
    teacher = train_model(data, card(), tmp_path / "a", recipe=recipe, device="cpu")
    steps = []
    probability = ReferenceNetwork.probability

    def record(self, frame, step, code=None):
        steps.append(step)
        return probability(self, frame, step, code)

    monkeypatch.setattr(ReferenceNetwork, "probability", record)
    recipe = Recipe(steps=6, batch=1, workers=0)
    options = {"recipe": recipe, "teacher": teacher, "device": "cpu"}
    train_model(data, card(), tmp_path / "b", **options)
    assert steps == [1, 2, 3, 4, 5, 6]


def test_the_average_begins_short_and_reaches_its_decay():
    run = _Run(card(), torch.nn.Linear(1, 1, bias=False), Recipe(average=0.5))
    expected = run.averaged.weight.item()
    for step in range(1, 15):
        run.take_step(run.network(torch.ones(1)).sum())
        decay = min(0.5, step / (step + 10))
        expected = decay * expected + (1 - decay) * run.network.weight.item()
        assert run.averaged.weight.item() == pytest.approx(expected, rel=1e-5)
    assert step / (step + 10) > 0.5


def test_network_that_fills(data, tmp_path):
    frames = InpaintFrames(
        data.camera.scenes, data.camera.deposits, length=4000, size=48, seed=3
    )
    item = next(item for item in frames if item["mask"].any())
    assert item["frame"].shape == (2, 48, 48)
    mask = item["mask"]
    assert (item["frame"][0][mask] == 0).all()
    assert torch.equal(item["frame"][1], mask.float())
    recipe = Recipe(
        steps=120, batch=8, rate=5e-3, warmup=5, workers=0, checkpoint_every=60
    )
    filling = ModelCard(
        name="filler",
        task="inpaint",
        architecture="unet",
        arguments={**ARGUMENTS, "in_channels": 2},
        unit=None,
        transform="noise",
    )
    model = train_model(frames, filling, tmp_path, recipe=recipe, device="cpu")
    history = Table.read(tmp_path / "history.ecsv")
    assert history["loss"][1] < history["loss"][0]
    rng = np.random.default_rng(1)
    frame = rng.normal(200, 10, (64, 64)).astype(np.float32)
    target = np.zeros(frame.shape, dtype=bool)
    target[20:23, 20:23] = True
    frame[target] = 9000
    filled, _ = model.fill(frame, target)
    assert np.abs(filled - 200).max() < 15


def test_cutouts_are_of_masked_pixels(data):
    known = {"length": 4000, "size": 48, "seed": 3, "radius": 4, "number": 50}
    items = InpaintCutouts(data.camera.scenes, data.camera.deposits, **known)
    item = next(item for item in items if item["mask"].all())
    layout = feature_layout(4)
    assert item["frame"].shape == (50, layout.size)
    values, good = item["frame"][:, layout.values], item["frame"][:, layout.good]
    # The pixel itself is masked, and masked pixels have no value here.
    assert (good[:, 40] == 0).all()
    assert (values[good == 0] == 0).all()
    assert (good.mean(1) > 0.1).all()
    # Its value is another feature, but not in each item.
    pixel, is_cr = (
        item["frame"][:, place] for place in (layout.centre_value, layout.centre_is_cr)
    )
    assert (is_cr == is_cr[0]).all()
    assert (pixel[is_cr == 1] > -5).all()
    every = {items[i]["frame"][0, layout.centre_is_cr].item() for i in range(40)}
    assert every == {0, 1}
    again = items[0]
    for key, value in items[0].items():
        assert torch.equal(value, again[key])
    loader = torch.utils.data.DataLoader(items, 4, sampler=range(8), num_workers=2)
    assert torch.equal(next(iter(loader))["target"][2], items[2]["target"])


@pytest.mark.parametrize(("structure", "fraction"), [(2.0, 0.7), (0.5, 0.1)])
def test_star_templates_are_fitted_on_structure(data, structure, fraction, monkeypatch):
    """Some are, where the frame has stars; in use, where a fill may be far off."""
    monkeypatch.setattr(
        fill_frames, "_structure", lambda seen: np.full(seen.frame.shape, structure)
    )
    known = {"length": 40, "size": 48, "seed": 3, "radius": 4, "number": 200}
    items = InpaintCutouts(data.camera.scenes, data.camera.deposits, **known)
    found = feature_layout(4).fits[0].found
    fractions = [items[i]["frame"][:, found].mean().item() for i in range(40)]
    assert max(fractions) == pytest.approx(fraction, abs=0.1)


def test_cutout_networks_learn_to_fill(data, tmp_path):
    known = {"length": 2400, "size": 48, "seed": 3, "radius": 3, "number": 256}
    rng = np.random.default_rng(2)
    scenes = 30 * np.stack([make_scene(rng, 64, "cluster") for _ in range(8)])
    items = InpaintCutouts(scenes, data.camera.deposits, **known)
    recipe = Recipe(
        steps=300, batch=8, rate=5e-3, warmup=5, workers=0, checkpoint_every=10
    )
    filling = ModelCard(
        name="filler",
        task="inpaint",
        architecture="window",
        arguments={"radius": 3, "width": [64]},
        unit=None,
        transform="window",
    )
    model = train_model(items, filling, tmp_path, recipe=recipe, device="cpu")
    errors = np.zeros(2)
    for i in range(2400, 2460):
        item = items[i]
        target = item["target"][item["mask"]]
        predicted = model.network(item["frame"][item["mask"]])[:, 0]
        for j, error in enumerate((target - predicted, target)):
            errors[j] += (error**2).clamp(max=25).sum().item()
    # Nearer than the mean of the cutout, which is zero.
    assert errors[0] < 0.85 * errors[1]
    assert not (tmp_path / "items.png").exists()
