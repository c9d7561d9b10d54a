"""The ``deepcr-ccd`` command."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import importlib
import logging
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator

from .completion import complete
from .console import Reporter, complain, finish, say
from .given_paths import check_paths

# What cleans, trains and draws is imported by the command that needs it.
from .models import models_command, with_action
from .parser import build_parser, in_words_of_the_command

__all__ = ["main"]

#: Errors whose messages can stand alone.
EXPECTED = (OSError, ValueError, TypeError, ImportError)


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
    from ..batch.files import clean_files
    from ..batch.listing import find_files
    from ..batch.options import FileOptions

    fields = {field.name for field in dataclasses.fields(FileOptions)}
    files = dict(
        find_files(options.files, recursive=options.recursive, output=options.output)
    )
    reporter = Reporter(
        len(files),
        quiet=options.quiet,
        as_json=options.json,
        reword=_rewording(options),
    )
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


def train_command(options: argparse.Namespace) -> None:
    """Run ``deepcr-ccd train``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.
    """
    from ..training.config import train_from_config

    train_from_config(options.config, report=say, device=options.device)


def evaluate_command(options: argparse.Namespace) -> None:
    """Run ``deepcr-ccd evaluate``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.
    """
    from ..evaluation.report import evaluate

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


def inspect_command(options: argparse.Namespace) -> None:
    """Run ``deepcr-ccd inspect``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.
    """
    from ..batch.options import FileOptions
    from ..inspection.session import inspect_file

    fields = {field.name for field in dataclasses.fields(FileOptions)}
    session = inspect_file(
        options.file,
        options.output,
        overwrite=options.overwrite,
        port=options.port,
        browser=not options.no_browser,
        **{key: value for key, value in vars(options).items() if key in fields},
    )
    with session:
        say(f"the page, a link that works once: {session.url}")
        say("Enter prints another link, Ctrl-C ends")
        with contextlib.suppress(KeyboardInterrupt):
            for _ in sys.stdin or ():
                say(session.url)
            # Without a terminal, until a signal comes.
            threading.Event().wait()
    if session.has_unsaved_changes:
        complain("warning", "the mask was changed, and not saved")


def demo_command(options: argparse.Namespace) -> None:
    """Run ``deepcr-ccd demo``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.
    """
    from .. import demo

    for line in demo.run(options.output, overwrite=options.overwrite):
        say(line)


@contextlib.contextmanager
def _logging(debug: bool) -> Iterator[None]:
    """With --debug, show the log of the package, with the tracebacks of files."""
    if not debug:
        yield
        return
    logger = logging.getLogger("deepcr_ccd")
    handler, level = logging.StreamHandler(sys.stderr), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _rewording(options: argparse.Namespace) -> Callable[..., str]:
    """Return what puts messages of Python functions into the words of the command."""
    return functools.partial(in_words_of_the_command, options=vars(options))


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Clean up when a signal ends the process."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # One that is ignored, as by nohup, stays so.
    numbers = [n for n in numbers if signal.getsignal(n) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


COMMANDS = {
    "clean": batch_command,
    "mask": batch_command,
    "inspect": inspect_command,
    "models": models_command,
    "train": train_command,
    "evaluate": evaluate_command,
    "demo": demo_command,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        Without the program's name; by default those of the process.

    Returns
    -------
    int
        Exit status: 0 if all went well, 1 after an error, 130 after Ctrl-C.
    """
    try:
        given = sys.argv[1:] if arguments is None else arguments
        parser = build_parser()
        complete(parser)
        options = parser.parse_args(with_action(given))
        reword = _rewording(options)
        with warnings.catch_warnings(), _logging(options.debug), _ended_by_signals():
            warnings.simplefilter("default")
            for category in (DeprecationWarning, PendingDeprecationWarning):
                # Of other packages, for their developers; importing some gives many.
                warnings.simplefilter("ignore", category)

            def show(message: Warning | str, *_: object, **__: object) -> None:
                complain("warning", reword(str(message)))

            warnings.showwarning = show
            try:
                # Astropy's logger takes warnings for itself when it is imported.
                importlib.import_module("astropy.logger")
                warnings.showwarning = show
                check_paths(options)
                return COMMANDS[options.command](options) or 0
            except Exception as error:  # noqa: BLE001 - one line, whatever it is
                if options.debug:
                    traceback.print_exc()
                text = str(error).strip()
                if not text or not isinstance(error, EXPECTED):
                    text = f"{type(error).__name__}: {text}".removesuffix(": ")
                complain("error", reword(text))
                return 1
    except KeyboardInterrupt:
        complain("error", "interrupted")
        return 130
    finally:
        finish()
