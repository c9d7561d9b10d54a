"""Header keywords: read as users wrote them, and set to say what was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from astropy.io import fits
from astropy.io.fits import VerifyError

from ..version import __version__

__all__ = [
    "HISTORY_LENGTH",
    "KEYWORDS",
    "cleaning_keywords",
    "header_value",
    "read_keywords",
]

#: Header keywords of a cleaned frame, with their comments: at most 47 characters, for
#: which there is room beside a number.
COMMENTS = {
    "CRMODEL": "model that detected the cosmic rays",
    "CRVERS": "version of deepcr_ccd",
    "CRTHRESH": "probability above which a pixel is flagged",
    "CREXTEND": "threshold of pixels connected to flagged ones",
    "CRPSF": "FWHM of stars in px that the model was told",
    "CRNPIX": "pixels flagged as cosmic rays",
    "CRNOBJ": "cosmic rays (groups of touching pixels)",
    "CRNSKIP": "pixels excluded: bad, not finite or saturated",
    "CRFILL": "how flagged pixels were filled",
}
KEYWORDS = tuple(COMMENTS)
#: How long a value and a line of history may be, in characters.
VALUE_LENGTH = 68
HISTORY_LENGTH = 72


def header_value(header: Mapping, key: str, default: Any = None) -> Any:
    """Return the value of an optional keyword.

    A card that cannot be read, such as text without quotes, counts as none.

    Parameters
    ----------
    header : mapping
        Such as a `~astropy.io.fits.Header`.
    key : str
        The keyword.
    default : object
        What is returned where there is none.

    Returns
    -------
    object
        The value.
    """
    try:
        return header.get(key, default)
    except VerifyError:
        return default


def read_keywords(
    add_keyword: Any, headers: Iterable[Mapping | None] = ()
) -> bool | dict[str, Any]:
    """Return what is to be recorded, as ccdproc has it.

    Parameters
    ----------
    add_keyword : bool, None, str, Keyword or dict
        Whether to record what was done; or what to record in its place: a keyword
        without a value, an object with ``name`` and ``value`` as `ccdproc.Keyword`, or
        keywords with their values.
    headers : iterable of mapping or None
        Headers that it is written to.

    Returns
    -------
    bool or dict
        Whether to record what was done; or the user's own values by keyword.

    Raises
    ------
    TypeError, ValueError
        If it is none of these, or a header cannot hold it.
    """
    if add_keyword is None or add_keyword in (True, False):
        return bool(add_keyword)
    if isinstance(add_keyword, str):
        items = {add_keyword: None}
    elif hasattr(add_keyword, "items"):
        items = dict(add_keyword.items())
    elif hasattr(add_keyword, "name") and hasattr(add_keyword, "value"):
        items = {add_keyword.name: add_keyword.value}
    else:
        raise TypeError(
            f"add_keyword={add_keyword!r} must be True, False, a str, a Keyword with "
            "name and value, or a dict"
        )
    if not any(isinstance(header, fits.Header) for header in headers):
        return items
    try:
        for key, value in items.items():
            fits.Header()[header_key(key)] = value
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"add_keyword={add_keyword!r}: {error}") from error
    return items


def header_key(key: str) -> str:
    """Return a keyword as a FITS header takes it; long ones are HIERARCH's."""
    plain = len(key) <= 8 or key.upper().startswith("HIERARCH ")
    return key if plain else f"HIERARCH {key}"


def cleaning_keywords(
    model: str, thresholds: tuple[float, float], fill: str, **measured: Any
) -> dict[str, tuple[Any, str]]:
    """Return the keywords that say how a frame was cleaned.

    Parameters
    ----------
    model : str
        Name of the detection model.
    thresholds : tuple of float
        Probability above which a pixel is flagged, and the lower one of pixels that
        are connected with such.
    fill : str
        Name of the inpainting method.
    **measured
        CRPSF, CRNPIX, CRNOBJ and CRNSKIP, where they are known.

    Returns
    -------
    dict
        Value and comment by keyword, in the order of `KEYWORDS`.
    """
    values = {
        "CRMODEL": model[:VALUE_LENGTH],
        "CRVERS": __version__,
        "CRTHRESH": thresholds[0],
        "CREXTEND": thresholds[1],
        **measured,
        "CRFILL": fill,
    }
    return {key: (values[key], COMMENTS[key]) for key in KEYWORDS if key in values}


def add_keywords(
    meta: MutableMapping, keywords: Mapping[str, Any], history: str
) -> None:
    """Add keywords and a line of history to a header.

    Parameters
    ----------
    meta : mutable mapping
        The header, a `~astropy.io.fits.Header` or another mapping; it is modified.
    keywords : mapping
        With ``history``, value and comment by keyword; else the user's own values.
    history : str
        The line of history; empty for none.
    """
    is_fits = isinstance(meta, fits.Header)
    for key, value in keywords.items():
        if not history:
            # The user's own.
            meta[header_key(key) if is_fits else key] = value
        else:
            meta[key] = value if is_fits else value[0]
    if not history:
        return
    if isinstance(meta, fits.Header):
        meta.add_history(history)
        return
    before = meta.get("HISTORY")
    if before is None or before == "":
        meta["HISTORY"] = history
    elif isinstance(before, list | tuple):
        meta["HISTORY"] = [*before, history]
    else:
        meta["HISTORY"] = f"{before}; {history}"
