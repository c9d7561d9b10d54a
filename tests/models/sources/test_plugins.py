"""Models in other packages, none of whose code is run."""

import shutil
import sys
import zipfile

import pytest
from astropy.utils.exceptions import AstropyUserWarning
from conftest import random_model
from sample_packages import install

from deepcr_ccd import list_models, load_model
from deepcr_ccd.models.sources.plugins import plugin_models


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder from which packages can be imported."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def plugins():
    return list_models(source="plugin")["name"].tolist()


@pytest.mark.parametrize("record", [True, False])
def test_models_of_a_package_are_listed_and_loaded(site, record):
    paths = install(site, ["mycam", "mycam-blue"], record=record)
    assert plugins() == ["mycam", "mycam-blue"]
    [row] = [row for row in list_models() if row["name"] == "mycam-blue"]
    assert (row["source"], row["unit"], row["installed"]) == (
        "plugin",
        "electron",
        True,
    )
    model = load_model("MyCam-Blue", device="cpu")
    assert model is load_model(paths[1], device="cpu")
    # Its __init__ would raise an error.
    assert "mycam_models" not in sys.modules


def test_what_is_not_in_the_folder_is_no_model_of_it(site):
    install(site)
    for folder in ("mycam_models", "mycam_models/files/inner"):
        (site / folder).mkdir(exist_ok=True)
        random_model(name="hidden").save(site / folder / "hidden.safetensors")
    assert plugins() == ["mycam"]


def test_packages_that_share_a_folder_have_their_own_models(site):
    install(site, ["one"], dist="one-models", package="shared_models", seed=1)
    install(site, ["two"], dist="two-models", package="shared_models", seed=2)
    assert plugins() == ["one", "two"]


def test_a_package_of_a_namespace(site, tmp_path, monkeypatch):
    install(site, ["one"], package="space/one/files", dist="one-models", record=False)
    (site / "space" / "__init__.py").unlink()
    other = tmp_path / "other"
    install(other, ["two"], package="space/two/files", dist="two-models", record=False)
    (other / "space" / "__init__.py").unlink()
    monkeypatch.syspath_prepend(str(other))
    assert plugins() == ["one", "two"]


def test_an_editable_package_of_a_namespace_is_found_by_its_finder(
    site, tmp_path, monkeypatch
):
    """Setuptools puts a finder into sys.meta_path, and nothing but that."""
    install(site, package="space/one/files", record=False)
    shutil.move(site / "space" / "one", tmp_path / "sources")
    shutil.rmtree(site / "space")

    class Finder:
        @staticmethod
        def find_spec(name, path, target=None):  # noqa: ARG004
            from importlib.machinery import ModuleSpec

            found = {"space": site / "space", "space.one": tmp_path / "sources"}
            if name not in found:
                return None
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(found[name])]
            return spec

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert plugins() == ["mycam"]


def test_a_package_in_an_archive(site, tmp_path, monkeypatch):
    install(site)
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in site.rglob("*"):
            packed.write(path, path.relative_to(site))
    shutil.rmtree(site)
    monkeypatch.syspath_prepend(str(archive))
    assert plugins() == ["mycam"]
    assert load_model("mycam", device="cpu").card.name == "mycam"
    first = list_models(source="plugin")
    assert len(first) == 1


def test_a_clash_of_names_is_told_when_the_name_is_asked_for(site):
    install(site, ["mycam", "one"], dist="one-models", package="one_models", seed=1)
    install(site, ["MyCam", "two"], dist="two-models", package="two_models", seed=2)
    places = "in package one-models 1.0 and in package two-models 1.0: remove one"
    with pytest.warns(AstropyUserWarning, match=f"'mycam' .* {places}") as caught:
        assert plugins() == ["one", "two"]
    assert len(caught) == 1
    for name in ("mycam", "MyCam"):
        with pytest.raises(ValueError, match=places):
            load_model(name)
    assert load_model("two", device="cpu").card.name == "two"


def test_copies_of_a_file_are_one_model(site):
    install(site, dist="one-models", package="one_models")
    install(site, dist="two-models", package="two_models")
    assert plugins() == ["mycam"]


@pytest.mark.parametrize("name", ["universal", "Universal", "acs-wfc", "ACS-WFC-2-32"])
def test_names_of_this_package_stay_its_own(site, name):
    install(site, [name, "mycam"])
    before = load_model(name, device="cpu", task="mask")
    with pytest.warns(AstropyUserWarning, match=f"package mycam-models .*{name!r} is"):
        table = list_models()
    assert table["name"][table["source"] == "plugin"].tolist() == ["mycam"]
    assert load_model(name, device="cpu", task="mask") is before


@pytest.mark.parametrize("name", ["auto", "x.pth", " x", "x ", "café", "-x", "a:b"])
def test_names_that_mislead_are_refused(site, name):
    install(site, [name, "mycam"])
    with pytest.warns(AstropyUserWarning, match="package mycam-models 1.0: .*the mod"):
        assert plugins() == ["mycam"]


BROKEN = {
    "no such folder": ({"point": "absent.files"}, "is no folder that is installed"),
    "a function": ({"point": "mycam_models:files"}, "must be the folder of the models"),
    "a path": ({"point": "../mycam_models"}, "must be the folder of the models"),
    "no models": ({"models": []}, "has no .safetensors file"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_package_is_told_and_leaves_the_others(site, fault):
    how, match = BROKEN[fault]
    install(site, dist="bad-models", **how)
    install(site, ["good"], dist="good-models", package="good_models")
    with pytest.warns(AstropyUserWarning, match=f"package bad-models 1.0: .*{match}"):
        assert plugins() == ["good"]
    assert load_model("good", device="cpu").card.name == "good"
    with pytest.raises(ValueError, match=f"'bad' is unknown; .* bad-models .*{match}"):
        load_model("bad")


def test_a_damaged_file_is_told_and_leaves_the_others(site):
    paths = install(site, ["one", "two", "three"])
    paths[1].write_bytes(paths[1].read_bytes()[:100])
    with pytest.warns(AstropyUserWarning, match="mycam-models 1.0: .*1-0.safetensors"):
        assert plugins() == ["one", "three"]


def test_a_finder_that_fails_is_told(site, monkeypatch):
    class Finder:
        @staticmethod
        def find_spec(name, path, target=None):  # noqa: ARG004
            if name.startswith("mycam"):
                raise RuntimeError("no cheese")

    install(site, record=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    with pytest.warns(AstropyUserWarning, match="package mycam-models 1.0: no cheese"):
        assert plugins() == []


@pytest.mark.parametrize("file", ["METADATA", "entry_points.txt"])
def test_damaged_metadata_are_told_and_leave_the_others(site, file):
    install(site, dist="bad-models")
    install(site, ["good"], dist="good-models", package="good_models")
    damaged = site / "bad_models-1.0.dist-info" / file
    damaged.write_bytes(damaged.read_bytes() + b"\n\xff")
    match = "package .*(mycam_models.files|bad_models).*: its metadata cannot be read"
    with pytest.warns(AstropyUserWarning, match=match) as caught:
        assert plugins() == ["good"]
    assert len(caught) == 1
    assert load_model("good", device="cpu").card.name == "good"


def test_a_finder_of_packages_that_fails_is_told(site, monkeypatch):
    class Finder:
        @staticmethod
        def find_distributions(_):
            raise RuntimeError("no cheese")

    install(site)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    assert plugin_models() == ([], ["packages cannot be listed: no cheese"])
