"""Read keywords that a header may have, whatever is written in their cards."""

from __future__ import annotations

from collections.abc import Mapping

from astropy.io.fits import VerifyError

__all__ = ["value_of"]


def value_of(header: Mapping, key: str, default=None):
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
    """
    try:
        return header.get(key, default)
    except VerifyError:
        return default
