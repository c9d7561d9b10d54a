"""Models that are fetched from a server, which is one of this machine."""

import contextlib
import hashlib
import http.server
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest
from astropy.utils.exceptions import AstropyUserWarning
from conftest import random_model
from sample_packages import install

from deepcr_ccd import list_models, load_model
from deepcr_ccd.models.sources import user_folders
from deepcr_ccd.models.sources.manage import add_model, remove_model

pytest.importorskip("pooch")

#: A server of nothing, without a wait.
NOWHERE = "http://127.0.0.1:9/mycam.safetensors"


class Server(http.server.ThreadingHTTPServer):
    """Sends one file, in the way that a test asks for."""

    content = b""
    length = None
    pause = 0.0
    requests = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        if self.path != "/mycam.safetensors":
            self.send_error(404)
            return
        self.send_response(200)
        content, length = self.server.content, self.server.length
        self.send_header("Content-Length", str(length or len(content)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(content), 4096):
                self.wfile.write(content[start : start + 4096])
                time.sleep(self.server.pause)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    path = tmp_path / "original.safetensors"
    random_model(name="mycam", description="a" * 20000).save(path)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.content = path.read_bytes()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "user" / "cache"
    monkeypatch.setattr(user_folders, "user_folder", lambda kind: folder.parent / kind)
    return folder


@pytest.fixture
def register(server, cache, tmp_path, monkeypatch):  # noqa: ARG001
    """Write a registry of the server's file, with other fields as given."""

    def register(**fields):
        facts = {
            "name": "mycam",
            "version": "1.0",
            "url": f"http://127.0.0.1:{server.server_port}/mycam.safetensors",
            "sha256": hashlib.sha256(server.content).hexdigest(),
            "size": len(server.content),
            "task": "mask",
            "unit": "electron",
            **fields,
        }
        lines = [f"{k} = {v!r}" for k, v in facts.items() if v is not None]
        path = tmp_path / "registry.toml"
        path.write_text("\n".join(["[[model]]", *lines]))
        monkeypatch.setenv("DEEPCR_CCD_REGISTRY", str(path))
        return path

    return register


def names():
    return list_models(source="remote")["name"].tolist()


def files(cache):
    return os.listdir(cache) if cache.exists() else []


def test_a_model_is_fetched_once_and_used_without_a_network(register, server, cache):
    register(instrument="Mount Example MyCam", filters=["g", "r"])
    [row] = list_models(source="remote", instrument="mycam")
    assert (row["name"], row["unit"], row["filters"]) == ("mycam", "electron", "g,r")
    assert not row["installed"]
    assert list_models(source="remote")["threshold"].mask.all()
    assert (server.requests, files(cache)) == (0, [])

    model = load_model("MyCam", device="cpu")
    assert model.card.name == "mycam"
    assert server.requests == 1
    [name] = files(cache)
    assert (cache / name).read_bytes() == server.content

    register(url=NOWHERE)
    assert list_models(source="remote")["installed"].all()
    assert load_model("mycam", device="cpu") is model
    assert server.requests == 1


def test_a_kept_file_that_was_damaged_is_fetched_again(register, server, cache):
    register()
    load_model("mycam", device="cpu")
    [path] = cache.iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    load_model("mycam", device="cpu")
    assert path.read_bytes() == server.content
    assert server.requests == 2


def test_another_version_is_another_file(register, server, cache, tmp_path):
    register()
    load_model("mycam", device="cpu")
    random_model(name="mycam", seed=3).save(tmp_path / "new.safetensors")
    server.content = (tmp_path / "new.safetensors").read_bytes()
    register(version="2.0")
    new = load_model(tmp_path / "new.safetensors", device="cpu")
    assert load_model("mycam", device="cpu").fingerprint == new.fingerprint
    assert len(files(cache)) == 2


def refused(error, match, cache):
    """Check that a model is not had, for a reason on one line, and nothing is kept."""
    with pytest.raises(error, match=match) as caught:
        load_model("mycam", device="cpu")
    assert "'mycam'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files(cache) == []


def test_a_wrong_checksum(register, cache):
    register(sha256="0" * 64)
    refused(ValueError, "has the SHA-256 .* says 0000.*; it was not kept", cache)


def test_a_file_that_is_longer(register, server, cache):
    register(size=1000)
    server.content += b"x" * 10_000_000
    refused(ValueError, "is longer than the 1000 bytes that registry ", cache)


def test_a_file_that_is_shorter(register, server, cache):
    register(size=len(server.content) + 1)
    refused(ConnectionError, "bytes of the .* it was not kept", cache)


def test_a_connection_that_breaks(register, server, cache):
    register()
    server.length = len(server.content)
    server.content = server.content[:10000]
    refused(ConnectionError, "could not be fetched .*once it was, no network is", cache)


def test_no_network(register, cache):
    register(url=NOWHERE)
    refused(ConnectionError, f"from {NOWHERE} could not be fetched .*refused", cache)


def test_a_file_that_is_not_on_the_server(register, server, cache):
    register(url=f"http://127.0.0.1:{server.server_port}/gone.safetensors")
    refused(ConnectionError, "could not be fetched .*404", cache)


def test_a_full_disk(register, cache):
    register()
    # Files cannot grow beyond a limit, which is as good as a full disk.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, before[1]))
    try:
        refused(OSError, f"could not be kept in '{cache}': File too large", cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert load_model("mycam", device="cpu").card.name == "mycam"


def test_a_cache_that_cannot_be_made(register, cache):
    register()
    cache.parent.write_text("in the way")
    with pytest.raises(OSError, match="'mycam' could not be kept in .*Not a directory"):
        load_model("mycam", device="cpu")
    assert cache.parent.read_text() == "in the way"


def test_a_user_without_a_folder(register, monkeypatch):
    register()
    monkeypatch.setattr(user_folders, "user_folder", lambda _: None)
    assert names() == ["mycam"]
    with pytest.raises(OSError, match="'mycam': there is no folder of the user"):
        load_model("mycam")


def test_without_pooch(register, cache, monkeypatch):
    register()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pooch", None)
        refused(
            ImportError, r'is not installed: pip install "deepcr_ccd\[zoo\]"', cache
        )
    load_model("mycam", device="cpu")
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert load_model("mycam", device="cpu").card.name == "mycam"


def test_a_model_that_needs_a_later_version(register, cache):
    register(min_version="0.0.1")
    load_model("mycam", device="cpu")
    remove_model("mycam")
    register(min_version="99.1")
    refused(ValueError, "needs deepcr_ccd 99.1 or later", cache)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"x" * 100, "is no model: "),
        ("other", "is another by its card: 'other', for the task 'mask'"),
    ],
)
def test_a_file_that_is_not_the_model(
    register, server, cache, tmp_path, content, match
):
    if isinstance(content, str):
        random_model(name=content).save(tmp_path / "other.safetensors")
        content = (tmp_path / "other.safetensors").read_bytes()
    server.content = content
    register()
    refused(ValueError, match, cache)


