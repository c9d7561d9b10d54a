"""The command ``deepcr-ccd models benchmark``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .console import complain, say

# What measures is imported when it runs.

__all__ = ["add_benchmark_parser", "benchmark_command"]


def add_benchmark_parser(actions: Any, shared: argparse.ArgumentParser) -> None:
    """Add the action ``benchmark``.

    Parameters
    ----------
    actions : object
        From ``add_subparsers``.
    shared : `argparse.ArgumentParser`
        Options of all commands.
    """
    parser = actions.add_parser(
        "benchmark",
        parents=[shared],
        help="measure a model on the standard benchmark, beside universal",
    )
    add = parser.add_argument
    add("name", metavar="FILE|NAME", help="path or name of a detection model")
    add(
        "--frames",
        nargs="+",
        default=[],
        metavar="FILE",
        help="your frames with an extension TRUTH, or repeated exposures",
    )
    add("--quick", action="store_true", help="few small frames, to try it out")
    add("--seed", type=int, metavar="N", help="of the frames (default that of all)")
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument(
        "--write", action="store_true", help="write the scores into the card of FILE"
    )
    doing.add_argument(
        "--check",
        action="store_true",
        help="compare the scores in the card of FILE with those measured now",
    )
    add("--device", default="cpu", help="cpu (default), cuda, cuda:N or mps")
    add("--unit", help="unit of your frames, whatever BUNIT says")
    for option, what in (
        ("--gain", "of your frames, electron/adu, or a header keyword"),
        ("--satlevel", "of your frames, in their unit, or a header keyword"),
    ):
        add(option, type=_number_or_word, metavar="VALUE", help=what)


def _number_or_word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def benchmark_command(options: argparse.Namespace) -> int:
    """Run ``deepcr-ccd models benchmark``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.

    Returns
    -------
    int
        1 if scores in the card differ from those measured.

    Raises
    ------
    ValueError
        If scores are to be written or checked without a file, or in the quick form.
    """
    from ..evaluation.benchmark import SEED, run_benchmark
    from ..evaluation.card_scores import differing_scores, read_scores, write_scores

    seed, entry = SEED if options.seed is None else options.seed, None
    if options.write or options.check:
        option = "write" if options.write else "check"
        if not Path(options.name).is_file():
            raise ValueError(f"{option}=True needs a model file, not {options.name!r}")
        if options.quick:
            raise ValueError(f"{option}=True needs the full benchmark, not quick=True")
    if options.write and seed != SEED:
        raise ValueError(f"write=True takes no seed={seed}: cards have one for all")
    if options.check:
        entry = read_scores(options.name)
        if options.seed is not None:
            raise ValueError("check=True takes the card's seed, not seed=")
        seed = entry["seed"]
    result = run_benchmark(
        options.name,
        frames=options.frames,
        quick=options.quick,
        seed=seed,
        device=options.device,
        report=say,
        unit=options.unit,
        gain=options.gain,
        satlevel=options.satlevel,
    )
    for line in result.describe():
        say(line)
    if options.write:
        write_scores(options.name, result)
        say(f"wrote the scores into {options.name}")
    if entry is None:
        return 0
    lines = differing_scores(entry, result)
    for line in lines:
        complain("error", f"{options.name}: {line}")
    if not lines:
        say("the scores in the card are those measured now")
    if "own_frames" in entry and not options.frames:
        complain(
            "warning", f"{options.name}: frames= is needed to check its own frames"
        )
    return 1 if lines else 0
