"""Paths among the arguments of the command: none may be empty."""

from __future__ import annotations

import argparse

from ..io.given_paths import FILE, FOLDER, ITEM

__all__ = ["check_paths"]

#: What paths are called in the help, by the names that the parser gives them, and what
#: is allowed.
PATHS = {
    "files": ("FILE", FILE),
    "file": ("FILE", FILE),
    "config": ("CONFIG.toml", FILE),
    "frames": ("--frames", FILE),
    "psf": ("--psf", FILE),
    "output": ("--output", FOLDER),
}
#: Commands that take more than files.
SEARCHED = {"clean", "mask"}


def check_paths(options: argparse.Namespace) -> None:
    """Raise an error if a path is empty, as a shell makes of a variable without value.

    Parameters
    ----------
    options : `argparse.Namespace`
        From the parser.

    Raises
    ------
    ValueError
        If one is empty; it has the word of the command for it.
    """
    for name, (word, allowed) in PATHS.items():
        given = getattr(options, name, None)
        if "" not in (given if isinstance(given, list) else [given]):
            continue
        if name == "files" and options.command in SEARCHED:
            allowed = ITEM
        raise ValueError(f"{word} '' is empty; allowed is {allowed}")
