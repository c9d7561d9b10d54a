"""Names that models may have, so that one name means one model."""

from __future__ import annotations

import re

__all__ = ["MODEL_FILES", "check_name", "same_name"]

#: Ends of the names of model files: a text that ends so is a path, not a name.
MODEL_FILES = (".safetensors", ".pth")
#: Words that mean something else where the name of a model is expected.
RESERVED = ("auto", "none", "published")
#: A name becomes that of a file, and is written into headers, which are ASCII.
ALLOWED = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._+-]{0,98}[A-Za-z0-9+])?")


def check_name(name: str) -> None:
    """Raise an error if a model must not be added under this name.

    Parameters
    ----------
    name : str
        The name in its card.

    Raises
    ------
    ValueError
        If it could not be told from a path or an option, is no name of a file, or could
        be mistaken for another.
    """
    if not ALLOWED.fullmatch(name):
        raise ValueError(
            f"the model's name {name!r} must have 1 to 100 characters: letters "
            "without accents, digits, and '.', '_', '+', '-' and spaces within"
        )
    if name.casefold() in RESERVED:
        raise ValueError(f"the model's name {name!r} has another meaning; choose one")
    if name.casefold().endswith(MODEL_FILES):
        raise ValueError(f"the model's name {name!r} ends like that of a file")


def same_name(name: str) -> str:
    """Return what names have in common that mean the same model.

    Parameters
    ----------
    name : str
        Names are not case-sensitive.
    """
    return name.casefold()
