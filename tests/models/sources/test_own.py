"""Models in the folders of the user."""

import os
from pathlib import Path

import pytest
from astropy.utils.exceptions import AstropyUserWarning
from conftest import random_model

from deepcr_ccd import list_models, load_model
from deepcr_ccd.cli.completion import model_names
from deepcr_ccd.models.sources import user_folders


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders with a model each, which the variable names."""
    found = [tmp_path / "mine", tmp_path / "group"]
    for number, folder in enumerate(found):
        folder.mkdir()
        name = f"cam{number}"
        random_model(name=name, seed=number).save(folder / "any.safetensors")
    monkeypatch.setenv("DEEPCR_CCD_MODELS", os.pathsep.join(map(str, found)))
    return found


def own():
    return list_models(source="own")["name"].tolist()


def test_folders_of_the_variable(folders):
    assert own() == ["cam0", "cam1"]
    for name, folder in zip(("cam0", "CAM1"), folders, strict=True):
        by_path = load_model(folder / "any.safetensors", device="cpu")
        assert load_model(name, device="cpu") is by_path
    (folders[0] / "any.safetensors").unlink()
    assert own() == ["cam1"]
    with pytest.raises(ValueError, match="'cam0' is unknown; did you mean 'cam1'"):
        load_model("cam0")


def test_a_folder_that_is_named_twice_counts_once(folders, monkeypatch):
    again = os.pathsep.join(["", *map(str, folders), f"{folders[0]}/", ""])
    monkeypatch.setenv("DEEPCR_CCD_MODELS", again)
    assert own() == ["cam0", "cam1"]


def test_a_folder_that_is_absent(folders, monkeypatch):
    gone = folders[0] / "gone"
    monkeypatch.setenv("DEEPCR_CCD_MODELS", os.pathsep.join([str(gone), "~/no/such"]))
    with pytest.warns(AstropyUserWarning, match="MODELS: folder ") as caught:
        assert own() == []
    assert [str(gone) in str(w.message) for w in caught] == [True, False]
    assert str(Path.home() / "no" / "such") in str(caught[1].message)


def test_two_files_with_one_name(folders):
    random_model(name="Cam1", seed=5).save(folders[0] / "other.safetensors")
    first, second = folders[0] / "other.safetensors", folders[1] / "any.safetensors"
    match = f"'Cam1' .*{first}' and in file '{second}'"
    with pytest.warns(AstropyUserWarning, match=match):
        assert own() == ["cam0"]
    with pytest.raises(ValueError, match=match):
        load_model("cam1")
    assert load_model(second, device="cpu").card.name == "cam1"


def test_files_that_are_no_models(folders):
    (folders[0] / "a.safetensors").write_bytes(b"not one")
    (folders[0] / "notes.txt").write_text("mine")
    (folders[1] / "b.safetensors").symlink_to(folders[1] / "nowhere")
    with pytest.warns(AstropyUserWarning, match="safetensors") as caught:
        assert own() == ["cam0", "cam1"]
    assert len(caught) == 2
    assert str(folders[0] / "a.safetensors") in str(caught[0].message)
    assert str(folders[1] / "b.safetensors") in str(caught[1].message)


def test_a_link_to_itself_leaves_the_others(folders):
    for name in ("loop", "loop.safetensors"):
        (folders[0] / name).symlink_to(folders[0] / name)
    match = r"^model file .*loop\.safetensors': "
    with pytest.warns(AstropyUserWarning, match=match) as caught:
        assert own() == ["cam0", "cam1"]
    assert len(caught) == 1
    assert load_model("cam0", device="cpu").card.name == "cam0"


@pytest.mark.parametrize("variable", ["DEEPCR_CCD_MODELS", "DEEPCR_CCD_REGISTRY"])
def test_the_home_of_an_unknown_user(folders, monkeypatch, variable):
    text = os.pathsep.join(["~nosuchuser/x", *map(str, folders)])
    if variable == "DEEPCR_CCD_REGISTRY":
        text = "~nosuchuser/x"
    monkeypatch.setenv(variable, text)
    match = f"{variable}: path '~nosuchuser/x': there is no user"
    with pytest.warns(AstropyUserWarning, match=match) as caught:
        assert own() == ["cam0", "cam1"]
    assert len(caught) == 1
    assert load_model("cam1", device="cpu").card.name == "cam1"
    assert "universal" in model_names()


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "HOME/.local/share/deepcr_ccd/models"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/deepcr_ccd/models"),
        (
            "linux",
            {"XDG_DATA_HOME": "data"},
            "HOME/.local/share/deepcr_ccd/models",
        ),
        ("darwin", {}, "HOME/Library/Application Support/deepcr_ccd/models"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/deepcr_ccd/data/models"),
    ],
)
def test_the_user_folder(monkeypatch, platform, variables, expected):
    monkeypatch.undo()
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(user_folders.sys, "platform", platform)
    home = Path.home().as_posix()
    found = user_folders.user_folder("data")
    assert found.as_posix() == expected.replace("HOME", home)
    assert user_folders.user_folder("cache") != found
