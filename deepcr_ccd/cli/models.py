"""The command ``deepcr-ccd models`` and its actions."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from .benchmark import add_benchmark_parser, benchmark_command
from .console import say
from .verify import add_test_command, add_verify_parsers, verify_command

# What reads models is imported by the action that needs it.

__all__ = ["add_models_parser", "models_command", "with_action"]

#: As in `~deepcr_ccd.list_models`.
TASKS = ("mask", "inpaint")
SOURCES = ("shipped", "published", "plugin", "own", "remote")
#: Options that choose models from the list.
FILTERS = ("--task", "--instrument", "--source")


def add_models_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add the command ``models``.

    Parameters
    ----------
    commands : object
        From ``add_subparsers``.
    shared : `argparse.ArgumentParser`
        Options of all commands.
    """
    models = commands.add_parser(
        "models",
        parents=[shared],
        help="list models, describe one, add one of your own",
        description="List models ('list' may be added). With NAME alone, describe that "
        "model.",
    )
    for option, what in zip(
        FILTERS,
        ("for this task", "made for this instrument, such as 'ACS WFC'", "from there"),
        strict=True,
    ):
        choices = {"--task": TASKS, "--source": SOURCES}.get(option)
        metavar = None if choices else "TEXT"
        models.add_argument(
            option, choices=choices, metavar=metavar, help=f"list models {what}"
        )
    actions = models.add_subparsers(dest="action", metavar="ACTION")

    def add(action: str, what: str) -> Callable[..., argparse.Action]:
        parser = actions.add_parser(action, parents=[shared], help=what)
        return parser.add_argument

    show = add("show", "describe a model")
    show("name", metavar="NAME|FILE", help="name or path of a model")
    adds = add("add", "copy a model file to your folder of models")
    adds("file", metavar="FILE", help="model file (.safetensors)")
    adds("--overwrite", action="store_true", help="replace the model of this name")
    remove = add("remove", "remove a model that was added or fetched")
    remove("name", metavar="NAME", help="name of the model")
    export = add("export", "write a model to a file")
    export("name", metavar="NAME|FILE", help="name or path of a model")
    export("file", metavar="FILE", help="the new file (.safetensors)")
    export("--overwrite", action="store_true", help="replace the file")
    add_verify_parsers(actions, shared)
    add_benchmark_parser(actions, shared)


def with_action(arguments: Sequence[str]) -> list[str]:
    """Return arguments of the command, where ``models NAME`` means to show it.

    ``models list`` is the same as ``models``.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name.

    Examples
    --------
    >>> with_action(["models", "decam"])
    ['models', 'show', 'decam']
    >>> with_action(["models", "--task", "mask"])
    ['models', '--task', 'mask']
    >>> with_action(["models", "list", "--task", "mask"])
    ['models', '--task', 'mask']
    """
    words = list(arguments)
    command = next((i for i, word in enumerate(words) if word[:1] != "-"), len(words))
    if words[command : command + 1] != ["models"]:
        return words
    place = command + 1
    while place < len(words) and words[place].startswith("-"):
        # Options may be shortened; their value is the next word.
        word = words[place]
        has_value = word[:2] == "--" and any(one.startswith(word) for one in FILTERS)
        place += 2 if has_value else 1
    action = words[place : place + 1]
    if action == ["list"]:
        del words[place]
    elif action and action[0] not in ACTIONS:
        words.insert(place, "show")
    return words


def models_command(options: argparse.Namespace) -> int | None:
    """Run ``deepcr-ccd models``.

    Parameters
    ----------
    options : `argparse.Namespace`
        Its options.

    Returns
    -------
    int or None
        Exit status, if it is not 0.

    Raises
    ------
    ValueError
        If options for the list are given with an action.
    """
    for option in FILTERS:
        name = option.strip("-")
        value = getattr(options, name)
        if options.action is not None and value is not None:
            raise ValueError(
                f"{name}={value!r} is for the list of models, not for {options.action}"
            )
    return ACTIONS[options.action](options)


def _list(options: argparse.Namespace) -> None:
    from ..models.zoo import list_models

    table = list_models(
        task=options.task, instrument=options.instrument, source=options.source
    )
    if len(table):
        say("\n".join(table.pformat(max_lines=-1, max_width=-1, align="<")))
    else:
        say("no models")


def _show(options: argparse.Namespace) -> None:
    from ..models.provenance import Provenance
    from ..models.sources.catalogue import describe_source
    from ..models.zoo import load_model

    card = load_model(options.name, device="cpu").card
    of_origin = {field.name for field in dataclasses.fields(Provenance)}
    # What it is, then where it comes from.
    for field in sorted(dataclasses.fields(card), key=lambda f: f.name in of_origin):
        if field.name == "threshold" and card.task != "mask":
            continue
        value = getattr(card, field.name)
        if field.name == "unit":
            value = value or "any"
        if value not in ("", {}, [], (), None):
            say(f"{field.name:20} {value}")
    say(f"{'source':20} {describe_source(options.name)}")


def _add(options: argparse.Namespace) -> None:
    from ..models.sources.manage import add_model

    say(f"added {add_model(options.file, overwrite=options.overwrite)}")


def _remove(options: argparse.Namespace) -> None:
    from ..models.sources.manage import remove_model

    say(f"removed {remove_model(options.name)}")


def _export(options: argparse.Namespace) -> None:
    from ..models.sources.manage import export_model

    file = export_model(options.name, options.file, overwrite=options.overwrite)
    say(f"wrote {file}")


#: What runs each action; without one, models are listed.
ACTIONS: dict[str | None, Callable[[argparse.Namespace], int | None]] = {
    None: _list,
    "show": _show,
    "add": _add,
    "remove": _remove,
    "export": _export,
    "verify": verify_command,
    "add-test": add_test_command,
    "benchmark": benchmark_command,
}
