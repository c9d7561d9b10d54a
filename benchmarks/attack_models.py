"""An attack of ``reliability.py``: model files that are damaged, absurd or harmful."""

import io
import json
import os
import pickle
import struct
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
from attack_engines import script
from attacks import row

from deepcr_ccd.models.card import ModelCard
from deepcr_ccd.models.model import Model
from deepcr_ccd.models.networks.build import build_network

UNET = {"in_channels": 1, "width": 4, "levels": 2}
#: Megabytes that a file may take, and bytes of address space that there are for it.
MOST_MEMORY = 500
SPACE = 8 << 30

LOAD = """
import json, os, resource, signal, sys, time
import numpy as np
from deepcr_ccd import cosmicray_deepcr, load_model

limit, space, *paths = sys.argv[1:]
os.chdir(os.path.dirname(paths[0]))
frame = np.random.default_rng(0).normal(100, 5, (64, 64)).astype(np.float32)

def memory():
    with open("/proc/self/statm") as file:
        pages = file.read().split()[:2]
    return [int(number) * resource.getpagesize() for number in pages]

used, resident = memory()

def attempt(path):
    resource.setrlimit(resource.RLIMIT_AS, (used + int(space),) * 2)
    signal.alarm(int(float(limit)))
    try:
        cosmicray_deepcr(frame, model=load_model(path, device="cpu"))
        return None, None
    except BaseException as error:
        return type(error).__name__, str(error)

found = {}
for path in paths:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        begin = memory()[1]
        answer = json.dumps([*attempt(path), begin]).encode()[:60000]
        os.write(writing, answer)
        os._exit(0)
    os.close(writing)
    _, status, usage = os.wait4(pid, 0)
    with os.fdopen(reading, "rb") as file:
        answer = file.read().decode()
    kind, message, begin = json.loads(answer or f'["signal {status}", "", {resident}]')
    found[path] = [[kind, message], (usage.ru_maxrss * 1024 - begin) / 1e6]
print(json.dumps(found))
"""


class Bomb:
    """Runs code where it is unpickled without care."""

    def __reduce__(self):
        return os.mkdir, ("harm",)


