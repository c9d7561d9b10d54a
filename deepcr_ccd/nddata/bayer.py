"""Raw frames of colour cameras: each pixel sees one colour of a pattern of 2x2."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .header import header_value

__all__ = ["colours_of", "is_bayer"]

#: Header keywords that hold the pattern.
KEYWORDS = ("BAYERPAT", "BAYERPATTERN", "BAYRPAT", "BAYER", "CFAPAT", "COLORTYP")
#: The patterns by which a filter is known to be one.
PATTERNS = {"RGGB", "BGGR", "GRBG", "GBRG"}
#: Colours: red, green, blue, cyan, magenta, yellow, emerald and white.
LETTERS = set("RGBCMYEW")


def colours_of(plane: np.ndarray) -> list[tuple[slice, slice]]:
    """Return where in a raw frame the pixels of each of the four colours are.

    Parameters
    ----------
    plane : array
        ``(ny, nx)``.

    Returns
    -------
    list of (slice, slice)
        Rows and columns of each colour.
    """
    starts = [range(min(2, size)) for size in plane.shape]
    return [
        (slice(row, None, 2), slice(column, None, 2))
        for row in starts[0]
        for column in starts[1]
    ]


def is_bayer(data: np.ndarray, header: Mapping | None) -> bool:
    """Tell whether a frame has a raw pattern of colours, as its header says.

    Where the pattern begins does not matter, nor which of the four it is.

    Parameters
    ----------
    data : array
        The frame, ``(ny, nx)``; of a cube the colours are apart already.
    header : mapping or None
        Its header.
    """
    if not header or np.ndim(data) != 2:
        return False
    if any(
        str(header_value(header, key, 1)).strip() == "2"
        for key in ("XBINNING", "YBINNING")
    ):
        return False
    if any(_pattern(header, key) for key in KEYWORDS):
        return True
    return str(header_value(header, "FILTER", "")).strip().upper() in PATTERNS


def _pattern(header: Mapping, key: str) -> bool:
    text = str(header_value(header, key, "")).strip().upper()
    return len(text) == 4 and len(set(text)) > 2 and set(text) <= LETTERS
