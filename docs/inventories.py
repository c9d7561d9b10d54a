"""Write the inventories that links to other packages fall back to."""

from __future__ import annotations

import zlib
from pathlib import Path

HEADER = """# Sphinx inventory version 2
# Project: {project}
# Version:
# The remainder of this file is compressed using zlib.
"""


def read_links(path: Path) -> dict[str, tuple[str, list[str]]]:
    """Return the address of each project, and its objects as lines of an inventory."""
    projects: dict[str, tuple[str, list[str]]] = {}
    objects: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "project":
            objects = []
            projects[words[1]] = words[2], objects
        else:
            name, kind, page = words
            objects.append(f"{name} py:{kind} 1 {page} -\n")
    return projects


def write_inventories(source: Path, folder: Path) -> dict[str, tuple]:
    """Write an inventory for each project, and return the mapping of intersphinx.

    The inventory on the project's own site comes first; without a network, links are
    those of the file that is written here.
    """
    folder.mkdir(exist_ok=True)
    mapping = {}
    for project, (address, objects) in read_links(source).items():
        path = folder / f"{project}.inv"
        body = zlib.compress("".join(objects).encode(), 9)
        path.write_bytes(HEADER.format(project=project).encode() + body)
        mapping[project] = address, (None, str(path))
    return mapping
