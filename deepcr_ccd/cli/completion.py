"""Completion of the command in a shell, by argcomplete: options, files, models."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from ..models.sources.user_folders import listed_paths, user_folder

__all__ = ["complete", "model_names"]

#: Arguments that are names of models, or files of models.
MODEL_ARGUMENTS = {"model", "models", "name"}


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, if it asks for completions; else return.

    Parameters
    ----------
    parser : `argparse.ArgumentParser`
        Of the command line.
    """
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        return
    files = argcomplete.completers.FilesCompleter()

    def models(prefix: str, **how: Any) -> list[str]:
        names = [name for name in model_names() if name.startswith(prefix)]
        return names + list(files(prefix, **how))

    for action in _actions(parser):
        if action.dest in MODEL_ARGUMENTS:
            action.completer = models  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def model_names() -> list[str]:
    """Return names of models without loading PyTorch: of the files in known folders.

    These are the models that come with the package, and the user's own. Those of other
    packages and of registries are left out: to find them takes seconds.
    """
    data = Path(str(resources.files("deepcr_ccd") / "data"))
    folders = [data, data / "published", user_folder("data")]
    folders += listed_paths("DEEPCR_CCD_MODELS")[0]
    files = (path for folder in folders if folder for path in _files_in(folder))
    return sorted({path.stem for path in files if path.suffix == ".safetensors"})


def _files_in(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser, and of the commands below it."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way
        yield action
        if isinstance(action.choices, dict):
            for command in action.choices.values():
                yield from _actions(command)
