"""Paths that users give: an empty one is an error, and not the current folder."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["FILE", "FITS_FILE", "FOLDER", "ITEM", "given_path"]

#: What is allowed, in words.
FILE = "the path of a file"
FITS_FILE = "the path of a FITS file"
FOLDER = "the path of a folder, such as '.' for the current one"
ITEM = "a FITS file, a folder, a pattern or @list"


def given_path(value: str | os.PathLike, name: str, allowed: str = FILE) -> Path:
    """Return as a path what a user gave, unless it is empty.

    `~pathlib.Path` takes an empty text for the current folder, so that it is checked
    before. A shell gives one for a variable that is not set.

    Parameters
    ----------
    value : str or path-like
        What was given.
    name : str
        Name of the argument, for messages.
    allowed : str
        What is allowed, for messages.

    Raises
    ------
    TypeError
        If it is no text and no path.
    ValueError
        If it is empty.

    Examples
    --------
    >>> given_path("night/a.fits", "path").name
    'a.fits'
    >>> given_path("", "path")
    Traceback (most recent call last):
    ValueError: path='' is empty; allowed is the path of a file
    """
    if not isinstance(value, str | os.PathLike):
        kind = type(value).__name__
        raise TypeError(f"{name}={value!r} is of type {kind}; allowed is {allowed}")
    if not os.fspath(value):
        raise ValueError(f"{name}={os.fspath(value)!r} is empty; allowed is {allowed}")
    return Path(value)
