"""Allowed values of the fields of a model's card, which are checked before use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["LATER", "check_architecture_arguments", "check_fields", "short"]

#: A hint for unknown words.
LATER = " (is it of a later version of deepcr_ccd?)"
#: Longest text and name, in characters, and most entries of a list or a mapping.
MAX_TEXT = 100_000
MAX_NAME = 200
MAX_ENTRIES = 10_000
#: Scales of the input: those of instruments, and far beyond.
SCALES = (1e-9, 1e12)
#: Largest number in a card.
MAX_NUMBER = 1e300
#: Largest activation in a network.
MAX_ACTIVATION = 1e30
#: Characters that a name must not have, as it may become part of a path or a header.
UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Rule(NamedTuple):
    """Tells whether a value is allowed, and the allowed ones in words."""

    allows: Callable[[Any], bool]
    words: str


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < MAX_NUMBER
    )


def _number(low: float, high: float) -> Rule:
    return Rule(
        lambda value: _is_number(value) and low <= value <= high,
        f"a number from {low:g} to {high:g}",
    )


def _whole(low: int, high: int) -> Rule:
    return Rule(
        lambda value: (
            isinstance(value, int)
            and not isinstance(value, bool)
            and low <= value <= high
        ),
        f"a whole number from {low} to {high}",
    )


def _wholes(low: int, high: int, most: int) -> Rule:
    one = _whole(low, high)
    return Rule(
        lambda value: (
            isinstance(value, list | tuple)
            and 1 <= len(value) <= most
            and all(map(one.allows, value))
        ),
        f"a list of 1 to {most} whole numbers from {low} to {high}",
    )


def _numbers(low: float, high: float, fewest: int, most: int) -> Rule:
    one = _number(low, high)
    return Rule(
        lambda value: (
            isinstance(value, list | tuple)
            and fewest <= len(value) <= most
            and all(map(one.allows, value))
        ),
        f"a list of {fewest} to {most} numbers from {low:g} to {high:g}",
    )


def _either(one: Rule, other: Rule) -> Rule:
    return Rule(
        lambda value: one.allows(value) or other.allows(value),
        f"{one.words}, or {other.words}",
    )


def _one_of(*values: object) -> Rule:
    return Rule(
        lambda value: any(type(value) is type(v) and value == v for v in values),
        f"one of {', '.join(map(repr, values))}",
    )


def _name(empty: bool = False) -> Rule:
    return Rule(
        lambda value: (
            isinstance(value, str)
            and (empty or value.strip() != "")
            and len(value) <= MAX_NAME
            and not UNSAFE.search(value)
        ),
        f"a name of up to {MAX_NAME} characters, without '/', '\\' and line breaks",
    )


def _is_calibration(value: Any) -> bool:
    if not isinstance(value, Mapping) or len(value) > MAX_ENTRIES:
        return False
    try:
        rates = [(float(rate), threshold) for rate, threshold in value.items()]
    except (TypeError, ValueError):
        return False
    if not all(0 < rate <= 1 and _is_number(threshold) for rate, threshold in rates):
        return False
    thresholds = [threshold for _, threshold in sorted(rates)]
    return all(0 <= threshold <= 1 for threshold in thresholds) and all(
        after <= before
        for before, after in zip(thresholds, thresholds[1:], strict=False)
    )


def _is_pairs(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) <= MAX_ENTRIES
        and all(
            isinstance(pair, list | tuple)
            and len(pair) == 2
            and all(map(_is_number, pair))
            for pair in value
        )
    )


def _is_ranges(value: Any) -> bool:
    return _is_pairs(value) and all(
        -MAX_ACTIVATION < low <= high < MAX_ACTIVATION for low, high in value
    )


def _texts_to(kind: type | tuple) -> Rule:
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
    lambda value: isinstance(value, str) and len(value) <= MAX_TEXT,
    f"text of up to {MAX_TEXT} characters",
)
FIELDS: dict[str, Rule] = {
    "name": _name(),
    "architecture": _name(),
    "arguments": _texts_to(object),
    "transform_arguments": _texts_to(object),
    "threshold": _number(0, 1),
    "extend_threshold": Rule(
        lambda value: (
            value is None
            or (isinstance(value, int | float) and not isinstance(value, bool))
        ),
        "a number, or None",
    ),
    "recalibration": Rule(_is_pairs, "a list of pairs of numbers"),
    "calibration": Rule(
        _is_calibration,
        "fractions of pixels, in (0, 1], with thresholds in [0, 1] that fall as "
        "they grow",
    ),
    "ranges": Rule(_is_ranges, "a list of [lowest, highest]"),
    "fill": _name(empty=True),
    "instrument": TEXT,
    "filters": Rule(
        lambda value: (
            isinstance(value, list | tuple)
            and len(value) <= MAX_ENTRIES
            and all(map(TEXT.allows, value))
        ),
        "a list of text",
    ),
    "domain": _texts_to((str, int, float)),
    "training_data": TEXT,
    "scores": _texts_to(object),
    "citation": TEXT,
    "license": TEXT,
    "description": TEXT,
}
#: Limits of arguments of transforms and of architectures: far beyond useful ones, and
#: small enough to be planned. "window" is the name in files of what works on cutouts.
TRANSFORM_ARGUMENTS: dict[str, dict[str, Rule]] = {
    "scaled": {"scale": _number(*SCALES)},
    "standardized": {},
    "noise": {"cell": _whole(8, 4096)},
    "window": {},
}
ARCHITECTURE_ARGUMENTS: dict[str, dict[str, Rule]] = {
    "unet": {
        "in_channels": _whole(1, 64),
        "out_channels": _whole(1, 64),
        "width": _either(_whole(1, 4096), _wholes(1, 65536, 12)),
        "levels": _whole(1, 12),
        "stem": _whole(1, 16),
        "merge": _whole(1, 16),
        "skip": _one_of("concatenate", "add"),
        "norm": _one_of(True, False),
        "star_widths": _numbers(0.1, 100, 2, 64),
    },
    "window": {
        "radius": _whole(1, 64),
        "width": _wholes(1, 65536, 32),
    },
}


def check_fields(card: Mapping[str, Any]) -> None:
    """Raise an error if the value of a field of a card is not allowed.

    Parameters
    ----------
    card : mapping
        Values by the name of the field.

    Raises
    ------
    ValueError
        It names the field, its value and what is allowed.
    """
    name = card["name"] if FIELDS["name"].allows(card["name"]) else "a model"
    for field, rule in FIELDS.items():
        if not rule.allows(card[field]):
            raise ValueError(
                f"card of {name!r}: {field}={short(card[field])} must be {rule.words}"
            )
    known = TRANSFORM_ARGUMENTS.get(card["transform"], {})
    what = f"card of {name!r}: transform_arguments of {card['transform']!r}"
    _check_each(card["transform_arguments"], known, what)


def check_architecture_arguments(
    architecture: str, arguments: Mapping[str, Any]
) -> None:
    """Raise an error if an argument of an architecture is not allowed.

    Parameters
    ----------
    architecture : str
        Its name.
    arguments : mapping
        For its constructor.

    Raises
    ------
    ValueError
        It names the argument, its value and what is allowed.
    """
    what = f"arguments do not fit architecture {architecture!r}"
    _check_each(arguments, ARCHITECTURE_ARGUMENTS[architecture], what)


def _check_each(given: Mapping, known: Mapping[str, Rule], what: str) -> None:
    for key, value in given.items():
        if key not in known:
            raise ValueError(
                f"{what}: {short(key)} is unknown; known are "
                f"{', '.join(known) or 'none'}{LATER}"
            )
        if not known[key].allows(value):
            raise ValueError(f"{what}: {key}={short(value)} must be {known[key].words}")


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
