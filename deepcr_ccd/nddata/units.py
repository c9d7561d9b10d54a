"""Units as FITS headers and users write them."""

from __future__ import annotations

import math
import re

from astropy import units as u
from astropy.io import fits
from astropy.io.fits import VerifyError

__all__ = ["choose_unit", "header_unit", "parse_unit"]

#: Words in BUNIT that astropy does not read; they are looked up as they are written,
#: and then in small letters.
WORDS = {
    "mJy": "mJy",
    "adus": "adu",
    "ang": "angstrom",
    "angstroms": "angstrom",
    "counts": "adu",
    "cts": "adu",
    "cps": "adu/s",
    "dn": "adu",
    "dns": "adu",
    "du": "adu",
    "e": "electron",
    "electrons": "electron",
    "ergs": "erg",
    "hours": "hour",
    "hr": "hour",
    "hrs": "hour",
    "jy": "Jy",
    "k": "K",
    "kelvin": "K",
    "mins": "min",
    "minutes": "min",
    "mjy": "MJy",
    "nanomaggies": "nmgy",
    "photons": "photon",
    "pixels": "pix",
    "s": "s",
    "sec": "s",
    "secs": "s",
    "seconds": "s",
}
#: Longer ones, as regular expressions.
PHRASES = {
    r"\b(data|digital)\s+(number|unit)s?\b": "adu",
    r"(?<![\w.])e[-\u2212](?!\w)": "electron",
    r"\s+per\s+": "/",
    # A word alone in brackets.
    r"(?<![^/*.])\(([^\W\d_]+)\)": r"\1",
}
#: Longer text is no unit, nor is one with a longer number or with whole numbers after
#: the first whose product is greater: powers are computed to the last digit.
LONGEST_TEXT, MOST_DIGITS, GREATEST_POWER = 80, 6, 100_000
#: Words for no unit.
NO_UNIT = {"none", "n/a", "unitless", "dimensionless"}


def parse_unit(text: str) -> u.UnitBase:
    """Read a unit as FITS headers and users write it.

    Parameters
    ----------
    text : str
        Such as ``"ELECTRONS"``, ``"e-/sec"``, ``"COUNTS"``, ``"DNs"`` or ``"adu"``.

    Raises
    ------
    TypeError
        If it is not text.
    ValueError
        If it is no unit, or one of a logarithmic scale.
    """
    if not isinstance(text, str):
        raise TypeError(f"unit={text!r} must be text, such as 'electron' or 'adu'")
    written = text.strip()
    if not _is_bounded(written):
        shown = f"{text[:LONGEST_TEXT]!r}" + ("..." if len(text) > LONGEST_TEXT else "")
        raise ValueError(f"unit {shown} is too long, or has too great a number")
    # In capitals, S is the second and not the siemens; one letter may be what it is.
    attempts = [written, written.lower()]
    if written.isupper() and len(written) > 1:
        attempts.reverse()
    for attempt in attempts:
        try:
            unit = u.Unit(_one_slash(_known_words(attempt)))
        except (ValueError, TypeError, ArithmeticError):
            continue
        if isinstance(unit, u.UnitBase) and 0 < abs(unit.scale) < math.inf:
            return unit
    raise ValueError(f"unit {text!r} is unknown; use electron, adu or another unit")


def header_unit(header: fits.Header) -> tuple[u.UnitBase | None, str]:
    """Return the unit that BUNIT names, and its text.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        The image's header.

    Returns
    -------
    unit : `~astropy.units.UnitBase` or None
        None if there is none, or it is unknown.
    text : str
        What BUNIT says; empty if there is no unit.
    """
    try:
        value = header.get("BUNIT")
    except VerifyError:
        return None, "a card that cannot be read"
    text = str(value).strip() if isinstance(value, str | int | float) else ""
    if not text or text.lower() in NO_UNIT:
        return None, ""
    try:
        return parse_unit(text), text
    except ValueError:
        return None, text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "..."


def choose_unit(
    header: fits.Header, asked: u.UnitBase | None
) -> tuple[u.UnitBase, str]:
    """Return the unit of an image, and what is odd about its BUNIT.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        The image's header.
    asked : `~astropy.units.UnitBase` or None
        What the user says; it wins.

    Returns
    -------
    unit : `~astropy.units.UnitBase`
        Dimensionless where it is not known.
    odd : str
        Empty if all is well.
    """
    unit, text = header_unit(header)
    if asked is not None:
        if unit is not None and unit != asked:
            return asked, f"BUNIT={text!r}, and the unit asked for is used: {asked}"
        return asked, ""
    if unit is None:
        odd = f"BUNIT={text!r} is no known unit; the image counts as one without"
        return u.dimensionless_unscaled, odd if text else ""
    return unit, ""


def _is_bounded(text: str) -> bool:
    """Tell whether text is short enough, and powers in it small enough, to be read."""
    if len(text) > LONGEST_TEXT:
        return False
    start = len(text) - len(re.sub(r"^[+-]?\d*", "", text))
    whole = re.findall(r"(?<![\d.])\d+", text[start:])
    if max(map(len, [text[:start], *whole])) > MOST_DIGITS:
        return False
    return math.prod(max(int(number), 1) for number in whole) <= GREATEST_POWER


def _known_words(text: str) -> str:
    for phrase, word in PHRASES.items():
        text = re.sub(phrase, word, text, flags=re.IGNORECASE)
    return re.sub(r"(?<![\d.])[^\W\d_]+", _known_word, text)


def _known_word(match: re.Match[str]) -> str:
    word = match.group()
    return WORDS.get(word) or WORDS.get(word.lower(), word)


def _one_slash(text: str) -> str:
    """Return ``a/b/c`` as ``a/(b*c)``, of which astropy does not warn."""
    first, *others = text.split("/")
    if len(others) < 2 or any(re.search(r"[\s*](?!\*)(?<!\*\*)", o) for o in others):
        return text
    return f"{first}/({'*'.join(others)})"
