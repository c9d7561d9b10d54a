"""Front door 4: the ``deepcr-ccd`` command."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

from . import demo
from .batch import clean_files, find_files
from .devices import ALLOWED
from .engines import ENGINES
from .fills import METHODS
from .jobs import Options
from .reporting import Reporter, complain, say
from .zoo import DEFAULT_MODEL, list_models, load_model

__all__ = ["main"]


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
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", default=argparse.SUPPRESS)
    work = argparse.ArgumentParser(add_help=False, parents=[shared])
    work.add_argument(
        "files", nargs="+", metavar="FILE", help="FITS files, patterns, folders, @list"
    )
    work.add_argument("-o", "--output", required=True, metavar="DIR", type=Path)
    work.add_argument("--overwrite", action="store_true", help="replace outputs")
    work.add_argument(
        "--resume", action="store_true", help="leave out outputs that are right already"
    )
    work.add_argument("--recursive", action="store_true", help="folders of folders too")
    work.add_argument("--workers", type=int, metavar="N", help="files at a time")
    work.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
    work.add_argument("--quiet", action="store_true", help="show errors only")
    work.add_argument(
        "--json", action="store_true", help="a line of JSON for each file"
    )
    work.add_argument("--model", default=DEFAULT_MODEL, help="name or path of a model")
    work.add_argument("--threshold", type=float, help="probability in [0, 1]")
    work.add_argument(
        "--target-fpr", type=float, help="share of clean pixels that may be flagged"
    )
    work.add_argument("--grow", type=float, default=0, metavar="PX")
    work.add_argument(
        "--gain", type=number_or_word, help="electron/adu, or a header keyword"
    )
    work.add_argument(
        "--readnoise", type=number_or_word, help="electron, or a header keyword"
    )
    work.add_argument(
        "--satlevel",
        type=number_or_word,
        help="in the frame's unit, a keyword, auto (default) or inf",
    )
    work.add_argument(
        "--unit", help="unit of the images, whatever BUNIT says: electron, adu"
    )
    work.add_argument(
        "--ext",
        action="append",
        metavar="NAME|NUMBER|PATTERN",
        help="image to take, such as SCI, SCI,2, 3 or 'N*'; may be repeated",
    )
    work.add_argument(
        "--bad-bits",
        type=int,
        metavar="N",
        help="bits of DQ, MASK or BPM of pixels not to examine",
    )
    work.add_argument(
        "--dq-bit",
        type=int,
        metavar="N",
        help="bit of cosmic rays (default 4096 in DQ, 8 in BPM, 1 in MASK, or as the "
        "header says)",
    )
    work.add_argument("--device", help="cpu, cuda, cuda:N or mps")
    work.add_argument(
        "--precision", choices=ALLOWED, help="default auto; int8 needs openvino"
    )
    work.add_argument(
        "--engine",
        choices=ENGINES,
        help="default auto: openvino where it is installed and fits, else torch",
    )
    work.add_argument("--tile-size", type=int, metavar="PX")

    clean = commands.add_parser(
        "clean", parents=[work], help="write files with cosmic rays flagged and filled"
    )
    clean.add_argument("--inpaint", choices=[*METHODS, "none"], default="auto")
    clean.set_defaults(run=batch_command, masks_only=False)
    mask = commands.add_parser("mask", parents=[work], help="write masks only")
    mask.set_defaults(run=batch_command, masks_only=True, inpaint="none")

    models = commands.add_parser(
        "models", parents=[shared], help="list models, or describe one"
    )
    models.add_argument("name", nargs="?", metavar="NAME")
    models.set_defaults(run=models_command)

    train = commands.add_parser(
        "train", parents=[shared], help="train a model on your repeated exposures"
    )
    train.add_argument("config", metavar="CONFIG.toml")
    train.add_argument("--device", help="cpu, cuda, cuda:N or mps")
    train.set_defaults(run=train_command)

    evaluate = commands.add_parser(
        "evaluate", parents=[shared], help="compare models where the truth is known"
    )
    evaluate.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="frames with an extension TRUTH, or repeated exposures of one pointing",
    )
    evaluate.add_argument(
        "--simulate", nargs="+", default=[], metavar="KIND", help="scenes, or all"
    )
    evaluate.add_argument("--number", type=int, default=8, help="frames of a kind")
    evaluate.add_argument(
        "--psf",
        metavar="FILE",
        help="point spread function to see scenes through",
    )
    evaluate.add_argument(
        "--models",
        nargs="+",
        default=[DEFAULT_MODEL],
        metavar="MODEL",
        help="names, paths, published, or cosmic-conn:NAME",
    )
    evaluate.add_argument(
        "--lacosmic", action="store_true", help="add astroscrappy, tuned to the frames"
    )
    evaluate.add_argument("-o", "--output", required=True, metavar="DIR", type=Path)
    evaluate.add_argument("--overwrite", action="store_true", help="replace outputs")
    evaluate.add_argument("--unit", help="unit of the images, whatever BUNIT says")
    for name in ("--gain", "--readnoise", "--satlevel"):
        evaluate.add_argument(name, type=number_or_word)
    evaluate.add_argument("--device", help="cpu, cuda, cuda:N or mps")
    evaluate.set_defaults(run=evaluate_command)

    example = commands.add_parser(
        "demo", parents=[shared], help="clean an example frame and draw it"
    )
    example.add_argument("-o", "--output", type=Path, default=Path("deepcr_ccd_demo"))
    example.add_argument("--overwrite", action="store_true", help="replace outputs")
    example.set_defaults(run=demo_command)
    return parser


def batch_command(options: argparse.Namespace) -> int:
    """Run ``deepcr-ccd clean`` or ``deepcr-ccd mask``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.

    Returns
    -------
    int
        1 if a file failed.
    """
    fields = {field.name for field in dataclasses.fields(Options)}
    files = dict(find_files(options.files, recursive=options.recursive))
    reporter = Reporter(len(files), quiet=options.quiet, as_json=options.json)
    try:
        clean_files(
            files,
            options.output,
            overwrite=options.overwrite,
            resume=options.resume,
            workers=options.workers,
            scheduler=options.scheduler,
            report=reporter,
            **{key: value for key, value in vars(options).items() if key in fields},
        )
    finally:
        reporter.close()
    if reporter.failed and len(files) > 1:
        complain("error", f"{reporter.failed} of {len(files)} files failed")
    return 1 if reporter.failed else 0


def models_command(options: argparse.Namespace) -> None:
    """Run ``deepcr-ccd models``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.
    """
    if options.name is None:
        table = list_models()
        table.remove_column("citation")
        say("\n".join(table.pformat(max_lines=-1, max_width=-1, align="<")))
        return
    card = load_model(options.name, device="cpu").card
    for field in dataclasses.fields(card):
        value = getattr(card, field.name)
        if field.name == "unit":
            value = value or "any"
        if value not in ("", {}, []):
            say(f"{field.name:20} {value}")


def train_command(options: argparse.Namespace) -> None:
    """Run ``deepcr-ccd train``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.
    """
    # Only this command needs the training half of the package.
    from .training.config import train_from_config

    train_from_config(options.config, report=say, device=options.device)


def evaluate_command(options: argparse.Namespace) -> None:
    """Run ``deepcr-ccd evaluate``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.
    """
    from .evaluation.report import evaluate

    evaluate(
        options.files,
        options.output,
        models=options.models,
        simulate=options.simulate,
        number=options.number,
        psf=options.psf,
        lacosmic=options.lacosmic,
        overwrite=options.overwrite,
        device=options.device,
        report=say,
        unit=options.unit,
        gain=options.gain,
        readnoise=options.readnoise,
        satlevel=options.satlevel,
    )


def demo_command(options: argparse.Namespace) -> None:
    """Run ``deepcr-ccd demo``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.
    """
    for line in demo.run(options.output, overwrite=options.overwrite):
        say(line)


@contextlib.contextmanager
def _logging(debug: bool) -> Iterator[None]:
    """With --debug, show what the package logs, tracebacks of files among it."""
    if not debug:
        yield
        return
    logger = logging.getLogger(__package__)
    handler, level = logging.StreamHandler(sys.stderr), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        Without the program's name; by default those of the process.

    Returns
    -------
    int
        Exit status: 0 if all went well, 1 after an error.
    """
    options = build_parser().parse_args(arguments)
    with warnings.catch_warnings(), _logging(options.debug):
        warnings.simplefilter("default")
        warnings.showwarning = lambda message, *_, **__: complain("warning", message)
        try:
            return options.run(options) or 0
        except (OSError, ValueError, TypeError, ImportError) as error:
            if options.debug:
                traceback.print_exc()
            complain("error", str(error).strip() or type(error).__name__)
            return 1