def test_two_processes_at_once(register, server, cache):
    register()
    server.pause = 0.1
    code = f"""
import sys
from pathlib import Path
from deepcr_ccd.models.sources import user_folders
user_folders.user_folder = lambda kind: Path({str(cache.parent)!r}) / kind
from deepcr_ccd.models.sources.catalogue import find_model
print("ready", flush=True)
sys.stdin.readline()
print(find_model("mycam").file())
"""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    assert server.requests == 2
    [path] = cache.iterdir()
    assert [out for out, _ in told] == [f"{path}\n"] * 2
    assert path.read_bytes() == server.content


def test_a_process_that_is_killed_leaves_nothing_for_long(register, cache):
    register()
    load_model("mycam", device="cpu")
    [path] = cache.iterdir()
    remove_model("mycam")
    from deepcr_ccd.io import atomic

    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    tag = atomic.process_tag().replace(str(os.getpid()), str(ended.pid))
    left = cache / f".{path.name[:40]}.{tag}abc.part"
    left.mkdir()
    (left / "new.part").write_bytes(b"half")
    load_model("mycam", device="cpu")
    assert files(cache) == [path.name]


def test_what_was_fetched_is_removed(register, cache):
    register()
    with pytest.raises(ValueError, match="cannot be removed: .* was not fetched"):
        remove_model("mycam")
    load_model("mycam", device="cpu")
    [path] = cache.iterdir()
    assert remove_model("mycam") == path
    assert files(cache) == []


def test_what_is_here_goes_before_what_would_be_fetched(register, server, tmp_path):
    register()
    random_model(name="mycam", seed=4).save(tmp_path / "mine.safetensors")
    add_model(tmp_path / "mine.safetensors")
    assert names() == []
    assert list_models(source="own")["name"].tolist() == ["mycam"]
    load_model("mycam", device="cpu")
    assert server.requests == 0


