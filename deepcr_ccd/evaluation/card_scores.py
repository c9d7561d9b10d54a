"""Scores of the benchmark in the card of a model file: written, and recomputed."""

from __future__ import annotations

import os
from typing import Any

from ..models.weights import change_file, read_card
from .benchmark import BENCHMARK, OWN, BenchmarkResult

__all__ = ["differing_scores", "read_scores", "write_scores"]

#: By how much scores may differ from those that are recomputed, in percent: results of
#: other processors differ in the rounding.
TOLERANCE = 0.3
#: By how much numbers of CR-affected pixels may differ, as a fraction.
FRAME_TOLERANCE = 0.002


def write_scores(path: str | os.PathLike, result: BenchmarkResult) -> None:
    """Write the scores of a model into the card of its file.

    They are ``scores["benchmark"]``, and the card's ``benchmark`` names it. All else in
    the file stays as it is, the tensors byte for byte. The file is replaced whole or
    not at all.

    Parameters
    ----------
    path : str or path-like
        The model file, of safetensors.
    result : BenchmarkResult
        Its scores.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no model file or that of another model, or ``result`` is of the quick
        form.
    """
    card = read_card(path)
    if result.quick:
        raise ValueError(
            "quick=True gives no scores of the benchmark; run it in full to write them"
        )
    if result.model.removesuffix(" (yours)") != card.name:
        raise ValueError(
            f"model file {os.fspath(path)!r} is of {card.name!r}, the scores are of "
            f"{result.model!r}"
        )

    def change(fields: dict[str, Any]) -> None:
        fields["scores"] = {**fields.get("scores", {}), "benchmark": result.entry()}
        fields["benchmark"] = dict(BENCHMARK)

    change_file(path, change)


def read_scores(path: str | os.PathLike) -> dict[str, Any]:
    """Return the scores of the benchmark that a card holds.

    Parameters
    ----------
    path : str or path-like
        The model file.

    Returns
    -------
    dict
        As `BenchmarkResult.entry` returns it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no model file, or its card holds no scores of this benchmark, or of
        another version of it.
    """
    entry = read_card(path).scores.get("benchmark")
    what = f"model file {os.fspath(path)!r}"
    if entry is None:
        raise ValueError(
            f"{what} holds no scores of the benchmark; write=True adds them"
        )
    if not isinstance(entry, dict) or not isinstance(entry.get("scores"), dict):
        raise ValueError(f"{what}: its scores of the benchmark are damaged")
    found = {key: entry.get(key) for key in BENCHMARK}
    if found != BENCHMARK:
        raise ValueError(
            f"{what} holds scores of benchmark {found['name']!r}, version "
            f"{found['version']!r}; this package has {BENCHMARK['name']!r}, version "
            f"{BENCHMARK['version']!r}: measure it again"
        )
    seed = entry.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"{what}: its scores are of seed={seed!r}, which is none")
    return entry


def differing_scores(entry: dict[str, Any], result: BenchmarkResult) -> list[str]:
    """Compare the scores of a card with those that were computed anew.

    Parameters
    ----------
    entry : dict
        From `read_scores`.
    result : BenchmarkResult
        Of the same model and seed.

    Returns
    -------
    list of str
        What differs, a line each; empty if nothing does.
    """
    new = result.entry()
    lines = []
    affected = entry.get("affected_pixels")
    for kind, number in new["affected_pixels"].items():
        known = affected.get(kind) if isinstance(affected, dict) else None
        if not _is_near(known, number, FRAME_TOLERANCE * number):
            lines.append(
                f"{kind}: {known!r} affected pixels in the card, {number} here"
            )
    lines += _differing(entry["scores"], new["scores"])
    own = new.get("own_frames")
    if own is not None:
        known = entry.get("own_frames")
        known = known if isinstance(known, dict) else {}
        if known.get("files") != own["files"]:
            lines.append(f"{OWN}: the card's scores are of other files")
        else:
            lines += _differing({OWN: known.get("scores")}, {OWN: own["scores"]})
    return lines


def _differing(known: dict[str, Any], new: dict[str, list[float]]) -> list[str]:
    lines = [f"{kind}: not in this benchmark" for kind in known if kind not in new]
    for kind, rates in new.items():
        claimed = known.get(kind)
        same = isinstance(claimed, list) and len(claimed) == len(rates)
        if not same or not all(
            _is_near(one, rate, TOLERANCE)
            for one, rate in zip(claimed or (), rates, strict=True)
        ):
            lines.append(f"{kind}: {claimed} in the card, {rates} here")
    return lines


def _is_near(claimed: Any, value: float, tolerance: float) -> bool:
    is_number = isinstance(claimed, int | float) and not isinstance(claimed, bool)
    return is_number and abs(claimed - value) <= tolerance
