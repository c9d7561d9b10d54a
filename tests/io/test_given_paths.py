"""An empty path is an error everywhere, and never the current folder."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from deepcr_ccd import clean_files, demo
from deepcr_ccd.cli import main
from deepcr_ccd.evaluation.benchmark import run_benchmark
from deepcr_ccd.evaluation.compare import Comparison
from deepcr_ccd.evaluation.frames import read_labelled_frames
from deepcr_ccd.evaluation.report import evaluate
from deepcr_ccd.inspection.session import inspect_file
from deepcr_ccd.io.fits_file import FitsFile
from deepcr_ccd.io.fits_layout import check_whole
from deepcr_ccd.models.model import Model
from deepcr_ccd.simulation.psf import read_psf
from deepcr_ccd.training.config import train_from_config
from deepcr_ccd.training.fit import Recipe, train_model


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with one FITS file."""
    data = np.random.default_rng(0).normal(50, 5, (32, 32)).astype("f4")
    fits.writeto(tmp_path / "a.fits", data)
    monkeypatch.chdir(tmp_path)
    return tmp_path


CLEAN = "allowed is a FITS file, a folder, a pattern or @list"
FILE = "allowed is the path of a file"
FOLDER = "allowed is the path of a folder, such as '.' for the current one"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clean", "", "-o", "k"], f"FILE '' is empty; {CLEAN}"),
        (["mask", "a.fits", "", "-o", "k"], f"FILE '' is empty; {CLEAN}"),
        (
            ["clean", "a.fits", "-o", "", "--overwrite"],
            f"--output '' is empty; {FOLDER}",
        ),
        (["mask", "a.fits", "--output="], f"--output '' is empty; {FOLDER}"),
        (["clean", "@", "-o", "k"], "'@' names no list; allowed is '@' and the path"),
        (["inspect", "", "--no-browser"], f"FILE '' is empty; {FILE}"),
        (["inspect", "a.fits", "-o", ""], f"--output '' is empty; {FOLDER}"),
        (["evaluate", "a.fits", "", "-o", "k"], f"FILE '' is empty; {FILE}"),
        (["evaluate", "a.fits", "-o", ""], f"--output '' is empty; {FOLDER}"),
        (
            ["evaluate", "--simulate", "sparse", "--psf", "", "-o", "k"],
            f"--psf '' is empty; {FILE}",
        ),
        (["train", ""], f"CONFIG.toml '' is empty; {FILE}"),
        (["demo", "-o", ""], f"--output '' is empty; {FOLDER}"),
        (["models", "add", ""], f"FILE '' is empty; {FILE}"),
        (["models", "add-test", ""], f"FILE '' is empty; {FILE}"),
        (["models", "export", "universal", ""], f"FILE '' is empty; {FILE}"),
        (
            ["models", "benchmark", "universal", "--frames", ""],
            f"--frames '' is empty; {FILE}",
        ),
    ],
)
def test_the_command(here, capsys, arguments, message):
    before = (here / "a.fits").read_bytes()
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert [path.name for path in here.iterdir()] == ["a.fits"]
    assert (here / "a.fits").read_bytes() == before


def _train(folder):
    card = Model.load(demo_model()).card
    return train_model([None], card, folder, recipe=Recipe(steps=1, batch=1))


def demo_model():
    return Path(demo.__file__).parent / "data" / "universal-fast.safetensors"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clean_files("", "k"), f"files='' is empty; {CLEAN}"),
        (lambda: clean_files(["a.fits", ""], "k"), "files='' is empty"),
        (lambda: clean_files("a.fits", "", overwrite=True), "output='' is empty"),
        (lambda: clean_files({"": "b.fits"}, "k"), "files='' is empty"),
        (lambda: clean_files({"a.fits": ""}, "k"), "'' must be a place in the folder"),
        (lambda: inspect_file("", "k", browser=False), "path='' is empty"),
        (lambda: inspect_file("a.fits", "", browser=False), "output='' is empty"),
        (lambda: evaluate([""], "k"), "files='' is empty"),
        (lambda: evaluate(["a.fits"], ""), "output='' is empty"),
        (lambda: read_labelled_frames([""]), "paths='' is empty"),
        (lambda: run_benchmark("universal", frames=[""]), "frames='' is empty"),
        (lambda: Comparison({}, {}).plot(""), "path='' is empty"),
        (lambda: train_from_config("", report=print), "path='' is empty"),
        (lambda: _train(""), "folder='' is empty"),
        (lambda: list(demo.run("")), "folder='' is empty"),
        (lambda: FitsFile(""), "path='' is empty; allowed is the path of a FITS file"),
        (lambda: FitsFile("a.fits").write("", []), "path='' is empty"),
        (lambda: check_whole(""), "path='' is empty"),
        (lambda: read_psf(""), "path='' is empty"),
        (lambda: Model.load(""), "path='' is empty"),
    ],
)
def test_functions(here, call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert message in str(caught.value)
    assert [path.name for path in here.iterdir()] == ["a.fits"]


def test_what_is_no_path_is_named():
    with pytest.raises(TypeError, match="output=None is of type NoneType; allowed is"):
        clean_files("a.fits", None)


def test_the_current_folder_can_be_asked_for(here):
    assert main(["clean", ".", "-o", "k", "--quiet"]) == 0
    (here / "list.txt").write_text("\n\na.fits\n  \n")
    assert main(["mask", "@list.txt", "-o", "m", "--quiet"]) == 0
    (here / "sub").mkdir()
    (here / "a.fits").rename(here / "sub" / "a.fits")
    assert main(["clean", "sub/a.fits", "-o", ".", "--quiet"]) == 0
    names = sorted(str(path.relative_to(here)) for path in here.rglob("*.fits"))
    assert names == ["a.fits", "k/a.fits", "m/a.fits", "sub/a.fits"]
