"""Who made a model, from what and for what: fields of its card, none of them needed."""

from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Any

from .card_rules import (
    TEXT,
    Rule,
    either,
    is_number,
    line,
    list_of,
    model_name,
    number,
    number_range,
    texts_to,
)

__all__ = ["MAX_TOLERANCE", "PROVENANCE_RULES", "Provenance"]

#: By how much the output for a test input may differ at most; more would tell nothing.
MAX_TOLERANCE = 0.05

DOI = re.compile(r"10\.\d{4,9}/\S+")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """Who made a model, from what and for what.

    Parameters
    ----------
    version, date : str
        Version of the model, and the day it was made, as in ``"2026-11-27"``.
    authors : list of str
        Who made it.
    contact : str
        Where to ask: an address or a page.
    doi : str
        Of the model or of its paper, as in ``"10.3847/1538-4357/ab3fa6"``.
    parent : str
        The model whose weights its training began with, if any.
    origin : dict
        Where the weights were published first, for converted models: the distribution,
        the file and its sha256.
    datasets : list of dict
        Data of the training: text, or lists of text, by words such as ``name``,
        ``archive``, ``identifiers`` (of exposures or programmes), ``doi`` and ``use``.
    intended_use, known_limits : str
        What it is for, and where it fails.
    fwhm_range : list of float
        Lowest and highest FWHM of stars in the training, in px; empty if unknown.
    background_range : list of float
        Lowest and highest background in the training, in the card's unit per px, or in
        electron if that takes any; empty if unknown.
    benchmark : dict
        Name and version of the benchmark that measured ``scores``, as in
        ``{"name": "standard", "version": "1"}``.
    test_origin : str
        What the test input is, in words.
    test_tolerance : float or None
        By how much the output for the test input may differ from the one in the file:
        absolute for values up to 1, relative above. Up to 0.05; None without a test
        input.
    sha256 : str
        Digest of the weights, see `~deepcr_ccd.models.verification.digest_of`; it is
        set when the model is saved.
    """

    version: str = ""
    date: str = ""
    authors: list = dataclasses.field(default_factory=list)
    contact: str = ""
    doi: str = ""
    parent: str = ""
    origin: dict = dataclasses.field(default_factory=dict)
    datasets: list = dataclasses.field(default_factory=list)
    intended_use: str = ""
    known_limits: str = ""
    fwhm_range: list = dataclasses.field(default_factory=list)
    background_range: list = dataclasses.field(default_factory=list)
    benchmark: dict = dataclasses.field(default_factory=dict)
    test_origin: str = ""
    test_tolerance: float | None = None
    sha256: str = ""

    def provenance_facts(self) -> dict[str, Any]:
        """Return what a user wants to know of it.

        Returns
        -------
        dict
            Values by their names in words; those that are not known are empty.
        """
        benchmark = " ".join(map(str, self.benchmark.values()))
        return {
            "for": self.intended_use,
            "limits": self.known_limits,
            "FWHM of its training (px)": _as_range(self.fwhm_range),
            "background of its training": _as_range(self.background_range),
            "data sets": [_as_text(one) for one in self.datasets],
            "benchmark": benchmark,
            "parent": self.parent,
            "version": self.version,
            "date": self.date,
            "authors": self.authors,
            "contact": self.contact,
            "DOI": self.doi,
            "origin": self.origin,
            "test input": self.test_origin,
            "sha256": self.sha256,
        }


def _as_range(ends: list) -> str:
    return f"{ends[0]:g} to {ends[1]:g}" if ends else ""


def _as_text(dataset: dict) -> str:
    """Return a data set as a line: its name, and what else is known in brackets."""
    known = [
        ", ".join(value) if isinstance(value, list | tuple) else str(value)
        for key, value in dataset.items()
        if key != "name" and value
    ]
    name, more = str(dataset.get("name", "")), "; ".join(known)
    return f"{name} ({more})" if name and more else name or more


def _is_date(value: Any) -> bool:
    if value == "":
        return True
    # Python reads weeks too, and days without hyphens.
    if not isinstance(value, str) or not DATE.fullmatch(value):
        return False
    try:
        return bool(datetime.date.fromisoformat(value))
    except ValueError:
        return False


def _pattern(pattern: re.Pattern, words: str) -> Rule:
    return Rule(
        lambda value: (
            isinstance(value, str)
            and len(value) <= 300
            and (value == "" or pattern.fullmatch(value) is not None)
        ),
        words,
    )


#: An entry of ``datasets``: of words to text, or to lists of it.
DATASET = Rule(
    lambda value: (
        texts_to((str, list, tuple)).allows(value)
        and all(either(TEXT, list_of(TEXT)).allows(entry) for entry in value.values())
    ),
    "mappings of words, such as name and identifiers, to text or lists of text",
)
#: Allowed values of the fields.
PROVENANCE_RULES: dict[str, Rule] = {
    "version": line(),
    "date": Rule(_is_date, "a day as in '2026-11-27'"),
    "authors": list_of(line()),
    "contact": line(),
    "doi": _pattern(DOI, "a DOI as in '10.3847/1538-4357/ab3fa6'"),
    "parent": model_name(empty=True),
    "origin": texts_to(str),
    "datasets": list_of(DATASET),
    "intended_use": TEXT,
    "known_limits": TEXT,
    "fwhm_range": number_range(0, 1e4),
    "background_range": number_range(-1e12, 1e12),
    "benchmark": Rule(
        lambda value: (
            texts_to((str, int, float)).allows(value)
            and len(value) <= 20
            and all(
                line().allows(entry) or is_number(entry) for entry in value.values()
            )
        ),
        "a mapping of words, such as name and version, to text or numbers",
    ),
    "test_origin": TEXT,
    "test_tolerance": Rule(
        lambda value: value is None or number(0, MAX_TOLERANCE).allows(value),
        f"a number from 0 to {MAX_TOLERANCE:g}, or None",
    ),
    "sha256": _pattern(SHA256, "64 hexadecimal digits"),
}
