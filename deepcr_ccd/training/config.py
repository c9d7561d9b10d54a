"""Training from a configuration file, on repeated exposures of a user's camera."""

from __future__ import annotations

import glob
import math
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..io.fits_file import FitsFile, matching_images
from ..io.given_paths import given_path
from ..models.model import Model, ModelCard
from ..models.zoo import DEFAULT_MODEL, load_model
from ..notices import suggestion
from .datasets import LabelledFrames
from .exposure_labels import LabelledFrame, label_exposures
from .fit import Recipe, train_model

__all__ = ["read_config", "train_from_config"]


def _whole(least: int) -> tuple:
    """Return the check of a whole number."""
    return (int,), f"a whole number, {least} or more", lambda value: value >= least


def _text(value: str) -> bool:
    return bool(value.strip())


def _sets(value: list) -> bool:
    """Return whether these are lists of names."""
    return bool(value) and all(
        isinstance(one, list)
        and one
        and all(isinstance(name, str) and name for name in one)
        for one in value
    )


NUMBER = (int, float)
POSITIVE = NUMBER, "a number above 0", lambda value: 0 < value < math.inf
NAME = (str,), "a name", _text
ANY_TEXT = (str,), "a text", lambda value: isinstance(value, str)
KEYWORD = "a number above 0 or the name of a header keyword"
#: Sections of the file and their entries; of each its types, what is allowed as text,
#: and a function that returns whether a value is.
ENTRIES = {
    "data": {
        "sets": ((list,), "a list of lists of FITS files or patterns", _sets),
        "gain": (
            (*NUMBER, str),
            KEYWORD,
            lambda value: (
                _text(value) if isinstance(value, str) else 0 < value < math.inf
            ),
        ),
        "satlevel": (
            (*NUMBER, str),
            "a number or the name of a header keyword",
            lambda value: (
                _text(value) if isinstance(value, str) else not math.isnan(value)
            ),
        ),
        "unit": NAME,
        "core": POSITIVE,
        "grow": POSITIVE,
        "size": _whole(16),
    },
    "model": {
        "name": NAME,
        "start": ANY_TEXT,
        "threshold": (
            NUMBER,
            "a number between 0 and 1",
            lambda value: 0 < value < 1,
        ),
        "instrument": ANY_TEXT,
        "description": ANY_TEXT,
    },
    # All fields of the recipe but the weight of a teacher: there is none.
    "training": {
        "folder": NAME,
        "steps": _whole(1),
        "batch": _whole(1),
        "rate": POSITIVE,
        "warmup": _whole(0),
        "decay": (NUMBER, "a number, 0 or more", lambda value: 0 <= value < math.inf),
        "clip": POSITIVE,
        "average": (NUMBER, "a number from 0 to below 1", lambda value: 0 <= value < 1),
        "bend": POSITIVE,
        "seed": _whole(0),
        "workers": _whole(0),
        "checkpoint_every": _whole(1),
    },
}
#: Fine-tuning takes a lower rate than training a new network.
TUNING = {"steps": 1000, "rate": 1e-4, "warmup": 100}


def read_config(path: str | os.PathLike) -> dict[str, dict]:
    """Read a configuration and check its entries.

    Parameters
    ----------
    path : str or path-like
        A TOML file with the sections ``data`` (``sets``, a list of lists of FITS
        files or patterns, each list the repeated exposures of one pointing; and
        ``gain``, ``satlevel``, ``unit``, ``core``, ``grow``, ``size``), ``model``
        (``name``; ``start``, a model to fine-tune or "" for a new network;
        ``threshold``, ``instrument``, ``description``) and ``training`` (``folder``,
        and fields of `~deepcr_ccd.training.fit.Recipe` but ``teacher_weight``,
        ``ignored_weight`` and ``norm``).

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If the file is not TOML, an entry is unknown, of a wrong type or out of range,
        or a required one is missing.
    """
    given_path(path, "path", "the path of a TOML file")
    try:
        with open(path, "rb") as file:
            config = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from error
    for section, entries in config.items():
        if section not in ENTRIES:
            raise ValueError(
                f"{path}: section [{section}] is unknown; "
                f"{suggestion(section, ENTRIES)}allowed are {', '.join(ENTRIES)}"
            )
        if not isinstance(entries, dict):
            raise ValueError(f"{path}: {section!r} must be a section, [{section}]")
        for entry, value in entries.items():
            known = ENTRIES[section]
            if entry not in known:
                raise ValueError(
                    f"{path}: {entry!r} in [{section}] is unknown; "
                    f"{suggestion(entry, known)}allowed are {', '.join(sorted(known))}"
                )
            _check_value(
                f"{path}: {entry} = {value!r} in [{section}]", value, known[entry]
            )
    for section, entry in (("data", "sets"), ("model", "name"), ("training", "folder")):
        if not config.get(section, {}).get(entry):
            raise ValueError(f"{path}: [{section}] needs an entry {entry!r}")
    return config


