"""Training from a configuration file, for a user's own repeated exposures."""

from __future__ import annotations

import dataclasses
import glob
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

from ..files import FitsFile, matching_images
from ..model import Model, ModelCard
from ..zoo import DEFAULT_MODEL, load_model
from .fit import Recipe, train_model
from .labelled import LabelledFrames
from .labels import LabelledFrame, label_exposures

__all__ = ["read_config", "train_from_config"]

#: Sections of the file, and the entries that each may have.
ENTRIES = {
    "data": {"sets", "gain", "satlevel", "unit", "core", "grow", "size"},
    "model": {"name", "start", "threshold", "instrument", "description"},
    "training": {field.name for field in dataclasses.fields(Recipe)} | {"folder"},
}
# There is no teacher here.
ENTRIES["training"] -= {"taught"}
#: Fine-tuning takes a lower rate than training from nothing.
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
        and fields of `~deepcr_ccd.training.fit.Recipe` but ``taught``).

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If the file is no TOML, an entry is unknown, or one that is needed is missing.
    """
    try:
        with open(path, "rb") as file:
            config = tomllib.load(file)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from error
    for section, entries in config.items():
        if section not in ENTRIES:
            raise ValueError(
                f"{path}: section [{section}] is unknown; allowed are "
                f"{', '.join(ENTRIES)}"
            )
        for entry in entries:
            if entry not in ENTRIES[section]:
                raise ValueError(
                    f"{path}: {entry!r} in [{section}] is unknown; allowed are "
                    f"{', '.join(sorted(ENTRIES[section]))}"
                )
    for section, entry in (("data", "sets"), ("model", "name"), ("training", "folder")):
        if not config.get(section, {}).get(entry):
            raise ValueError(f"{path}: [{section}] needs an entry {entry!r}")
    return config


def _label_set(patterns: list[str], base: Path, data: dict) -> list[LabelledFrame]:
    """Label the repeated exposures of one pointing, image by image of the files."""
    paths = sorted({found for p in patterns for found in glob.glob(str(base / p))})
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
    path: str | os.PathLike, *, report: Callable[[str], None], device=None
) -> Model:
    """Train a model for one's own camera, as a configuration file says.

    Parameters
    ----------
    path : str or path-like
        See `read_config`. Paths in it are relative to the file.
    report : callable
        Takes a line of text now and then.
    device : str or torch.device, optional
        Where to train.

    Returns
    -------
    Model
        Also written to the folder of the configuration, under its name.

    Raises
    ------
    ValueError
        If the configuration does not hold together.
    """
    config = read_config(path)
    base = Path(path).parent
    data, model, training = (config[section] for section in ENTRIES)
    frames = [
        labelled
        for patterns in data["sets"]
        for labelled in _label_set(patterns, base, data)
    ]
    struck = sum(int(item.truth.sum()) for item in frames)
    report(f"{len(frames)} frames labelled, {struck} struck pixels")
    start_name = model.get("start", DEFAULT_MODEL)
    start = load_model(start_name, device="cpu", task="mask") if start_name else None
    folder = base / training["folder"]
    recipe = Recipe(
        **{
            **(TUNING if start else {}),
            **{k: v for k, v in training.items() if k != "folder"},
        }
    )
    dataset = LabelledFrames(
        frames,
        length=recipe.steps * recipe.batch,
        size=data.get("size", 128),
        seed=recipe.seed,
    )
    described = {
        key: model[key]
        for key in ("name", "threshold", "instrument", "description")
        if key in model
    }
    template = (start or load_model(DEFAULT_MODEL, device="cpu")).card
    card = ModelCard(
        task="mask",
        architecture=template.architecture,
        arguments=template.arguments,
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
