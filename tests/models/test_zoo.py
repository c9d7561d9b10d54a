import hashlib
import importlib.metadata
import importlib.resources
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.table import Table
from conftest import random_model
from sample_files import MASKS

from deepcr_ccd import list_models, load_model
from deepcr_ccd.models import zoo
from deepcr_ccd.models.deepcr_checkpoint import load_checkpoint
from deepcr_ccd.models.sources import package_data
from deepcr_ccd.models.sources.package_data import card_of, original_file, published
from deepcr_ccd.models.verification import digest_of

INPAINTS = ["ACS-WFC-F606W-2-32", "ACS-WFC-F606W-3-32"]
TUTORIAL = "example_model"


def listed():
    return [entry for entry in published() if entry.get("listed", True)]


def original(name):
    """The path of deepCR's own file; without that package, the test is skipped."""
    [entry] = [e for e in published() if e["name"] == name]
    path = original_file(entry)
    if path is None:
        pytest.skip("deepCR is not installed")
    return path


def test_list_models_names_them_all():
    table = list_models()
    assert set(MASKS + INPAINTS) <= set(table["name"])
    assert len(set(table["name"])) == len(table)
    assert table["installed"].all()
    by_name = {row["name"]: row for row in table}
    assert by_name["decam"]["unit"] == "adu"
    assert by_name["WFC3-UVIS"]["unit"] == "any"
    assert by_name["ACS-WFC"]["filters"] == "F435W,F606W,F814W"


def test_the_list_fits_80_columns():
    table = list_models()
    for lines in (table.pformat(max_width=80), table.pformat(max_width=-1)):
        assert max(map(len, lines)) <= 80
        head = ["name", "task", "default", "unit", "threshold", "installed", "source"]
        assert lines[0].split() == head
        threshold = str(table["threshold"][0])
        first = ["universal", "mask", "True", "any", threshold, "True", "shipped"]
        assert lines[2].split() == first
        assert len(lines) == len(table) + 2
    # What is not printed is there, in parts of the table too.
    row = table[table["name"] == "ACS-WFC"][0]
    assert row["instrument"] == "HST ACS/WFC"
    assert row["citation"].startswith("Kwon")


def test_the_list_is_filtered():
    everything = list_models()
    for name in list_models(task="inpaint")["name"]:
        assert name in [*INPAINTS, "universal-inpaint"]
    shipped = list_models(source="shipped")
    assert set(shipped["source"]) == {"shipped"}
    assert "universal" in shipped["name"]
    assert len(shipped) + len(list_models(source="published")) == len(everything)
    for instrument in ("ACS/WFC", "wfc acs"):
        names = list_models(task="mask", instrument=instrument)["name"]
        assert set(names) == {name for name in MASKS if name.startswith("ACS")}
    assert list_models(instrument="wfc3")["name"].tolist() == ["WFC3-UVIS"]
    assert "universal" in list_models(instrument="any")["name"]


def test_a_list_of_no_models_has_all_columns():
    everything, none = list_models(), list_models(instrument="bolometer")
    assert len(none) == 0
    assert none.colnames == everything.colnames
    for name in none.colnames:
        assert none[name].dtype.kind == everything[name].dtype.kind
    assert none.pformat()[0].split() == everything.pformat()[0].split()


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        ({"task": "masks"}, ValueError, "task='masks' is unknown; allowed are"),
        ({"source": "ours"}, ValueError, "source='ours' is unknown; .*'plugin'"),
        ({"instrument": 3}, TypeError, "instrument=3 must be text"),
    ],
)
def test_wrong_filters(wrong, error, match):
    with pytest.raises(error, match=match):
        list_models(**wrong)


def test_one_model_is_the_default():
    table = list_models()
    assert table["name"][table["default"]].tolist() == [zoo.DEFAULT_MODEL]


def test_inpainting_models_have_no_threshold():
    table = list_models()
    np.testing.assert_array_equal(table["threshold"].mask, table["task"] == "inpaint")
    assert (
        dict(zip(table["name"], table["threshold"], strict=True))["WFC3-UVIS"] == 0.15
    )


def test_the_list_is_read_back_as_it_was_written(tmp_path):
    table = list_models()
    table.write(tmp_path / "models.ecsv")
    back = Table.read(tmp_path / "models.ecsv")
    assert back.colnames == table.colnames
    assert back.pformat() == table.pformat()


def test_the_tutorial_model_is_not_listed_but_loaded():
    original(TUTORIAL)
    assert TUTORIAL not in list_models()["name"]
    assert load_model(TUTORIAL, device="cpu").card.name == TUTORIAL
    with pytest.raises(ValueError, match="'ACS' is unknown") as caught:
        load_model("ACS")
    assert TUTORIAL not in str(caught.value)


@pytest.mark.parametrize("name", ["universal", "universal-inpaint", "ACS-WFC"])
def test_cards_are_short_to_look_at(name):
    card = load_model(name, device="cpu").card
    text = repr(card)
    assert text.startswith(f"ModelCard(name={name!r}, task={card.task!r}, unit=")
    assert len(text) <= 80
    assert "\n" not in text
    assert ("threshold" in text) == (card.task == "mask")


