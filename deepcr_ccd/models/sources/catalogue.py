"""All models that can be used by name, where one name is one model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from ...choices import DEFAULT_MODEL
from ...notices import suggestion
from .entries import ModelEntry
from .names import MODEL_FILES, same_name
from .own import own_models
from .package_data import published_models, shipped_models
from .plugins import plugin_models
from .registry import remote_models

__all__ = [
    "Catalogue",
    "describe_source",
    "find_model",
    "package_entry",
    "read_catalogue",
]

#: Sources in this package, whose names no other model can have.
OURS = ("shipped", "published")
#: As much of what is wrong with other models is told with an error.
MOST_PROBLEMS = 3


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """Models by name, and what is wrong with others.

    Parameters
    ----------
    entries : list of ModelEntry
        Those of this package first.
    clashes : dict
        By the name, the models that all have it, and none of which can be used by it.
    problems : list of str
        What is wrong with files and packages, and the clashes, in words.
    """

    entries: list[ModelEntry]
    clashes: dict[str, list[ModelEntry]]
    problems: list[str]

    def find(self, name: str) -> ModelEntry | None:
        """Return the model of another package, of the user or of a registry, or None.

        Parameters
        ----------
        name : str
            Its name, where case does not matter.

        Raises
        ------
        ValueError
            If several have it; the error names where these are.
        """
        wanted = same_name(name)
        if wanted in self.clashes:
            raise ValueError(_describe_clash(self.clashes[wanted]))
        for entry in self.entries:
            if entry.source not in OURS and same_name(entry.name) == wanted:
                return entry
        return None


def read_catalogue() -> Catalogue:
    """Return all models of this package, of others, of the user and of registries."""
    ours = [*shipped_models(), *published_models()]
    taken = {
        same_name(name): entry
        for entry in ours
        for name in (entry.name, *entry.aliases)
    }
    others: list[ModelEntry] = []
    problems: list[str] = []
    for read in (plugin_models, own_models, remote_models):
        entries, wrong = read()
        others += entries
        problems += wrong
    free = []
    for entry in others:
        owner = taken.get(same_name(entry.name))
        if owner is None:
            free.append(entry)
        elif not _same_file([owner, entry]):
            problems.append(
                f"{entry.origin}: the model's name {entry.name!r} is that of a "
                f"model of {owner.origin}, and stays that one's; the other can be "
                "loaded by its path"
            )
    single, clashes = _sort_out(free)
    problems += [_describe_clash(clash) for clash in clashes.values()]
    return Catalogue([*ours, *single], clashes, problems)


def package_entry(name: str, task: str | None = None) -> ModelEntry | None:
    """Return a model of this package, without a look at other packages and folders.

    Parameters
    ----------
    name : str
        Its name, or an older one; case matters only where two differ by it.
    task : str, optional
        Leaves out published models for other tasks.
    """
    entries = shipped_models()
    entries += (e for e in published_models() if task in (None, e.task))
    for spell in (str, same_name):
        for names in (lambda e: (e.name,), lambda e: e.aliases):
            for entry in entries:
                if spell(name) in map(spell, names(entry)):
                    return entry
    return None


def find_model(name: str, task: str | None = None) -> ModelEntry:
    """Find a model by its name.

    Parameters
    ----------
    name : str
        The name; case matters only where two differ by it.
    task : {"mask", "inpaint"}, optional
        As for `~deepcr_ccd.load_model`.

    Returns
    -------
    ModelEntry
        The model, and where it comes from.

    Raises
    ------
    ValueError
        If the name is unknown, or that of several models.
    """
    entry = package_entry(DEFAULT_MODEL if name.casefold() == "auto" else name, task)
    if entry is not None:
        return entry
    catalogue = read_catalogue()
    entry = catalogue.find(name)
    if entry is not None:
        return entry
    usable = [e for e in catalogue.entries if task in (None, e.task)]
    spellings = [spelling for e in usable for spelling in (e.name, *e.aliases)]
    known = ", ".join(["auto", *(e.name for e in usable if e.listed)])
    problems = "".join(f"; {text}" for text in catalogue.problems[:MOST_PROBLEMS])
    raise ValueError(
        f"model {name!r} is unknown; {suggestion(name, ['auto', *spellings])}known are "
        f"{known}, or the path of a .safetensors or .pth file{problems}"
    )


def describe_source(name_or_path: str) -> str:
    """Return where a model comes from, in words.

    Parameters
    ----------
    name_or_path : str
        As for `~deepcr_ccd.load_model`.
    """
    if name_or_path.casefold().endswith(MODEL_FILES):
        return f"file {name_or_path!r}"
    entry = find_model(name_or_path)
    return f"{entry.source}, {entry.origin}"


def _sort_out(
    entries: Iterable[ModelEntry],
) -> tuple[list[ModelEntry], dict[str, list[ModelEntry]]]:
    """Return models whose names are unique, and the others by their names."""
    by_name: dict[str, list[ModelEntry]] = {}
    for entry in entries:
        by_name.setdefault(same_name(entry.name), []).append(entry)
    single, clashes = [], {}
    for name, found in by_name.items():
        # What is here is not fetched from elsewhere.
        group = [entry for entry in found if entry.source != "remote"] or found
        if _same_file(group):
            single.append(group[0])
        else:
            clashes[name] = group
    return single, clashes


def _same_file(entries: list[ModelEntry]) -> bool:
    """Tell whether models are one, in copies of one file."""
    if len(entries) == 1:
        return True
    digests = {entry.digest() for entry in entries}
    return len(digests) == 1 and "" not in digests


def _describe_clash(entries: list[ModelEntry]) -> str:
    places = " and in ".join(entry.origin for entry in entries)
    return (
        f"the name {entries[0].name!r} is that of different models, in {places}: "
        "remove one of them, or load it by the path of its file"
    )
