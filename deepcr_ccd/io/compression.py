"""Files that are compressed as a whole: gzip, bzip2 and xz."""

from __future__ import annotations

import collections
import gzip
import importlib
import shutil
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

__all__ = ["MAGIC", "SUFFIXES", "compress", "open_packed"]

#: How compressed files begin, and the standard library's module for each kind.
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "lzma"}
#: How their names end.
SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}
#: Bytes that one thread compresses at a time with gzip, and so many bytes before them
#: may be referred to, which is as far as the format reaches.
BLOCK_BYTES, WINDOW_BYTES = 1 << 20, 1 << 15
#: A gzip file begins with this: without name and time, so that the same content gives
#: the same file.
GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


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
        if kind == "gzip":
            _write_gzip(source, file)
        else:
            options = {"preset": 1} if kind == "lzma" else {}
            with _module(kind).open(file, "wb", **options) as target:
                shutil.copyfileobj(source, target)
    packed.replace(path)


def _write_gzip(source: BinaryIO, target: BinaryIO) -> None:
    """Compress with as many threads as torch has, which changes nothing in the file."""
    target.write(GZIP_HEADER)
    checksum = size = 0
    threads = torch.get_num_threads()
    waiting: collections.deque[Future] = collections.deque()
    with ThreadPoolExecutor(threads) as pool:
        for before, block, is_last in _blocks(source):
            waiting.append(pool.submit(_deflate, before, block, is_last))
            checksum, size = zlib.crc32(block, checksum), size + len(block)
            while waiting and (is_last or len(waiting) > threads):
                target.write(waiting.popleft().result())
    target.write(checksum.to_bytes(4, "little"))
    target.write((size & 0xFFFFFFFF).to_bytes(4, "little"))


def _blocks(source: BinaryIO) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yield the end of what is before, a block, and whether it is the last."""
    before, block = b"", source.read(BLOCK_BYTES)
    while after := source.read(BLOCK_BYTES):
        yield before, block, False
        before, block = block[-WINDOW_BYTES:], after
    yield before, block, True


def _deflate(before: bytes, block: bytes, is_last: bool) -> bytes:
    """Compress a block, to stand behind what was made of those before it."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=before)
    end = zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH
    return packer.compress(block) + packer.flush(end)


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
