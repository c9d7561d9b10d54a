"""Fetch files of models from servers, check them, and keep them."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any, BinaryIO

from astropy.utils.introspection import minversion

from ...io.atomic import atomic_path, remove_stale
from ..weights import read_card
from . import user_folders
from .entries import sha256_of
from .names import same_name

__all__ = ["RemoteFile", "cached_file", "fetch_file"]

#: Bytes that are received at a time.
BLOCK = 1 << 16
INSTALL = 'pip install "deepcr_ccd[zoo]"'


@dataclasses.dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A model file on a server.

    Parameters
    ----------
    name, version : str
        Of the model.
    url : str
        Where the file is: a URL, or ``doi:`` with a DOI and the name of a file.
    sha256 : str
        Of the file.
    size : int
        Of the file, in bytes.
    min_version : str
        Version of deepcr_ccd that reads the file.
    task : str
        Of the model.
    origin : str
        Where all this is written.
    """

    name: str
    version: str
    url: str
    sha256: str
    size: int
    min_version: str
    task: str
    origin: str


def cached_file(file: RemoteFile) -> Path | None:
    """Return where a file is kept, or None if the user has no folder for it.

    Parameters
    ----------
    file : RemoteFile
        The file.
    """
    folder = user_folders.user_folder("cache")
    # Another version of a model is another file.
    return folder and folder / f"{file.name}-{file.sha256[:16]}.safetensors"


def fetch_file(file: RemoteFile) -> Path:
    """Return the path of a file, which is fetched if it is not here yet.

    Only a whole file with the right checksum and a card of that name is kept. Processes
    that fetch it at the same time do not disturb each other.

    Parameters
    ----------
    file : RemoteFile
        The file.

    Raises
    ------
    ImportError
        If it is not here, and pooch is not installed.
    ConnectionError
        If the server cannot be reached, or does not send the file.
    OSError
        If the file cannot be written.
    ValueError
        If deepcr_ccd is too old for it, or the file is not the one of the registry.
    """
    what = f"model {file.name!r}"
    # A version in development is on the way to the one that is asked for.
    if not minversion("deepcr_ccd", f"{file.min_version}.dev0"):
        raise ValueError(
            f"{what} of {file.origin} needs deepcr_ccd {file.min_version} or later"
        )
    path = cached_file(file)
    if path is None:
        raise OSError(f"{what}: there is no folder of the user to keep its file in")
    if _is_whole(path, file):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale([path])
        with atomic_path(path, overwrite=True) as partial:
            _download(file, partial)
            _check_card(file, partial)
    except ConnectionError:
        raise
    except OSError as error:
        # Another process may have been faster, and use it.
        if _is_whole(path, file):
            return path
        reason = error.strerror or error
        raise OSError(
            f"{what} could not be kept in {str(path.parent)!r}: {reason}"
        ) from error
    return path


class _Receiver:
    """What a download is written to: it counts bytes, and computes the checksum."""

    def __init__(self, output: BinaryIO, limit: int):
        self.output = output
        self.limit = limit
        self.size = 0
        self.digest = hashlib.sha256()
        self.disk_error: OSError | None = None

    def write(self, block: bytes) -> int:
        self.size += len(block)
        if self.size > self.limit:
            raise _TooLong
        self.digest.update(block)
        try:
            rest = memoryview(block)
            while rest:
                rest = rest[self.output.write(rest) :]
        except OSError as error:
            self.disk_error = error
            raise
        return len(block)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""


class _TooLong(Exception):
    """More bytes came than the registry says."""


def _download(file: RemoteFile, path: Path) -> None:
    """Download a file, and check its size and checksum."""
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            f"model {file.name!r} is to be fetched from {file.url}, and pooch is not "
            f"installed: {INSTALL}"
        ) from error
    what = f"model {file.name!r} from {file.url}"
    with path.open("wb", buffering=0) as output:
        receiver = _Receiver(output, file.size)
        kind = pooch.DOIDownloader if _is_doi(file.url) else pooch.HTTPDownloader
        answers: list[Any] = []
        # Requests tells of each answer, which pooch leaves open after an error.
        hooks = {"response": lambda answer, **_: answers.append(answer)}
        try:
            kind(chunk_size=BLOCK, hooks=hooks)(file.url, receiver, None)
        except _TooLong:
            raise ValueError(
                f"{what} is longer than the {file.size} bytes that {file.origin} says; "
                "it was not kept"
            ) from None
        except Exception as error:
            # Of requests, of what it uses, or of the services that resolve a DOI.
            if receiver.disk_error is not None:
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ConnectionError(
                f"{what} could not be fetched (once it was, no network is needed): "
                f"{reason}"
            ) from error
        finally:
            for answer in answers:
                answer.close()
    if receiver.size != file.size:
        raise ConnectionError(
            f"{what} has {receiver.size} bytes of the {file.size} that {file.origin} "
            "says; it was not kept"
        )
    found = receiver.digest.hexdigest()
    if found != file.sha256:
        raise ValueError(
            f"{what} has the SHA-256 {found}, and {file.origin} says {file.sha256}; "
            "it was not kept"
        )


def _is_doi(url: str) -> bool:
    return url.startswith("doi:")


def _check_card(file: RemoteFile, path: Path) -> None:
    """Raise an error unless a file is the model that the registry says."""
    try:
        card = read_card(path)
    except ValueError as error:
        reason = str(error).removeprefix(f"model file {str(path)!r}").lstrip(": ")
        raise ValueError(
            f"model {file.name!r} from {file.url} is no model: {reason}"
        ) from error
    if (same_name(card.name), card.task) != (same_name(file.name), file.task):
        raise ValueError(
            f"model {file.name!r} from {file.url} is another by its card: "
            f"{card.name!r}, for the task {card.task!r}"
        )


def _is_whole(path: Path, file: RemoteFile) -> bool:
    try:
        return path.stat().st_size == file.size and sha256_of(path) == file.sha256
    except OSError:
        return False
