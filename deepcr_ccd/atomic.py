"""Write files whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import os
import platform
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["atomic_path", "remove_stale"]


@contextlib.contextmanager
def atomic_path(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a path to write to, which becomes ``path`` if all goes well.

    Parameters
    ----------
    path : path
        Where the file shall stand; gzipped if the name ends in ``.gz``.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    FileExistsError
        If the file is there and must not be replaced.
    """
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path} exists; use overwrite (--overwrite) to replace it"
        )
    partial = path.with_name(f"{_prefix(path, os.getpid())}{secrets.token_hex(4)}.part")
    # Made here, and with the rights of any other file.
    partial.open("xb").close()
    try:
        yield partial
        if path.suffix.lower() == ".gz":
            _gzip_in_place(partial)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_stale(paths: Iterable[Path]) -> None:
    """Remove what runs that were killed have left beside files.

    Parameters
    ----------
    paths : iterable of path
        The files; partial ones of processes that still run, or run on other machines,
        are left alone.
    """
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(path.name)
    for folder, wanted in names.items():
        for partial in folder.glob(".*.part*"):
            name, _, rest = partial.name[1:].rpartition(f".{_host()}-")
            number = rest.partition(".")[0]
            if name in wanted and number.isdecimal() and not _runs(int(number)):
                partial.unlink(missing_ok=True)


def _prefix(path: Path, process: int) -> str:
    return f".{path.name}.{_host()}-{process}."


def _host() -> str:
    return platform.node().replace("/", "_") or "host"


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _gzip_in_place(path: Path) -> None:
    packed = path.with_name(f"{path.name}.gz")
    try:
        with (
            open(path, "rb") as source,
            open(packed, "wb") as file,
            gzip.GzipFile("", "wb", 6, file, mtime=0) as target,
        ):
            shutil.copyfileobj(source, target)
        packed.replace(path)
    finally:
        packed.unlink(missing_ok=True)
