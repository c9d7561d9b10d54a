"""OpenVINO gives what PyTorch gives."""

import builtins
import dataclasses
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import random_model

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability, load_model
from deepcr_ccd.models import loaded_network
from deepcr_ccd.models.card import ModelCard
from deepcr_ccd.models.engines import build as engines
from deepcr_ccd.models.engines import openvino_engine as openvino_graph
from deepcr_ccd.models.engines.openvino_engine import has_openvino
from deepcr_ccd.models.model import Model
from deepcr_ccd.models.networks.build import build_network
from deepcr_ccd.training.quantization import measure_activation_ranges

SHAPES = [(64, 64), (35, 91), (16, 300)]
ARGUMENTS = {
    "published": {"width": 8, "levels": 2},
    "three levels": {"width": 4, "levels": 3},
    "stem": {"width": [8, 8, 16], "levels": 3, "stem": 2, "skip": "add", "merge": 1},
    "stem of 4": {"width": [8, 16], "levels": 2, "stem": 4},
}


needs_openvino = pytest.mark.skipif(
    not has_openvino(), reason="OpenVINO is not installed"
)


def pair(arguments, precision="float32", transform="noise"):
    """Return one model for each engine."""
    torch.manual_seed(1)
    card = ModelCard(
        name="random",
        task="mask",
        architecture="unet",
        arguments=arguments,
        unit="electron",
        transform=transform,
    )
    network = build_network("unet", arguments)
    return [
        Model(card, network, device="cpu", precision=precision, engine=engine)
        for engine in ("torch", "openvino")
    ]


@needs_openvino
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_float32_is_the_same(arguments, shape, rng):
    frame = rng.normal(100, 10, shape).astype(np.float32)
    expected, got = (model.probability(frame) for model in pair(arguments))
    assert got.dtype == np.float32
    assert np.ptp(expected) > 0.001
    np.testing.assert_allclose(got, expected, atol=1e-5)


@needs_openvino
@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
@pytest.mark.parametrize("transform", ["noise", "scaled"])
def test_bfloat16_is_as_good(arguments, transform, rng):
    # Plain electrons on a bright sky: what bfloat16 alone does not resolve.
    frame = rng.normal(3000, 30, (80, 90)).astype(np.float32)
    scale = {"transform": transform}
    expected, got = (m.probability(frame) for m in pair(arguments, "bfloat16", **scale))
    exact = pair(arguments, **scale)[0].probability(frame)
    error = np.abs(got - exact)
    assert error.max() > 0
    assert error.max() < 2 * max(np.abs(expected - exact).max(), 0.002)


@needs_openvino
@pytest.mark.parametrize("name", ["universal", "ACS-WFC"])
def test_masks_of_real_models_agree(name, rng):
    try:
        models = [load_model(name, device="cpu", engine=e) for e in engines.ENGINES[1:]]
    except ImportError:
        pytest.skip("deepCR is not installed")
    frame = rng.normal(50, 5, (300, 280)).astype(np.float32)
    for row, column in rng.integers(10, 270, (60, 2)):
        frame[row, column : column + 5] += rng.uniform(20, 1000, 5).astype(np.float32)
    one, other = (m.probability(frame) > m.card.threshold for m in models)
    assert one.sum() > 100
    assert np.count_nonzero(one != other) <= 0.005 * one.sum()


@needs_openvino
def test_tiles_and_threads_change_nothing(rng):
    _, model = pair(ARGUMENTS["stem"])
    frame = rng.normal(0, 5, (300, 500)).astype(np.float32)
    whole = model.probability(frame, tile_size=512)
    np.testing.assert_allclose(model.probability(frame), whole, atol=1e-5)
    np.testing.assert_allclose(model.probability(frame, tile_size=48), whole, atol=1e-5)
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda _: model.probability(frame), range(16)):
            np.testing.assert_allclose(result, whole, atol=1e-5)


#: A model that goes where it did not come from, and a signal after that.
SIGNAL = """
import signal, sys, threading
from deepcr_ccd import load_model
from deepcr_ccd.models.engines.openvino_engine import OpenVINOEngine

network = load_model("universal", device="cpu", engine="torch").network
engines = [OpenVINOEngine(network, "float32", wide_input=False)]
thread = threading.Thread(target=engines.clear)
thread.start()
thread.join()
signal.signal(signal.SIGINT, lambda *_: sys.exit(12))
signal.raise_signal(signal.SIGINT)
"""


