"""The standard benchmark of detection models, on the same frames for everyone."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from astropy.table import Table

from ..io.given_paths import FITS_FILE, given_path
from ..models.model import Model
from ..models.zoo import DEFAULT_MODEL, load_model
from ..simulation.camera import Observation
from ..version import __version__
from .compare import Comparison, compare
from .frames import (
    LabelledFrame,
    count_affected,
    read_labelled_frames,
    simulate_frames,
)

__all__ = ["BENCHMARK", "BenchmarkResult", "run_benchmark"]

#: Name and version; what changes the frames or the measure changes the version.
BENCHMARK = {"name": "standard", "version": "1"}
#: Kinds of scenes of this version; those that come later are not in it.
KINDS = (
    *("sparse", "extragalactic", "cluster", "resolved", "nebula"),
    *("spectrum", "trails", "slits", "disks"),
)
#: Frames of each kind, and their width in px; of the quick form.
NUMBER, SIZE = 24, 256
QUICK_NUMBER, QUICK_SIZE = 1, 192
#: Seed of this version; other seeds show whether a model was tuned to its frames.
SEED = 20_000
#: False positive rates at which true positive rates count.
RATES = (5e-4, 5e-3)
#: Differences in the true positive rate that count for nothing, in percent.
EQUAL = 0.5
#: Kind of the user's frames.
OWN = "own frames"


@dataclasses.dataclass(frozen=True)
class BenchmarkResult:
    """True positive rates of a model, and of ``universal`` on the same frames.

    Parameters
    ----------
    model : str
        Name of the model.
    reference : str
        Name of the model it is compared with.
    comparison : `~deepcr_ccd.evaluation.compare.Comparison`
        The curves of both.
    affected : dict
        By kind, the number of CR-affected pixels.
    seed : int
        Seed of the frames.
    quick : bool
        Whether it is the quick form, whose scores are not those of the benchmark.
    files : tuple of str
        Digests (SHA-256) of the user's files, in order.
    """

    model: str
    reference: str
    comparison: Comparison
    affected: dict[str, int]
    seed: int = SEED
    quick: bool = False
    files: tuple[str, ...] = ()

    @property
    def table(self) -> Table:
        """A row for each kind and model: true positive rates in percent."""
        return self.comparison.table(RATES, tolerant=False)

    def scores(self, method: str | None = None) -> dict[str, list[float]]:
        """Return true positive rates in percent, by kind; one for each of two rates.

        Parameters
        ----------
        method : str, optional
            Name of a model, by default that of the benchmark.
        """
        names = [f"TPR at {100 * rate:g}%" for rate in RATES]
        return {
            str(row["kind"]): [float(row[name]) for name in names]
            for row in self.table
            if row["method"] == (method or self.model)
        }

    def differing_kinds(self) -> tuple[list[str], list[str]]:
        """Return the kinds on which the model is better, and those where it is worse.

        It is by the true positive rate at a false positive rate of 0.05 %; differences
        up to 0.5 % count for nothing.
        """
        own, other = self.scores(), self.scores(self.reference)
        gains = {kind: own[kind][0] - other[kind][0] for kind in own}
        better = [kind for kind, gain in gains.items() if gain > EQUAL]
        return better, [kind for kind, gain in gains.items() if gain < -EQUAL]

    def describe(self) -> list[str]:
        """Return lines for a terminal: the table, and on which kinds the model wins.

        The quick form does not tell the latter: it has too few frames.
        """
        name = f"benchmark {BENCHMARK['name']}, version {BENCHMARK['version']}"
        name += f", seed {self.seed}" + (", quick form" if self.quick else "")
        lines = [name, "true positive rates in percent, at two false positive rates"]
        lines += self.table.pformat(max_lines=-1, max_width=-1, align="<")
        if self.model == self.reference:
            return lines
        if self.quick:
            lines.append(
                f"too few frames to tell whether {self.model} is better than "
                f"{self.reference}: run it in full"
            )
            return lines
        better, worse = self.differing_kinds()
        equal = [k for k in self.scores() if k not in (*better, *worse)]
        for what, kinds in (
            (f"{self.model} is better than {self.reference} on", better),
            ("worse on", worse),
            (f"within {EQUAL:g} % on", equal),
        ):
            lines.append(f"{what}: {', '.join(kinds) or 'none'}")
        return lines

    def entry(self) -> dict[str, Any]:
        """Return what a card holds of it, under ``scores["benchmark"]``."""
        scores = self.scores()
        own = {kind: rates for kind, rates in scores.items() if kind != OWN}
        result: dict[str, Any] = {
            **BENCHMARK,
            "seed": self.seed,
            "measured_with": f"deepcr_ccd {__version__}",
            "measure": "true positive rate in percent at false positive rates",
            "rates": list(RATES),
            "scores": own,
            "affected_pixels": {kind: self.affected[kind] for kind in own},
        }
        if OWN in scores:
            result["own_frames"] = {"files": list(self.files), "scores": scores[OWN]}
        return result


def run_benchmark(
    model: str | os.PathLike | Model,
    *,
    frames: Sequence[str | os.PathLike] = (),
    quick: bool = False,
    seed: int = SEED,
    device: str | torch.device | None = "cpu",
    report: Callable[[str], None] | None = None,
    **properties: Any,
) -> BenchmarkResult:
    """Measure a detection model on the standard benchmark, beside ``universal``.

    Frames are simulated: scenes of nine kinds, 24 of each, 256x256 px, each with a
    camera of its own. They are the same for everyone.

    Parameters
    ----------
    model : str, path-like or Model
        A name of `~deepcr_ccd.list_models`, the path of a model file, or a model.
    frames : sequence of str or path-like
        Frames of one's own whose cosmic rays are known, see
        `~deepcr_ccd.evaluation.frames.read_labelled_frames`; they are a kind of their
        own.
    quick : bool
        Take one frame of each kind, and smaller ones: to try it out.
    seed : int
        Seed of the frames; another one than the default checks that a model was not
        tuned to the frames of the benchmark.
    device : str or torch.device, optional
        Where models run. Scores are those of the CPU, in float32.
    report : callable, optional
        Takes a line of text when a kind is done.
    **properties
        ``unit``, ``gain``, ``readnoise``, ``satlevel`` of ``frames``.

    Returns
    -------
    BenchmarkResult

    Raises
    ------
    TypeError, ValueError
        If ``seed`` is no whole number from 0, or a model or a frame is not what is
        allowed, such as a model that fills; or if ``frames`` have no CR-affected pixel.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> from deepcr_ccd.evaluation.benchmark import run_benchmark
    >>> result = run_benchmark("universal-fast", quick=True)   # doctest: +SKIP
    >>> better, worse = result.differing_kinds()               # doctest: +SKIP
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed={seed!r} must be a whole number")
    for path in frames:
        given_path(path, "frames", FITS_FILE)
    if seed < 0:
        raise ValueError(f"seed={seed!r} must not be negative")
    exact: dict[str, Any] = {"precision": "float32", "engine": "torch"}
    judged = load_model(model, device=device, task="mask", **exact)
    reference = load_model(DEFAULT_MODEL, device=device, **exact)
    name = judged.card.name
    if name == DEFAULT_MODEL and judged.fingerprint != reference.fingerprint:
        # Trained further, perhaps, and not renamed.
        name = f"{name} (yours)"
    items: dict[str, Sequence[Observation | LabelledFrame]] = {}
    if frames:
        items[OWN] = read_labelled_frames(frames, **properties)
        if not count_affected(items[OWN]):
            raise ValueError(
                "frames= have no CR-affected pixel, without which there is no true "
                "positive rate: give frames with cosmic rays"
            )
    number, size = (QUICK_NUMBER, QUICK_SIZE) if quick else (NUMBER, SIZE)
    for kind in KINDS:
        items[kind] = simulate_frames(kind, number, size=size, seed=seed)
    comparison = compare(items, {name: judged, DEFAULT_MODEL: reference}, report=report)
    affected = {kind: count_affected(several) for kind, several in items.items()}
    files = tuple(sorted(_digest(Path(path)) for path in frames))
    return BenchmarkResult(
        name, DEFAULT_MODEL, comparison, affected, seed, quick, files
    )


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
