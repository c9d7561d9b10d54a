"""Models that are added, removed and written to files."""

import json
import os

import pytest
import safetensors.torch
from astropy.utils.exceptions import AstropyUserWarning
from conftest import random_model
from sample_packages import install

from deepcr_ccd import list_models, load_model
from deepcr_ccd.models.sources import manage, own, user_folders
from deepcr_ccd.models.sources.manage import add_model, export_model, remove_model
from deepcr_ccd.models.weights import read_card


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's folder, which is not there yet."""
    found = tmp_path / "user" / "models"
    monkeypatch.setattr(user_folders, "user_folder", lambda kind: found / kind)
    return found / "data"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "any.safetensors"
    random_model(name="mycam").save(path)
    return path


def test_a_model_is_added_used_and_removed(folder, file):
    added = add_model(file)
    assert added == folder / "mycam.safetensors"
    assert added.read_bytes() == file.read_bytes()
    [row] = list_models(source="own")
    assert row["name"] == "mycam"
    assert load_model("mycam", device="cpu").card == read_card(file)
    assert remove_model("MyCam") == added
    assert os.listdir(folder) == []
    with pytest.raises(ValueError, match="'mycam' is unknown"):
        load_model("mycam")
    assert file.exists()


def test_a_model_is_not_replaced_unasked(folder, file):
    add_model(file)
    before = file.read_bytes()
    random_model(name="mycam", seed=1).save(file)
    with pytest.raises(FileExistsError, match="'mycam' was added before; overwrite=T"):
        add_model(file)
    assert (folder / "mycam.safetensors").read_bytes() == before
    add_model(file, overwrite=True)
    assert (folder / "mycam.safetensors").read_bytes() == file.read_bytes()
    assert os.listdir(folder) == ["mycam.safetensors"]


@pytest.mark.usefixtures("folder")
def test_adding_the_file_itself_keeps_it(file):
    added = add_model(file)
    assert add_model(added, overwrite=True) == added
    assert added.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["universal", "Decam", "acs-wfc-2-32", "AUTO", "x.pth"]
)
def test_names_that_are_taken_or_mislead(folder, file, name, overwrite):
    random_model(name=name).save(file)
    with pytest.raises(ValueError, match=rf"name '{name}' (is that of a mod|has|ends)"):
        add_model(file, overwrite=overwrite)
    assert not folder.exists()


def test_names_of_other_packages_and_folders(folder, file, tmp_path, monkeypatch):
    install(tmp_path / "site", ["MyCam"], seed=1)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(ValueError, match="'mycam' is that of a model in package mycam"):
        add_model(file, overwrite=True)
    monkeypatch.syspath_prepend(str(tmp_path / "nothing"))
    group = tmp_path / "group"
    group.mkdir()
    random_model(name="theirs").save(group / "a.safetensors")
    monkeypatch.setenv(own.VARIABLE, str(group))
    random_model(name="theirs", seed=1).save(file)
    with pytest.raises(ValueError, match=f"in file '{group / 'a.safetensors'}'"):
        add_model(file, overwrite=True)
    assert not folder.exists()


def test_a_file_with_another_model_in_it_is_kept(folder, file):
    folder.mkdir(parents=True)
    random_model(name="other").save(folder / "mycam.safetensors")
    before = (folder / "mycam.safetensors").read_bytes()
    with pytest.raises(ValueError, match="holds another model, 'other'"):
        add_model(file, overwrite=True)
    assert (folder / "mycam.safetensors").read_bytes() == before


def test_files_that_are_no_models(folder, file):
    whole = file.read_bytes()
    for content in (b"", whole[:-4], whole[:50]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="any.safetensors"):
            add_model(file)
    with pytest.raises(FileNotFoundError, match="absent.safetensors' does not exist"):
        add_model(file.with_name("absent.safetensors"))
    with pytest.raises(ValueError, match="a deepCR checkpoint .* export it"):
        add_model(file.with_name("x.pth"))
    assert not folder.exists()


