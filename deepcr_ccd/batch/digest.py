"""By what results of other inputs, models, options or versions are told apart."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from pathlib import Path

from ..io.stream import open_regular
from ..models.model import Model
from ..nddata.header import version
from .options import FileOptions

__all__ = ["file_digest"]

#: Bytes of a file that are read at a time.
READ_BYTES = 1 << 18


def file_digest(path: Path, options: FileOptions, model: Model) -> str:
    """Return what tells results of other inputs, models, options or versions apart.

    Parameters
    ----------
    path : path
        The input.
    options : Options
        What is done with it.
    model : Model
        For task "mask".
    """
    told = dataclasses.asdict(
        dataclasses.replace(options, model=model.card.to_json(), device=None)
    )
    told |= {
        "precision": model.precision,
        "engine": model.engine,
        "version": version(),
        "weights": model.fingerprint,
    }
    fill = options.load_fill(model)
    if fill is not None:
        told["fill"] = [fill.card.to_json(), fill.fingerprint, fill.precision]
    # A changed file is to be noticed, not a forged one: this takes a fifth of the time
    # of a cryptographic digest.
    told["size"], told["sum"] = 0, 0
    piece = memoryview(bytearray(READ_BYTES))
    with open_regular(path) as file:
        while length := file.readinto(piece):
            told["size"] += length
            told["sum"] = zlib.crc32(piece[:length], told["sum"])
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
