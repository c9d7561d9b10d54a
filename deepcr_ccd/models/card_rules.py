"""Rules for values in a model's card: text, names, numbers and lists of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = [
    "MAX_DEPTH",
    "MAX_ENTRIES",
    "TEXT",
    "Rule",
    "depth_of",
    "either",
    "is_number",
    "line",
    "list_of",
    "model_name",
    "number",
    "number_range",
    "numbers",
    "one_of",
    "short",
    "texts_to",
    "whole",
    "wholes",
]

#: Longest text and name, in characters, and most entries of a list or a mapping.
MAX_TEXT = 100_000
MAX_NAME = 200
MAX_ENTRIES = 10_000
#: Most levels of lists and mappings within one another.
MAX_DEPTH = 100
#: Largest number in a card.
MAX_NUMBER = 1e300
#: Characters that a name must not have, as it may become part of a path or a header.
UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: Those that end a line, or that a terminal obeys.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: Those that a terminal obeys, other than tabs and the ends of lines.
COMMANDS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Rule(NamedTuple):
    """Tells whether a value is allowed, and the allowed ones in words."""

    allows: Callable[[Any], bool]
    words: str


def is_number(value: Any) -> bool:
    """Tell whether a value is a number, and a finite one.

    Parameters
    ----------
    value : object
        Anything.
    """
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < MAX_NUMBER
    )


def number(low: float, high: float) -> Rule:
    """Return the rule of a number within limits.

    Parameters
    ----------
    low, high : float
        The limits.
    """
    return Rule(
        lambda value: is_number(value) and low <= value <= high,
        f"a number from {low:g} to {high:g}",
    )


def whole(low: int, high: int) -> Rule:
    """Return the rule of a whole number within limits.

    Parameters
    ----------
    low, high : int
        The limits.
    """
    return Rule(
        lambda value: (
            isinstance(value, int)
            and not isinstance(value, bool)
            and low <= value <= high
        ),
        f"a whole number from {low} to {high}",
    )


def wholes(low: int, high: int, most: int) -> Rule:
    """Return the rule of a list of whole numbers within limits.

    Parameters
    ----------
    low, high : int
        The limits.
    most : int
        Longest list.
    """
    one = whole(low, high)
    return Rule(
        lambda value: (
            isinstance(value, list | tuple)
            and 1 <= len(value) <= most
            and all(map(one.allows, value))
        ),
        f"a list of 1 to {most} whole numbers from {low} to {high}",
    )


def numbers(low: float, high: float, fewest: int, most: int) -> Rule:
    """Return the rule of a list of numbers within limits.

    Parameters
    ----------
    low, high : float
        The limits.
    fewest, most : int
        Shortest and longest list.
    """
    one = number(low, high)
    return Rule(
        lambda value: (
            isinstance(value, list | tuple)
            and fewest <= len(value) <= most
            and all(map(one.allows, value))
        ),
        f"a list of {fewest} to {most} numbers from {low:g} to {high:g}",
    )


def list_of(one: Rule) -> Rule:
    """Return the rule of a list whose entries follow a rule, which may be empty.

    Parameters
    ----------
    one : Rule
        Of the entries.
    """
    return Rule(
        lambda value: (
            isinstance(value, list | tuple)
            and len(value) <= MAX_ENTRIES
            and all(map(one.allows, value))
        ),
        f"a list of {one.words}",
    )


def either(one: Rule, other: Rule) -> Rule:
    """Return the rule of values that one of two rules allows.

    Parameters
    ----------
    one, other : Rule
        The rules.
    """
    return Rule(
        lambda value: one.allows(value) or other.allows(value),
        f"{one.words}, or {other.words}",
    )


def one_of(*values: object) -> Rule:
    """Return the rule of a few values.

    Parameters
    ----------
    *values : object
        Those that are allowed; 1 is not True.
    """
    return Rule(
        lambda value: any(type(value) is type(v) and value == v for v in values),
        f"one of {', '.join(map(repr, values))}",
    )


def model_name(empty: bool = False) -> Rule:
    """Return the rule of the name of a model.

    Parameters
    ----------
    empty : bool
        Whether it may be empty.
    """
    return Rule(
        lambda value: (
            isinstance(value, str)
            and (empty or value.strip() != "")
            and len(value) <= MAX_NAME
            and not UNSAFE.search(value)
        ),
        f"a name of up to {MAX_NAME} characters, without '/', '\\' and line breaks",
    )


def line() -> Rule:
    """Return the rule of text on one line, which may be empty."""
    return Rule(
        lambda value: (
            isinstance(value, str)
            and len(value) <= MAX_NAME
            and not CONTROL.search(value)
        ),
        f"text of up to {MAX_NAME} characters, on one line",
    )


def number_range(low: float, high: float) -> Rule:
    """Return the rule of a range within limits, which may be empty.

    Parameters
    ----------
    low, high : float
        The limits.
    """
    both = numbers(low, high, 2, 2)
    return Rule(
        lambda value: (
            (isinstance(value, list | tuple) and not value)
            or (both.allows(value) and value[0] <= value[1])
        ),
        f"a list of a lowest and a highest number, from {low:g} to {high:g}",
    )


def depth_of(value: Any) -> int:
    """Return how many lists and mappings are within one another.

    Parameters
    ----------
    value : object
        What JSON can represent.
    """
    depth, level = 0, [value]
    while True:
        level = [one for one in level if isinstance(one, dict | list | tuple)]
        if not level or depth > MAX_DEPTH:
            return depth
        depth += 1
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
        ]


def texts_to(kind: type | tuple) -> Rule:
    """Return the rule of a mapping of text to values.

    Parameters
    ----------
    kind : type or tuple of type
        Of the values.
    """
    return Rule(
        lambda value: (
            isinstance(value, Mapping)
            and len(value) <= MAX_ENTRIES
            and all(
                isinstance(key, str) and isinstance(entry, kind)
                for key, entry in value.items()
            )
        ),
        "a mapping of text to values",
    )


TEXT = Rule(
    lambda value: (
        isinstance(value, str) and len(value) <= MAX_TEXT and not COMMANDS.search(value)
    ),
    f"text of up to {MAX_TEXT} characters, without control characters",
)


def short(value: object) -> str:
    """Return the repr of a value, in 80 characters or less.

    Parameters
    ----------
    value : object
        Anything that JSON can represent.
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        # A number of more digits than Python writes; lists within lists.
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."
