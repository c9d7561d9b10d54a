"""Allowed values of the fields of a model's card, which are checked before use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .card_rules import (
    MAX_DEPTH,
    MAX_ENTRIES,
    TEXT,
    Rule,
    depth_of,
    either,
    is_number,
    list_of,
    model_name,
    number,
    numbers,
    one_of,
    short,
    texts_to,
    whole,
    wholes,
)

__all__ = ["LATER", "check_architecture_arguments", "check_fields"]

#: A hint for unknown words.
LATER = " (is it of a later version of deepcr_ccd?)"
#: Scales of the input: those of instruments, and far beyond.
SCALES = (1e-9, 1e12)
#: Largest activation in a network.
MAX_ACTIVATION = 1e30


def _is_calibration(value: Any) -> bool:
    if not isinstance(value, Mapping) or len(value) > MAX_ENTRIES:
        return False
    try:
        rates = [(float(rate), threshold) for rate, threshold in value.items()]
    except (TypeError, ValueError):
        return False
    if not all(0 < rate <= 1 and is_number(threshold) for rate, threshold in rates):
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
            and all(map(is_number, pair))
            for pair in value
        )
    )


def _is_ranges(value: Any) -> bool:
    return _is_pairs(value) and all(
        -MAX_ACTIVATION < low <= high < MAX_ACTIVATION for low, high in value
    )


FIELDS: dict[str, Rule] = {
    "name": model_name(),
    "architecture": model_name(),
    "arguments": texts_to(object),
    "transform_arguments": texts_to(object),
    "threshold": number(0, 1),
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
    "fill": model_name(empty=True),
    "instrument": TEXT,
    "filters": list_of(TEXT),
    "domain": texts_to((str, int, float)),
    "training_data": TEXT,
    "scores": texts_to(object),
    "citation": TEXT,
    "license": TEXT,
    "description": TEXT,
}
#: Limits of arguments of transforms and of architectures: far beyond useful ones, and
#: small enough to be planned. "window" is the name in files of what works on cutouts.
TRANSFORM_ARGUMENTS: dict[str, dict[str, Rule]] = {
    "scaled": {"scale": number(*SCALES)},
    "standardized": {},
    "noise": {"cell": whole(8, 4096)},
    "window": {},
}
ARCHITECTURE_ARGUMENTS: dict[str, dict[str, Rule]] = {
    "unet": {
        "in_channels": whole(1, 64),
        "out_channels": whole(1, 64),
        "width": either(whole(1, 4096), wholes(1, 65536, 12)),
        "levels": whole(1, 12),
        "stem": whole(1, 16),
        "merge": whole(1, 16),
        "skip": one_of("concatenate", "add"),
        "norm": one_of(True, False),
        "star_widths": numbers(0.1, 100, 2, 64),
    },
    "window": {
        "radius": whole(1, 64),
        "width": wholes(1, 65536, 32),
    },
}


def check_fields(card: Mapping[str, Any], more: Mapping[str, Rule]) -> None:
    """Raise an error if the value of a field of a card is not allowed.

    Parameters
    ----------
    card : mapping
        Values by the name of the field.
    more : mapping
        Rules of further fields.

    Raises
    ------
    ValueError
        It names the field, its value and what is allowed.
    """
    name = card["name"] if FIELDS["name"].allows(card["name"]) else "a model"
    for field, rule in {**FIELDS, **more}.items():
        if depth_of(card[field]) > MAX_DEPTH:
            raise ValueError(
                f"card of {name!r}: {field} holds lists or mappings within more than "
                f"{MAX_DEPTH} others"
            )
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
