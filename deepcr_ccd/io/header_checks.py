"""Checks of the headers of a FITS file, before anything else reads it.

A damaged card can make a reader loop, or take all memory. So the cards that give sizes
are compared with the file, and with what FITS allows.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from astropy.io import fits
from astropy.io.fits import VerifyError

__all__ = ["CARD_LENGTH", "FITS_BLOCK", "SizeCards", "check_headers", "scan_hdus"]

#: FITS files consist of blocks of this many bytes, and headers of cards of these.
FITS_BLOCK, CARD_LENGTH = 2880, 80
#: The most blocks that a header may have, and HDUs that a file may have.
MOST_HEADER_BLOCKS = 4000
MOST_HDUS = 5000
#: The most bytes of junk after the last HDU, all of which astropy reads.
MOST_JUNK = 1 << 26
#: The largest size of a compressed image: in bytes, or in sizes of the file.
MOST_UNCOMPRESSED = 1 << 30
MOST_RATIO = 2000
BITPIX = (8, 16, 32, 64, -32, -64)
MOST_AXES = 999
LONGEST_AXIS = 1 << 40
_SIZES = re.compile(
    rb"\s*(HIERARCH\s+)?(SIMPLE|XTENSION|Z?BITPIX|Z?NAXIS\d*|[PG]COUNT|TFIELDS|GROUPS"
    rb"|ZTILE\d+|ZCMPTYPE|CRDIGEST)\s*=",
    re.IGNORECASE,
)
_END = re.compile(rb"END(?![A-Z0-9_-])")


class SizeCards(NamedTuple):
    """A header and data unit: cards of its header, and the bytes where it begins."""

    cards: fits.Header
    start: int


def check_headers(source: str | Path | BinaryIO) -> None:
    """Raise an error if a file's headers give sizes that cannot be.

    Parameters
    ----------
    source : path or binary file
        The file, not compressed as a whole. A stream is left at its beginning.

    Raises
    ------
    OSError
        If a unit is larger than the file, or the number of axes, fields, parameters or
        groups is none that FITS allows.
    """
    if isinstance(source, str | Path):
        with open(source, "rb") as stream:
            check_headers(stream)
        return
    for _ in scan_hdus(source):
        pass
    source.seek(0)


def scan_hdus(stream: BinaryIO) -> Iterator[SizeCards]:
    """Read the cards that give sizes, HDU by HDU.

    Parameters
    ----------
    stream : binary file
        Open for reading, not compressed as a whole.

    Yields
    ------
    SizeCards
        With those cards of its header that give sizes, and CRDIGEST.

    Raises
    ------
    OSError
        As `check_headers`; after the units before it.
    """
    size = stream.seek(0, io.SEEK_END)
    start = number = 0
    while start < size:
        stream.seek(start)
        block = stream.read(FITS_BLOCK)
        if number == 0 and not block.startswith(b"SIMPLE"):
            raise OSError("is no FITS file: it does not begin with SIMPLE")
        if number and not block.startswith(b"XTENSION"):
            if size - start > MOST_JUNK:
                raise OSError(f"has {size - start} bytes of junk after its last HDU")
            return
        if number >= MOST_HDUS:
            raise OSError(f"is damaged: it has more than {MOST_HDUS} HDUs")
        where = f"HDU {number}"
        cards = _read_cards(stream, block, where)
        yield SizeCards(cards, start)
        data = stream.tell()
        length = _data_size(cards, where)
        if data + length > size:
            raise OSError(
                f"is truncated: {where} should end at byte {data + length}, and the "
                f"file has {size}"
            )
        _check_packed(cards, where, size)
        start = data + -(-length // FITS_BLOCK) * FITS_BLOCK
        number += 1


def _read_cards(stream: BinaryIO, block: bytes, where: str) -> fits.Header:
    """Read a header to its end; return the cards that give sizes."""
    kept = []
    for _ in range(MOST_HEADER_BLOCKS):
        if len(block) < FITS_BLOCK:
            raise OSError(f"is truncated in the header of {where}")
        for place in range(0, FITS_BLOCK, CARD_LENGTH):
            card = block[place : place + CARD_LENGTH]
            if _SIZES.match(card):
                kept.append(card)
            elif _END.match(card):
                text = b"".join(kept).decode("ascii", "replace")
                return fits.Header.fromstring(text)
        block = stream.read(FITS_BLOCK)
        # Else the next HDU would be taken for a part of this header, and be lost.
        if block.startswith(b"XTENSION="):
            break
    raise OSError(f"is damaged: the header of {where} has no END")


def _data_size(cards: fits.Header, where: str) -> int:
    """Return the bytes of a unit's data, without padding."""
    axes = _whole(cards, "NAXIS", where, 0, MOST_AXES)
    lengths = [
        _whole(cards, f"NAXIS{i + 1}", where, 0, LONGEST_AXIS) for i in range(axes)
    ]
    bits = _bits(cards, "BITPIX", where)
    parameters = _whole(cards, "PCOUNT", where, 0, LONGEST_AXIS, 0)
    groups = _whole(cards, "GCOUNT", where, 0, LONGEST_AXIS, 1)
    _whole(cards, "TFIELDS", where, 0, MOST_AXES, 0)
    if not axes:
        return 0
    if lengths[0] == 0 and _value(cards, "GROUPS", where) is True:
        lengths = lengths[1:]
    return abs(bits) // 8 * groups * (parameters + math.prod(lengths))


def _check_packed(cards: fits.Header, where: str, size: int) -> None:
    """Check how large a tile-compressed image is."""
    if "ZCMPTYPE" not in cards:
        return
    axes = _whole(cards, "ZNAXIS", where, 0, MOST_AXES)
    lengths = [
        _whole(cards, f"ZNAXIS{i + 1}", where, 0, LONGEST_AXIS) for i in range(axes)
    ]
    bits = _bits(cards, "ZBITPIX", where)
    for i in range(axes):
        _whole(cards, f"ZTILE{i + 1}", where, 1, LONGEST_AXIS, 1)
    length = abs(bits) // 8 * math.prod(lengths)
    if length > max(MOST_UNCOMPRESSED, MOST_RATIO * size):
        raise OSError(
            f"is damaged: {where} would be {length} bytes, and the file has {size}"
        )


def _bits(cards: fits.Header, key: str, where: str) -> int:
    bits = _whole(cards, key, where, min(BITPIX), max(BITPIX))
    if bits not in BITPIX:
        raise OSError(f"is damaged: {where} has {key}={bits}")
    return bits


def _whole(
    cards: fits.Header,
    key: str,
    where: str,
    least: int,
    most: int,
    default: int | None = None,
) -> int:
    value = _value(cards, key, where)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise OSError(f"is damaged: {where} has {key}={value!r}")
    if not least <= value <= most:
        raise OSError(
            f"is damaged: {where} has {key}={value!r}; allowed are {least} to {most}"
        )
    return value


def _value(cards: fits.Header, key: str, where: str) -> Any:
    try:
        return cards.get(key)
    except (VerifyError, ValueError) as error:
        raise OSError(f"is damaged: {where} has a {key} that cannot be read") from error
