"""Folders of the user, where the operating system wants them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

__all__ = ["listed_paths", "user_folder"]

#: Where folders are, from the user's own, and the variable that says otherwise.
LINUX = {
    "data": ("XDG_DATA_HOME", ".local/share"),
    "cache": ("XDG_CACHE_HOME", ".cache"),
}
MACOS = {"data": "Library/Application Support", "cache": "Library/Caches"}


def user_folder(kind: Literal["data", "cache"]) -> Path | None:
    """Return the user's folder of models, which need not exist.

    Parameters
    ----------
    kind : {"data", "cache"}
        The folder for what the user added, or the one for what can be fetched again.

    Returns
    -------
    path or None
        None for users without a folder of their own.
    """
    try:
        home = Path.home()
    except RuntimeError:
        home = None
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        base = Path(local) if local else home and home / "AppData/Local"
        return base and base / "deepcr_ccd" / kind / "models"
    if sys.platform == "darwin":
        return home and home / MACOS[kind] / "deepcr_ccd" / "models"
    variable, usual = LINUX[kind]
    named = os.environ.get(variable, "")
    # The standard of these variables has relative paths ignored.
    base = Path(named) if os.path.isabs(named) else home and home / usual
    return base and base / "deepcr_ccd" / "models"


def listed_paths(variable: str) -> tuple[list[Path], list[str]]:
    """Return the paths in an environment variable that is like ``PATH``.

    Parameters
    ----------
    variable : str
        Its name.

    Returns
    -------
    paths, problems : list
        The paths, and what is wrong with the rest, in words that name the variable.
    """
    paths: list[Path] = []
    problems: list[str] = []
    for text in filter(None, os.environ.get(variable, "").split(os.pathsep)):
        try:
            paths.append(Path(text).expanduser())
        except RuntimeError:
            problems.append(
                f"{variable}: path {text!r}: there is no user of this name, or no home "
                "of the user; write out the folder in place of '~'"
            )
    return paths, problems
