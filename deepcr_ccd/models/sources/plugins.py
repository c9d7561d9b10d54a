"""Models in other packages, which name their folder by an entry point.

No code of such a package is run: its files are found by what the installer recorded, or
by what the import system says where the package's folder is.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata, resources
from pathlib import Path, PurePosixPath
from typing import Any

from .entries import ModelEntry, read_entries

__all__ = ["GROUP", "plugin_models"]

#: Entry points of this group name a folder of safetensors as a package:
#: ``lris = "lris_models.files"``.
GROUP = "deepcr_ccd.models"
SUFFIX = ".safetensors"
DOTTED = re.compile(r"[^\W\d]\w*(\.\w+)*", re.ASCII)


def plugin_models() -> tuple[list[ModelEntry], list[str]]:
    """Return the models of all packages that have some.

    Returns
    -------
    entries, problems : list
        The models, and what is wrong with the rest, in words that name the package.
    """
    entries: list[ModelEntry] = []
    points, problems = _entry_points()
    for origin, point in sorted(points, key=lambda one: (one[0], one[1].name)):
        try:
            files = _model_files(point)
        except Exception as error:  # noqa: BLE001 - of any finder of modules
            problems.append(f"{origin}: {_reason(error)}")
            continue
        known = {entry.path for entry in entries}
        found, wrong = read_entries(
            [path for path in files if path not in known], "plugin", origin
        )
        entries += found
        problems += [f"{origin}: {text}" for text in wrong]
    return entries, problems


def _entry_points() -> tuple[list[tuple[str, metadata.EntryPoint]], list[str]]:
    """Return where each entry point is from, and itself, and what is wrong with others.

    A package whose metadata are damaged does not keep the others from being used.
    """
    try:
        found = list(metadata.entry_points(group=GROUP))
        problems: list[str] = []
    except Exception:  # noqa: BLE001 - of any finder of packages
        found, problems = _points_one_by_one()
    points = []
    for point in found:
        try:
            points.append((_origin(point), point))
        except Exception as error:  # noqa: BLE001
            problems.append(
                f"the package of {point.value!r}: its metadata cannot be read: "
                f"{_reason(error)}"
            )
    return points, problems


def _points_one_by_one() -> tuple[list[metadata.EntryPoint], list[str]]:
    """Return entry points, and what is wrong with packages that do not tell theirs."""
    found: dict[str, list[metadata.EntryPoint]] = {}
    problems: list[str] = []
    try:
        packages = list(metadata.distributions())
    except Exception as error:  # noqa: BLE001
        return [], [f"packages cannot be listed: {_reason(error)}"]
    for package in packages:
        try:
            points = list(package.entry_points.select(group=GROUP))
            # What comes first on sys.path is what is used.
            found.setdefault(package.name, points)
        except Exception as error:  # noqa: BLE001
            place = str(getattr(package, "_path", package))
            problems.append(
                f"package {place!r}: its metadata cannot be read: {_reason(error)}"
            )
    return [point for points in found.values() for point in points], problems


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _origin(point: metadata.EntryPoint) -> str:
    if point.dist is None:
        return f"the package of {point.value!r}"
    # A damaged installation has no name or version.
    found = point.dist.metadata
    facts = (found[key] if key in found else "?" for key in ("Name", "Version"))
    return " ".join(["package", *facts])


def _model_files(point: metadata.EntryPoint) -> list[Path]:
    """Return the model files that an entry point leads to."""
    if not DOTTED.fullmatch(point.value):
        raise ValueError(
            f"the entry point {point.name!r} of {GROUP!r} is {point.value!r}, and must "
            "be the folder of the models as a package, such as 'lris_models.files'"
        )
    parts = point.value.split(".")
    files = _recorded_files(point.dist, PurePosixPath(*parts))
    if files:
        return files
    # Editable installations, and those of which no record was kept.
    folders = _find_folders(parts)
    if not folders:
        raise ValueError(
            f"the entry point {point.name!r} of {GROUP!r} names {point.value!r}, which "
            "is no folder that is installed"
        )
    files = [path for folder in folders for path in sorted(folder.glob(f"*{SUFFIX}"))]
    if not files:
        raise ValueError(f"its folder {folders[0]} has no {SUFFIX} file")
    return files


def _recorded_files(
    dist: metadata.Distribution | None, folder: PurePosixPath
) -> list[Path]:
    """Return the model files in a folder that the installer recorded."""
    recorded = (dist.files if dist is not None else None) or ()
    wanted = [f for f in recorded if f.suffix == SUFFIX and f.parent == folder]
    located: list[Any] = [path.locate() for path in sorted(wanted)]
    return [_as_path(one) for one in located if one.is_file()]


def _as_path(located: Any) -> Path:
    """Return the path of a file, which is unpacked if it is in an archive."""
    if isinstance(located, Path):
        return located
    return _unpacked(str(located), located)


def _unpacked(name: str, located: Any) -> Path:
    if name not in _UNPACKED:
        _UNPACKED[name] = _archives().enter_context(resources.as_file(located))
    return _UNPACKED[name]


#: Copies of files that are in archives, until Python ends.
_UNPACKED: dict[str, Path] = {}


@functools.cache
def _archives() -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    return stack


def _find_folders(parts: Sequence[str]) -> list[Path]:
    """Return the folders of a package, none of whose parents is imported."""
    locations: list[str] | None = None
    for depth, part in enumerate(parts, 1):
        inside = [Path(location, part) for location in locations or ()]
        folders = [str(folder) for folder in inside if folder.is_dir()]
        # The editable installation of a part of a namespace is known to finders only.
        locations = folders or _locations(".".join(parts[:depth]), locations)
        if not locations:
            return []
    return [Path(location) for location in locations or () if Path(location).is_dir()]


def _locations(name: str, path: Iterable[str] | None) -> list[str]:
    """Return where the modules in a package are, by the finders of imports."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = None if find is None else find(name, path)
        if spec is not None:
            return list(spec.submodule_search_locations or ())
    return []
