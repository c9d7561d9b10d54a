"""A package made from the template is installed, used and removed."""

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import random_model

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "templates" / "model-package"


def call(*arguments, path, folder):
    """Run Python with a folder of installed packages, in another folder."""
    code = f"import sys; sys.path.insert(0, {str(path)!r}); sys.argv[0] = 'python'\n"
    done = subprocess.run(
        [sys.executable, "-c", code + arguments[0], *arguments[1:]],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=300,
    )
    return done


RUN = """
import numpy as np
from deepcr_ccd import list_models, load_model
from deepcr_ccd.cli import main
table = list_models(source="plugin")
row = table[table["name"] == "tinycam"][0]
assert (row["source"], row["installed"]) == ("plugin", True), table
model = load_model("tinycam", device="cpu", precision="float32", engine="torch")
frame = np.random.default_rng(1).normal(size=(40, 50)).astype(np.float32)
assert model.probability(frame).shape == (40, 50)
assert "deepcr_ccd_mycam" not in sys.modules
assert main(["models", "show", "tinycam"]) == 0
assert main(["models", "verify", "tinycam"]) == 0
assert main(["models", "benchmark", "tinycam", "--quick"]) == 0
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""
GONE = """
from deepcr_ccd import list_models
print(len(list_models(source="plugin")))
"""


def setuptools_version():
    try:
        return int(importlib.metadata.version("setuptools").split(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return 0


def test_the_template_holds_no_models():
    assert not list(TEMPLATE.rglob("*.safetensors"))


@pytest.mark.skipif(setuptools_version() < 77, reason="setuptools 77 builds it")
def test_a_package_from_the_template(tmp_path):
    pytest.importorskip("pip")
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(TEMPLATE, source)
    model = source / "deepcr_ccd_mycam" / "models" / "a.safetensors"
    random_model(name="tinycam", license="BSD-3-Clause").save(model)

    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    install += ["--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*install, "--target", str(site), str(source)], check=True)
    # An installed model counts, not the one in the sources.
    shutil.move(source / "tests", tmp_path / "tests")
    shutil.rmtree(source)

    done = call(RUN, str(tmp_path / "tests"), path=site, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "source               plugin, package deepcr-ccd-mycam 1.0" in done.stdout
    assert "tinycam: verified" in done.stdout
    assert "universal" in done.stdout
    assert "2 passed" in done.stdout

    shutil.rmtree(site)
    done = call(GONE, path=site, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
