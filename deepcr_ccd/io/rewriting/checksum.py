"""Renew CHECKSUM and DATASUM of an HDU in a file; no other byte of it changes."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np

from .header_cards import find_card, has_card, replace_value

__all__ = ["SummingWriter", "encode", "renew_sums", "sum_words"]

#: Bytes of a word.
WORD = 4
#: Sums are of this many bits, and carry around.
ONES = 0xFFFFFFFF
#: What an encoded checksum avoids: the characters between digits and letters.
PUNCTUATION = frozenset(b":;<=>?@[\\]^_`")
#: The value of CHECKSUM while the HDU is summed.
EMPTY = b"0" * 16


def sum_words(content: bytes | memoryview, total: int = 0) -> int:
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


class SummingWriter:
    """Writes to a file, and sums what it writes while that is in the cache.

    Parameters
    ----------
    file : binary file
        Open for writing.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self._rest = b""
        #: The sum of the whole words so far, from `sum_words`.
        self.total = 0

    def write(self, content: bytes | bytearray) -> int:
        """Write some bytes.

        Parameters
        ----------
        content : bytes or bytearray
            What is next.
        """
        words = self._rest + content if self._rest else content
        end = len(words) - len(words) % WORD
        self.total = sum_words(memoryview(words)[:end], self.total)
        self._rest = bytes(words[end:])
        return self._file.write(content)


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


def renew_sums(file: BinaryIO, start: int, data: int, total: int) -> None:
    """Renew the checksums that the header of an HDU has, in place.

    Parameters
    ----------
    file : binary file
        Open for reading and writing; it is left at its end.
    start, data : int
        Bytes where its header and its data begin.
    total : int
        The sum of its data, from `sum_words`.

    Raises
    ------
    OSError
        If the file ends within the header.
    """
    file.seek(start)
    header = file.read(data - start)
    if len(header) != data - start:
        raise OSError("the file ends within a header")
    header = _set_value(header, "DATASUM", str(total).encode("ascii"))
    if has_card(header, "CHECKSUM"):
        header = _set_value(header, "CHECKSUM", EMPTY)
        value = encode(sum_words(header, total))
        header = _set_value(header, "CHECKSUM", value)
    file.seek(start)
    file.write(header)
    file.seek(0, io.SEEK_END)


def _set_value(header: bytes, key: str, text: bytes) -> bytes:
    """Return a header with a keyword set; as it is, if it does not have that."""
    place = find_card(header, key)
    if place is None:
        return header
    card = replace_value(header[place : place + 80], text)
    return header[:place] + card + header[place + 80 :]