def _check_value(shown: str, value: Any, allowed: tuple) -> None:
    """Raise an error if a value is of another type or beyond the range."""
    types, words, holds = allowed
    # In Python, bool is a kind of integer.
    right = isinstance(value, types) and not isinstance(value, bool)
    if not right or not holds(value):
        raise ValueError(f"{shown} must be {words}")


def _label_set(patterns: list[str], base: Path, data: dict) -> list[LabelledFrame]:
    """Label the repeated exposures of one pointing, image by image of the files."""
    exposures: dict[str, str] = {}
    for path in sorted({path for p in patterns for path in glob.glob(str(base / p))}):
        # A file is no second exposure of itself, by whatever names it is matched.
        exposures.setdefault(os.path.realpath(path), path)
    paths = list(exposures.values())
    if len(paths) < 2:
        raise ValueError(f"set {patterns!r} must match two files or more")
    files = [FitsFile(path, unit=data.get("unit")) for path in paths]
    options = {k: data[k] for k in ("gain", "satlevel", "core", "grow") if k in data}
    return [
        labelled
        for images in matching_images(files)
        for labelled in label_exposures([image.read() for image in images], **options)
    ]


def train_from_config(
    path: str | os.PathLike,
    *,
    report: Callable[[str], None],
    device: str | torch.device | None = None,
) -> Model:
    """Train a model for a camera from a configuration file.

    Parameters
    ----------
    path : str or path-like
        See `read_config`. Paths in it are relative to the file.
    report : callable
        Takes lines of text.
    device : str or torch.device, optional
        Device to train on.

    Returns
    -------
    Model
        Also written to the folder of the configuration, under its name.

    Raises
    ------
    ValueError
        If the configuration is wrong, a set does not match two files, or pieces do not
        fit the network.
    """
    config = read_config(path)
    base = Path(path).parent
    data, model, training = (config[section] for section in ENTRIES)
    start_name = model.get("start", DEFAULT_MODEL)
    start = load_model(start_name, device="cpu", task="mask") if start_name else None
    template = start or load_model(DEFAULT_MODEL, device="cpu")
    size, stride = data.get("size", 128), template.network.stride
    if size % stride:
        raise ValueError(f"size = {size} in [data] must be a multiple of {stride}")
    frames = [
        labelled
        for patterns in data["sets"]
        for labelled in _label_set(patterns, base, data)
    ]
    affected = sum(int(item.truth.sum()) for item in frames)
    report(f"{len(frames)} frames labelled, {affected} CR-affected pixels")
    folder = base / training["folder"]
    recipe = Recipe(
        **{
            **(TUNING if start else {}),
            **{k: v for k, v in training.items() if k != "folder"},
        }
    )
    described: dict[str, Any] = {
        key: model[key]
        for key in ("name", "threshold", "instrument", "description")
        if key in model
    }
    dataset = LabelledFrames(
        frames,
        length=recipe.steps * recipe.batch,
        size=size,
        seed=recipe.seed,
        star_widths=template.card.arguments.get("star_widths", ()),
    )
    card = ModelCard(
        task="mask",
        architecture=template.card.architecture,
        arguments=template.card.arguments,
        unit=None,
        transform="noise",
        training_data=f"{len(frames)} exposures in {len(data['sets'])} sets"
        + (f", starting from {start.card.name}" if start else ""),
        **described,
    )
    trained = train_model(
        dataset, card, folder, recipe=recipe, start=start, device=device, report=report
    )
    report(f"wrote {folder / card.name}.safetensors")
    return trained