def test_two_registries_with_one_name(register, monkeypatch, tmp_path):
    first = register()
    second = tmp_path / "second.toml"
    second.write_text(first.read_text())
    monkeypatch.setenv(
        "DEEPCR_CCD_REGISTRY", os.pathsep.join([str(first), str(second)])
    )
    assert names() == ["mycam"]
    second.write_text(
        first.read_text().replace("sha256 = '", "sha256 = '0")[:-1] + "n'"
    )
    text = first.read_text()
    start = text.index("sha256 = '") + 10
    second.write_text(text[:start] + "0" * 64 + text[start + 64 :])
    match = f"'mycam' .* registry '{first}' and in registry '{second}'"
    with pytest.warns(AstropyUserWarning, match=match):
        assert names() == []
    with pytest.raises(ValueError, match=match):
        load_model("mycam")


WRONG = {
    "name of this package": ({"name": "universal"}, "'universal' is that of a model"),
    "path": ({"name": "../mycam"}, "the model's name '../mycam' must have"),
    "line": ({"name": "my\ncam"}, "the model's name .* must have"),
    "no checksum": ({"sha256": None}, "sha256 is left out; it must be 64"),
    "checksum": ({"sha256": "12"}, "sha256='12' must be 64 hexadecimal digits"),
    "size": ({"size": -3}, "size='-3' must be a number of bytes"),
    "file": ({"url": "file:///etc/passwd"}, "url='file:///etc/passwd' must be a URL"),
    "ftp": ({"url": "ftp://example.org/a"}, "must be a URL with http"),
    "no url": ({"url": None}, "it must have url or doi"),
    "both": ({"doi": "10.5281/zenodo.1/a.safetensors"}, "it must have url or doi"),
    "doi": ({"doi": "10.5281"}, "doi='10.5281' must be the DOI of a record"),
    "task": ({"task": "masks"}, "task='masks' must be 'mask' or"),
    "version": ({"min_version": "new"}, "min_version='new' must be a version"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_rows_are_told_and_leave_the_others(register, fault):
    fields, match = WRONG[fault]
    good = register(name="good").read_text()
    path = register(**fields)
    path.write_text(f"{good}\n{path.read_text()}")
    with pytest.warns(AstropyUserWarning, match=match) as caught:
        assert names() == ["good"]
    assert len(caught) == 1
    assert str(path) in str(caught[0].message)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("[[model", "registry '.*r.toml': Expected "),
        ("model = 3", "its models must be tables"),
        ("model = [3]", "model 1: it must be a table"),
        (b"\xff", "registry '.*r.toml': .*utf-8"),
        ("x = " + "[" * 5000, "registry '.*r.toml': "),
        ("#" * 5_000_001, "more than 5000000 bytes"),
        (None, "registry '.*r.toml': No such file"),
    ],
)
def test_wrong_registries_are_told(content, match, tmp_path, monkeypatch):
    path = tmp_path / "r.toml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setenv("DEEPCR_CCD_REGISTRY", str(path))
    with pytest.warns(AstropyUserWarning, match=match):
        assert "universal" in list_models()["name"]


def test_a_doi_is_what_pooch_calls_it(register, monkeypatch, server, cache):
    import pooch

    asked = []

    def download(url, output, _):
        asked.append(url)
        output.write(server.content)

    monkeypatch.setattr(pooch, "DOIDownloader", lambda **_: download)
    register(url=None, doi="10.5281/zenodo.123/mycam.safetensors")
    assert load_model("mycam", device="cpu").card.name == "mycam"
    assert asked == ["doi:10.5281/zenodo.123/mycam.safetensors"]
    assert len(files(cache)) == 1


def test_a_copy_in_a_package_is_the_same_model(register, tmp_path, monkeypatch):
    register()
    install(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert names() == []
    assert list_models(source="plugin")["name"].tolist() == ["mycam"]


def test_a_registry_that_is_no_file(tmp_path, monkeypatch):
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    monkeypatch.setenv("DEEPCR_CCD_REGISTRY", str(pipe))
    with pytest.warns(AstropyUserWarning, match="pipe.toml': it is not a regular file"):
        assert names() == []


def test_a_cache_that_cannot_be_read(register, tmp_path, monkeypatch):
    register()
    # To ask for a file there raises an OSError, for any user.
    folders = {"data": tmp_path / "data", "cache": tmp_path / ("x" * 300)}
    monkeypatch.setattr(user_folders, "user_folder", folders.get)
    assert names() == ["mycam"]
    with pytest.raises(OSError, match="'mycam' could not be kept in "):
        load_model("mycam")