@needs_openvino
def test_signals_come_after_a_model_has_gone_in_another_thread():
    done = subprocess.run([sys.executable, "-c", SIGNAL], timeout=120)
    assert done.returncode == 12


#: A model that its parent has used, in a child of it, which ends as programs do.
FORK = """
import os, sys
import numpy as np
from deepcr_ccd import cosmicray_deepcr, load_model

model = load_model("universal", device="cpu", engine=sys.argv[1])
frame = np.random.default_rng(0).normal(100, 5, (300, 400)).astype(np.float32)
frame[100:104, 200] += 1000
here, _ = cosmicray_deepcr(frame, model=model)
for used in (True, False):
    child = os.fork()
    if child == 0:
        if used:
            there, _ = cosmicray_deepcr(frame, model=model)
            sys.exit(12 if (here == there).all() else 13)
        sys.exit(12)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 12, status
sys.exit(12)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
@pytest.mark.parametrize(
    "engine", ["torch", pytest.param("openvino", marks=needs_openvino)]
)
def test_children_use_models_that_their_parent_has_used(engine):
    done = subprocess.run([sys.executable, "-c", FORK, engine], timeout=120)
    assert done.returncode == 12


#: Threads that all run an engine which no one has run, in a process of their own.
RACE = """
import os, sys, threading
import numpy as np
from deepcr_ccd import load_model

sys.setswitchinterval(1e-6)
run = load_model("universal", device="cpu", engine="openvino").engine_for()
start = threading.Barrier(8)

def work():
    frame = np.zeros((1, 64, 64), np.float32)
    start.wait()
    run(frame)

threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
os._exit(0)
"""


@needs_openvino
@pytest.mark.parametrize("attempt", range(3))
def test_first_calls_may_come_at_once(attempt):  # noqa: ARG001
    """OpenVINO's binding would hang in about every second process."""
    subprocess.run([sys.executable, "-c", RACE], check=True, timeout=120)


@needs_openvino
def test_choice():
    model = random_model()
    assert model.engine == "openvino"
    assert "openvino" in repr(model)
    assert model.to(engine="openvino") is model
    plain = model.to(engine="torch")
    assert plain.engine == "torch"
    assert plain.to(precision="bfloat16").engine == "torch"
    assert plain.to(engine="auto").engine == "openvino"
    assert pickle.loads(pickle.dumps(plain)).engine == "torch"
    assert pickle.loads(pickle.dumps(model)).engine == "openvino"
    assert random_model("inpaint").engine == "torch"
    assert load_model("universal", engine="torch", device="cpu").engine == "torch"
    assert load_model("universal", device="cpu").engine == "openvino"


@needs_openvino
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_chosen_engine_stays_where_the_default_is_another(engine, monkeypatch):
    chosen = random_model().to(engine="torch").to(engine=engine)
    sent = pickle.dumps(chosen)
    other = {"torch": "openvino", "openvino": "torch"}[engine]

    def resolve(engine, *_where):
        return other if engine in (None, "auto") else engine

    monkeypatch.setattr(loaded_network, "resolve_engine", resolve)
    assert chosen.to(precision="bfloat16").engine == engine
    assert pickle.loads(sent).engine == engine
    assert pickle.loads(sent).to(precision="bfloat16").engine == engine
    assert chosen.to(engine="auto").engine == other


@pytest.mark.parametrize("engine", [None, "openvino"])
def test_a_model_arrives_where_there_is_no_openvino(engine, monkeypatch):
    model = random_model()
    card, network = model.card, model.network
    model = Model(card, network, device="cpu", precision="float32", engine=engine)
    sent = pickle.dumps(model)
    monkeypatch.setattr(engines, "has_openvino", lambda: False)
    assert pickle.loads(sent).engine == "torch"
    assert model.to(precision="bfloat16").engine == "torch"


def test_a_chosen_engine_that_does_not_run_on_another_device_is_the_default_there():
    network, gpu = random_model().network, torch.device("cuda")
    assert engines.keep_engine("openvino", network, gpu, "mask") is None
    assert engines.keep_engine("torch", network, gpu, "mask") == "torch"


def test_an_unknown_engine_is_not_built():
    model = random_model()
    with pytest.raises(ValueError, match="engine='fast' is unknown; allowed are"):
        engines.build_engine(
            "fast", model.network, model.device, "float32", "mask", wide_input=False
        )


