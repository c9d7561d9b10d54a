"""Model files that are damaged, absurd or made to harm: one clear error."""

import io
import json
import os
import pickle
import resource
import struct
import sys
import zipfile

import numpy as np
import pytest
import torch
from astropy.io import fits
from conftest import random_model

from deepcr_ccd import load_model
from deepcr_ccd.cli import main
from deepcr_ccd.models.card import ModelCard
from deepcr_ccd.models.model import Model
from deepcr_ccd.models.networks.build import build_network, plan_network
from deepcr_ccd.models.weights import read_weights

UNET = {"in_channels": 1, "width": 4, "levels": 2}


@pytest.fixture
def saved(tmp_path):
    """The bytes of a good file."""
    path = tmp_path / "good.safetensors"
    random_model().save(path)
    return path.read_bytes()


def split(content):
    """Return the header of a safetensors file, and the tensors."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(header, tensors):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def with_card(content, **fields):
    """Return a file whose card has other fields; None leaves one out."""
    header, tensors = split(content)
    card = json.loads(header["__metadata__"]["card"]) | fields
    header["__metadata__"]["card"] = json.dumps(card)
    return join(header, tensors)


def with_values(content, value, key="out.weight"):
    """Return a file with another value in all places of a tensor."""
    header, tensors = split(content)
    begin, end = header[key]["data_offsets"]
    new = np.full((end - begin) // 4, value, dtype="<f4").tobytes()
    return join(header, tensors[:begin] + new + tensors[end:])


def refused(path, content, match, memory=300e6):
    """Check that a file is refused, in few words, without much memory."""
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=match) as caught:
        load_model(path, device="cpu")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert (after - before) * 1024 < memory


NESTED = json.loads("[" * 50 + "]" * 50)
DEEP = json.loads("[" * 200 + "]" * 200)
FIELDS = {
    "width of 1e6": ({"arguments": UNET | {"width": 10**6}}, "width=1000000 must be"),
    "width of 1e100": (
        {"arguments": UNET | {"width": 10**100}},
        "width=10000.* must be",
    ),
    "width below 0": ({"arguments": UNET | {"width": -4}}, "width=-4 must be"),
    "no width": ({"arguments": UNET | {"width": 0}}, "width=0 must be"),
    "half a width": ({"arguments": UNET | {"width": 4.5}}, "width=4.5 must be"),
    "true width": ({"arguments": UNET | {"width": True}}, "width=True must be"),
    "width in words": ({"arguments": UNET | {"width": "4"}}, "width='4' must be"),
    "no widths": ({"arguments": UNET | {"width": []}}, r"width=\[\] must be"),
    "widths": ({"arguments": UNET | {"width": [4]}}, "an entry for each of 2"),
    "nested": ({"arguments": UNET | {"width": NESTED}}, "width=.* must be"),
    "deep": (
        {"arguments": UNET | {"width": DEEP}},
        "arguments holds lists or mappings within more than 100 others",
    ),
    "deep scores": ({"scores": {"AUC": DEEP}}, "scores holds lists or mappings"),
    "deep text": ({"description": DEEP}, "description holds lists or mappings"),
    "levels of 60": ({"arguments": UNET | {"levels": 60}}, "levels=60 must be"),
    "large stride": ({"arguments": UNET | {"levels": 12}}, "a stride of 2048 px"),
    "stem of 1e9": ({"arguments": UNET | {"stem": 10**9}}, "stem=1000000000 must be"),
    "6 GB of weights": ({"arguments": UNET | {"width": 4096}}, "would take 6.58 GB"),
    "large but built": ({"arguments": UNET | {"width": 512}}, "has shape"),
    "skip": ({"arguments": UNET | {"skip": "leap"}}, "skip='leap' must be one of"),
    "norm": ({"arguments": UNET | {"norm": 1}}, "norm=1 must be one of"),
    "with norm": ({"arguments": UNET | {"norm": True}}, "tensors are missing"),
    "unknown": (
        {"arguments": UNET | {"kernel": 10**9}},
        "'kernel' is unknown; known",
    ),
    "arguments": ({"arguments": [1, 2]}, "arguments=.* must be a mapping"),
    "radius": (
        {"architecture": "window", "arguments": {"radius": 10**6}},
        "radius=1000000 must be",
    ),
    "architecture": ({"architecture": "resnet"}, "'resnet' is unknown; known: unet"),
    "architecture list": ({"architecture": ["unet"]}, "architecture=.* must be a name"),
    "task": ({"task": "sing"}, "task='sing'; allowed are .* of a later version"),
    "task list": ({"task": ["mask"]}, "task=.*; allowed"),
    "unit": ({"unit": {"a": 1}}, "unit=.*; allowed"),
    "transform": ({"transform": "log"}, "transform='log'; allowed"),
    "turns": ({"turns": True}, "turns=True; allowed"),
    "scale of 0": ({"transform_arguments": {"scale": 0}}, "scale=0 must be a number"),
    "scale below 0": ({"transform_arguments": {"scale": -1.0}}, "scale=-1.0 must be"),
    "scale NaN": (
        {"transform_arguments": {"scale": float("nan")}},
        "scale=nan must be",
    ),
    "scale inf": (
        {"transform_arguments": {"scale": float("inf")}},
        "scale=inf must be",
    ),
    "scale 1e30": ({"transform_arguments": {"scale": 1e30}}, r"scale=1e\+30 must be"),
    "scale in words": ({"transform_arguments": {"scale": "2"}}, "scale='2' must be"),
    "offset": ({"transform_arguments": {"offset": 1}}, "'offset' is unknown"),
    "cell": (
        {"transform": "noise", "transform_arguments": {"cell": 0}},
        "cell=0 must be a whole number",
    ),
    "threshold": ({"threshold": 1.5}, "threshold=1.5 must be a number from 0 to 1"),
    "threshold NaN": ({"threshold": float("nan")}, "threshold=nan must be"),
    "threshold in words": ({"threshold": "0.5"}, "threshold='0.5' must be"),
    "threshold true": ({"threshold": True}, "threshold=True must be"),
    "no threshold": ({"threshold": None}, "threshold=None must be"),
    "calibration list": ({"calibration": [[1e-3, 0.5]]}, "calibration=.* must be"),
    "calibration rises": (
        {"calibration": {"1e-4": 0.3, "1e-3": 0.5}},
        "calibration=.* that fall",
    ),
    "calibration words": ({"calibration": {"few": 0.3}}, "calibration=.* must be"),
    "calibration NaN": ({"calibration": {"nan": 0.3}}, "calibration=.* must be"),
    "calibration 0": ({"calibration": {"0": 0.3}}, "calibration=.* must be"),
    "calibration 2": ({"calibration": {"1e-3": 2}}, "calibration=.* must be"),
    "recalibration": ({"recalibration": [["a", 1]]}, "recalibration=.* must be a list"),
    "recalibration falls": (
        {"recalibration": [[0, 0], [0.5, 0.7], [0.6, 0.2], [1, 1]]},
        "recalibration=.* must be points that rise",
    ),
    "extension": (
        {"extend_threshold": "low"},
        "extend_threshold=.low. must be a number",
    ),
    "ranges": ({"ranges": [[0, 1]]}, r"1 ranges for \d layers"),
    "ranges NaN": ({"ranges": [[0, float("nan")]]}, "ranges=.* must be a list"),
    "ranges turned": ({"ranges": [[1, 0]]}, "ranges=.* must be a list"),
    "name": ({"name": "../../etc/passwd"}, "name='../.* must be a name"),
    "name of lines": ({"name": "a\nb"}, "name=.* must be a name"),
    "name of bytes": ({"name": "a\x00b"}, "name=.* must be a name"),
    "no name": ({"name": ""}, "name='' must be a name"),
    "name of number": ({"name": 3}, "name=3 must be a name"),
    "long name": ({"name": "a" * 9999}, "name=.* must be a name"),
    "fill": ({"fill": "/tmp/other.pth"}, "fill=.* must be a name"),
    "filters": ({"filters": "g"}, "filters='g' must be a list of text"),
    "domain": ({"domain": {"A": [1]}}, "domain=.* must be a mapping"),
    "instrument": ({"instrument": None}, "instrument=None must be text"),
    "colours": ({"description": "a\x1b[2Jb"}, "description=.* must be text"),
    "license": ({"license": ["MIT"]}, "license=.* must be text"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_fields(case, saved, tmp_path):
    fields, match = FIELDS[case]
    refused(tmp_path / "m.safetensors", with_card(saved, **fields), match)


def test_good_files_are_read(saved, tmp_path):
    """What the other tests change is what they are refused for; old cards are read."""
    path = tmp_path / "m.safetensors"
    for fields in ({}, {"threshold": 1}, {"of a later version": [1]}):
        path.write_bytes(with_card(saved, **fields))
        assert load_model(path, device="cpu").card.name == "random"
    header, tensors = split(saved)
    card = json.loads(header["__metadata__"]["card"])
    least = {key: card[key] for key in ("name", "task", "architecture", "arguments")}
    header["__metadata__"]["card"] = json.dumps(least)
    path.write_bytes(join(header, tensors))
    expected = random_model().probability(np.zeros((16, 16), dtype=np.float32))
    got = load_model(path, device="cpu", precision="float32")
    np.testing.assert_array_equal(
        got.probability(np.zeros((16, 16), dtype=np.float32)), expected
    )


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (np.nan, "'out.weight' holds values that are not finite"),
        (np.inf, "'out.weight' holds values that are not finite"),
        (1e30, r"'out.weight' holds 1e\+30; weights are up to 10000"),
        (-9e4, r"'out.weight' holds 9e\+04"),
    ],
)
def test_weights(value, match, saved, tmp_path):
    refused(tmp_path / "m.safetensors", with_values(saved, value), match)


def test_weights_that_multiply(saved, tmp_path):
    header, _ = split(saved)
    for key in header:
        if key.endswith("weight"):
            saved = with_values(saved, 5000, key)
    match = r"the network gives up to .*, not 100000 at most"
    refused(tmp_path / "m.safetensors", saved, match)


def test_networks_that_flag_all(saved, tmp_path):
    content = with_values(saved, 100, "out.bias")
    refused(tmp_path / "m.safetensors", content, "the network flags all pixels")


def test_damaged_files(saved, tmp_path):
    path = tmp_path / "m.safetensors"
    header, tensors = split(saved)
    whole = "is not a whole safetensors file"
    for content in (
        b"",
        b"abc",
        b"# A text file, and not a short one.\n" * 50,
        saved[:-1],
        saved[: len(saved) // 2],
        saved[:100],
        saved + b"0",
        struct.pack("<Q", 2**63) + saved[8:],
        join(b"[" * 100_000 + b"]" * 100_000, tensors),
        join(b"{" + b'"a":{' * 5000 + b"}" * 5001, tensors),
        join(b"\xff\xfe" * 50, tensors),
        join([1, 2], tensors),
        join({**header, "__metadata__": ["card"]}, tensors),
    ):
        refused(path, content, whole)
    refused(path, join({**header, "__metadata__": {}}, tensors), "has no model card")
    for card in ("[1]", "null", "3", "{", "[" * 90_000 + "]" * 90_000):
        changed = {**header, "__metadata__": {"card": card}}
        refused(path, join(changed, tensors), "not a model card")


def test_wrong_tensors(saved, tmp_path):
    path = tmp_path / "m.safetensors"
    header, tensors = split(saved)
    # One lies over another.
    changed = json.loads(json.dumps(header))
    changed["out.bias"]["data_offsets"] = [0, 4]
    refused(path, join(changed, tensors), "is not a whole safetensors file")
    # Whole numbers in place of others.
    changed = json.loads(json.dumps(header))
    changed["out.bias"]["dtype"] = "I32"
    refused(path, join(changed, tensors), "'out.bias' holds torch.int32")
    # Another name, one too many, one too few.
    changed = {("odd" if k == "out.bias" else k): v for k, v in header.items()}
    refused(path, join(changed, tensors), "1 tensors are missing: 'out.bias'")
    begin = len(tensors)
    extra = {"dtype": "F32", "shape": [1], "data_offsets": [begin, begin + 4]}
    content = join({**header, "extra": extra}, tensors + bytes(4))
    refused(path, content, "1 tensors are unexpected: 'extra'")
    # A shape of more than there is.
    changed = json.loads(json.dumps(header))
    changed["out.bias"]["shape"] = [10**12]
    refused(path, join(changed, tensors), "is not a whole safetensors file")


class Bomb:
    """Runs code where it is unpickled without care."""

    def __reduce__(self):
        return os.system, ("echo harm > harm.txt",)


def archive(**entries):
    """Return a zip file whose entries are compressed."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return content.getvalue()


