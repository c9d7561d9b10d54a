"""Renew CHECKSUM and DATASUM of an HDU in a file; no other byte of it changes."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from .header_cards import find_card, has_card, replace_value

__all__ = ["encode", "renew_sums", "sum_words"]

#: Bytes that are summed at a time: whole words of 4.
PIECE_BYTES = 1 << 18
#: Sums are of this many bits, and carry around.
ONES = 0xFFFFFFFF
#: What an encoded checksum avoids: the characters between digits and letters.
PUNCTUATION = frozenset(b":;<=>?@[\\]^_`")
#: The value of CHECKSUM while the HDU is summed.
EMPTY = b"0" * 16


def sum_words(content: bytes, total: int = 0) -> int:
    """Add the 32-bit words of some bytes in ones' complement, as FITS defines it.

    Parameters
    ----------
    content : bytes
        Whole big-endian words.
    total : int
        The sum of what comes before.

    Returns
    -------
    int
        From 0 to 2**32 - 1.
    """
    total += int(np.frombuffer(content, dtype=">u4").sum(dtype=np.uint64))
    while total > ONES:
        total = (total & ONES) + (total >> 32)
    return total


def encode(total: int) -> bytes:
    """Return the value of CHECKSUM that makes the sum of an HDU all ones.

    Parameters
    ----------
    total : int
        The sum with 16 zeros for this value.

    Returns
    -------
    bytes
        16 digits and letters, for columns 12 to 27 of the card.
    """
    columns = []
    for byte in (ONES - total).to_bytes(4, "big"):
        # Four characters add up to the byte and four times "0".
        quarter, rest = divmod(byte, 4)
        column = [ord("0") + quarter] * 4
        column[0] += rest
        for i in (0, 2):
            while PUNCTUATION.intersection(column[i : i + 2]):
                column[i] += 1
                column[i + 1] -= 1
        columns.append(column)
    text = bytes(columns[i][j] for j in range(4) for i in range(4))
    # Column 12 is the last of a word's four.
    return text[-1:] + text[:-1]


def renew_sums(file: BinaryIO, start: int, data: int, end: int) -> None:
    """Renew the checksums that the header of an HDU has, in place.

    Parameters
    ----------
    file : binary file
        Open for reading and writing.
    start, data, end : int
        Bytes where its header and its data begin, and where these end.

    Raises
    ------
    OSError
        If the file ends before.
    """
    file.seek(data)
    total = 0
    for place in range(data, end, PIECE_BYTES):
        total = sum_words(_read(file, min(PIECE_BYTES, end - place)), total)
    file.seek(start)
    header = _read(file, data - start)
    header = _set_value(header, "DATASUM", str(total).encode("ascii"))
    if has_card(header, "CHECKSUM"):
        header = _set_value(header, "CHECKSUM", EMPTY)
        value = encode(sum_words(header, total))
        header = _set_value(header, "CHECKSUM", value)
    file.seek(start)
    file.write(header)


def _read(file: BinaryIO, length: int) -> bytes:
    content = file.read(length)
    if len(content) != length:
        raise OSError("the file ends within an HDU")
    return content


def _set_value(header: bytes, key: str, text: bytes) -> bytes:
    """Return a header with a keyword set; as it is, if it does not have that."""
    place = find_card(header, key)
    if place is None:
        return header
    card = replace_value(header[place : place + 80], text)
    return header[:place] + card + header[place + 80 :]
