"""``deepcr-ccd inspect`` serves a page until it is interrupted."""

import http.client
import json
import signal
import subprocess
import sys
import webbrowser

import pytest

from deepcr_ccd import inspect
from deepcr_ccd.batch.options import FileOptions
from deepcr_ccd.cli import main
from deepcr_ccd.cli.parser import build_parser
from deepcr_ccd.demo import simulate


@pytest.fixture
def path(tmp_path):
    simulate((40, 50), n_stars=3).write(tmp_path / "frame.fits")
    return tmp_path / "frame.fits"


def check_links(process):
    """Use the link that the command prints, and another one after Enter."""
    link = process.stdout.readline().split()[-1]
    assert process.stdout.readline() == "Enter prints another link, Ctrl-C ends\n"
    process.stdin.write("\n")
    process.stdin.flush()
    another = process.stdout.readline().strip()
    assert another != link
    for one in (link, another):
        host, _, token = one.removeprefix("http://").partition("/#token=")
        connection = http.client.HTTPConnection(host, timeout=20)
        headers = {"Content-Type": "application/json", "Origin": f"http://{host}"}
        body = json.dumps({"token": token})
        connection.request("POST", "/key", body, headers)
        assert connection.getresponse().status == 200
        connection.close()


def test_it_serves_until_it_is_interrupted(path, tmp_path):
    command = [sys.executable, "-m", "deepcr_ccd", "inspect", path, "--no-browser"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Processes in the background are started with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            check_links(process)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=20)
        finally:
            process.kill()
        assert (process.returncode, output, errors) == (0, "", "")
    # Nothing is made before the mask is saved.
    assert [one.name for one in tmp_path.iterdir()] == ["frame.fits"]


def test_options_are_those_of_clean():
    typed = vars(build_parser().parse_args(["inspect", "a.fits"]))
    cleaned = vars(build_parser().parse_args(["clean", "a.fits", "-o", "out"]))
    names = set(FileOptions.__dataclass_fields__) - {"masks_only", "probability"}
    assert names <= set(typed)
    assert {name: typed[name] for name in names} == {
        name: cleaned[name] for name in names
    }


def test_errors_are_one_line(path, tmp_path, capsys):
    arguments = ["inspect", str(path), "--no-browser", "-o"]
    assert main([*arguments, str(path.parent)]) == 1
    assert "inputs are never replaced" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "out"), "--port", "70000"]) == 1
    error = "deepcr-ccd: error: --port 70000 must be a whole number from 0 to 65535\n"
    assert capsys.readouterr().err == error
    assert main(["inspect", str(tmp_path / "none.fits"), "--no-browser"]) == 1
    assert "none.fits" in capsys.readouterr().err


def test_a_folder_that_cannot_be_is_refused_before_the_model_runs(
    path, tmp_path, capsys, monkeypatch
):
    def load(*_):
        pytest.fail("a model was loaded")

    monkeypatch.setattr(FileOptions, "load_model", load)
    file = tmp_path / "notes.txt"
    file.write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for folder, said in [
        (file, "is a file, and no folder"),
        (file / "a" / "b", f"is inside of {file}, which is a file, and no folder"),
        (link, "is a file, and no folder"),
    ]:
        assert main(["inspect", str(path), "--no-browser", "-o", str(folder)]) == 1
        error = f"deepcr-ccd: error: --output {folder} {said}\n"
        assert capsys.readouterr().err == error
    (tmp_path / "out" / path.name).mkdir(parents=True)
    assert main(["inspect", str(path), "--no-browser", "-o", str(tmp_path / "out")])
    assert "is a folder" in capsys.readouterr().err
    assert file.read_text() == "precious" and not (tmp_path / "nowhere").exists()


def test_the_browser_is_opened_unless_told_otherwise(monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    frame = simulate((40, 50), n_stars=3)
    with inspect(frame, device="cpu"):
        pass
    with inspect(frame, device="cpu", browser=False):
        pass
    (link,) = opened
    assert link.startswith("http://127.0.0.1:") and "/#token=" in link
