"""The model zoo: find models by name or path, and list them."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from astropy.table import MaskedColumn, Table

from ..choices import DEFAULT_MODEL, EngineName, PrecisionName
from ..notices import suggestion
from .deepcr_checkpoint import load_checkpoint
from .engines.devices import resolve_device, resolve_precision
from .model import Model
from .weights import read_card

__all__ = ["DEFAULT_MODEL", "list_models", "load_model"]

DISTRIBUTION = "deepCR"
INSTALL = 'pip install "deepcr_ccd[deepcr]"'
#: Columns of the list of models that are too long for a line of 80 characters.
NOT_PRINTED = ("instrument", "filters", "citation")


@functools.cache
def published() -> tuple[dict, ...]:
    """Return the cards of the published checkpoints, with ``file`` and ``aliases``."""
    text = (resources.files("deepcr_ccd") / "data" / "published.toml").read_text(
        "utf-8"
    )
    return tuple(
        {"architecture": "unet", "license": "BSD-3-Clause", **entry}
        for entry in tomllib.loads(text)["model"]
    )


def _listed() -> tuple[dict, ...]:
    """Return the published checkpoints for users, without those of a tutorial."""
    return tuple(entry for entry in published() if entry.get("listed", True))


def _shipped() -> dict[str, Path]:
    folder = Path(str(resources.files("deepcr_ccd") / "data"))
    paths = {path.stem: path for path in folder.glob("*.safetensors")}
    return dict(sorted(paths.items()))


def _published_path(entry: dict) -> Path | None:
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(entry["file"])))
    return path if path.is_file() else None


def _find_published(name: str, task: str | None) -> dict | None:
    """Find a checkpoint by name, then by alias; a task leaves out the others."""
    entries = [e for e in published() if task in (None, e["task"])]
    for names in (lambda e: [e["name"]], lambda e: e.get("aliases", [])):
        for entry in entries:
            if name in names(entry):
                return entry
    return None


def _published_names(task: str | None) -> list[str]:
    """Return names of published checkpoints, older ones too."""
    entries = [e for e in published() if task in (None, e["task"])]
    return [name for e in entries for name in (e["name"], *e.get("aliases", []))]


def list_models() -> Table:
    """List the models that can be used by name.

    Returns
    -------
    `~astropy.table.Table`
        A row a model: ``name``, ``task`` ("mask" or "inpaint"), ``default`` (True for
        the model that is used where none is named), ``unit`` (of its input),
        ``threshold`` (masked for the task "inpaint", which has none), ``installed``
        (False for a published checkpoint without the deepCR distribution),
        ``instrument``, ``filters`` and ``citation``. The last three are columns like
        the others, but are not printed, so that a line fits into 80 characters;
        ``pprint_exclude_names`` of the table says so.

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
    """
    cards = [(vars(read_card(path)), True) for path in _shipped().values()]
    cards += [(entry, _published_path(entry) is not None) for entry in _listed()]
    rows = [
        {
            "name": card["name"],
            "task": card["task"],
            "default": card["name"] == DEFAULT_MODEL,
            "unit": card.get("unit") or "any",
            "threshold": card.get("threshold", 0.5),
            "installed": installed,
            "instrument": card.get("instrument", ""),
            "filters": ",".join(card.get("filters", [])),
            "citation": card.get("citation", ""),
        }
        for card, installed in cards
    ]
    table = Table(rows)
    table["threshold"] = MaskedColumn(
        table["threshold"], mask=table["task"] == "inpaint"
    )
    table.pprint_exclude_names = NOT_PRINTED
    return table


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
        If a published checkpoint is asked for and deepCR is not installed. A model with
        ``engine="openvino"`` raises it when it is first used, if OpenVINO is not
        installed.

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
    if text == "auto":
        text = DEFAULT_MODEL
    device = resolve_device(device)
    how = _Placement(device, resolve_precision(precision, device), engine or "auto")
    shipped = _shipped()
    if text in shipped:
        return _checked(_load_file(*_key(shipped[text]), how), task)
    entry = _find_published(text, task)
    if entry is not None:
        path = _published_path(entry)
        if path is None:
            raise ImportError(
                f"model {text!r} is one of deepCR's published checkpoints, and the "
                f"deepCR distribution is not installed: {INSTALL}"
            )
        return _load_file(*_key(path), how, entry["name"], entry["task"])
    path = Path(text)
    is_file = path.suffix.lower() in (".safetensors", ".pth")
    names = ["auto", *shipped, *_published_names(task)]
    same = {name for name in names if name.casefold() == text.casefold()} - {text}
    if len(same) == 1 and not is_file:
        return load_model(
            same.pop(), device=device, task=task, precision=precision, engine=engine
        )
    if is_file:
        if not path.exists():
            raise FileNotFoundError(f"model file {text!r} does not exist")
        if not path.is_file():
            raise ValueError(f"model file {text!r} is not a regular file")
        return _checked(_load_file(*_key(path), how), task)
    known = [
        "auto",
        *shipped,
        *(e["name"] for e in _listed() if task in (None, e["task"])),
    ]
    raise ValueError(
        f"model {text!r} is unknown; {suggestion(text, names)}known are "
        f"{', '.join(known)}, or the path of a .safetensors or .pth file"
    )


class _Placement(NamedTuple):
    device: torch.device
    precision: PrecisionName
    engine: EngineName


def _key(path: Path) -> tuple[Path, int, int]:
    """Identify a file's content without reading it."""
    status = path.stat()
    return path.resolve(), status.st_mtime_ns, status.st_size


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
    entry = None if name is None else _find_published(name, task)
    if entry is not None:
        return load_checkpoint(path, _card_of(entry), **where)
    known = {entry["tensors"]: _card_of(entry) for entry in published()}
    return load_checkpoint(path, known=known, **where)


def _card_of(entry: dict) -> dict:
    """Return the fields of a published checkpoint's card."""
    left_out = ("file", "aliases", "architecture", "tensors", "listed")
    return {"unit": None} | {k: v for k, v in entry.items() if k not in left_out}


def _checked(model: Model, task: str | None) -> Model:
    if task is not None:
        model.require(task)
    return model
