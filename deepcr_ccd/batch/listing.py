"""Files to clean, as users name them: paths, patterns, folders and lists."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..io import compression
from ..io.given_paths import FOLDER, ITEM, given_path

__all__ = ["find_files"]

#: Names that are taken from a folder.
ENDINGS = (".fits", ".fit", ".fts")
SUFFIXES = (
    *(ending + packed for ending in ENDINGS for packed in ("", *compression.SUFFIXES)),
    ".fits.fz",
)
#: The most bytes of a list of files.
LONGEST_LIST = 1 << 26


def find_files(
    items: Iterable[str | os.PathLike],
    *,
    recursive: bool = False,
    output: str | os.PathLike | None = None,
) -> list[tuple[Path, Path]]:
    """Return the files that items stand for, and their places in an output folder.

    Parameters
    ----------
    items : iterable of str or path-like
        Files; patterns such as ``"night/*.fits"``; folders, whose FITS files are
        taken; and ``"@list"``, a text file with an item a line.
    recursive : bool
        Whether to take files from folders inside of folders too.
    output : str or path-like, optional
        Folder for results. Where it is inside of a folder of inputs, its files are left
        out.

    Returns
    -------
    list of (path, path)
        Each file once, in order, with a relative path: its name, and for those found
        in folders of a folder the path from there.

    Raises
    ------
    ValueError
        If an item or ``output`` is empty, a pattern, folder or list names no file, a
        list names itself, or two files would have one output.
    FileNotFoundError
        If a list is not there.
    """
    folder = None if output is None else given_path(output, "output", FOLDER)
    search = _Search(recursive, folder)
    found: dict[Path, Path] = {}
    owners: dict[Path, Path] = {}
    for path, place in search.expand(items):
        owner = owners.setdefault(place, path)
        if owner == path:
            found[path] = place
        elif not _is_same(owner, path):
            raise ValueError(f"two inputs would both be written to {place}")
    return list(found.items())


class _Search:
    """Finds files, but not in the folder for results."""

    def __init__(self, recursive: bool, output: Path | None):
        self.recursive = recursive
        self.output = output
        self.lists: list[Path] = []
        self.known: dict[Path, bool] = {}

    def expand(self, items: Iterable[str | os.PathLike]) -> Iterator[tuple[Path, Path]]:
        for item in items:
            path, text = given_path(item, "files", ITEM), os.fspath(item)
            if text.startswith("@") and not path.exists():
                if text == "@":
                    raise ValueError(
                        "'@' names no list; allowed is '@' and the path of a text file"
                    )
                yield from self.read_list(Path(text[1:]))
            elif path.is_dir():
                inside = path.rglob("*") if self.recursive else path.glob("*")
                names = self.outside(path, sorted(inside))
                names = [p for p in names if p.name.lower().endswith(SUFFIXES)]
                names = [p for p in names if not p.name.startswith(".")]
                if not names:
                    raise ValueError(f"folder {text} holds no FITS file")
                yield from ((p, p.relative_to(path)) for p in names)
            elif glob.has_magic(text) and not os.path.lexists(path):
                matches = sorted(glob.glob(text, recursive=self.recursive))
                names = self.outside(_before_magic(path), map(Path, matches))
                if not names:
                    raise ValueError(f"pattern {text!r} matches no file")
                yield from ((p, Path(p.name)) for p in names)
            else:
                yield path, Path(path.name)

    def read_list(self, path: Path) -> Iterator[tuple[Path, Path]]:
        if any(_is_same(path, other) for other in self.lists):
            raise ValueError(f"list @{path} names itself")
        with open(path, "rb") as file:
            content = file.read(LONGEST_LIST + 1)
        if len(content) > LONGEST_LIST or b"\0" in content:
            raise ValueError(f"list @{path} is no text file")
        lines = os.fsdecode(content.removeprefix(b"\xef\xbb\xbf")).splitlines()
        listed = [line.strip() for line in lines if line.strip()]
        if not listed:
            raise ValueError(f"list @{path} names no file")
        self.lists.append(path)
        yield from self.expand(listed)
        self.lists.pop()

    def outside(self, folder: Path, paths: Iterable[Path]) -> list[Path]:
        """Leave out folders, and results if their folder is inside of this one."""
        paths = [path for path in paths if not path.is_dir()]
        output = self.output
        if output is None or _is_same(folder, output) or not _is_in(output, folder):
            return paths
        return [path for path in paths if not self.is_result(path)]

    def is_result(self, path: Path) -> bool:
        """Tell whether a file is in the folder for results."""
        output = self.output
        for folder in (path.parent, path.resolve().parent):
            if folder not in self.known:
                self.known[folder] = output is not None and _is_in(folder, output)
            if self.known[folder]:
                return True
        return False


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _is_in(path: Path, folder: Path) -> bool:
    """Tell whether a path is a folder, or in it; also through links, in any case."""
    path = path.resolve()
    return any(_is_same(parent, folder) for parent in (path, *path.parents))


def _before_magic(pattern: Path) -> Path:
    """Return the last folder of a pattern before its first wildcard."""
    folder = pattern
    while glob.has_magic(str(folder)):
        folder = folder.parent
    return folder