@pytest.mark.parametrize("name", [*MASKS, TUTORIAL, *INPAINTS])
def test_every_name_loads_that_model(name):
    if name == TUTORIAL:
        original(name)
    card = load_model(name, device="cpu").card
    assert card.name == name
    assert card.task == ("inpaint" if name in INPAINTS else "mask")
    assert card.citation
    assert card.license == "BSD-3-Clause"


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("ACS-WFC-2-32", "ACS-WFC"),
        ("ACS-WFC-F435W-2-32", "ACS-WFC-F435W"),
        ("ACS-WFC-F606W-2-32", "ACS-WFC-F606W"),
        ("ACS-WFC-F814W-2-32", "ACS-WFC-F814W"),
    ],
)
def test_older_names(alias, name):
    assert load_model(alias, task="mask", device="cpu").card.name == name


def test_a_model_is_loaded_once():
    assert load_model("ACS-WFC", device="cpu") is load_model("ACS-WFC", device="cpu")


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="'ACS' is unknown; .*known are .*WFC3-UVIS"):
        load_model("ACS")


def test_wrong_task():
    with pytest.raises(ValueError, match="'ACS-WFC' is for task 'mask'"):
        load_model(load_model("ACS-WFC"), task="inpaint")


@pytest.mark.parametrize("value", [None, 3, ["ACS-WFC"]])
def test_wrong_type(value):
    with pytest.raises(TypeError, match="must be a name, a path or a Model"):
        load_model(value)


@pytest.fixture
def without_deepcr(monkeypatch):
    """As if the deepCR distribution were not installed."""
    find = importlib.metadata.distribution

    def absent(name):
        if name == package_data.DISTRIBUTION:
            raise importlib.metadata.PackageNotFoundError(name)
        return find(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)


@pytest.mark.usefixtures("without_deepcr")
def test_published_models_need_no_deepcr():
    for name in MASKS + INPAINTS:
        task = "inpaint" if name in INPAINTS else "mask"
        model = load_model(name, task=task, device="cpu", precision="float32")
        assert model.card.name == name
        assert model.verify().passed
    assert list_models()["installed"].all()


@pytest.mark.usefixtures("without_deepcr")
def test_the_tutorial_model_without_deepcr_says_what_to_install():
    with pytest.raises(ImportError, match="tutorial.*pip install deepCR==0.3.1"):
        load_model(TUTORIAL)


def test_cards_of_published_models_are_those_of_the_list():
    for entry in listed():
        card = load_model(entry["name"], task=entry["task"], device="cpu").card
        for field, value in card_of(entry).items():
            assert getattr(card, field) == value, field
        assert card.origin["sha256"] == entry["sha256"]
        for field in ("version", "date", "authors", "doi", "license", "intended_use"):
            assert getattr(card, field), field


