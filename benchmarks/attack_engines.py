"""Attacks of ``reliability.py`` on engines: forked children, thousands of sizes."""

import json
import subprocess
import sys
import time

from attacks import row

from deepcr_ccd.models.engines.openvino_engine import has_openvino

ENGINES = ("torch", "openvino") if has_openvino() else ("torch",)
#: What parents have done before they fork: the engine and model they used, if any.
PARENTS = ("nothing", "a thread", *ENGINES, *(f"{engine}, gone" for engine in ENGINES))

FORK = """
import copy, gc, json, os, pickle, signal, sys, threading
import numpy as np
import torch
from deepcr_ccd import (
    cosmicray_deepcr, cosmicray_probability, deepCR, detect_cosmics, inpaint,
    load_model, zoo,
)
from deepcr_ccd.demo import simulate

parent, limit, *engines = sys.argv[1:]
names = "universal", "universal-fast"
torch.set_num_threads(2)
frame = simulate((300, 300), n_stars=20, n_tracks=30, seed=3).data

def load(name, engine):
    return load_model(name, device="cpu", engine=engine, precision="float32")

def find(model):
    return cosmicray_deepcr(frame, model=model)[1]

def child(function):
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(float(limit)))
        try:
            status = 0 if function() else 3
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            status = 4
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

used = next((engine for engine in engines if parent.startswith(engine)), None)
model = load("universal", used or "torch")
sent, copied = pickle.dumps(model), copy.deepcopy(model)
if used:
    find(model), find(copied)
if parent == "a thread":
    stop = threading.Event()
    def work():
        while not stop.is_set():
            find(load("universal", None))
    thread = threading.Thread(target=work)
    thread.start()
if parent.endswith("gone"):
    model = pickle.loads(sent)
    del copied
    copied = copy.deepcopy(model)
    zoo._load_file.cache_clear()
    gc.collect()

def right(mask):
    return 200 < np.count_nonzero(mask) < 5000

ways = {
    f"{name} in {engine}": lambda n=name, e=engine: right(find(load(n, e)))
    for name in names for engine in engines
}
for first in engines:
    for then in engines:
        ways[f"{first}, then {then}"] = lambda a=first, b=then: (
            right(find(load("universal", a))) and right(find(load(names[1], b)))
        )
for engine in engines:
    ways[f"moved to {engine}"] = lambda e=engine: right(find(model.to(engine=e)))
ways["the same"] = lambda: right(find(model))
ways["a copy"] = lambda: right(find(copied))
ways["a copy made there"] = lambda: right(find(copy.deepcopy(model)))
ways["unpickled"] = lambda: right(find(pickle.loads(sent)))
ways["probability"] = lambda: cosmicray_probability(frame, model=model).max() > 0.5
ways["detect_cosmics"] = lambda: right(detect_cosmics(frame)[0])
ways["deepCR"] = lambda: right(
    deepCR(mask="universal", device="CPU").clean(frame, n_jobs=-1, inpaint=False)
)
ways["inpaint"] = lambda: np.isfinite(inpaint(frame, frame > 500)[0]).all()
ways["a thread there"] = lambda: in_thread(lambda: right(find(copied)))
ways["a child of the child"] = lambda: (
    child(lambda: right(find(copied))) == 0 and right(find(load(names[1], None)))
)

def in_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found == [True]

found = {way: child(function) for way, function in ways.items()}
if parent == "a thread":
    stop.set()
    thread.join()
found["the parent afterwards"] = 0 if right(find(copied)) else 3
print(json.dumps(found))
"""

POOL = """
import json, signal, sys
import multiprocessing
import numpy as np
import torch
from deepcr_ccd import cosmicray_deepcr
from deepcr_ccd.demo import simulate

signal.alarm(int(float(sys.argv[1])) * 6)
frames = [simulate((200, 200), n_tracks=20, seed=s).data for s in range(4)]

def find(frame):
    return int(cosmicray_deepcr(frame)[1].sum())

class Frames(torch.utils.data.Dataset):
    def __len__(self):
        return len(frames)

    def __getitem__(self, index):
        return find(frames[index])

here = [find(frame) for frame in frames]
with multiprocessing.get_context("fork").Pool(2) as pool:
    pooled = pool.map(find, frames)
loader = torch.utils.data.DataLoader(
    Frames(), num_workers=2, multiprocessing_context="fork"
)
loaded = [int(count) for count in loader]
near = [np.allclose(found, here, rtol=0.05) for found in (pooled, loaded)]
print(json.dumps({"Pool": 0 if near[0] else 3, "DataLoader": 0 if near[1] else 3}))
"""

SIZES = """
import json, resource, sys
import numpy as np
from deepcr_ccd import cosmicray_deepcr, load_model

number, engine = int(sys.argv[1]), sys.argv[2]
model = load_model("universal", device="cpu", engine=engine)
frame = np.random.default_rng(0).normal(100, 5, (110, 110)).astype(np.float32)

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6

# Largest first, so that what one frame takes is there from the beginning.
shapes = [(110 - i // 64 % 64, 110 - i % 64) for i in range(number)]
for turn, shape in enumerate(shapes):
    cosmicray_deepcr(frame[: shape[0], : shape[1]].copy(), model=model)
    if turn == min(100, number // 4):
        start = memory()
print(json.dumps([start, memory()]))
"""

#: Megabytes that memory may grow by, over all sizes.
MOST_GROWTH = 100


def script(code, limit, *arguments):
    """Run a script that prints JSON; return what it printed, and what went wrong."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"no end within {limit:.0f} s"
    if done.returncode:
        return None, f"status {done.returncode}: {done.stderr.strip()[-300:]}"
    return json.loads(done.stdout), ""


def fork(options):
    """Fork children of processes that have used models, or have not."""
    faults = {-14: "waits for ever", 3: "is wrong", 4: "raises an error"}
    for parent in PARENTS:
        start = time.perf_counter()
        limit = 60 + 30 * options.limit
        found, fault = script(FORK, limit, parent, options.limit, *ENGINES)
        found = found or {"all": fault}
        wrong = [
            f"{way}: {faults.get(status, status)}"
            for way, status in found.items()
            if status
        ]
        notes = f"each within {options.limit:.0f} s"
        yield row(f"fork: parent used {parent}", wrong, len(found), start, notes)
    start = time.perf_counter()
    found, fault = script(POOL, 60 + 6 * options.limit, options.limit)
    found = found or {"all": fault}
    wrong = [f"{way}: {status}" for way, status in found.items() if status]
    notes = "results as without children"
    yield row("fork: Pool and DataLoader", wrong, len(found), start, notes)


def sizes(options):
    """Clean frames of thousands of sizes, and watch memory."""
    number = options.number or 4000
    for engine in ENGINES:
        start = time.perf_counter()
        found, fault = script(SIZES, 60 + number, number, engine)
        notes = fault
        if found:
            before, after = found
            notes = f"memory {before:.0f} MB, then {after:.0f} MB"
            if after - before > MOST_GROWTH:
                fault = notes
        wrong = [fault] if fault else []
        yield row(f"sizes: {engine}", number * wrong, number, start, notes)
