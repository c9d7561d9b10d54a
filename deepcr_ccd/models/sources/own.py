"""Models of the user: in a folder of their own, and in those of a variable."""

from __future__ import annotations

import os
from pathlib import Path

from . import user_folders
from .entries import ModelEntry, read_entries

__all__ = ["VARIABLE", "own_folder", "own_models"]

#: Environment variable: folders with model files, listed as in PATH.
VARIABLE = "DEEPCR_CCD_MODELS"


def own_models() -> tuple[list[ModelEntry], list[str]]:
    """Return the models in the user's folders.

    Returns
    -------
    entries, problems : list
        The models, and what is wrong with the rest, in words that name the file.
    """
    entries: list[ModelEntry] = []
    named, problems = user_folders.listed_paths(VARIABLE)
    usual = user_folders.user_folder("data")
    seen: set[str] = set()
    for folder in [*named, *([usual] if usual else [])]:
        try:
            paths = sorted(p for p in folder.iterdir() if p.suffix == ".safetensors")
        except OSError as error:
            if folder in named or not isinstance(error, FileNotFoundError):
                reason = error.strerror or error
                problems.append(f"{VARIABLE}: folder {str(folder)!r}: {reason}")
            continue
        for path in paths:
            # Path.resolve raises an error for a link to itself.
            real = os.path.realpath(path)
            if real in seen:
                continue
            seen.add(real)
            found, wrong = read_entries([path], "own", f"file {str(path)!r}")
            entries += found
            problems += wrong
    return entries, problems


def own_folder() -> Path:
    """Return the user's folder, to which models are added.

    Raises
    ------
    OSError
        If there is none.
    """
    folder = user_folders.user_folder("data")
    if folder is None:
        raise OSError(
            "there is no folder of the user for models; put the file into a folder of "
            f"yours, and name that in {VARIABLE}"
        )
    return folder
