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
    "published",
    "published_models",
    "shipped_models",
]

DISTRIBUTION = "deepCR"
INSTALL = 'pip install "deepcr_ccd[deepcr]"'


def shipped_models() -> list[ModelEntry]:
    """Return the models of this package."""
    folder = Path(str(resources.files("deepcr_ccd") / "data"))
    return [
        read_entry(path, "shipped", "deepcr_ccd")
        for path in sorted(folder.glob("*.safetensors"), key=lambda path: path.stem)
    ]


def published_models() -> list[ModelEntry]:
    """Return the checkpoints that were published with deepCR."""
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        distribution = None
    return [_published_entry(fields, distribution) for fields in published()]


@functools.cache
def published() -> tuple[dict, ...]:
    """Return the cards of the published checkpoints, with ``file`` and ``aliases``."""
    text = (resources.files("deepcr_ccd") / "data" / "published.toml").read_text(
        "utf-8"
    )
    return tuple(
        {"architecture": "unet", "license": "BSD-3-Clause", **entry}
        for entry in tomllib.loads(text)["model"]
    )


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
    left_out = ("file", "aliases", "architecture", "tensors", "listed")
    return {"unit": None} | {k: v for k, v in fields.items() if k not in left_out}


def _published_entry(
    fields: dict, distribution: importlib.metadata.Distribution | None
) -> ModelEntry:
    path = None
    if distribution is not None:
        path = Path(str(distribution.locate_file(fields["file"])))

    def absent() -> Path:
        raise ImportError(
            f"model {fields['name']!r} is one of deepCR's published checkpoints, and "
            f"the deepCR distribution is not installed: {INSTALL}"
        )

    return ModelEntry(
        name=fields["name"],
        source="published",
        origin="deepCR",
        facts=fields,
        path=path if path is not None and path.is_file() else None,
        obtain=absent,
        aliases=tuple(fields.get("aliases", ())),
        listed=fields.get("listed", True),
    )
