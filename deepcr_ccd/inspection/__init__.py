"""A page on which a person judges a mask: thresholds, edits, and a list of objects."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .session import Session, inspect
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Session": ".session",
            "inspect": ".session",
        },
    )

__all__ = ["Session", "inspect"]
