"""A server for one person on this machine: the page, its scripts and its calls.

It listens on 127.0.0.1 only. A link works once and gives the page a key, without which
no call is answered. The page keeps it for its own tab; a cookie would be sent to all
other ports of the machine too. The names of this machine are the only hosts that
requests may be addressed to, so no other name can be made to lead here. Calls must come
from the page itself, as their origin tells. What can be fetched is known at the start:
no path of a request leads to a file.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import secrets
import threading
from collections import deque
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from .answers import Answer, answer
from .api import Api

__all__ = ["LARGEST_BODY", "Server", "static_files"]

logger = logging.getLogger(__name__)

#: Address that it listens on, and names of it that requests may use.
ADDRESS, HOSTS = "127.0.0.1", ("127.0.0.1", "localhost")
#: The most bytes of a request's body, of one without the key, and seconds that a
#: connection may be silent.
LARGEST_BODY, LARGEST_TOKEN, SILENCE = 8 * 2**20, 1000, 60
NO_KEY = (
    "open the link that was printed: each works once, and pressing Enter in the "
    "terminal of deepcr-ccd inspect prints another"
)
#: Links that have not been used, of which the oldest are forgotten.
MOST_LINKS = 16
KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src "
    "'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def static_files() -> dict[str, bytes]:
    """Return what the package ships of the page, by name."""
    folder = resources.files("deepcr_ccd") / "inspection" / "page" / "static"
    return {
        file.name: file.read_bytes()
        for file in folder.iterdir()
        if file.name.rpartition(".")[2] in KINDS
    }


class Server(ThreadingHTTPServer):
    """Serves a page on 127.0.0.1.

    Parameters
    ----------
    api : Api
        Answers calls.
    port : int
        To listen on; 0 takes any that is free.

    Raises
    ------
    OSError
        If the port is not free.
    """

    daemon_threads = True
    # On Windows it would let others listen on a port that is in use.
    allow_reuse_address = os.name == "posix"

    def __init__(self, api: Api, port: int = 0):
        self.api = api
        self.files = static_files()
        self.key = secrets.token_urlsafe(32)
        self._links: deque[str] = deque(maxlen=MOST_LINKS)
        self._changing = threading.Lock()
        self.is_stopped = False
        super().__init__((ADDRESS, port), Handler)
        # It looks ten times a second whether it is to stop.
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), daemon=True
        )

    def start(self) -> None:
        """Answer requests, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and free the port."""
        self.is_stopped = True
        self.shutdown()
        self._thread.join()
        self.server_close()

    def new_link(self) -> str:
        """Return a link to the page, which works once."""
        token = secrets.token_urlsafe(32)
        with self._changing:
            self._links.append(token)
        return f"http://{ADDRESS}:{self.server_port}/#token={token}"

    def redeem(self, token: str) -> bool:
        """Tell whether a token is that of a link, which is used up by that.

        Parameters
        ----------
        token : str
            From the link.
        """
        with self._changing:
            for known in self._links:
                if _same(known, token):
                    self._links.remove(known)
                    return True
        return False

    def knows(self, header: str) -> bool:
        """Tell whether a request has the key.

        Parameters
        ----------
        header : str
            ``Authorization`` of the request.
        """
        return _same(f"Bearer {self.key}", header)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log what went wrong with a connection, such as one that was cut off."""
        logger.debug("connection from %s failed", client_address, exc_info=True)


def _same(known: str, given: str) -> bool:
    return hmac.compare_digest(known.encode(), given.encode("utf-8", "replace"))


class Refused(Exception):
    """A request that is not answered, with the status that it gets."""

    def __init__(self, status: HTTPStatus, message: str):
        super().__init__(message)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "deepcr_ccd", ""
    timeout = SILENCE
    # Headers and content go together, and at once.
    wbufsize, disable_nagle_algorithm = -1, True

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        """Answer with a part of the page, which is no secret."""
        try:
            self._check_host()
            path = urlsplit(self.path).path
            name = "index.html" if path == "/" else path.removeprefix("/static/")
            if name not in self.server.files or path == f"/{name}":
                raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")
            self._send(self.server.files[name], KINDS[name.rpartition(".")[2]])
        except Refused as error:
            self._refuse(error)

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        """Answer a call of the page."""
        try:
            if self.server.is_stopped:
                # A connection that was kept open.
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the session has ended")
            self._check_host()
            self._check_origin()
            path = urlsplit(self.path).path
            if path == "/key":
                self._give_key(self._read_body(LARGEST_TOKEN))
                return
            if not self.server.knows(self.headers.get("Authorization", "")):
                raise Refused(HTTPStatus.FORBIDDEN, NO_KEY)
            if not path.startswith("/api/"):
                raise Refused(HTTPStatus.NOT_FOUND, "there is no such call")
            body = self._read_body(LARGEST_BODY)
            content = answer(self.server.api, path.removeprefix("/api/"), body)
            self._send_answer(content)
        except Refused as error:
            self._refuse(error)

    def _check_host(self) -> None:
        given = self.headers.get_all("Host") or []
        if len(given) != 1 or _name_of_host(given[0]) not in HOSTS:
            raise Refused(HTTPStatus.FORBIDDEN, "wrong host")

    def _check_origin(self) -> None:
        own = f"http://{self.headers['Host']}"
        if self.headers.get_all("Origin") != [own]:
            raise Refused(HTTPStatus.FORBIDDEN, "wrong origin")
        if self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise Refused(HTTPStatus.FORBIDDEN, "wrong origin")

    def _read_body(self, largest: int) -> Any:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "a length is required")
        if len(length) > 10 or int(length) > largest:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large")
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "JSON is required")
        raw = self.rfile.read(int(length))
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, "no JSON") from None

    def _give_key(self, params: Any) -> None:
        """Exchange the token of a link for the key."""
        token = params.get("token") if isinstance(params, dict) else None
        if not isinstance(token, str) or not self.server.redeem(token):
            raise Refused(HTTPStatus.FORBIDDEN, NO_KEY)
        self._send_answer(Answer(HTTPStatus.OK, {"key": self.server.key}))

    def _send_answer(self, found: Answer) -> None:
        status, content = found
        if isinstance(content, bytes):
            self._send(content, "application/octet-stream", status)
        else:
            self._send(json.dumps(content).encode(), "application/json", status)

    def _send(
        self,
        content: bytes,
        kind: str,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for key, value in HEADERS.items():
            self.send_header(key, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, error: Refused) -> None:
        # What is left of the request is not read.
        self.close_connection = True
        text = f"{error}\n".encode()
        self._send(text, "text/plain; charset=utf-8", error.status)

    def send_error(self, code: int, *_: Any, **__: Any) -> None:
        """Refuse what is no request, or has another method.

        Parameters
        ----------
        code : int
            Of the status.
        """
        status = HTTPStatus(code)
        self._refuse(Refused(status, status.phrase.lower()))

    def log_message(self, *_: Any) -> None:
        """Log a request."""
        logger.debug("%s %s", self.command, urlsplit(getattr(self, "path", "")).path)


def _name_of_host(host: str) -> str:
    name, _, port = host.partition(":")
    return name if not port or (port.isascii() and port.isdecimal()) else ""
