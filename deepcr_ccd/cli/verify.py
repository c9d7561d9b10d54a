"""The actions ``verify`` and ``add-test`` of ``deepcr-ccd models``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .console import complain, say

__all__ = ["add_test_command", "add_verify_parsers", "verify_command"]


def add_verify_parsers(actions: Any, shared: argparse.ArgumentParser) -> None:
    """Add the actions.

    Parameters
    ----------
    actions : object
        From ``add_subparsers``.
    shared : `argparse.ArgumentParser`
        Options of all commands.
    """

    def add(action: str, what: str, more: str) -> Callable[..., argparse.Action]:
        parser = actions.add_parser(
            action, parents=[shared], help=what, description=f"{what}. {more}"
        )
        return parser.add_argument

    verify = add(
        "verify",
        "check the weights of models, and run their test inputs",
        "The exit status is 1 if a check fails, or if there is nothing to check with.",
    )
    verify("names", nargs="+", metavar="NAME|FILE", help="names or paths of models")
    verify("--device", help="cpu, cuda, cuda:N or mps")
    test = add(
        "add-test",
        "write a test input into model files",
        "It is a simulated frame, with what the model gives for it now, and the sha256 "
        "of the weights. All else in the file stays as it is.",
    )
    test("files", nargs="+", metavar="FILE", help="model files (.safetensors)")
    test("--overwrite", action="store_true", help="replace test inputs that are there")


def verify_command(options: argparse.Namespace) -> int:
    """Run ``deepcr-ccd models verify``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.

    Returns
    -------
    int
        1 if a model was not verified.
    """
    from ..models.zoo import load_model

    status = 0
    for name in options.names:
        try:
            found = load_model(name, device=options.device).verify()
        except (OSError, ValueError, ImportError) as error:
            if len(options.names) == 1:
                raise
            complain("error", error)
            status = 1
            continue
        say(str(found))
        status = status if found.passed else 1
    return status


def add_test_command(options: argparse.Namespace) -> None:
    """Run ``deepcr-ccd models add-test``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.

    Raises
    ------
    ValueError
        If a file has a test input, without ``--overwrite``; none is changed then.
    """
    from ..models.model import Model
    from ..models.weights import read_card, read_test, write_test

    for file in () if options.overwrite else options.files:
        if read_test(file, read_card(file).task) is not None:
            origin = read_card(file).test_origin or "of unknown origin"
            raise ValueError(
                f"{file} has a test input ({origin}); --overwrite replaces it by a "
                "simulated one"
            )
    for file in options.files:
        model = Model.load(file, device="cpu", precision="float32")
        write_test(file, model.with_test())
        say(f"wrote {file}")
