"""The command and the Python call that make the same mask without edits."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u

from ..batch.options import FileOptions
from ..models.model import Model
from ..options import CleanOptions
from .planes import Settings

__all__ = ["command_line", "python_call"]

#: Options that settings or the page replace.
REPLACED = {
    "threshold",
    "extend_threshold",
    "target_fpr",
    "grow",
    "inpaint",
    "masks_only",
    "probability",
}


def _chosen(settings: Settings, options: CleanOptions) -> dict[str, Any]:
    """Return options that are not the defaults, by the names of Python's arguments."""
    seed, extend = settings.thresholds
    chosen: dict[str, Any] = {
        "threshold": seed,
        "extend_threshold": 1 if extend == seed else extend,
    }
    if settings.grow:
        chosen["grow"] = settings.grow
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(value, np.generic):
            value = value.item()
        plain = isinstance(value, str | int | float | list | tuple)
        unset = value is None or (plain and value in ((), [], field.default))
        if field.name in REPLACED or unset:
            continue
        chosen[field.name] = value.card.name if isinstance(value, Model) else value
    return chosen


def _as_code(value: Any) -> str:
    """Return a value as Python code; ``u`` is `astropy.units`."""
    if isinstance(value, u.Quantity):
        return f"u.Quantity({value.value.tolist()!r}, {value.unit.to_string()!r})"
    return repr(value)


def command_line(path: Path, settings: Settings, options: FileOptions) -> str:
    """Return the command that makes the mask of a file.

    Parameters
    ----------
    path : path
        The file.
    settings : Settings
        Thresholds and growth.
    options : FileOptions
        How the file is cleaned.
    """
    chosen = ["-o", "masks"]
    for name, value in _chosen(settings, options).items():
        for one in value if isinstance(value, list | tuple) else [value]:
            option, text = f"--{name.replace('_', '-')}", str(one)
            # What begins with a dash would be taken for an option.
            chosen += [f"{option}={text}"] if text[:1] == "-" else [option, text]
    file = str(path)
    words = [*chosen, "--", file] if file.startswith("-") else [file, *chosen]
    return shlex.join(["deepcr-ccd", "mask", *words])


def python_call(settings: Settings, options: CleanOptions) -> str:
    """Return the call that makes the mask of a frame.

    Parameters
    ----------
    settings : Settings
        Thresholds and growth.
    options : CleanOptions
        How the frame is cleaned.
    """
    known = {field.name for field in dataclasses.fields(CleanOptions)}
    chosen = _chosen(settings, options)
    arguments = [f"{name}={_as_code(chosen[name])}" for name in chosen if name in known]
    return f"cosmicray_deepcr(ccd, {', '.join(arguments)}).mask"
