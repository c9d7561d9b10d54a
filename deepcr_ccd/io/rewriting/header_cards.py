"""Set keywords in a FITS header and keep all other cards byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from astropy.io import fits

from ..header_checks import CARD_LENGTH, FITS_BLOCK

__all__ = ["edit_header", "find_card", "has_card", "replace_value"]

#: What stands before the comment of a card, behind its "=".
FIELD = re.compile(rb" *'(?:[^']|'')*'[^/]*|[^/]*")


def edit_header(
    raw: bytes, keywords: Iterable[tuple], *, extend: bool = False
) -> bytes:
    """Return a header with keywords set.

    Cards that are not set stay as they are, also those that the FITS standard does not
    allow. New ones go to the end, in the place of blank ones if there are some.

    Parameters
    ----------
    raw : bytes
        The header, with END.
    keywords : iterable of (str, value, str)
        Keywords to set, with value and comment; HISTORY is added.
    extend : bool
        Whether to say that extensions may follow.

    Returns
    -------
    bytes
        Whole blocks.
    """
    cards = [
        raw[start : start + CARD_LENGTH] for start in range(0, len(raw), CARD_LENGTH)
    ]
    end = next(i for i, card in enumerate(cards) if card.rstrip() == b"END")
    cards = cards[:end]
    while cards and not cards[-1].strip():
        cards.pop()
    if extend:
        card = _card_image("EXTEND", True, "")
        place = _find(cards, "EXTEND")
        if place is None:
            axes = [i for i, c in enumerate(cards) if c.startswith(b"NAXIS")]
            cards.insert(axes[-1] + 1, card)
        elif cards[place][10:].split(b"/")[0].strip() != b"T":
            cards[place] = card
    for key, value, comment in keywords:
        card = _card_image(key, value, comment)
        place = _find(cards, key)
        if key == "HISTORY":
            place = len(cards) if place is None else place + 1
            cards.insert(place, card)
        elif place is None:
            cards.append(card)
        else:
            cards[place] = card
            # A long string goes on in these.
            while cards[place + 1 : place + 2] and cards[place + 1][:8] == b"CONTINUE":
                del cards[place + 1]
    text = b"".join(cards)
    # What was there of blank cards was room for more.
    size = max(len(text) + CARD_LENGTH, (end + 1) * CARD_LENGTH)
    text = text.ljust(size - CARD_LENGTH) + b"END".ljust(CARD_LENGTH)
    return text + b" " * (-len(text) % FITS_BLOCK)


def find_card(raw: bytes, key: str) -> int | None:
    """Return the byte where the first card of a keyword begins; None without one.

    Keywords in lower case count too, as astropy reads them.

    Parameters
    ----------
    raw : bytes
        The header, with END.
    key : str
        The keyword, of a card with a value.
    """
    name = key.encode("ascii").ljust(8) + b"="
    for start in range(0, len(raw), CARD_LENGTH):
        card = raw[start : start + CARD_LENGTH]
        if card.rstrip() == b"END":
            break
        if card[: len(name)].upper() == name:
            return start
    return None


def has_card(raw: bytes, key: str) -> bool:
    """Return whether a header has a card with a keyword and a value.

    Parameters
    ----------
    raw : bytes
        The header, with END.
    key : str
        The keyword.
    """
    return find_card(raw, key) is not None


def replace_value(card: bytes, text: bytes) -> bytes:
    """Return a card with another string for its value.

    Its comment stays where it is if there is room for the string before it.

    Parameters
    ----------
    card : bytes
        The card, with a value.
    text : bytes
        Up to 68 characters, without quotes.
    """
    # The pattern also matches nothing.
    field = next(FIELD.finditer(card, 9))[0]
    comment = card[9 + len(field) :]
    value = b" '" + text.ljust(8) + b"'"
    if comment:
        value = (value + b" ").ljust(len(field))
    return (card[:9] + value + comment)[:CARD_LENGTH].ljust(CARD_LENGTH)


def _find(cards: list[bytes], key: str) -> int | None:
    """Return the place of a keyword, of HISTORY the last; None if it is not there."""
    name = key.encode("ascii").ljust(8)
    ends = b"" if key == "HISTORY" else b"="
    found = [i for i, card in enumerate(cards) if card.startswith(name + ends)]
    if not found:
        return None
    return found[-1] if key == "HISTORY" else found[0]


def _card_image(key: str, value: Any, comment: str) -> bytes:
    """Return a card as it is written; of a long text, several."""
    header = fits.Header()
    if key == "HISTORY":
        header.add_history(value)
    else:
        header[key] = (value, comment)
    return b"".join(str(card).encode("ascii") for card in header.cards)
