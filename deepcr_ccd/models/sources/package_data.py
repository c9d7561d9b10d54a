"""Models in the folders of this package: its own, and those published with deepCR."""

from __future__ import annotations

import functools
import importlib.metadata
import tomllib
from importlib import resources
from pathlib import Path

from .entries import ModelEntry, read_entry

__all__ = [
    "card_of",
    "find_published",
    "known_checkpoints",
    "original_file",
    "published",
    "published_file",
    "published_models",
    "shipped_models",
]

DISTRIBUTION = "deepCR"
INSTALL = "pip install deepCR==0.3.1"


def shipped_models() -> list[ModelEntry]:
    """Return the models of this package."""
    return [
        read_entry(path, "shipped", "deepcr_ccd")
        for path in sorted(_data().glob("*.safetensors"), key=lambda path: path.stem)
    ]


def published_models() -> list[ModelEntry]:
    """Return the models that were published with deepCR."""
    return [_published_entry(fields) for fields in published()]


@functools.cache
def published() -> tuple[dict, ...]:
    """Return the cards of the published models, with ``file`` and ``aliases``."""
    content = tomllib.loads((_data() / "published.toml").read_text("utf-8"))
    return tuple({**content["all"], **fields} for fields in content["model"])


def published_file(fields: dict) -> Path | None:
    """Return the file of a published model, or deepCR's own; None without either.

    Parameters
    ----------
    fields : dict
        Of `published`.
    """
    path = _data() / "published" / f"{fields['name']}.safetensors"
    return path if path.is_file() else original_file(fields)


def original_file(fields: dict) -> Path | None:
    """Return deepCR's own file of a model, or None where that is not installed.

    Parameters
    ----------
    fields : dict
        Of `published`.
    """
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(fields["file"])))
    return path if path.is_file() else None


def known_checkpoints() -> dict[str, dict | Path]:
    """Return model files, or cards, of published checkpoints by their tensors."""
    known: dict[str, dict | Path] = {}
    for fields in published():
        path = published_file(fields)
        is_model = path is not None and path.suffix == ".safetensors"
        known[fields["tensors"]] = path if path and is_model else card_of(fields)
    return known


def find_published(name: str, task: str | None) -> dict | None:
    """Find the card of a checkpoint by its name, then by an older one.

    Parameters
    ----------
    name : str
        The name.
    task : str or None
        Leaves out models for other tasks.
    """
    entries = [e for e in published() if task in (None, e["task"])]
    for names in (lambda e: [e["name"]], lambda e: e.get("aliases", [])):
        for entry in entries:
            if name in names(entry):
                return entry
    return None


def card_of(fields: dict) -> dict:
    """Return the fields of a published checkpoint's card.

    Parameters
    ----------
    fields : dict
        Of `published`.
    """
    left_out = ("file", "sha256", "aliases", "architecture", "tensors", "listed")
    origin = {
        "distribution": f"{DISTRIBUTION} {fields['version']}",
        "file": fields["file"],
        "sha256": fields["sha256"],
    }
    kept = {k: v for k, v in fields.items() if k not in left_out}
    return {"unit": None, "origin": origin} | kept


def _data() -> Path:
    return Path(str(resources.files("deepcr_ccd") / "data"))


def _published_entry(fields: dict) -> ModelEntry:
    path = published_file(fields)

    def absent() -> Path:
        raise ImportError(
            f"model {fields['name']!r} is that of deepCR's tutorial, and the deepCR "
            f"distribution is not installed: {INSTALL}"
        )

    return ModelEntry(
        name=fields["name"],
        source="published",
        origin="deepCR",
        facts=fields,
        path=path,
        obtain=absent if path is None else None,
        aliases=tuple(fields.get("aliases", ())),
        listed=fields.get("listed", True),
    )
