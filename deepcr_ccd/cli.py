"""Front door 4: the ``deepcr-ccd`` command."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
import traceback
import warnings
from pathlib import Path

from astropy import units as u

from . import demo
from .ccd import KEYWORDS, cosmicray_deepcr
from .detection import METHODS
from .files import DQ_BIT, FitsFile, Image, write_masks
from .zoo import DEFAULT_MODEL, list_models, load_model

__all__ = ["main"]


def say(line: str = "") -> None:
    """Write a line to standard output.

    Parameters
    ----------
    line : str
        The line.
    """
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


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
    work.add_argument("files", nargs="+", metavar="FILE", help="FITS files")
    work.add_argument("-o", "--output", required=True, metavar="DIR", type=Path)
    work.add_argument("--overwrite", action="store_true", help="replace outputs")
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
        "--satlevel", type=number_or_word, help="in the frame's unit, or a keyword"
    )
    work.add_argument("--unit", help="unit of images without BUNIT: electron, adu")
    work.add_argument(
        "--bad-bits", type=int, metavar="N", help="DQ bits of pixels not to examine"
    )
    work.add_argument(
        "--dq-bit",
        type=int,
        default=DQ_BIT,
        metavar="N",
        help=f"DQ bit of cosmic rays (default {DQ_BIT})",
    )
    work.add_argument("--device", help="cpu, cuda, cuda:N or mps")
    work.add_argument(
        "--precision", choices=["auto", "float32", "bfloat16"], help="default auto"
    )
    work.add_argument("--tile-size", type=int, metavar="PX")

    clean = commands.add_parser(
        "clean", parents=[work], help="write files with cosmic rays flagged and filled"
    )
    clean.add_argument("--inpaint", choices=[*METHODS, "none"], default="auto")
    clean.set_defaults(run=clean_command)
    mask = commands.add_parser("mask", parents=[work], help="write masks only")
    mask.set_defaults(run=mask_command, inpaint="none")

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
    evaluate.add_argument("--unit", help="unit of images without BUNIT")
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


def check_outputs(files: list[str], folder: Path, overwrite: bool) -> list[Path]:
    """Return where each file's result goes, before any work is done.

    Parameters
    ----------
    files : list of str
        Input files.
    folder : path
        Output folder; it is made if it is not there.
    overwrite : bool
        Whether outputs may replace files.

    Raises
    ------
    ValueError
        If two inputs would have one output.
    FileExistsError
        If an output is there and must not be replaced.
    """
    outputs = [folder / Path(file).name for file in files]
    if len(set(outputs)) < len(outputs):
        twice = next(o for o in outputs if outputs.count(o) > 1)
        raise ValueError(f"two inputs would both be written to {twice}")
    if not overwrite:
        for output in outputs:
            if output.exists():
                raise FileExistsError(f"{output} exists; --overwrite replaces it")
    folder.mkdir(parents=True, exist_ok=True)
    return outputs


def clean_image(image: Image, options: argparse.Namespace, file: FitsFile):
    """Clean one image of a file as the options say.

    Parameters
    ----------
    image : Image
        The image.
    options : `argparse.Namespace`
        Options of ``clean`` or ``mask``.
    file : FitsFile
        The file it comes from, for messages.

    Returns
    -------
    `~astropy.nddata.CCDData`
    """
    ccd = image.ccd
    where = f"{file.path}[{image.name},{image.extver}]"
    model = load_model(
        options.model, device=options.device, task="mask", precision=options.precision
    )
    if ccd.unit == u.dimensionless_unscaled and model.card.unit is not None:
        if options.gain is None:
            raise ValueError(
                f"{where} has no BUNIT, and model {model.card.name!r} works in "
                f"{model.card.unit}: give --unit electron, or --unit adu and --gain"
            )
        ccd.unit = u.adu
    try:
        return cosmicray_deepcr(
            ccd,
            model=model,
            gain=options.gain,
            readnoise=options.readnoise,
            threshold=options.threshold,
            target_fpr=options.target_fpr,
            grow=options.grow,
            inpaint=None if options.inpaint == "none" else options.inpaint,
            satlevel=options.satlevel,
            tile_size=options.tile_size,
        )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def process(options: argparse.Namespace):
    """Clean file after file; yield each with its output path and results.

    Parameters
    ----------
    options : `argparse.Namespace`
        Options of ``clean`` or ``mask``.
    """
    outputs = check_outputs(options.files, options.output, options.overwrite)
    for path, output in zip(options.files, outputs, strict=True):
        start = time.perf_counter()
        file = FitsFile(
            path, unit=options.unit, bad_bits=options.bad_bits, dq_bit=options.dq_bit
        )
        results = [clean_image(image, options, file) for image in file.images]
        yield file, output, results
        found = "; ".join(
            f"[{image.name},{image.extver}] {result.header['CRNOBJ']} cosmic rays, "
            f"{result.header['CRNPIX']} px"
            for image, result in zip(file.images, results, strict=True)
        )
        say(f"{output}: {found}, {time.perf_counter() - start:.2f} s")


def clean_command(options: argparse.Namespace) -> None:
    """Run ``deepcr-ccd clean``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.
    """
    for file, output, results in process(options):
        file.write(output, results, KEYWORDS, overwrite=options.overwrite)


def mask_command(options: argparse.Namespace) -> None:
    """Run ``deepcr-ccd mask``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.
    """
    for file, output, results in process(options):
        write_masks(output, file.images, results, KEYWORDS, overwrite=options.overwrite)


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


def show_warning(message, *_) -> None:
    """Show a warning on one line.

    Parameters
    ----------
    message : Warning
        The warning.
    """
    sys.stderr.write(f"deepcr-ccd: warning: {message}\n")


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
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show_warning
        try:
            options.run(options)
        except (OSError, ValueError, TypeError, ImportError) as error:
            if options.debug:
                traceback.print_exc()
            line = " ".join(str(error).split()) or type(error).__name__
            sys.stderr.write(f"deepcr-ccd: error: {line}\n")
            return 1
    return 0