def test_a_full_disk_leaves_nothing(folder, file, monkeypatch):
    def full(_, target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(manage.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        add_model(file)
    assert os.listdir(folder) == []
    with pytest.raises(OSError, match="No space left"):
        export_model("universal", folder / "x.safetensors")
    assert os.listdir(folder) == []


def test_a_user_without_a_folder(file, monkeypatch):
    monkeypatch.setattr(user_folders, "user_folder", lambda _: None)
    assert len(list_models(source="own")) == 0
    with pytest.raises(OSError, match="no folder of the user .* DEEPCR_CCD_MODELS"):
        add_model(file)


@pytest.mark.usefixtures("folder")
def test_only_what_was_added_is_removed(file, tmp_path, monkeypatch):
    install(tmp_path / "site", ["theirs"])
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv(own.VARIABLE, str(tmp_path))
    for name, match in (
        ("universal", "cannot be removed: it is a model of deepcr_ccd"),
        ("decam", "cannot be removed: it is a model of deepCR"),
        ("theirs", "package mycam-models 1.0, which pip uninstalls"),
        ("mycam", "in a folder of DEEPCR_CCD_MODELS, as file '.*any.safetensors'"),
        ("nosuch", "model 'nosuch' is unknown"),
    ):
        with pytest.raises(ValueError, match=match):
            remove_model(name)
    assert file.exists()


@pytest.mark.usefixtures("folder")
def test_one_of_two_models_with_a_name_can_be_removed(file, tmp_path, monkeypatch):
    added = add_model(file)
    install(tmp_path / "site", ["mycam"], seed=1)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(ValueError, match="different models"):
        load_model("mycam")
    assert remove_model("mycam") == added
    assert load_model("mycam", device="cpu").card.name == "mycam"


def test_export(file, tmp_path):
    target = tmp_path / "new.safetensors"
    assert export_model("universal-inpaint", target) == target
    by_name = load_model("universal-inpaint", device="cpu")
    assert load_model(target, device="cpu").fingerprint == by_name.fingerprint
    with pytest.raises(FileExistsError, match="new.safetensors exists; overwrite=True"):
        export_model(file, target)
    assert read_card(target).name == "universal-inpaint"
    export_model(file, target, overwrite=True)
    assert target.read_bytes() == file.read_bytes()


def test_export_of_a_published_checkpoint(tmp_path):
    target = export_model("acs-wfc", tmp_path / "new.safetensors")
    model, by_name = (load_model(n, device="cpu") for n in (target, "ACS-WFC"))
    assert model.card == by_name.card
    assert model.fingerprint == by_name.fingerprint


def test_export_to_a_wrong_place(tmp_path):
    with pytest.raises(ValueError, match=r"'.*x.pth' must end in .safetensors"):
        export_model("universal", tmp_path / "x.pth")
    with pytest.raises(FileNotFoundError, match="no folder '.*gone'"):
        export_model("universal", tmp_path / "gone" / "x.safetensors")
    with pytest.raises(ValueError, match="'nosuch' is unknown"):
        export_model("nosuch", tmp_path / "x.safetensors")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("how", ["link", "relative", "trailing"])
def test_the_folder_under_another_name(folder, file, tmp_path, monkeypatch, how):
    added = add_model(file)
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    names = {"link": tmp_path / "link", "relative": "user/models/data"}
    monkeypatch.setenv(own.VARIABLE, str(names.get(how, f"{folder}/../data/")))
    random_model(name="mycam", seed=1).save(file)
    assert add_model(file, overwrite=True) == added
    assert added.read_bytes() == file.read_bytes()
    assert remove_model("mycam").name == added.name
    assert os.listdir(folder) == []


def test_a_damaged_file_is_removed_by_its_name(folder, file):
    added = add_model(file)
    added.write_bytes(added.read_bytes()[:100])
    other = random_model(name="other")
    other.save(folder / "readable.safetensors")
    with pytest.raises(ValueError, match="'readable' is unknown"):
        remove_model("readable")
    assert remove_model("MyCam") == added
    assert os.listdir(folder) == ["readable.safetensors"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", [None, 5, b"x", []])
def test_names_to_remove_that_are_no_text(name):
    with pytest.raises(TypeError, match="^name=.* must be text"):
        remove_model(name)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("path", [None, 5, b"x", []])
def test_files_that_are_no_paths(path):
    with pytest.raises(TypeError, match="^path=.* must be text or a path"):
        add_model(path)
    with pytest.raises(TypeError, match="^path=.* must be text or a path"):
        export_model("universal", path)


@pytest.mark.parametrize("path", ["", "a\0b.safetensors"])
def test_paths_that_are_of_no_file(folder, path):
    with pytest.raises(ValueError, match="^path '.*' must be that of a .safetensors"):
        add_model(path)
    assert not folder.exists()


def rewrite(file, *, weights=0.0, sha256=None, test=True):
    """Change weights by a factor, the sha256 of the card, or leave out the test."""
    with safetensors.safe_open(file, "pt") as opened:
        fields = json.loads(opened.metadata()["card"])
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    if not test:
        tensors = {k: v for k, v in tensors.items() if not k.startswith("test.")}
        fields |= {"test_origin": "", "test_tolerance": None}
    for key, value in tensors.items():
        if not key.startswith("test.") and value.is_floating_point():
            tensors[key] = value * (1 + weights)
    fields["sha256"] = fields["sha256"] if sha256 is None else sha256
    metadata = {"card": json.dumps(fields)}
    safetensors.torch.save_file(tensors, file, metadata)


@pytest.mark.parametrize("overwrite", [False, True])
def test_weights_that_are_not_those_of_the_card(folder, file, overwrite):
    if overwrite:
        before = add_model(file).read_bytes()
    rewrite(file, weights=0.5)
    with pytest.raises(ValueError, match=r"any.safetensors' does .*: weights \(sha256"):
        add_model(file, overwrite=overwrite)
    if overwrite:
        assert (folder / "mycam.safetensors").read_bytes() == before
    else:
        assert not folder.exists()


@pytest.mark.usefixtures("folder")
def test_a_file_with_nothing_to_verify_is_added_with_a_warning(file):
    rewrite(file, test=False)
    assert add_model(file).exists()
    rewrite(file, sha256="")
    with pytest.warns(AstropyUserWarning, match="any.safetensors' .*not be verified"):
        add_model(file, overwrite=True)
    assert load_model("mycam", device="cpu").card.sha256 == ""
