"""Entries of the list of models, which are made from cards, without the networks."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from ..card import ModelCard
from ..weights import read_card
from .names import check_name

__all__ = [
    "SOURCES",
    "ModelEntry",
    "SourceName",
    "file_key",
    "read_entries",
    "read_entry",
    "sha256_of",
]

#: Where a model comes from.
SourceName = Literal["shipped", "published", "plugin", "own", "remote"]
SOURCES: tuple[SourceName, ...] = get_args(SourceName)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """A model that can be used by its name.

    Parameters
    ----------
    name : str
        Its name.
    source : {"shipped", "published", "plugin", "own", "remote"}
        Where it comes from.
    origin : str
        The same in words, such as ``"package lris-models 1.0"``.
    facts : mapping
        Fields of its card, ``task`` among them, as far as they are known without its
        file.
    path : path or None
        Its file; None if that is not here yet.
    obtain : callable, optional
        Returns the path of a file that is to be fetched or checked, or raises an error
        that says what to do.
    aliases : tuple of str
        Older names, which other models may have as theirs.
    listed : bool
        False for a model that is only loaded.
    sha256 : str
        Of its file; empty if it is to be computed.
    """

    name: str
    source: SourceName
    origin: str
    facts: Mapping[str, Any]
    path: Path | None = None
    obtain: Callable[[], Path] | None = None
    aliases: tuple[str, ...] = ()
    listed: bool = True
    sha256: str = ""

    @property
    def task(self) -> str:
        """Return the task, "mask" or "inpaint"."""
        return self.facts["task"]

    def file(self) -> Path:
        """Return the path of the model's file, which is fetched if need be.

        Raises
        ------
        ImportError, OSError, ValueError
            If it is not here, and cannot be had; the error says why.
        """
        if self.obtain is not None:
            return self.obtain()
        if self.path is None:
            raise FileNotFoundError(f"model {self.name!r}: its file is not here")
        return self.path

    def digest(self) -> str:
        """Return the SHA-256 of the file, or nothing if that cannot be read."""
        if self.sha256 or self.path is None:
            return self.sha256
        try:
            return sha256_of(self.path)
        except OSError:
            return ""


def read_entry(path: Path, source: SourceName, origin: str) -> ModelEntry:
    """Return the entry of a model file.

    Parameters
    ----------
    path : path
        A safetensors file with a card.
    source, origin : str
        See `ModelEntry`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no model file, or the model must not have such a name.
    """
    card = _read_card(*file_key(path))
    check_name(card.name)
    return ModelEntry(
        name=card.name, source=source, origin=origin, facts=vars(card), path=path
    )


def read_entries(
    paths: Iterable[Path], source: SourceName, origin: str
) -> tuple[list[ModelEntry], list[str]]:
    """Return entries of model files, and what is wrong with the other ones.

    Parameters
    ----------
    paths : iterable of path
        Safetensors files.
    source, origin : str
        See `ModelEntry`.

    Returns
    -------
    entries, problems : list
        Each problem names its file.
    """
    entries, problems = [], []
    for path in paths:
        try:
            entries.append(read_entry(path, source, origin))
        except (OSError, ValueError, RuntimeError) as error:
            text = getattr(error, "strerror", None) or str(error)
            named = str(path) in text
            problems.append(text if named else f"model file {str(path)!r}: {text}")
    return entries, problems


def file_key(path: Path) -> tuple[Path, int, int]:
    """Identify a file's content without reading it.

    Parameters
    ----------
    path : path
        The file.

    Raises
    ------
    FileNotFoundError
        If it is absent.
    """
    status = path.stat()
    return path.resolve(), status.st_mtime_ns, status.st_size


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits.

    Parameters
    ----------
    path : path
        The file.
    """
    return _sha256(*file_key(path))


@functools.lru_cache(maxsize=1024)
def _read_card(path: Path, mtime: int, size: int) -> ModelCard:  # noqa: ARG001
    return read_card(path)


@functools.lru_cache(maxsize=1024)
def _sha256(path: Path, mtime: int, size: int) -> str:  # noqa: ARG001
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
