"""Files that are compressed as a whole: gzip, bzip2 and xz."""

from __future__ import annotations

import gzip
import importlib
import shutil
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

__all__ = ["MAGIC", "SUFFIXES", "compress", "open_packed"]

#: How compressed files begin, and the standard library's module for each kind.
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "lzma"}
#: How their names end.
SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}


def compress(path: Path, suffix: str) -> None:
    """Compress a file in place, as the end of a name says.

    Parameters
    ----------
    path : path
        The file, in a folder to which no other process writes.
    suffix : str
        ``".gz"``, ``".bz2"`` or ``".xz"``; with others it stays as it is.
    """
    kind = SUFFIXES.get(suffix.lower())
    if kind is None:
        return
    packed = path.with_name(f"{path.name}{suffix}")
    with open(path, "rb") as source, open(packed, "xb") as file:
        with _writer(kind, file) as target:
            shutil.copyfileobj(source, target)
    packed.replace(path)


def _writer(kind: str, file: BinaryIO) -> Any:
    if kind == "gzip":
        # Without name and time: so that the same content gives the same file.
        return gzip.GzipFile("", "wb", 6, file, mtime=0)
    module = _module(kind)
    return module.open(file, "wb", **({"preset": 1} if kind == "lzma" else {}))


def open_packed(
    file: BinaryIO,
) -> tuple[BinaryIO, tuple[type[Exception], ...]] | None:
    """Return a stream of what a compressed file holds, or None if it is not one.

    Parameters
    ----------
    file : binary file
        Open for reading, at its beginning.

    Returns
    -------
    stream, errors
        The stream, and the errors that mean damage (those of the system have a
        number); or None.
    """
    begin = file.read(max(map(len, MAGIC)))
    file.seek(0)
    kind = next((kind for key, kind in MAGIC.items() if begin.startswith(key)), None)
    if kind is None:
        return None
    module = _module(kind)
    damage = (EOFError, OSError, zlib.error, getattr(module, "LZMAError", OSError))
    if kind == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file)), damage
    return module.open(file), damage


def _module(kind: str) -> Any:
    try:
        return importlib.import_module(kind)
    except ImportError as error:
        raise OSError(f"this Python was built without the module {kind}") from error
