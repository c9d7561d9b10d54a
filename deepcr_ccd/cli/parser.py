"""The options of the ``deepcr-ccd`` command, and messages in their words."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import Any

from ..choices import DEFAULT_MODEL, DQ_CONVENTIONS, ENGINES, FILL_METHODS, PRECISIONS
from ..version import __version__
from .models import add_models_parser

__all__ = ["build_parser", "in_words_of_the_command"]

#: Names in what a parser returns that are no options.
NO_OPTIONS = {
    *("command", "run", "action", "file", "files", "config", "name", "masks_only"),
}


def number_or_word(text: str) -> float | str:
    """Return a number if the text is one, else the text, a header keyword.

    Parameters
    ----------
    text : str
        What the user typed.
    """
    try:
        return float(text)
    except ValueError:
        return text


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="deepcr-ccd",
        description="Find and fill cosmic rays in single CCD frames.",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument(
        "--version",
        action="version",
        version=f"deepcr-ccd {__version__}",
        help="show the version and exit",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show tracebacks",
    )
    _add_clean(commands, _work_parser(shared))
    _add_inspect(commands, shared)
    add_models_parser(commands, shared)
    _add_train(commands, shared)
    _add_evaluate(commands, shared)
    _add_demo(commands, shared)
    return parser


def _add_clean(commands: Any, work: argparse.ArgumentParser) -> None:
    """Add the commands ``clean`` and ``mask``."""
    clean = commands.add_parser(
        "clean", parents=[work], help="write files with cosmic rays flagged and filled"
    )
    _add_fill(clean)
    clean.set_defaults(masks_only=False)
    mask = commands.add_parser("mask", parents=[work], help="write masks only")
    mask.add_argument(
        "--probability",
        action="store_true",
        help="write the probability of each pixel too, as an extension CRPROB",
    )
    mask.set_defaults(masks_only=True, inpaint="none")


def _add_fill(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--inpaint",
        choices=[*FILL_METHODS, "none"],
        default="auto",
        help="how to fill flagged pixels (default auto)",
    )


def _add_inspect(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add the command ``inspect``."""
    inspect = commands.add_parser(
        "inspect", parents=[shared], help="judge and edit the mask of a file on a page"
    )
    add = inspect.add_argument
    add("file", metavar="FILE", help="FITS file")
    _add_output(inspect, "inspected")
    add(
        "--port",
        type=int,
        default=0,
        metavar="N",
        help="port of the page on this machine (default any that is free)",
    )
    add("--no-browser", action="store_true", help="print the link only")
    _add_thresholds(inspect)
    _add_fill(inspect)
    _add_detector(inspect)
    _add_images(inspect)


def _add_train(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add the command ``train``."""
    train = commands.add_parser(
        "train", parents=[shared], help="train a model on your repeated exposures"
    )
    train.add_argument(
        "config", metavar="CONFIG.toml", help="what to train, and on what"
    )
    train.add_argument("--device", help="cpu, cuda, cuda:N or mps")


def _add_demo(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add the command ``demo``."""
    example = commands.add_parser(
        "demo", parents=[shared], help="clean an example frame and draw it"
    )
    example.add_argument(
        "-o",
        "--output",
        default="deepcr_ccd_demo",
        metavar="DIR",
        help="folder for the results (default deepcr_ccd_demo)",
    )
    example.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that are no results of an earlier demo",
    )