@pytest.fixture
def broken(monkeypatch):
    """Have the import of OpenVINO fail."""

    def break_with(error):
        imported = builtins.__import__

        def fail(name, *args, **kwargs):
            if name == "openvino":
                raise error(name)
            return imported(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", fail)
        # What was imported before is kept for good, and not looked for again.
        monkeypatch.setattr(openvino_graph, "_CORES", {})

    return break_with


def test_absent_openvino(broken):
    # Where it is found but does not import, or is asked for and not found.
    broken(ImportError)
    with pytest.raises(ImportError, match=r'pip install "deepcr_ccd\[openvino\]"'):
        random_model().to(engine="torch").to(engine="openvino").probability(
            np.zeros((32, 32), dtype=np.float32)
        )


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError])
def test_an_openvino_that_does_not_work_is_not_chosen(error, broken):
    broken(error)
    has_openvino.cache_clear()
    try:
        assert random_model().engine == "torch"
    finally:
        has_openvino.cache_clear()


def test_wrong_choices():
    with pytest.raises(ValueError, match="engine='fast' is unknown; allowed"):
        random_model().to(engine="fast")
    with pytest.raises(ValueError, match="engine='fast' is unknown"):
        load_model("universal", engine="fast")
    with pytest.raises(ValueError, match="use 'torch' on 'cpu' for the task 'inpaint'"):
        random_model("inpaint").to(engine="openvino")


def ranged(model, rng):
    """Return a model with the ranges of its layers, and a frame."""
    frame = rng.normal(100, 10, (120, 144)).astype(np.float32)
    frame[rng.random(frame.shape) < 0.01] += 500
    planes = model.prepare(frame)(frame)
    ranges = measure_activation_ranges(model.network, [torch.from_numpy(planes)[None]])
    card = dataclasses.replace(model.card, ranges=ranges)
    return Model(card, model.network, device="cpu", precision="float32"), frame


@needs_openvino
@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_int8_is_close_to_float32(arguments, rng):
    model, frame = ranged(pair(arguments)[0], rng)
    assert len(model.card.ranges) == len(model.network.inner_layers())
    assert all(low <= 0 < high for low, high in model.card.ranges)
    few = model.to(precision="int8")
    exact = model.probability(frame)
    error = np.abs(few.probability(frame) - exact)
    assert error.max() > 0
    # Beyond what bfloat16 costs, in which OpenVINO 2025.0 gives the result.
    half = model.to(precision="bfloat16", engine="openvino")
    coarse = np.abs(half.probability(frame) - exact)
    assert error.max() < coarse.max() + 0.2 * np.ptp(exact)
    assert error.mean() < coarse.mean() + 0.02 * np.ptp(exact)
    # It stays whole, and comes back.
    again = pickle.loads(pickle.dumps(few)).to(precision="float32")
    np.testing.assert_allclose(again.probability(frame), exact, atol=1e-6)


@needs_openvino
def test_int8_of_universal():
    from deepcr_ccd.demo import simulate

    ccd = simulate((600, 600), n_stars=120, n_tracks=60, seed=3)
    masks = [
        cosmicray_deepcr(ccd, precision=precision, inpaint=fill, device="cpu").mask
        for precision, fill in (("float32", None), ("int8", None), ("int8", "auto"))
    ]
    assert masks[0].sum() > 300
    assert np.count_nonzero(masks[0] != masks[1]) < 0.03 * masks[0].sum()
    exact, few = (
        cosmicray_probability(ccd, precision=p, device="cpu")
        for p in ("float32", "int8")
    )
    assert 0.01 < np.abs(few - exact).max() < 0.5
    np.testing.assert_array_equal(masks[1], masks[2])


def test_int8_where_it_cannot_be(rng):
    with pytest.raises(ValueError, match="card has ranges, as that of 'universal' has"):
        random_model().to(precision="int8")
    model, _ = ranged(random_model(), rng)
    with pytest.raises(ValueError, match="not 'random' run by torch on cpu"):
        model.to(precision="int8", engine="torch")


def test_inner_layers_are_in_order():
    network = build_network("unet", ARGUMENTS["three levels"])
    seen = []
    for layer in network.modules():
        if hasattr(layer, "weight"):
            layer.register_forward_hook(lambda layer, *_: seen.append(layer))
    network(torch.zeros(1, 1, 32, 32))
    assert seen[1:-1] == network.inner_layers()
