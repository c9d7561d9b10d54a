"""Training of a network that is told how wide the stars of a frame are."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from deepcr_ccd import load_model
from deepcr_ccd.models.card import ModelCard
from deepcr_ccd.models.model import Model
from deepcr_ccd.models.networks.build import build_network
from deepcr_ccd.preprocess.star_width import (
    NO_STARS,
    UNKNOWN,
    StarWidth,
    cautious,
    width_code,
)
from deepcr_ccd.simulation.cosmic_rays import simulate_deposit
from deepcr_ccd.simulation.star_camera import SceneBank, StarCamera
from deepcr_ccd.training.batch_norm import add_norm, fold_norm
from deepcr_ccd.training.datasets import LabelledFrames, ToldFrames
from deepcr_ccd.training.fit import Recipe, _Run, train_model
from deepcr_ccd.training.losses import detection_loss
from deepcr_ccd.training.pruning import prune_channels
from deepcr_ccd.training.quantization import measure_activation_ranges

WIDTHS = [1.5, 3.0]
ARGUMENTS = {"width": [4, 6], "levels": 2, "stem": 2, "skip": "add", "merge": 1}
CARD = ModelCard(
    name="told",
    task="mask",
    architecture="unet",
    arguments={**ARGUMENTS, "star_widths": WIDTHS},
    unit=None,
    transform="noise",
    instrument="any",
)


def told_network(seed=0):
    torch.manual_seed(seed)
    network = build_network("unet", CARD.arguments).eval()
    for parameter in (*network.gains, *network.shifts):
        torch.nn.init.normal_(parameter, std=0.5)
    return network


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(1)
    light = np.zeros((2, 32, 32), np.float32)
    light[0, 10:12, 20:22] = 5000
    bank = SceneBank(light, np.array([1.9, 0.0]), np.zeros(2, bool))
    library = [simulate_deposit(rng) for _ in range(20)]
    return ToldFrames(StarCamera([bank], [1.0], [library]), WIDTHS, length=64)


def test_a_new_network_is_the_same_whatever_it_is_told():
    network = build_network("unet", CARD.arguments).eval()
    x = torch.randn(1, 1, 16, 16)
    told = network(x, torch.tensor([[0.0, 1.0, 0.0]]))
    torch.testing.assert_close(told, network(x))


@pytest.mark.parametrize("width", [UNKNOWN, NO_STARS, StarWidth.of(2.1)])
def test_network_of_a_frame(width):
    """What is told in training, and what is folded for use, are the same."""
    network, x = told_network(), torch.randn(2, 1, 16, 16)
    code = width_code(width, WIDTHS)
    told = network(x, torch.tensor([code, code]))
    folded = network.of_frame(code)
    assert not folded.star_widths
    assert not len(folded.shifts)
    torch.testing.assert_close(folded(x), told, rtol=1e-4, atol=1e-5)
    assert len(network.shifts) == len(network.gains) == 5, "the network stays as it is"


def test_normed_network_keeps_what_is_told():
    network, x = told_network(), torch.randn(2, 1, 16, 16)
    normed = add_norm(network, CARD.arguments, [x[0], x[1]])
    folded = fold_norm(normed.eval(), CARD.arguments)
    code = torch.tensor([[0.3, 0.7, 0.0]] * 2)
    torch.testing.assert_close(folded(x, code), network(x, code), rtol=1e-3, atol=1e-3)


def test_pruned_network_keeps_what_is_told():
    model = Model(CARD, told_network(), device="cpu", precision="float32")
    smaller = prune_channels(model, [3, 5], [torch.randn(1, 16, 16)])
    for told in (smaller.network.gains, smaller.network.shifts):
        channels = [parameter.shape[1] for parameter in told]
        assert channels == [3, 3, 5, 5, 3]
    same = prune_channels(model, [4, 6], [torch.randn(1, 16, 16)])
    code = torch.tensor([[0.0, 0.0, 1.0]])
    x = torch.randn(1, 1, 16, 16)
    torch.testing.assert_close(same.network(x, code), model.network(x, code))


def test_items(dataset):
    item = dataset[3]
    assert item["frame"].shape == (1, 32, 32)
    assert item["code"].shape == (3,)
    assert item["dropped"].dtype == torch.bool
    frames = [(np.ones((40, 40)), np.zeros((40, 40), bool), np.zeros((40, 40), bool))]
    labelled = LabelledFrames(frames, length=4, size=32, star_widths=WIDTHS)[0]
    assert labelled["code"].tolist() == [0, 0, 0]


def test_dropped_pixels_do_not_count():
    output = torch.zeros(1, 4, 4)
    truth = torch.zeros(1, 4, 4, dtype=torch.bool)
    batch = {"truth": truth.clone(), "ignore": truth.clone(), "dropped": truth.clone()}
    plain = detection_loss(output, batch)
    output[0, 0, 0] = 50
    batch["dropped"][0, 0, 0] = True
    torch.testing.assert_close(detection_loss(output, batch), plain)
    reference = torch.full((1, 4, 4), 0.9)
    batch["ignore"][0, 1] = True
    heavy = detection_loss(output, batch, reference, 0.0, 1.0)
    none = detection_loss(output, batch, reference, 0.0, 0.0)
    torch.testing.assert_close(none, plain)
    assert heavy.isfinite()


def test_training_from_a_model_that_is_not_told(dataset, tmp_path):
    arguments = {key: v for key, v in CARD.arguments.items() if key != "star_widths"}
    plain = dataclasses.replace(CARD, arguments=arguments)
    old = Model(plain, build_network("unet", arguments), device="cpu")
    recipe = Recipe(steps=2, batch=4, workers=0, norm=False, teacher_weight=0.0)
    model = train_model(
        dataset, CARD, tmp_path, recipe=recipe, start=old, teacher=old, device="cpu"
    )
    assert model.card.uses_star_width
    assert any(shift.abs().max() > 0 for shift in model.network.shifts)
    saved = load_model(tmp_path / "told.safetensors", device="cpu")
    assert saved.card.arguments == model.card.arguments
    assert saved.fingerprint == model.fingerprint


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_model_is_told_what_is_given_or_measured(engine):
    if engine == "openvino":
        pytest.importorskip("openvino")
    how = {"device": "cpu", "precision": "float32", "engine": engine}
    model = Model(CARD, told_network(), **how)
    frame = np.random.default_rng(1).normal(60, 8, (64, 64)).astype(np.float32)
    widths = [None, UNKNOWN, StarWidth.of(1.5), StarWidth.of(3.0), NO_STARS]
    given = [model.probability(frame, star_width=width) for width in widths]
    # Nothing is known of noise.
    np.testing.assert_array_equal(given[0], given[1])
    for one, other in itertools.combinations(given[1:], 2):
        assert np.abs(one - other).max() > 1e-4
    x = torch.from_numpy(model.prepare(frame)(frame))[None, None]
    code = torch.tensor([width_code(cautious(StarWidth.of(3.0)), WIDTHS)])
    expected = model.network(x, code)[0, 0].sigmoid().numpy()
    inner = slice(16, -16)
    np.testing.assert_allclose(
        given[3][inner, inner], expected[inner, inner], atol=1e-4
    )


def test_activation_ranges_of_what_is_told(dataset):
    network = told_network()
    items = [dataset[i] for i in range(4)]
    frames = [item["frame"] for item in items]
    told = measure_activation_ranges(network, frames, [torch.ones(3)] * 4)
    assert told != measure_activation_ranges(network, frames)
    assert len(told) == len(network.inner_layers())


def test_what_is_told_is_learnt_faster():
    network = told_network()
    groups = _Run(CARD, network, Recipe(rate=1e-3)).optimizer.param_groups
    told = {id(parameter) for parameter in (*network.gains, *network.shifts)}
    assert {id(parameter) for parameter in groups[1]["params"]} == told
    number = sum(len(group["params"]) for group in groups)
    assert number == len(list(network.parameters()))
    rates = [group["initial_lr"] for group in groups]
    assert rates == pytest.approx([1e-3, 1e-2])
