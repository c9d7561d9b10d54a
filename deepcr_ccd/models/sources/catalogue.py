"""All models that can be used by name, where one name is one model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from .entries import ModelEntry
from .names import same_name
from .own import own_models
from .package_data import published_models, shipped_models
from .plugins import plugin_models

__all__ = ["Catalogue", "package_entry", "read_catalogue"]

#: Sources in this package, whose names no other model can have.
OURS = ("shipped", "published")


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
    for read in (plugin_models, own_models):
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
                f"{entry.origin}: the model's name {entry.name!r} is that of "
                f"{_whose(owner)}, and stays that one's; the other can be loaded by "
                "its path"
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


def _sort_out(
    entries: Iterable[ModelEntry],
) -> tuple[list[ModelEntry], dict[str, list[ModelEntry]]]:
    """Return models whose names are unique, and the others by their names."""
    by_name: dict[str, list[ModelEntry]] = {}
    for entry in entries:
        by_name.setdefault(same_name(entry.name), []).append(entry)
    single, clashes = [], {}
    for name, group in by_name.items():
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


def _whose(owner: ModelEntry) -> str:
    return "a model of deepcr_ccd" if owner.source == "shipped" else owner.origin


def _describe_clash(entries: list[ModelEntry]) -> str:
    places = " and in ".join(entry.origin for entry in entries)
    return (
        f"the name {entries[0].name!r} is that of different models, in {places}: "
        "remove one of them, or load it by the path of its file"
    )
