"""The command ``deepcr-ccd models``."""

import os
import subprocess
import sys

import pytest
from conftest import random_model

from deepcr_ccd.cli import main
from deepcr_ccd.cli.models import SOURCES, TASKS, with_action
from deepcr_ccd.models import zoo
from deepcr_ccd.models.sources import entries, user_folders


@pytest.fixture
def run(capsys):
    def run(*arguments):
        status = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A model file, and a folder of the user."""
    monkeypatch.setattr(user_folders, "user_folder", lambda kind: tmp_path / kind)
    path = tmp_path / "any.safetensors"
    random_model(name="mycam", instrument="Mount Example MyCam").save(path)
    return path


def test_choices_are_those_of_the_function():
    assert (TASKS, SOURCES) == (zoo.TASKS, entries.SOURCES)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("models", "models"),
        ("models list", "models"),
        ("models --source own list", "models --source own"),
        ("models list --task mask", "models --task mask"),
        ("models show list", "models show list"),
        ("models decam", "models show decam"),
        ("models show decam", "models show decam"),
        ("models show add", "models show add"),
        ("models add x", "models add x"),
        ("models decam --debug", "models show decam --debug"),
        ("--debug models --debug decam", "--debug models --debug show decam"),
        ("models --task mask --sou own", "models --task mask --sou own"),
        ("models --source=own decam", "models --source=own show decam"),
        ("clean models x", "clean models x"),
        ("--version", "--version"),
        ("", ""),
    ],
)
def test_a_name_alone_is_shown(given, meant):
    assert with_action(given.split()) == meant.split()


def test_the_list_is_filtered(run):
    status, out, err = run("models", "--instrument", "wfc3")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["WFC3-UVIS"]
    status, out, _ = run("models", "--task", "inpaint", "--source", "shipped")
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["universal-inpaint"]
    assert run("models", "--source", "own") == (0, "no models\n", "")


def test_a_model_is_added_shown_exported_and_removed(run, file, tmp_path):
    added = tmp_path / "data" / "mycam.safetensors"
    assert run("models", "add", file) == (0, f"added {added}\n", "")
    status, out, _ = run("models", "--source", "own")
    assert status == 0
    assert out.splitlines()[2].startswith("mycam ")
    for arguments in (["models", "mycam"], ["models", "show", "mycam"]):
        status, out, _ = run(*arguments)
        assert status == 0
        assert "instrument           Mount Example MyCam" in out
        assert out.endswith(f"source               own, file '{added}'\n")
    assert run("models", "show", file)[1].endswith(
        f"source               file '{file}'\n"
    )
    new = tmp_path / "new.safetensors"
    assert run("models", "export", "mycam", new) == (0, f"wrote {new}\n", "")
    assert new.read_bytes() == file.read_bytes()
    assert run("models", "remove", "mycam") == (0, f"removed {added}\n", "")
    assert not added.exists()


def test_files_are_replaced_if_asked(run, file, tmp_path):
    new = tmp_path / "new.safetensors"
    for first, again, said in (
        (["add", file], "'mycam' was added before", "added "),
        (["export", file, new], f"{new} exists", "wrote "),
    ):
        assert run("models", *first)[0] == 0
        status, out, err = run("models", *first)
        assert (status, out) == (1, "")
        assert f"{again}; --overwrite replaces it" in err
        status, out, _ = run("models", *first, "--overwrite")
        assert status == 0
        assert out.startswith(said)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("add absent.safetensors", "model file 'absent.safetensors' does not exist"),
        ("remove universal", "'universal' was not added"),
        ("remove nosuch", "'nosuch' is unknown"),
        ("show nosuch", "'nosuch' is unknown"),
        ("export universal x.pth", "'x.pth' must end in .safetensors"),
        ("--source own show universal", "--source own is for the list of models"),
    ],
)
def test_errors(run, arguments, message):
    status, out, err = run("models", *arguments.split())
    assert (status, out) == (1, "")
    assert err.startswith("deepcr-ccd: error: ")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    "arguments", ["add", "remove", "show", "export x", "--task sky", "--source ours"]
)
def test_usage_errors_exit_with_2(run, arguments):
    with pytest.raises(SystemExit) as caught:
        run("models", *arguments.split())
    assert caught.value.code == 2


def test_a_folder_that_is_absent_is_a_warning(run, monkeypatch, tmp_path):
    monkeypatch.setenv("DEEPCR_CCD_MODELS", str(tmp_path / "gone"))
    status, out, err = run("models")
    assert status == 0
    assert "universal" in out
    assert err.startswith("deepcr-ccd: warning: DEEPCR_CCD_MODELS: folder ")


def test_warnings_are_those_of_the_command_in_a_new_process(tmp_path):
    code = "import sys; from deepcr_ccd.cli import main; sys.exit(main(['models']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "DEEPCR_CCD_MODELS": str(tmp_path / "gone")},
    )
    assert done.returncode == 0
    assert done.stderr.startswith("deepcr-ccd: warning: DEEPCR_CCD_MODELS: folder ")
    assert done.stderr.count("\n") == 1