def _work_parser(shared: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Return the parser of what ``clean`` and ``mask`` have in common."""
    work = argparse.ArgumentParser(add_help=False, parents=[shared])
    add = work.add_argument
    add("files", nargs="+", metavar="FILE", help="FITS files, patterns, folders, @list")
    _add_output(work)
    add(
        "--resume",
        action="store_true",
        help="skip files whose results are there and up to date",
    )
    add(
        "--recursive",
        action="store_true",
        help="take files from folders inside of folders too",
    )
    add("--workers", type=int, metavar="N", help="files cleaned in parallel")
    add(
        "--scheduler",
        metavar="ADDRESS",
        help="address of a Dask cluster that cleans the files",
    )
    add("--quiet", action="store_true", help="show errors only")
    add("--json", action="store_true", help="print a line of JSON for each file")
    _add_thresholds(work)
    _add_detector(work)
    _add_images(work)
    return work


def _add_images(parser: argparse.ArgumentParser) -> None:
    """Add options of how images are read and searched."""
    add = parser.add_argument
    add(
        "--psffwhm",
        type=float,
        metavar="PX",
        help="FWHM of the stars in px (default: measured on each image)",
    )
    add("--unit", help="unit of the images, whatever BUNIT says: electron, adu")
    add(
        "--ext",
        action="append",
        metavar="NAME|NUMBER|PATTERN",
        help="image to take, such as SCI, SCI,2, 3 or 'N*'; may be repeated",
    )
    add(
        "--dq",
        choices=DQ_CONVENTIONS,
        help="whose convention DQ, MASK or BPM has (default: as the header says)",
    )
    add(
        "--bad-bits",
        type=int,
        metavar="N",
        help="bits of pixels to exclude, in place of the convention's",
    )
    add(
        "--dq-bit",
        type=int,
        metavar="N",
        help="bit of cosmic rays, in place of the convention's (without one 4096 in "
        "DQ, 8 in BPM, 1 in MASK)",
    )
    add("--device", help="cpu, cuda, cuda:N or mps")
    add("--precision", choices=PRECISIONS, help="default auto; int8 needs openvino")
    add(
        "--engine",
        choices=ENGINES,
        help="default auto: openvino where it is installed and fits, else torch",
    )
    add(
        "--tile-size",
        type=int,
        metavar="PX",
        help="width of the tiles a frame is cut into",
    )


def _add_thresholds(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", default=DEFAULT_MODEL, help="name or path of a model")
    add(
        "--threshold",
        type=float,
        metavar="P",
        help="probability in [0, 1] above which pixels are flagged",
    )
    add(
        "--extend-threshold",
        type=float,
        metavar="P",
        help="lower one, down to which cosmic rays are followed; 1 uses the "
        "threshold alone",
    )
    add(
        "--target-fpr",
        type=float,
        metavar="RATE",
        help="fraction of clean pixels that may be flagged, in place of a threshold",
    )
    add(
        "--grow", type=float, default=0, metavar="PX", help="radius to grow the mask by"
    )


def _add_output(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument(
        "-o",
        "--output",
        required=default is None,
        default=default,
        metavar="DIR",
        help="folder for the results" + (f" (default {default})" if default else ""),
    )
    parser.add_argument("--overwrite", action="store_true", help="replace outputs")


def _add_detector(parser: argparse.ArgumentParser) -> None:
    for name, what in (
        ("--gain", "electron/adu, or a header keyword"),
        ("--readnoise", "electron, or a header keyword"),
        ("--satlevel", "in the frame's unit, a header keyword, auto (default) or inf"),
    ):
        parser.add_argument(name, type=number_or_word, metavar="VALUE", help=what)


def _add_evaluate(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add the command ``evaluate``."""
    evaluate = commands.add_parser(
        "evaluate",
        parents=[shared],
        help="compare models on frames whose cosmic rays are known",
    )
    add = evaluate.add_argument
    add(
        "files",
        nargs="*",
        metavar="FILE",
        help="frames with an extension TRUTH, or repeated exposures of one pointing",
    )
    add("--simulate", nargs="+", default=[], metavar="KIND", help="scenes, or all")
    add("--number", type=int, default=8, metavar="N", help="frames of each kind")
    add("--psf", metavar="FILE", help="point spread function of the scenes")
    add(
        "--models",
        nargs="+",
        default=[DEFAULT_MODEL],
        metavar="MODEL",
        help="names, paths, published, or cosmic-conn:NAME",
    )
    add("--lacosmic", action="store_true", help="add astroscrappy, tuned to the frames")
    _add_output(evaluate)
    add("--unit", help="unit of the images, whatever BUNIT says")
    _add_detector(evaluate)
    add("--device", help="cpu, cuda, cuda:N or mps")


def in_words_of_the_command(
    text: str, options: Iterable[str], names: Iterable[str] = ()
) -> str:
    """Return a message with options in place of the arguments of Python functions.

    Parameters
    ----------
    text : str
        Such as ``"give threshold= or target_fpr=, not both"``.
    options : iterable of str
        What the parser calls them: the names of the arguments.
    names : iterable of str
        File names, which stay as they are.

    Examples
    --------
    >>> in_words_of_the_command("give threshold= or target_fpr=, not both",
    ...                         ["threshold", "target_fpr"])
    'give --threshold or --target-fpr, not both'
    """
    known = "|".join(sorted(set(options) - NO_OPTIONS))
    if not known or text.startswith("card of "):
        return text
    pattern = rf"(?<![\w./-])({known})=(True\b|'[^']*'|[^\s,;:()]*)"
    kept = "|".join(re.escape(name) for name in names if name)
    parts = re.split(f"({kept})", text) if kept else [text]
    # Every other part is a name.
    parts[::2] = [re.sub(pattern, _as_option, part) for part in parts[::2]]
    return "".join(parts)


def _as_option(found: re.Match) -> str:
    name, value = found.groups()
    option = f"--{name.replace('_', '-')}"
    if value in ("", "True"):
        return option
    plain = value.strip("'")
    return f"{option} {value if ' ' in plain or not plain else plain}"
