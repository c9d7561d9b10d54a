"""One call that compares methods and writes table, curves and figure."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..io.atomic import atomic_path
from ..io.given_paths import FITS_FILE, FOLDER, given_path
from ..models.zoo import DEFAULT_MODEL, list_models, load_model
from ..simulation.camera import Observation
from ..simulation.scenes import KINDS
from .baselines import CosmicConn
from .compare import Comparison, Method, compare
from .frames import (
    LabelledFrame,
    count_affected,
    read_labelled_frames,
    simulate_frames,
)

__all__ = ["evaluate", "load_methods"]

#: Prefix of the names of Cosmic-CoNN's networks.
COSMIC_CONN = "cosmic-conn:"
OUTPUTS = ("scores.ecsv", "roc.ecsv", "roc.png")


def load_methods(
    names: Sequence[str], device: str | torch.device | None = None
) -> dict[str, Method]:
    """Load methods by name.

    Parameters
    ----------
    names : sequence of str
        Names or paths of detection models, ``"published"`` for all of deepCR's, or
        ``"cosmic-conn:NAME"``.
    device : str or torch.device, optional
        Where models run.

    Returns
    -------
    dict
        By name, objects with ``probability(frame)``.

    Raises
    ------
    ImportError
        If the package that a method comes from is not installed.
    ValueError
        If a name is unknown or of a model for another task.
    """
    methods: dict[str, Method] = {}
    for name in names:
        if name.startswith(COSMIC_CONN):
            part = name.removeprefix(COSMIC_CONN)
            methods[f"Cosmic-CoNN {part}"] = CosmicConn(part)
        elif name == "published":
            for row in list_models(task="mask"):
                ours = row["source"] in ("shipped", "published")
                if ours and row["name"] != DEFAULT_MODEL:
                    methods[row["name"]] = load_model(row["name"], device=device)
        else:
            model = load_model(name, device=device, task="mask")
            methods[model.card.name] = model
    return methods


def evaluate(
    files: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    models: Sequence[str] = (DEFAULT_MODEL,),
    simulate: Sequence[str] = (),
    number: int = 8,
    psf: str | os.PathLike | None = None,
    lacosmic: bool = False,
    overwrite: bool = False,
    device: str | torch.device | None = None,
    report: Callable[[str], None] = print,
    **properties: Any,
) -> Comparison:
    """Compare methods, and write ``scores.ecsv``, ``roc.ecsv`` and ``roc.png``.

    Parameters
    ----------
    files : sequence of str or path-like
        See `~deepcr_ccd.evaluation.frames.read_labelled_frames`; may be empty.
    output : str or path-like
        Folder for the results; it is made if it is not there.
    models : sequence of str
        See `load_methods`.
    simulate : sequence of str
        Kinds of scenes to simulate, or ``["all"]``.
    number : int
        Simulated frames of each kind.
    psf : str or path-like, optional
        FITS file with the point spread function of these.
    lacosmic : bool
        Whether to add astroscrappy, tuned for each kind over a grid.
    overwrite : bool
        Whether results may be replaced.
    device : str or torch.device, optional
        Where models run.
    report : callable
        Takes lines of text: progress, and at the end the table.
    **properties
        ``unit``, ``gain``, ``readnoise``, ``satlevel`` of the files.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If a path is empty; if there are neither files nor kinds, a kind is unknown, or
        a file has no point spread function; if a file is given twice as exposures; or
        if no pixel of the frames is affected by a cosmic ray, as true positive rates
        need some.
    FileExistsError
        If results are there and must not be replaced.
    """
    kinds = list(KINDS) if list(simulate) == ["all"] else list(simulate)
    if not files and not kinds:
        raise ValueError("nothing to judge on: give files, or kinds to simulate")
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(
                f"simulate={kind!r} is unknown; allowed are all, {', '.join(KINDS)}"
            )
    if number < 1:
        raise ValueError(f"number={number!r} must be at least 1")
    folder = given_path(output, "output", FOLDER)
    for path in files:
        given_path(path, "files", FITS_FILE)
    for name in OUTPUTS:
        if (folder / name).exists() and not overwrite:
            raise FileExistsError(f"{folder / name} exists; overwrite=True replaces it")
    methods = load_methods(models, device)
    frames: dict[str, Sequence[Observation | LabelledFrame]] = {
        kind: simulate_frames(kind, number, psf=psf) for kind in kinds
    }
    if files:
        frames = {"files": read_labelled_frames(files, **properties), **frames}
    affected = {kind: count_affected(items) for kind, items in frames.items()}
    for kind, items in frames.items():
        report(f"{kind}: {len(items)} frames, {affected[kind]} CR-affected pixels")
    if not any(affected.values()):
        raise ValueError(
            "the frames have no CR-affected pixel, without which there is no true "
            "positive rate: give frames with cosmic rays"
        )
    result = compare(frames, methods, astroscrappy=lacosmic, report=report)
    folder.mkdir(parents=True, exist_ok=True)
    table = result.table()
    for name, content in (("scores.ecsv", table), ("roc.ecsv", result.points())):
        with atomic_path(folder / name, overwrite=True) as partial:
            content.write(partial, format="ascii.ecsv", overwrite=True)
    result.plot(folder / "roc.png")
    for line in table.pformat(max_lines=-1, max_width=-1, align="<"):
        report(line)
    report(f"wrote {', '.join(OUTPUTS)} to {folder}")
    return result