def test_files_of_published_models_are_as_the_checkpoints():
    """The weights are those that deepCR's files give, bit for bit."""
    for entry in listed():
        path = original(entry["name"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
        converted = load_checkpoint(path, card_of(entry), device="cpu")
        ours = load_model(entry["name"], task=entry["task"], device="cpu")
        assert ours.card.sha256 == digest_of(converted.network.state_dict())


def test_data_of_the_package_are_small():
    folder = importlib.resources.files("deepcr_ccd") / "data"
    files = [path for path in Path(str(folder)).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 8e6
    assert "UC Berkeley" in (folder / "LICENSE.deepCR.txt").read_text()


def test_paths(tmp_path, rng):
    model = random_model()
    path = tmp_path / "mine.safetensors"
    model.save(path)
    frame = rng.normal(size=(30, 30)).astype(np.float32)
    for given in (path, str(path)):
        loaded = load_model(given, device="cpu", precision="float32")
        np.testing.assert_array_equal(
            loaded.probability(frame), model.probability(frame)
        )
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_model(tmp_path / "other.safetensors")


def test_a_changed_file_is_read_anew(tmp_path):
    path = tmp_path / "mine.safetensors"
    random_model(threshold=0.25).save(path)
    assert load_model(path).card.threshold == 0.25
    random_model(threshold=0.75, description="longer").save(path)
    assert load_model(path).card.threshold == 0.75


# deepCR's layout, written here by hand so that the fold is tested on its own.


def original_unet(width, norm):
    def double(n_in, n_out):
        layers = []
        for a, b in ((n_in, n_out), (n_out, n_out)):
            conv = torch.nn.Conv2d(a, b, 3, padding=1)
            if norm == "weight":
                conv = torch.nn.utils.parametrizations.weight_norm(conv)
            layers += [conv]
            if norm == "batch":
                layers.append(torch.nn.BatchNorm2d(b))
            layers.append(torch.nn.ReLU())
        block = torch.nn.Module()
        block.conv = torch.nn.Sequential(*layers)
        return block

    net = torch.nn.Module()
    net.inc = torch.nn.Module()
    net.inc.conv = double(1, width)
    net.down1 = torch.nn.Module()
    net.down1.mpconv = torch.nn.Sequential(torch.nn.MaxPool2d(2), torch.nn.Identity())
    net.down1.mpconv[1] = double(width, 2 * width)
    net.up8 = torch.nn.Module()
    net.up8.up = torch.nn.ConvTranspose2d(2 * width, width, 2, stride=2)
    net.up8.conv = double(2 * width, width)
    net.outc = torch.nn.Module()
    net.outc.conv = torch.nn.Conv2d(width, 1, 1)
    return net


def run_original(net, x):
    first = net.inc.conv.conv(x)
    below = net.down1.mpconv[1].conv(net.down1.mpconv[0](first))
    joined = torch.cat([first, net.up8.up(below)], dim=1)
    return net.outc.conv(net.up8.conv.conv(joined))


@pytest.mark.parametrize("norm", ["batch", "weight", None])
@pytest.mark.parametrize("prefix", ["module.", ""])
def test_normalisation_is_folded_away(tmp_path, norm, prefix):
    torch.manual_seed(1)
    net = original_unet(6, norm)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.uniform_(module.bias, -1, 1)
    net.eval()
    path = tmp_path / "trained.pth"
    torch.save({prefix + k: v for k, v in net.state_dict().items()}, path)
    model = load_model(path, device="cpu")
    assert model.card.name == "trained"
    assert model.card.unit is None
    assert model.card.arguments["width"] == 6
    x = torch.randn(1, 1, 20, 24)
    with torch.inference_mode():
        np.testing.assert_allclose(
            model.network(x).numpy(), run_original(net, x).numpy(), atol=1e-5
        )


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    path = tmp_path / "hostile.pth"
    victim = tmp_path / "made"
    for save in (torch.save, lambda x, p: p.write_bytes(pickle.dumps(x, 2))):
        save({"module.a": Hostile(victim)}, path)
        with pytest.raises(ValueError, match="no checkpoint of plain tensors"):
            load_model(path)
        assert not victim.exists()


@pytest.mark.parametrize(
    "content",
    [{"a": torch.zeros(3)}, {"inc.conv.conv.0.weight": torch.zeros(4, 1, 3, 3)}],
)
def test_foreign_checkpoints(tmp_path, content):
    path = tmp_path / "foreign.pth"
    torch.save(content, path)
    with pytest.raises(ValueError, match="not one of deepCR's U-Nets"):
        load_checkpoint(path)


def test_checkpoint_of_something_else(tmp_path):
    path = tmp_path / "list.pth"
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="not a dictionary of tensors"):
        load_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="no checkpoint of plain tensors"):
        load_checkpoint(path)


def test_auto_is_the_model_that_the_comparison_favours():
    assert load_model("auto", device="cpu") is load_model("universal", device="cpu")


@pytest.mark.parametrize("name", [*MASKS, TUTORIAL, *INPAINTS])
@pytest.mark.parametrize("how", ["path", "copy", "saved again"])
def test_published_checkpoints_by_path(name, how, tmp_path):
    """What is in a file says what it is, not what the file is called."""
    path = original(name)
    if how == "copy":
        path = shutil.copy(path, tmp_path / "mine.pth")
    elif how == "saved again":
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        path = tmp_path / "mine.pth"
        plain = {key.removeprefix("module."): value for key, value in tensors.items()}
        torch.save(plain, path)
    task = "inpaint" if name in INPAINTS else "mask"
    by_name = load_model(name, device="cpu", task=task)
    by_path = load_model(path, device="cpu", task=task)
    assert by_path.card == by_name.card
    assert by_path.fingerprint == by_name.fingerprint


def test_other_checkpoints_are_what_their_tensors_say(tmp_path):
    tensors = torch.load(original("WFC3-UVIS"), map_location="cpu", weights_only=True)
    key = next(key for key in tensors if key.endswith("outc.conv.bias"))
    tensors[key] += 1e-3
    torch.save(tensors, tmp_path / "WFC3-UVIS.pth")
    card = load_model(tmp_path / "WFC3-UVIS.pth", device="cpu").card
    assert (card.unit, card.transform) == (None, "scaled")


def test_names_are_not_case_sensitive():
    for given, name in (
        ("Universal", "universal"),
        ("acs-wfc", "ACS-WFC"),
        ("wfc3-uvis", "WFC3-UVIS"),
        ("DECam", "decam"),
        ("acs-wfc-2-32", "ACS-WFC"),
        ("AUTO", "universal"),
    ):
        assert load_model(given, device="cpu", task="mask").card.name == name
    card = load_model("acs-wfc-f606w-2-32", device="cpu", task="inpaint").card
    assert card.name == "ACS-WFC-F606W-2-32"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("univresal", "universal"),
        ("Universal_fast", "universal-fast"),
        ("ACS_WFC", "ACS-WFC"),
        ("WFC3UVIS", "WFC3-UVIS"),
        ("deCAM2", "decam"),
    ],
)
def test_typos_get_the_nearest_name(given, name):
    with pytest.raises(ValueError, match=f"is unknown; did you mean '{name}'"):
        load_model(given, device="cpu")


def test_what_is_like_no_name_gets_all_of_them():
    with pytest.raises(ValueError, match="'xyzzy' is unknown; known are auto, univ"):
        load_model("xyzzy", device="cpu")
