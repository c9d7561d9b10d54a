"""Header keywords that say what was done to a frame."""

from __future__ import annotations

import functools
import importlib.metadata

__all__ = ["HISTORY_LENGTH", "KEYWORDS", "record", "version"]

#: Header keywords of a cleaned frame, with their comments.
COMMENTS = {
    "CRMODEL": "model that found the cosmic rays",
    "CRVERS": "version of deepcr_ccd",
    "CRTHRESH": "probability above which a pixel is struck",
    "CRNPIX": "pixels struck by cosmic rays",
    "CRNOBJ": "cosmic rays (groups of touching pixels)",
    "CRNSKIP": "pixels bad on input and not examined",
    "CRFILL": "how struck pixels were filled",
}
KEYWORDS = tuple(COMMENTS)
#: How long a value and a line of history may be, in characters.
VALUE_LENGTH = 68
HISTORY_LENGTH = 72


@functools.cache
def version() -> str:
    """Return the version of deepcr_ccd, which is looked up once."""
    return importlib.metadata.version("deepcr_ccd")


def record(model: str, threshold: float, fill: str, **counts: int) -> dict:
    """Return values of `KEYWORDS`, each with its comment.

    Parameters
    ----------
    model : str
        Name of the model.
    threshold : float
        Probability above which a pixel is struck.
    fill : str
        How struck pixels were filled.
    **counts : int
        CRNPIX, CRNOBJ and CRNSKIP, where they are known.
    """
    values = {
        "CRMODEL": model[:VALUE_LENGTH],
        "CRVERS": version(),
        "CRTHRESH": threshold,
        **counts,
        "CRFILL": fill,
    }
    return {key: (values[key], COMMENTS[key]) for key in KEYWORDS if key in values}