def checkpoint(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


WEIGHTS = {"inc.conv.conv.0.weight": torch.zeros(4, 1, 3, 3)}
CHECKPOINTS = {
    "empty": (b"", "no checkpoint of plain tensors"),
    "text": (b"Weights of our model.\n" * 40, "no checkpoint of plain tensors"),
    "one letter": (b"a", "no checkpoint of plain tensors"),
    "FITS": (b"SIMPLE  =                    T" * 100, "no checkpoint of plain tensors"),
    "code": (pickle.dumps(Bomb()), "no checkpoint of plain tensors"),
    "code inside": (checkpoint({"a": Bomb()}), "no checkpoint of plain tensors"),
    "zip": (archive(a="b"), "no checkpoint of plain tensors"),
    "zip bomb": (archive(a="0" * 10**7), "it unpacks to 10000000 bytes"),
    "half": (checkpoint(WEIGHTS)[:300], "no checkpoint of plain tensors"),
    "list": (checkpoint([torch.zeros(3)]), "is not a dictionary of tensors"),
    "numbers for names": (
        checkpoint({1: torch.zeros(3)}),
        "not a dictionary of tensors",
    ),
    "no tensors": (checkpoint({"a": 3}), "is not a dictionary of tensors"),
    "nothing": (checkpoint({}), "is not one of deepCR's U-Nets"),
    "another": (checkpoint({"a": torch.zeros(3)}), "is not one of deepCR's U-Nets"),
    "incomplete": (checkpoint(WEIGHTS), "is not one of deepCR's U-Nets"),
    "flat": (
        checkpoint({"inc.conv.conv.0.weight": torch.zeros(3)}),
        "is not one of deepCR's U-Nets",
    ),
    "expanded": (
        checkpoint({"inc.conv.conv.0.weight": torch.zeros(1).expand(10**6, 10**6)}),
        "holds tensors of 4000000000000 bytes, more than it has",
    ),
    "complex": (
        checkpoint({"a": torch.zeros(3, dtype=torch.complex64)}),
        "'a' is not a plain tensor of real numbers",
    ),
    "sparse": (
        checkpoint({"a": torch.zeros(3, 3).to_sparse()}),
        "'a' is not a plain tensor of real numbers|no checkpoint of plain tensors",
    ),
    "deep": (
        checkpoint(
            WEIGHTS
            | {"outc.conv.weight": torch.zeros(1), "down99999999999.x": torch.zeros(1)}
        ),
        "levels=100000000000 must be",
    ),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_checkpoints(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, match = CHECKPOINTS[case]
    refused(tmp_path / "m.pth", content, match)
    assert not (tmp_path / "harm.txt").exists()


@pytest.mark.parametrize("name", ["m.pth", "m.safetensors"])
def test_folders_and_pipes(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match="is not a regular file"):
        load_model(tmp_path / name)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / f"pipe-{name}")
        with pytest.raises(ValueError, match="is not a regular file"):
            load_model(tmp_path / f"pipe-{name}")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_model(tmp_path / f"none-{name}")


@pytest.mark.parametrize("name", ["m.pth", "m.safetensors"])
def test_the_command_prints_one_line(name, saved, tmp_path, capsys):
    frame = np.random.default_rng(0).normal(100, 5, (40, 40)).astype(np.float32)
    fits.PrimaryHDU(frame).writeto(tmp_path / "a.fits")
    content = b"text" if name == "m.pth" else with_values(saved, np.nan)
    (tmp_path / name).write_bytes(content)
    arguments = ["clean", str(tmp_path / "a.fits"), "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as end:
        sys.exit(main([*arguments, "--model", str(tmp_path / name)]))
    assert end.value.code not in (0, None)
    said = capsys.readouterr().err
    assert name in said
    assert "Traceback" not in said
    assert not list((tmp_path / "out").glob("*.fits"))


def test_cards_are_checked_when_they_are_made():
    with pytest.raises(ValueError, match=r"card of 'm': threshold='high' must be"):
        ModelCard(name="m", task="mask", architecture="unet", threshold="high")
    with pytest.raises(ValueError, match="width=1000000 must be"):
        build_network("unet", {"width": 10**6})


def test_plans_take_no_memory():
    plan = plan_network("unet", {"width": [4096, 8192], "levels": 2})
    assert sum(value.numel() for value in plan.parameters()) > 1e9
    assert all(value.is_meta for value in plan.parameters())


def test_norm_is_read(tmp_path):
    """Whole numbers are right where they count."""
    card = ModelCard(
        name="normed", task="mask", architecture="unet", arguments=UNET | {"norm": True}
    )
    model = Model(card, build_network("unet", card.arguments), device="cpu")
    model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors", device="cpu")
    assert again.fingerprint == model.fingerprint
    _, tensors = read_weights(tmp_path / "m.safetensors")
    assert torch.int64 in {value.dtype for value in tensors.values()}
