"""Digests that differ between results of different inputs, models or options."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from pathlib import Path

from ..io.stream import open_regular
from ..models.model import Model
from ..version import __version__
from .options import FileOptions

__all__ = ["file_digest"]

#: Bytes of a file that are read at a time.
READ_BYTES = 1 << 18


def file_digest(path: Path, options: FileOptions, model: Model) -> str:
    """Return a digest of the input, the model, the options and the version.

    Results with the same digest are the same.

    Parameters
    ----------
    path : path
        The input.
    options : FileOptions
        What is done with it.
    model : Model
        For task "mask".
    """
    content = dataclasses.asdict(
        dataclasses.replace(options, model=model.card.to_json(), device=None)
    )
    content |= {
        "precision": model.precision,
        "engine": model.engine,
        "version": __version__,
        "weights": model.fingerprint,
    }
    fill = options.load_fill(model)
    if fill is not None:
        content["fill"] = [fill.card.to_json(), fill.fingerprint, fill.precision]
    # A checksum notices changed files, if not forged ones, in a fifth of the time of a
    # cryptographic digest.
    content["size"], content["sum"] = 0, 0
    piece = memoryview(bytearray(READ_BYTES))
    with open_regular(path) as file:
        while length := file.readinto(piece):
            content["size"] += length
            content["sum"] = zlib.crc32(piece[:length], content["sum"])
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
