"""PyTorch's settings of the caller neither matter nor change."""

import contextlib
import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from deepcr_ccd import cosmicray_deepcr, inpaint, load_model
from deepcr_ccd.models import zoo
from deepcr_ccd.models.engines.openvino_engine import has_openvino
from deepcr_ccd.models.model import ModelCard
from deepcr_ccd.simulation.cosmic_rays import simulate_deposit
from deepcr_ccd.training.datasets import SimulatedFrames
from deepcr_ccd.training.fit import Recipe, train_model
from deepcr_ccd.training.inpaint_datasets import InpaintCutouts
from deepcr_ccd.training.quantization import measure_activation_ranges

ENGINES = ["torch", "openvino"] if has_openvino() else ["torch"]


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def other_seed():
    torch.manual_seed(123)
    torch.rand(3)
    yield


SETTINGS = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "gradients": torch.enable_grad,
    "device": lambda: torch.device("meta"),
    "deterministic": deterministic,
    "seed": other_seed,
}


def state():
    """Return what must be the same afterwards."""
    return (
        torch.get_default_dtype(),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
        torch.get_rng_state().numpy().tobytes(),
    )


def unchanged(function, setting):
    """Return what a function does under a setting, which it must leave as it is."""
    with SETTINGS[setting]():
        before = state()
        result = function()
        assert state() == before
    return result


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    frame = rng.normal(100, 5, (90, 300)).astype(np.float32)
    for row, column in rng.integers(5, 80, (20, 2)):
        frame[row, column : column + 5] += rng.uniform(50, 900)
    return frame


@pytest.fixture(scope="module")
def use(frame):
    """Load, copy and run models that find and fill, and give all that comes out."""

    def function():
        # So that nothing is there already.
        zoo._load_file.cache_clear()
        results = []
        how = {"device": "cpu", "precision": "float32"}
        for engine in ENGINES:
            model = load_model("universal", engine=engine, **how)
            cleaned, mask = cosmicray_deepcr(frame, model=model)
            results += [cleaned, mask, model.probability(frame)]
        model = load_model("universal", engine="torch", **how)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            results.append(other.probability(frame))
        half = model.to(precision="bfloat16")
        results.append(half.probability(frame))
        results.append(inpaint(frame, mask)[0])
        fill = load_model("universal-inpaint", **how)
        results += fill.fill(frame, mask, cr_affected=mask)
        return [*results, model.fingerprint]

    return function


@pytest.fixture(scope="module")
def expected(use):
    return use()


@pytest.mark.parametrize("setting", SETTINGS)
def test_use(setting, use, expected):
    assert expected[1].sum() > 50
    for got, want in zip(unchanged(use, setting), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    zoo._load_file.cache_clear()


def test_published_checkpoints():
    try:
        expected = load_model("ACS-WFC", device="cpu", precision="float32")
    except ImportError:
        pytest.skip("deepCR is not installed")
    for setting in SETTINGS:
        zoo._load_file.cache_clear()
        model = unchanged(
            lambda: load_model("ACS-WFC", device="cpu", precision="float32"), setting
        )
        assert model.fingerprint == expected.fingerprint


def test_models_loaded_in_inference_mode_can_be_trained():
    zoo._load_file.cache_clear()
    with torch.inference_mode():
        model = load_model("universal-fast", device="cpu", engine="torch")
    assert not any(value.is_inference() for value in model.network.parameters())
    zoo._load_file.cache_clear()


ARGUMENTS = {"width": [4, 4], "levels": 2, "stem": 2}
CARD = {"name": "small", "unit": None}


@pytest.mark.parametrize("task", ["mask", "inpaint"])
def test_training(task, tmp_path):
    rng = np.random.default_rng(2)
    scenes = rng.gamma(2, 20, (2, 64, 64)).astype(np.float32)
    simulated = scenes, [[simulate_deposit(rng) for _ in range(20)]]
    if task == "mask":
        frames = SimulatedFrames(*simulated, length=4, size=32, seed=1)
        card = ModelCard(
            task="mask",
            architecture="unet",
            arguments=ARGUMENTS,
            transform="noise",
            **CARD,
        )
    else:
        frames = InpaintCutouts(*simulated, length=4, size=48, seed=1)
        arguments = {"radius": 6, "width": [8]}
        card = ModelCard(
            task="inpaint",
            architecture="window",
            arguments=arguments,
            transform="window",
            **CARD,
        )
    recipe = Recipe(steps=2, batch=2, workers=0, checkpoint_every=2, seed=3)
    folders = iter(tmp_path / str(number) for number in range(20))

    def train():
        model = train_model(frames, card, next(folders), recipe=recipe, device="cpu")
        items = [value.numpy() for value in frames[0].values()]
        return [value.numpy() for value in model.network.state_dict().values()] + items

    expected = train()
    for setting in ("float64", "autocast", "inference mode", "device", "seed"):
        for got, want in zip(unchanged(train, setting), expected, strict=True):
            np.testing.assert_array_equal(got, want, err_msg=setting)


def test_ranges():
    network = load_model("universal-fast", device="cpu", engine="torch").network
    frames = [torch.linspace(-1, 5, 64 * 64).reshape(1, 64, 64)]
    expected = measure_activation_ranges(network, frames)
    for setting in SETTINGS:
        assert (
            unchanged(lambda: measure_activation_ranges(network, frames), setting)
            == expected
        )


IMPORT = """
import torch
def state():
    return (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled(),
            torch.get_rng_state().numpy().tobytes(), torch.get_default_device())
before = state()
import deepcr_ccd, deepcr_ccd.cli, deepcr_ccd.training.fit, deepcr_ccd.evaluation
assert state() == before
"""


def test_import():
    subprocess.run([sys.executable, "-c", IMPORT], check=True, timeout=120)
