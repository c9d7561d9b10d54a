"""Registries: lists of models on servers, whose files are fetched when first used."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from . import user_folders
from .entries import ModelEntry
from .fetch import RemoteFile, cached_file, fetch_file
from .names import check_name

__all__ = ["VARIABLE", "remote_models"]

#: Environment variable: registries besides the shipped one, listed as in PATH.
VARIABLE = "DEEPCR_CCD_REGISTRY"
#: Largest file of a registry, and largest model, in bytes.
MAX_REGISTRY, MAX_MODEL = 5_000_000, 1_000_000_000
MAX_TEXT = 10_000


@dataclasses.dataclass(frozen=True)
class Field:
    """What a field of a registry may be.

    Parameters
    ----------
    allows : callable
        Tells whether a value is allowed.
    words : str
        The allowed ones, in words.
    default : object
        Where the field is left out; None if it must be there.
    """

    allows: Callable[[Any], bool]
    words: str
    default: Any = None


def _matches(pattern: str, words: str, default: Any = None) -> Field:
    return Field(
        lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value)),
        words,
        default,
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and 0 < value <= MAX_MODEL


def _is_threshold(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


FIELDS = {
    "name": Field(_is_text, "text"),
    "version": _matches(r"\S{1,50}", "a version, such as '1.0'"),
    "url": _matches(r"https?://\S+", "a URL with http or https", ""),
    "doi": _matches(
        r"10\.\d+/\S+/\S+", "the DOI of a record, with '/' and a file of it", ""
    ),
    "sha256": _matches(r"[0-9a-f]{64}", "64 hexadecimal digits in lower case"),
    "size": Field(_is_size, f"a number of bytes, up to {MAX_MODEL}"),
    "min_version": _matches(r"\d+(\.\d+)*", "a version, such as '0.1'", "0"),
    "task": _matches("mask|inpaint", "'mask' or 'inpaint'"),
    "unit": _matches("electron|adu|any", "'electron', 'adu' or 'any'"),
    "threshold": Field(_is_threshold, "a number in [0, 1]", -1),
    "instrument": Field(_is_text, "text", ""),
    "filters": Field(_are_texts, "a list of text", ()),
    "citation": Field(_is_text, "text", ""),
}


def remote_models() -> tuple[list[ModelEntry], list[str]]:
    """Return the models in registries.

    Returns
    -------
    entries, problems : list
        The models, and what is wrong with the rest, in words that name the registry.
    """
    shipped = Path(str(resources.files("deepcr_ccd") / "data" / "registry.toml"))
    entries: list[ModelEntry] = []
    named, problems = user_folders.listed_paths(VARIABLE)
    for path in dict.fromkeys([shipped, *named]):
        origin = f"registry {str(path)!r}"
        try:
            rows = _read_registry(path)
        except (OSError, ValueError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            problems.append(f"{origin}: {reason}")
            continue
        for number, row in enumerate(rows, 1):
            try:
                entries.append(_entry(row, origin))
            except ValueError as error:
                problems.append(f"{origin}: model {number}: {error}")
    return entries, problems


def _read_registry(path: Path) -> list:
    # To open a named pipe would wait for somebody to write into it.
    if not (stat.S_ISREG(path.stat().st_mode) or path.is_dir()):
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(MAX_REGISTRY + 1)
    if len(content) > MAX_REGISTRY:
        raise ValueError(f"it has more than {MAX_REGISTRY} bytes")
    rows = tomllib.loads(content.decode("utf-8")).get("model", [])
    if not isinstance(rows, list):
        raise ValueError("its models must be tables, [[model]]")
    return rows


def _entry(row: Any, origin: str) -> ModelEntry:
    """Return the entry of a model, after a check of its fields."""
    if not isinstance(row, Mapping):
        raise ValueError("it must be a table, [[model]]")
    known: dict[str, Any] = {}
    for name, field in FIELDS.items():
        value = row.get(name, field.default)
        if name in row and not field.allows(value):
            raise ValueError(f"{name}={str(value)[:80]!r} must be {field.words}")
        if value is None:
            raise ValueError(f"{name} is left out; it must be {field.words}")
        known[name] = value
    check_name(known["name"])
    if bool(known["url"]) == bool(known["doi"]):
        raise ValueError("it must have url or doi")
    file = RemoteFile(
        name=known["name"],
        version=known["version"],
        url=known["url"] or f"doi:{known['doi']}",
        sha256=known["sha256"],
        size=known["size"],
        min_version=known["min_version"],
        task=known["task"],
        origin=origin,
    )
    path = cached_file(file)
    threshold = known["threshold"]
    return ModelEntry(
        name=file.name,
        source="remote",
        origin=origin,
        facts={
            "task": file.task,
            "unit": None if known["unit"] == "any" else known["unit"],
            "threshold": None if threshold < 0 else threshold,
            "instrument": known["instrument"],
            "filters": known["filters"],
            "citation": known["citation"],
        },
        # Unlike Path.is_file, this is False in a folder that cannot be read.
        path=path if path is not None and os.path.isfile(path) else None,
        obtain=functools.partial(fetch_file, file),
        sha256=file.sha256,
    )
