"""Write files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .compression import compress

__all__ = ["atomic_path", "is_left_over", "process_tag", "remove_stale"]

#: As much of a file's name goes into that of its partial one, in characters.
NAME_LENGTH = 40


@contextlib.contextmanager
def atomic_path(
    path: Path,
    *,
    overwrite: bool,
    like: Path | None = None,
    check: Callable[[], None] | None = None,
) -> Iterator[Path]:
    """Give a path to write to, which becomes ``path`` if all goes well.

    It is in a new folder beside ``path``, with no access for other users. A link at
    ``path`` is replaced, and what it leads to stays as it is.

    Parameters
    ----------
    path : path
        Where the file is to be; compressed if the name ends in ``.gz``, ``.bz2`` or
        ``.xz``.
    overwrite : bool
        Replace a file that is there.
    like : path, optional
        A file whose mode the new one gets, where the umask allows.
    check : callable, optional
        Called when all is written, before ``path`` is replaced; an error that it raises
        keeps ``path`` as it is.

    Raises
    ------
    FileExistsError
        If the file is there and must not be replaced.
    """
    if not overwrite:
        _refuse(path)
    prefix = _prefix(path) + process_tag()
    folder = Path(tempfile.mkdtemp(".part", prefix, path.parent))
    try:
        partial = folder / "new.part"
        partial.touch(exist_ok=False)
        mode = stat.S_IMODE(partial.stat().st_mode)
        yield partial
        compress(partial, path.suffix)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):
            wanted = mode if like is None else mode & like.stat().st_mode
            partial.chmod(wanted)
        if check is not None:
            check()
        if overwrite:
            partial.replace(path)
        else:
            _move_to_new(partial, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_stale(paths: Iterable[Path]) -> None:
    """Remove partial files that runs which were killed have left.

    Parameters
    ----------
    paths : iterable of path
        The files; partial ones of processes that still run, or run on other machines,
        are left alone.
    """
    prefixes: dict[Path, set[str]] = {}
    for path in paths:
        prefixes.setdefault(path.parent, set()).add(_prefix(path))
    for folder, wanted in prefixes.items():
        for partial in folder.glob(".*.part*"):
            name = partial.name
            if any(
                name.startswith(prefix) and is_left_over(name[len(prefix) :])
                for prefix in wanted
            ):
                _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    return f".{path.name[:NAME_LENGTH]}."


def _refuse(path: Path) -> None:
    # A link that leads nowhere is there too.
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists; overwrite=True replaces it")


def _move_to_new(partial: Path, path: Path) -> None:
    """Give a file its name, which must not be taken."""
    try:
        # Unlike a move, it fails where something came there meanwhile.
        os.link(partial, path)
    except OSError:
        _refuse(path)
        # There are file systems without hard links.
        partial.replace(path)


def process_tag() -> str:
    """Return the part of a temporary name that tells which process made it."""
    return f"{_host()}-{os.getpid()}."


def is_left_over(rest: str) -> bool:
    """Tell whether a name is that of a process of this machine which has ended.

    Parameters
    ----------
    rest : str
        The name from `process_tag` on.
    """
    host = f"{_host()}-"
    number = rest[len(host) :].partition(".")[0]
    ours = rest.startswith(host) and number.isdecimal()
    return ours and not _runs(int(number))


def _host() -> str:
    return platform.node().replace("/", "_") or "host"


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True
