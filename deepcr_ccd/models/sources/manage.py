"""Add models to the user's folder, remove them, and write them to files."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from ...io.atomic import atomic_path, remove_stale
from ...notices import warn_user
from ..model import Model
from ..weights import read_card
from ..zoo import load_model
from . import user_folders
from .catalogue import find_model, package_entry, read_catalogue
from .entries import ModelEntry, read_entries
from .names import MODEL_FILES, check_name, same_name
from .own import own_folder, own_models

__all__ = ["add_model", "export_model", "remove_model"]

SUFFIX = MODEL_FILES[0]


def add_model(path: str | os.PathLike, *, overwrite: bool = False) -> Path:
    """Copy a model file to the user's folder, so that its name can be used.

    Parameters
    ----------
    path : str or path-like
        A safetensors file with a card; the name in the card is the model's. The whole
        model is read, and checked as by `~deepcr_ccd.models.model.Model.verify`, before
        anything is written.
    overwrite : bool
        Replace a model of this name that was added before.

    Returns
    -------
    path
        The new file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileExistsError
        If a model of this name is there, and is not to be replaced.
    ValueError
        If it is no model file or fails a check, or its name cannot be used or belongs
        to a model from elsewhere.
    TypeError
        If it is neither text nor a path.
    OSError
        If the file cannot be written; nothing is left of it.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        If the file has nothing to check the weights with.
    """
    path = _as_path(path)
    if path.suffix.lower() == ".pth":
        raise ValueError(
            f"model file {str(path)!r} is a deepCR checkpoint without a card; export "
            f"it to a {SUFFIX} file first"
        )
    name = read_card(path).name
    check_name(name)
    folder = own_folder()
    target = folder / f"{name}{SUFFIX}"
    _check_free(name, target)
    if os.path.lexists(target) and not overwrite:
        raise FileExistsError(
            f"model {name!r} was added before; overwrite=True replaces it"
        )
    _check_weights(path)
    folder.mkdir(parents=True, exist_ok=True)
    _copy(path, target, overwrite)
    return target


def remove_model(name: str) -> Path:
    """Remove a model that was added to the user's folder, or fetched.

    Parameters
    ----------
    name : str
        Its name. A damaged file that was added has the name of the file, without its
        ending.

    Returns
    -------
    path
        The file that was removed.

    Raises
    ------
    TypeError
        If the name is no text.
    ValueError
        If there is no model of this name that was added or fetched; the error says
        where the model is from.
    OSError
        If the file cannot be removed.
    """
    if not isinstance(name, str):
        raise TypeError(f"name={name!r} must be text, the name of a model")
    path = _added_file(name)
    if path is not None:
        path.unlink()
        return path
    entry = find_model(name)
    if entry.source == "remote" and entry.path is not None:
        entry.path.unlink()
        return entry.path
    raise ValueError(
        f"model {entry.name!r} was not added, and cannot be removed: {_from(entry)}"
    )


def export_model(
    name_or_path: str | os.PathLike,
    path: str | os.PathLike,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a model to a safetensors file of one's own.

    Parameters
    ----------
    name_or_path : str or path-like
        A name of `~deepcr_ccd.list_models`, or the path of a model file. A safetensors
        file is copied as it is; a deepCR ``.pth`` file gets a card.
    path : str or path-like
        The new file, which ends in ``.safetensors``.
    overwrite : bool
        Replace a file that is there.

    Returns
    -------
    path
        The new file.

    Raises
    ------
    FileExistsError
        If there is a file, and it is not to be replaced.
    ValueError
        If the model is unknown or no model, or the new file's name ends otherwise.
    TypeError
        If one of the two is neither text nor a path.
    OSError
        If the file cannot be written; nothing is left of it.
    """
    path = _as_path(path)
    if path.suffix.lower() != SUFFIX:
        raise ValueError(f"model file {str(path)!r} must end in {SUFFIX}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {str(path.parent)!r}")
    # All of it is read, so that a broken file is not passed on.
    model = load_model(name_or_path, device="cpu")
    text = os.fspath(name_or_path)
    is_path = text.casefold().endswith(MODEL_FILES)
    source = Path(text) if is_path else find_model(text).file()
    if source.suffix.lower() == SUFFIX:
        _copy(source, path, overwrite)
    else:
        with atomic_path(path, overwrite=overwrite) as partial:
            model.save(partial)
    return path


def _as_path(path: str | os.PathLike) -> Path:
    """Return the path of a model file, or raise an error that names the argument."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str):
        raise TypeError(f"path={path!r} must be text or a path, of a {SUFFIX} file")
    if not text or "\0" in text:
        raise ValueError(f"path {text!r} must be that of a {SUFFIX} file")
    return Path(text)


def _check_weights(path: Path) -> None:
    """Read a whole model, and raise an error if it is not what its author saw."""
    model = Model.load(path, device="cpu", precision="float32", engine="torch")
    found = model.verify()
    if found.failed:
        failed = [
            f"{what} ({words})"
            for what, (passed, words) in found.checks.items()
            if passed is False
        ]
        raise ValueError(
            f"model file {str(path)!r} does not pass its checks: {'; '.join(failed)}"
        )
    if all(passed is None for passed, _ in found.checks.values()):
        warn_user(
            f"model file {str(path)!r} has no sha256 of the weights and no test input, "
            "so it could not be verified; 'deepcr-ccd models add-test' writes both"
        )


def _added_file(name: str) -> Path | None:
    """Return the file in the user's folder that holds a model, or is a damaged one."""
    folder = user_folders.user_folder("data")
    if folder is None:
        return None
    # A variable may name the same folder in another way.
    for entry in own_models()[0]:
        if entry.path is not None and same_name(entry.name) == same_name(name):
            if _place(entry.path).parent == _place(folder / "any").parent:
                return entry.path
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            if path.suffix == SUFFIX and same_name(path.stem) == same_name(name):
                readable, _ = read_entries([path], "own", "")
                if not readable:
                    return path
    return None


def _place(path: Path) -> Path:
    """Return the path of a file in its real folder; the file may be a link."""
    return Path(os.path.realpath(path.parent), path.name)


def _check_free(name: str, target: Path) -> None:
    """Raise an error if a name is that of a model from elsewhere."""
    entry = package_entry(name)
    if entry is not None:
        raise ValueError(
            f"the name {name!r} is that of a model of {entry.origin}; give the new "
            "model another, in its card"
        )
    catalogue = read_catalogue()
    clashing = catalogue.clashes.get(same_name(name), [])
    for entry in [*catalogue.entries, *clashing]:
        if (
            entry.source != "remote"
            and same_name(entry.name) == same_name(name)
            and not (entry.path and _place(entry.path) == _place(target))
        ):
            raise ValueError(
                f"the name {name!r} is that of a model in {entry.origin}; give the new "
                "model another, in its card, or remove that one"
            )
    if target.is_file():
        try:
            found = read_card(target).name
        except ValueError:
            return
        if same_name(found) != same_name(name):
            raise ValueError(f"file {str(target)!r} holds another model, {found!r}")


def _copy(source: Path, target: Path, overwrite: bool) -> None:
    remove_stale([target])
    with atomic_path(target, overwrite=overwrite) as partial:
        shutil.copyfile(source, partial)


def _from(entry: ModelEntry) -> str:
    if entry.source == "plugin":
        return f"it is in {entry.origin}, which pip uninstalls"
    if entry.source == "own":
        return f"it is in a folder of DEEPCR_CCD_MODELS, as {entry.origin}"
    if entry.source == "remote":
        return f"it is in {entry.origin}, and was not fetched"
    return f"it is a model of {entry.origin}"
