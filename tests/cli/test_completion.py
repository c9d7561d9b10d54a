"""Completion in the shell, asked for as bash does through argcomplete."""

import os
import subprocess
import sys

import pytest

from deepcr_ccd.cli.completion import model_names
from deepcr_ccd.models.zoo import list_models

argcomplete = pytest.importorskip("argcomplete")


@pytest.fixture
def completions(tmp_path):
    def ask(line):
        environment = os.environ | {
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer"),
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
            "COMP_TYPE": "9",
        }
        subprocess.run(
            [sys.executable, "-m", "deepcr_ccd"],
            env=environment,
            cwd=tmp_path,
            check=True,
            timeout=60,
        )
        return {word.strip() for word in (tmp_path / "answer").read_text().split("\n")}

    return ask


def test_commands(completions):
    assert completions("deepcr-ccd ") >= {"clean", "mask", "models", "train", "demo"}
    assert completions("deepcr-ccd cl") == {"clean"}


def test_options(completions):
    assert completions("deepcr-ccd clean --targ") == {"--target-fpr"}
    assert completions("deepcr-ccd clean --engine ") == {"auto", "torch", "openvino"}


def test_files(completions, tmp_path):
    (tmp_path / "night1.fits").touch()
    (tmp_path / "night2.fits").touch()
    found = completions("deepcr-ccd clean nig")
    assert found == {"night1.fits", "night2.fits"}


def test_models(completions, tmp_path):
    (tmp_path / "unimodel.safetensors").touch()
    found = completions("deepcr-ccd clean --model uni")
    names = {name for name in model_names() if name.startswith("uni")}
    assert "universal" in names
    assert found == names | {"unimodel.safetensors"}
    assert "universal" in completions("deepcr-ccd evaluate --models universal")


def test_names_are_those_of_the_zoo():
    assert {"universal", "universal-fast", "ACS-WFC"} <= set(model_names())
    assert set(model_names()) <= set(list_models()["name"])


def test_models_of_the_user_are_completed(completions, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "unique-camera.safetensors").touch()
    folders = f"{tmp_path / 'mine'}{os.pathsep}{tmp_path / 'absent'}"
    monkeypatch.setenv("DEEPCR_CCD_MODELS", folders)
    assert completions("deepcr-ccd models show uniq") == {"unique-camera"}


def test_nothing_heavy_is_loaded_for_an_answer(tmp_path):
    code = (
        "import os, sys\n"
        "from deepcr_ccd.cli import main\n"
        "end = os._exit\n"
        "def exit(status):\n"
        "    print(*sys.modules)\n"
        "    sys.stdout.flush()\n"
        "    end(status)\n"
        "os._exit = exit\n"
        "main()\n"
    )
    line = "deepcr-ccd clean --model uni"
    environment = os.environ | {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer"),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(run.stdout.split())
    assert "argcomplete" in loaded
    assert not loaded & {"torch", "astropy", "numpy"}
