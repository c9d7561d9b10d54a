"""The model zoo: find models by name or path, and list them."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from astropy.table import MaskedColumn, Table

from ..choices import DEFAULT_MODEL, EngineName, PrecisionName
from ..notices import warn_user
from .deepcr_checkpoint import load_checkpoint
from .engines.devices import resolve_device, resolve_precision
from .model import Model
from .sources.catalogue import find_model, read_catalogue
from .sources.entries import SOURCES, ModelEntry, SourceName, file_key
from .sources.names import MODEL_FILES
from .sources.package_data import card_of, find_published, known_checkpoints

__all__ = ["DEFAULT_MODEL", "list_models", "load_model"]

#: Columns of the list of models that are too long for a line of 80 characters.
NOT_PRINTED = ("instrument", "filters", "citation")
TASKS = ("mask", "inpaint")
#: Columns of the list of models.
COLUMNS = {
    "name": str,
    "task": str,
    "default": bool,
    "unit": str,
    "threshold": object,
    "installed": bool,
    "source": str,
    "instrument": str,
    "filters": str,
    "citation": str,
}


def list_models(
    *,
    task: Literal["mask", "inpaint"] | None = None,
    instrument: str | None = None,
    source: SourceName | None = None,
) -> Table:
    """List the models that can be used by name.

    Parameters
    ----------
    task : {"mask", "inpaint"}, optional
        Only models for this task.
    instrument : str, optional
        Only models made for this instrument: all words of the text, such as
        ``"ACS WFC"``, are in the column ``instrument``. Case does not matter. Models
        for any instrument, such as "universal", have the word "any".
    source : {"shipped", "published", "plugin", "own", "remote"}, optional
        Only models from there.

    Returns
    -------
    `~astropy.table.Table`
        A row a model: ``name``, ``task`` ("mask" or "inpaint"), ``default`` (True for
        the model that is used where none is named), ``unit`` (of its input),
        ``threshold`` (masked for the task "inpaint", which has none), ``installed``
        (False for a model whose file is not here), ``source`` ("shipped" with this
        package, "published" with deepCR, "plugin" for other installed packages, "own"
        for the user's folders, "remote" for registries), ``instrument``, ``filters``
        and ``citation``. The last three are columns like the others, but are not
        printed, so that a line fits into 80 characters; ``pprint_exclude_names`` of
        the table says so.

    Raises
    ------
    TypeError, ValueError
        If a task or a source is unknown, or the instrument is no text.

    Warns
    -----
    `~astropy.utils.exceptions.AstropyUserWarning`
        Of each file or package whose models cannot be used. These are not listed.

    Examples
    --------
    >>> from deepcr_ccd import list_models
    >>> models = list_models()
    >>> "ACS-WFC" in models["name"]
    True
    >>> print(*models["name"][models["default"]])
    universal
    >>> print(*models["instrument"][models["name"] == "ACS-WFC"])
    HST ACS/WFC
    >>> print(*list_models(instrument="WFC3")["name"])
    WFC3-UVIS
    """
    for name, value, allowed in (("task", task, TASKS), ("source", source, SOURCES)):
        if value is not None and value not in allowed:
            raise ValueError(f"{name}={value!r} is unknown; allowed are {allowed}")
    if not isinstance(instrument, str | None):
        raise TypeError(f"instrument={instrument!r} must be text, such as 'ACS WFC'")
    catalogue = read_catalogue()
    for problem in catalogue.problems:
        warn_user(problem)
    rows = [
        _row(entry)
        for entry in catalogue.entries
        if entry.listed
        and task in (None, entry.task)
        and source in (None, entry.source)
        and _is_for(entry, instrument)
    ]
    # Types are given for a table without rows.
    columns = {name: [row[name] for row in rows] for name in COLUMNS}
    table = Table(columns, names=list(COLUMNS), dtype=list(COLUMNS.values()))
    unknown = [threshold is None for threshold in columns["threshold"]]
    table["threshold"] = MaskedColumn(
        [0.5 if threshold is None else threshold for threshold in columns["threshold"]],
        mask=unknown,
        dtype=float,
    )
    table.pprint_exclude_names = NOT_PRINTED
    return table


def _row(entry: ModelEntry) -> dict:
    facts = entry.facts
    threshold = facts.get("threshold", 0.5) if entry.task == "mask" else None
    return {
        "name": entry.name,
        "task": entry.task,
        "default": entry.name == DEFAULT_MODEL,
        "unit": facts.get("unit") or "any",
        "threshold": threshold,
        "installed": entry.path is not None,
        "source": entry.source,
        "instrument": facts.get("instrument", ""),
        "filters": ",".join(facts.get("filters", [])),
        "citation": facts.get("citation", ""),
    }


def _is_for(entry: ModelEntry, instrument: str | None) -> bool:
    return _words(instrument or "") <= _words(entry.facts.get("instrument", ""))


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.casefold()))


def load_model(
    name_or_path: str | os.PathLike | Model,
    *,
    device: str | torch.device | None = None,
    task: Literal["mask", "inpaint"] | None = None,
    precision: PrecisionName | None = None,
    engine: EngineName | None = None,
) -> Model:
    """Load a model.

    Parameters
    ----------
    name_or_path : str, path-like or Model
        A name of `list_models` (or one of deepCR's older names for it), or the
        path of a ``.safetensors`` file of this package or of a deepCR ``.pth`` file.
        A published checkpoint that is given by its path is recognized by its content.
        Names are not case-sensitive. ``"auto"`` is ``"universal"``, the best model of
        our comparison for all frames. A model that is loaded already is returned, with
        other settings if these are given.
    device : str or torch.device, optional
        Where it runs, such as ``"cpu"`` or ``"cuda"``. None takes CUDA, then MPS, then
        the CPU; a model that is loaded already stays where it is.
    task : {"mask", "inpaint"}, optional
        Look only among models for this task. The one name that needs it is
        ``"ACS-WFC-F606W-2-32"``: the inpainting model of that name, and an older
        name of the mask model ``ACS-WFC-F606W``.
    precision : {"auto", "float32", "bfloat16", "int8"}, optional
        Precision of the computation. "auto" is bfloat16 where the processor supports it
        (AMX, AVX512-BF16, GPUs since Ampere), which is faster than float32, and float32
        elsewhere. "int8" is for ``universal`` and its relatives where OpenVINO runs
        them on the CPU: it is faster on processors without AMX, and changes about 1 %
        of the mask. None is "auto"; a model that is loaded already keeps its precision
        on its device.
    engine : {"auto", "torch", "openvino"}, optional
        The engine that runs it. "auto" is OpenVINO where it is installed, for detection
        models on the CPU, and PyTorch elsewhere. None is "auto"; a model that is loaded
        already keeps its engine on its device.

    Returns
    -------
    Model
        Its attribute ``card`` is the model description: unit of the input, thresholds,
        data that it was trained on, scores.

    Raises
    ------
    TypeError, ValueError
        If the name is unknown, the file is no model, the device is absent, or the
        engine or the precision cannot be used for such a model there.
    FileNotFoundError
        If there is no file at the path.
    ImportError
        If ``engine="openvino"`` is asked for and OpenVINO is not installed; when the
        model is first used. The model of deepCR's tutorial, ``"example_model"``, needs
        the deepCR distribution.

    Examples
    --------
    >>> from deepcr_ccd import load_model
    >>> model = load_model("universal", device="cpu")
    >>> model.card.task, model.card.fill
    ('mask', 'universal-inpaint')
    """
    if isinstance(name_or_path, Model):
        return _checked(name_or_path.to(device, precision, engine), task)
    if not isinstance(name_or_path, str | os.PathLike):
        raise TypeError(
            f"model={name_or_path!r} must be a name, a path or a Model, not "
            f"{type(name_or_path).__name__}"
        )
    text = os.fspath(name_or_path)
    device = resolve_device(device)
    how = _Placement(device, resolve_precision(precision, device), engine or "auto")
    if text.casefold().endswith(MODEL_FILES):
        path = Path(text)
        if not path.exists():
            raise FileNotFoundError(f"model file {text!r} does not exist")
        if not path.is_file():
            raise ValueError(f"model file {text!r} is not a regular file")
        return _checked(_load_file(*file_key(path), how), task)
    entry = find_model(text, task)
    path = entry.file()
    if entry.source == "published":
        return _load_file(*file_key(path), how, entry.name, entry.task)
    return _checked(_load_file(*file_key(path), how), task)


class _Placement(NamedTuple):
    device: torch.device
    precision: PrecisionName
    engine: EngineName


@functools.lru_cache(maxsize=16)
def _load_file(
    path: Path,
    mtime: int,  # noqa: ARG001
    size: int,  # noqa: ARG001
    how: _Placement,
    name: str | None = None,
    task: str | None = None,
) -> Model:
    where = how._asdict()
    if path.suffix.lower() == ".safetensors":
        return Model.load(path, **where)
    fields = None if name is None else find_published(name, task)
    if fields is not None:
        return load_checkpoint(path, card_of(fields), **where)
    return load_checkpoint(path, known=known_checkpoints(), **where)


def _checked(model: Model, task: str | None) -> Model:
    if task is not None:
        model.require(task)
    return model
