"""The server answers its own page only."""

import http.client
import json

import pytest

from deepcr_ccd import inspect
from deepcr_ccd.demo import simulate
from deepcr_ccd.inspection.page.server import LARGEST_BODY

EXACT = {"model": "universal", "device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module")
def session():
    with inspect(simulate((40, 50), n_stars=3), browser=False, **EXACT) as opened:
        yield opened


class Client:
    """Sends requests that differ from the page's in what a test says."""

    def __init__(self, session):
        self.session = session
        link = session.url
        self.port = int(link.split(":")[2].partition("/")[0])
        self.host = f"127.0.0.1:{self.port}"
        self.token = link.partition("#token=")[2]
        answer = self.post("key", {"token": self.token}, at="/key", key=None)
        assert answer.status == 200
        self.key = json.loads(answer.content)["key"]

    def send(self, method, path, body=None, **headers):
        given = {"Host": self.host}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(
                method, path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in given.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            answer.content = answer.read()
            return answer
        finally:
            connection.close()

    def get(self, path, **how):
        return self.send("GET", path, **how)

    def post(self, name, params=None, at=None, key="own", **how):
        body = json.dumps({} if params is None else params).encode()
        headers = {
            "Origin": f"http://{self.host}",
            "Content_Type": "application/json",
            "Content_Length": str(len(body)),
        }
        if key is not None:
            headers["Authorization"] = f"Bearer {self.key if key == 'own' else key}"
        return self.send("POST", at or f"/api/{name}", body, **headers | how)


@pytest.fixture
def client(session):
    return Client(session)


def test_a_link_works_once_and_gives_a_key(session, client):
    assert client.post("info").status == 200
    for token in (client.token, "", "guess", 1, None, client.key):
        assert client.post("key", {"token": token}, at="/key").status == 403
    assert client.post("key", [], at="/key").status == 403
    assert client.post("key", {"token": "x" * 2000}, at="/key").status == 413
    assert session.url != session.url


def test_what_a_page_may_load_is_limited(client):
    answer = client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in answer.headers
    for name in (b"//", b"http:", b"https:"):
        assert name not in answer.content


@pytest.mark.parametrize("key", [None, "", "guess", "\xe9"])
def test_nothing_is_answered_without_the_key(client, key):
    for name in ("info", "codes", "save"):
        answer = client.post(name, key=key)
        assert answer.status == 403
        assert b"open the link" in answer.content
    # What is no secret: the page itself, as the package ships it.
    page = client.get("/")
    assert page.status == 200 and "Set-Cookie" not in page.headers


def test_a_token_is_not_taken_from_another_page(client):
    token = client.session.url.partition("#token=")[2]
    how = {"at": "/key", "key": None}
    foreign = client.post("key", {"token": token}, Origin="http://evil.example", **how)
    assert foreign.status == 403
    assert client.post("key", {"token": token}, **how).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::1]:80", "", None],
)
def test_a_foreign_host_is_refused(client, host):
    assert client.get("/", Host=host).status == 403
    origin = f"http://{host}"
    assert client.post("info", Host=host, Origin=origin).status == 403


@pytest.mark.parametrize("name", ["localhost:8123", "localhost", "127.0.0.1:9"])
def test_a_tunnel_may_have_another_port(client, name):
    assert client.get("/", Host=name).status == 200
    assert client.post("info", Host=name, Origin=f"http://{name}").status == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:1", "null", "", None]
)
def test_a_foreign_origin_is_refused(client, origin):
    assert client.post("info", Origin=origin).status == 403


def test_a_request_of_another_site_is_refused(client):
    assert client.post("info", Sec_Fetch_Site="same-origin").status == 200
    for site in ("cross-site", "same-site", "none"):
        assert client.post("info", Sec_Fetch_Site=site).status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static//etc/passwd",
        "/static/",
        "/index.html",
        "/page.js",
        "/etc/passwd",
        "/api/info",
        "//evil.example/",
    ],
)
def test_no_path_leads_to_another_file(client, path):
    assert client.get(path).status == 404


def test_bodies_are_bounded_and_are_json(client):
    assert client.post("info", Content_Length=str(LARGEST_BODY + 1)).status == 413
    assert client.post("info", Content_Length="9" * 5000).status == 413
    assert client.post("info", Content_Length="-1").status == 411
    assert client.post("info", Content_Length=None).status == 411
    assert client.post("info", Content_Type="text/plain").status == 415
    deep = b"[" * 100_000
    answer = client.send(
        "POST",
        "/api/info",
        deep,
        Content_Length=str(len(deep)),
        Content_Type="application/json",
        Origin=f"http://{client.host}",
        Authorization=f"Bearer {client.key}",
    )
    assert answer.status == 400
    assert client.send("PUT", "/").status == 501
    assert client.send("OPTIONS", "/api/info").status == 501


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("info", [], "object"),
        ("info", {"path": "/etc/passwd"}, "arguments"),
        ("view", {}, "arguments"),
        ("view", {"tab": 1}, "tab"),
        ("view", {"tab": True}, "tab"),
        ("tile", {"tab": 0, "level": 9, "row": 0, "column": 0}, "no tile"),
        ("tile", {"tab": 0, "level": 0, "row": -1, "column": 0}, "no tile"),
        ("tile", {"tab": 0, "level": 0, "row": 0.0, "column": 0}, "whole"),
        (
            "tile",
            {"tab": 0, "level": 0, "row": 0, "column": 0, "filled": "../x"},
            "kept",
        ),
        ("pixel", {"tab": 0, "x": 50, "y": 0}, "pixel of the frame"),
        (
            "save",
            {
                "tab": 0,
                "revision": 0,
                "kind": "flags",
                "replace": 1,
                "pixels": 0,
                "checksum": 0,
            },
            "replace must be",
        ),
    ],
)
def test_arguments_are_checked(client, name, params, said):
    answer = client.post(name, params)
    assert answer.status == 400
    assert said in json.loads(answer.content)["error"]


def test_an_unknown_call_is_not_found(client):
    answer = client.post("shutdown")
    assert answer.status == 404
    assert "shutdown" in json.loads(answer.content)["error"]


def test_it_listens_on_this_machine_only(session):
    assert session._server.server_address[0] == "127.0.0.1"


def test_a_closed_session_frees_its_port():
    frame = simulate((40, 50), n_stars=3)
    session = inspect(frame, browser=False, **EXACT)
    port = Client(session).port
    with pytest.raises(OSError):
        inspect(frame, browser=False, port=port, **EXACT)
    session.close()
    session.close()
    with pytest.raises(ValueError, match="closed"):
        session.url  # noqa: B018
    assert "closed" in repr(session)
    with inspect(frame, browser=False, port=port, **EXACT) as again:
        assert f":{port}/" in again.url


def test_arguments_of_inspect_are_checked():
    frame = simulate((40, 50), n_stars=3)
    with pytest.raises(ValueError, match="port=70000"):
        inspect(frame, port=70000, browser=False)
    with pytest.raises(TypeError, match="treshold=: did you mean 'threshold'"):
        inspect(frame, treshold=0.5, browser=False)
    with pytest.raises(ValueError, match="threshold=2"):
        inspect(frame, threshold=2, browser=False)
    with pytest.raises(TypeError, match="path"):
        inspect("frame.fits", browser=False)
