"""Children that are forked never wait for ever, whatever their parent did before."""

import os
import subprocess
import sys

import pytest

from deepcr_ccd.models.engines.openvino_engine import has_openvino

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="no processes are forked here"
)
ENGINES = ["torch", "openvino"] if has_openvino() else ["torch"]

#: What scripts begin with; a child that waits for ever ends by SIGALRM.
HEAD = """
import copy, gc, os, pickle, signal, sys, threading
import numpy as np
import torch
import deepcr_ccd
from deepcr_ccd import cosmicray_deepcr, detect_cosmics, inpaint, load_model
from deepcr_ccd.models import zoo

torch.set_num_threads(2)
rng = np.random.default_rng(0)
frame = rng.normal(100, 5, (300, 300)).astype(np.float32)
for row, column in rng.integers(10, 280, (40, 2)):
    frame[row, column : column + 5] += rng.uniform(200, 1000, 5)

def load(name, engine, precision="float32"):
    return load_model(name, device="cpu", engine=engine, precision=precision)

def find(model):
    return cosmicray_deepcr(frame, model=model)[1]

def child(function):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        try:
            status = 0 if function() else 3
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            status = 4
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def same(mask, expected):
    return 100 < expected.sum() and np.count_nonzero(mask != expected) <= 1
"""


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script, *arguments],
        timeout=200,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


MATRIX = """
parent, released = sys.argv[1:]
names = "universal", "universal-fast"
engines = ENGINES
model = load("universal", parent.removeprefix("none-"))
sent = pickle.dumps(model)
expected = None if parent.startswith("none") else find(model)
copied = copy.deepcopy(model)
if released == "released":
    # OpenVINO keeps the threads of what is gone for what comes next.
    del model
    zoo._load_file.cache_clear()
    gc.collect()
    model = copied
def right(mask, name="universal"):
    if name != "universal" or expected is None:
        return mask.sum() > 100
    return same(mask, expected)

pairs = [(n, e) for e in engines for n in names]
ways = {e: lambda e=e: right(find(load("universal-fast", e)), "fast") for e in engines}
ways["used"] = lambda: right(find(model))
ways["copied"] = lambda: right(find(copied))
ways["sent"] = lambda: right(find(pickle.loads(sent)))
ways["copied there"] = lambda: right(find(copy.deepcopy(model)))
ways["moved"] = lambda: all(right(find(model.to(engine=e))) for e in engines)
ways["all in one"] = lambda: all(right(find(load(n, e)), n) for n, e in pairs)
ways["in turn"] = lambda: all(right(find(load(n, e)), n) for n, e in pairs[::-1])
# A child of the child, before and after it has used what it has.
ways["grandchild"] = lambda: (
    child(lambda: right(find(copied))) == 0
    and right(find(load("universal-fast", None)), "fast")
    and child(lambda: right(find(load("universal", None)))) == 0
)
found = {way: child(function) for way, function in ways.items()}
wrong = {way: status for way, status in found.items() if status}
assert not wrong, wrong
# And the parent afterwards.
assert right(find(copied))
"""


CASES = [("torch", "kept"), ("none-torch", "kept")]
if len(ENGINES) > 1:
    CASES = [("torch", "kept"), ("openvino", "kept")]
    CASES += [("openvino", "released"), ("none-openvino", "kept")]


@pytest.mark.parametrize(("parent", "released"), CASES)
def test_every_pair_of_parent_and_child(parent, released):
    run(f"ENGINES = {ENGINES}\n" + MATRIX, parent, released)


OTHERS = """
import multiprocessing
from deepcr_ccd import deepCR

def everything(name):
    signal.alarm(60)
    model = load(name, None, "auto")
    mask = cosmicray_deepcr(frame, model=model)[1]
    scrappy, _ = detect_cosmics(frame)
    filled = inpaint(frame, mask, method="network")[0]
    old = deepCR(mask="universal", device="CPU").clean(frame, n_jobs=-1)[0]
    masks = mask, scrappy, old
    return [int(found.sum()) for found in masks] + [float(np.sum(filled))]

class Frames(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.tensor(everything(["universal", "universal-fast"][index % 2])[0])

here = [everything(name) for name in ("universal", "universal-fast")]
with multiprocessing.get_context("fork").Pool(2) as pool:
    there = pool.map(everything, ["universal", "universal-fast"])
# Engines, and bfloat16, may differ in a few pixels.
np.testing.assert_allclose(there, here, rtol=0.02)
loader = torch.utils.data.DataLoader(
    Frames(), num_workers=2, multiprocessing_context="fork"
)
counts = [int(count) for count in loader]
np.testing.assert_allclose(counts, 2 * [row[0] for row in here], rtol=0.02)
assert torch.get_num_threads() == 2
"""


def test_all_functions_in_pools_and_data_loaders():
    run(OTHERS)


THREADS = """
stop = threading.Event()
# Of a module that another thread is importing Python's own lock stays closed.
ready = threading.Barrier(3)

def work():
    find(load("universal", None))
    ready.wait()
    while not stop.is_set():
        find(load("universal", None))

threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
ready.wait()
found = [
    child(lambda: find(load(name, None)).sum() > 100)
    for name in 3 * ("universal", "universal-fast")
]
stop.set()
for thread in threads:
    thread.join()
assert not any(found), found
"""


def test_children_of_a_process_whose_threads_are_at_work():
    run(THREADS)


INT8 = """
model = load("universal", "openvino", "int8")
expected = find(model)

def near():
    masks = find(model), find(load("universal", "openvino", "int8"))
    return all(np.count_nonzero(m != expected) < 0.05 * expected.sum() for m in masks)

assert "openvino" in repr(model)
assert child(lambda: "torch" in repr(model)) == 0
assert child(near) == 0
"""


@pytest.mark.skipif(len(ENGINES) < 2, reason="OpenVINO is not installed")
def test_int8_in_a_child_is_what_it_has_in_its_place():
    run(INT8)


STARTING = """
thread = threading.Thread(target=lambda: find(load("universal", None)))
thread.start()
while "openvino" not in sys.modules and thread.is_alive():
    pass
# OpenVINO is half imported, and no child can import the rest.
assert child(lambda: find(load("universal", "openvino")).sum() > 100) == 0
assert child(lambda: find(load("universal", None)).sum() > 100) == 0
thread.join()
"""


@pytest.mark.skipif(len(ENGINES) < 2, reason="OpenVINO is not installed")
def test_children_of_a_process_that_is_importing_openvino():
    run(STARTING)


def test_a_child_of_one_that_only_imported_the_package():
    """PyTorch's threads stay in the parent, which has not used this package yet."""
    script = """
import os, signal, sys, torch, deepcr_ccd

assert "deepcr_ccd.models.zoo" not in sys.modules
torch.set_num_threads(2)
large = torch.ones(1, 1, 500, 500)
torch.nn.functional.conv2d(large, torch.ones(8, 1, 3, 3))
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    frame = torch.rand(300, 300).numpy() + 100
    deepcr_ccd.cosmicray_deepcr(frame, model="universal", device="cpu")
    os._exit(0 if torch.get_num_threads() == 1 else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", script], timeout=120, check=True)