def good_file():
    """Return the bytes of a model file with random weights."""
    torch.manual_seed(0)
    card = ModelCard(name="random", task="mask", architecture="unet", arguments=UNET)
    model = Model(card, build_network("unet", UNET), device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "good.safetensors"
        model.save(path)
        return path.read_bytes()


def split(content):
    """Return the header of a safetensors file, and the bytes of its tensors."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(header, tensors):
    """Return a safetensors file."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def with_card(content, **fields):
    """Return a model file with other fields in its card."""
    header, tensors = split(content)
    card = json.loads(header["__metadata__"]["card"]) | fields
    header["__metadata__"]["card"] = json.dumps(card)
    return join(header, tensors)


def with_weights(content, value, key="out.weight"):
    """Return a model file with another value in all places of a tensor."""
    header, tensors = split(content)
    begin, end = header[key]["data_offsets"]
    width = {"F32": 4, "F16": 2}[header[key]["dtype"]]
    new = np.full((end - begin) // width, value, dtype=f"<f{width}").tobytes()
    return join(header, tensors[:begin] + new + tensors[end:])


def checkpoint(content):
    """Return what ``torch.save`` writes."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def archive(size):
    """Return a zip file that unpacks to many bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(size))
    return stream.getvalue()


def hostile_files():
    """Return the contents of model files, by name."""
    good = good_file()
    header, tensors = split(good)
    deep = json.loads("[" * 200 + "]" * 200)
    arguments = {
        "width of 1e4": {"width": 10**4},
        "width of 1e6": {"width": 10**6},
        "width of 1e100": {"width": 10**100},
        "width of -4": {"width": -4},
        "width of 0": {"width": 0},
        "width in words": {"width": "many"},
        "width that is nested": {"width": deep},
        "60 levels": {"levels": 60},
        "levels of 1e9": {"levels": 10**9},
        "1e9 channels": {"in_channels": 10**9},
        "unknown argument": {"kernel": 10**9},
    }
    cards = {name: {"arguments": UNET | changed} for name, changed in arguments.items()}
    cards |= {
        "cutout of 1e6": {"architecture": "window", "arguments": {"radius": 10**6}},
        "architecture of a list": {"architecture": ["unet"]},
        "no task": {"task": None},
        "threshold NaN": {"threshold": float("nan")},
        "threshold of 7": {"threshold": 7},
        "scale of 0": {"transform_arguments": {"scale": 0}},
        "scale of -1": {"transform_arguments": {"scale": -1}},
        "scale NaN": {"transform_arguments": {"scale": float("nan")}},
        "calibration of a list": {"calibration": [1, 2, 3]},
        "name that is a path": {"name": "../../etc/passwd"},
        "name of two lines": {"name": "a\nb"},
    }
    found = {name: with_card(good, **fields) for name, fields in cards.items()}
    for value in (np.nan, np.inf, 1e30):
        found[f"weights {value}".replace("inf", "without bound")] = with_weights(
            good, value
        )
    begin = len(tensors)
    span = {"data_offsets": [begin, begin + 64]}
    with_test = {key: value for key, value in header.items() if key[:5] != "test."}
    with_test |= {"test.input": {"dtype": "F32", "shape": [4, 4], **span}}
    renamed = {key.replace("out.bias", "odd"): header[key] for key in header}
    shaped = json.loads(json.dumps(header))
    shaped["out.bias"]["shape"] = [10**12]
    found |= {
        "empty": b"",
        "text": b"# notes\n" * 100,
        "half": good[: len(good) // 2],
        "header of 2**63 bytes": struct.pack("<Q", 2**63) + good[8:],
        "header of 1e5 brackets": join(b"[" * 100_000 + b"]" * 100_000, tensors),
        "header of a list": join([1, 2], tensors),
        "no card": join({**header, "__metadata__": {}}, tensors),
        "card of 9e4 brackets": join(
            {**header, "__metadata__": {"card": "[" * 90_000}}, tensors
        ),
        "card of 1e4 levels": join(
            {**header, "__metadata__": {"card": '{"scores":' * 10_000}}, tensors
        ),
        "header of 100 MB": struct.pack("<Q", 10**8) + b"{" * 10**8,
        "scores of 200 levels": with_card(good, scores={"a": deep}),
        "test without output": join(with_test, tensors + bytes(64)),
        "test of NaN": with_weights(good, np.nan, "test.output"),
        "tensor of another name": join(renamed, tensors),
        "tensor of 1e12 values": join(shaped, tensors),
    }
    found = {f"{name}.safetensors": content for name, content in found.items()}
    first = "inc.conv.conv.0.weight"
    found |= {
        "text.pth": b"Weights of our model.\n" * 40,
        "empty.pth": b"",
        "code.pth": pickle.dumps(Bomb()),
        "code inside.pth": checkpoint({"a": Bomb()}),
        "zip of 100 MB.pth": archive(10**8),
        "list.pth": checkpoint([torch.zeros(3)]),
        "numbers for names.pth": checkpoint({1: torch.zeros(3)}),
        "incomplete.pth": checkpoint({first: torch.zeros(4, 1, 3, 3)}),
        "1e12 values of one.pth": checkpoint(
            {first: torch.zeros(1).expand(10**6, 10**6)}
        ),
        "level 1e11.pth": checkpoint(
            {
                first: torch.zeros(4, 1, 3, 3),
                "outc.conv.weight": torch.zeros(1),
                "down99999999999.x": torch.zeros(1),
            }
        ),
    }
    return found


def judge_model(path, answer, memory):
    """Return what is wrong with what became of a model file, or None.

    Parameters
    ----------
    path : str
        The file.
    answer : list
        The error's type and message; None where there was no error.
    memory : float
        Megabytes that it took.
    """
    kind, message = answer
    if kind is None:
        return "is used"
    if kind not in ("ValueError", "TypeError", "OSError"):
        return f"{kind}: {(message or '')[:100]}"
    if "\n" in message or len(message) > 1000:
        return f"a message of {len(message)} letters: {message[:60]!r}"
    if Path(path).name not in message.replace("\\n", "\n"):
        return f"the file is not named: {message[:100]}"
    if memory > MOST_MEMORY:
        return f"took {memory:.0f} MB"
    return None


def models(options):
    """Load model files that are damaged, absurd or harmful; clean a frame with them."""
    with tempfile.TemporaryDirectory() as name:
        start, paths = time.perf_counter(), []
        for file, content in hostile_files().items():
            paths.append(Path(name) / file)
            paths[-1].write_bytes(content)
        limit = 60 + options.limit * len(paths)
        found, fault = script(LOAD, limit, options.limit, SPACE, *paths)
        wrong = [fault] if fault else []
        most = 0
        for path, (answer, memory) in (found or {}).items():
            most = max(most, memory)
            complaint = judge_model(path, answer, memory)
            if complaint:
                wrong.append(f"{Path(path).name}: {complaint}")
        if (Path(name) / "harm").exists():
            wrong.append("code was run")
    notes = f"each an error of one line; {most:.0f} MB at most"
    yield row("models: hostile files", wrong, len(paths), start, notes)
