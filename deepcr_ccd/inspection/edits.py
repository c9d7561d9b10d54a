"""What a person changes of a mask: layers of edits, which stay when thresholds move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..segmentation.connected import label_pixels

__all__ = [
    "KINDS",
    "Edit",
    "apply_edits",
    "count_changes",
    "read_edits",
    "reject_groups",
]

#: "reject" leaves out every group of the automatic mask that shares a pixel with the
#: edit's, "accept" keeps its pixels, whatever the thresholds; the brush adds and
#: removes pixels.
KINDS = ("reject", "accept", "add", "remove")


class Edit(NamedTuple):
    """A change of a mask.

    ``kind`` is one of `KINDS`; ``pixels`` are flat indices, ascending.
    """

    kind: str
    pixels: np.ndarray


def read_edits(items: Any, size: int) -> list[Edit]:
    """Read edits as the page sends them.

    Parameters
    ----------
    items : list
        Of pairs: a kind, and a list of runs of pixels, which are the first flat index
        and the length of each, one after the other.
    size : int
        Number of pixels of the frame.

    Raises
    ------
    ValueError
        If it is no such list, or pixels are outside of the frame.
    """
    if not isinstance(items, list):
        raise ValueError("edits must be a list")
    return [_read_edit(item, size) for item in items]


def _read_edit(item: Any, size: int) -> Edit:
    if not isinstance(item, list) or len(item) != 2 or item[0] not in KINDS:
        raise ValueError(f"an edit must be one of {', '.join(KINDS)}, with its pixels")
    kind, runs = item
    whole = isinstance(runs, list) and all(type(number) is int for number in runs)
    if not whole or len(runs) % 2:
        raise ValueError("pixels of an edit must be runs of whole numbers")
    end = 0
    for first, length in zip(runs[::2], runs[1::2], strict=True):
        if first < end or length < 1 or first + length > size:
            raise ValueError("pixels of an edit must ascend within the frame")
        end = first + length
    parts = [
        np.arange(first, first + length)
        for first, length in zip(runs[::2], runs[1::2], strict=True)
    ]
    return Edit(kind, np.concatenate([np.zeros(0, dtype=np.intp), *parts]))


def _layers(edits: Sequence[Edit]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return markers of rejected groups, and pixels that are added and removed."""
    rejected: list[np.ndarray] = []
    by_hand: dict[int, bool] = {}
    for kind, pixels in edits:
        if kind == "reject":
            rejected.append(pixels)
            # Added pixels of a rejected group go with it.
            for pixel in pixels.tolist():
                if by_hand.get(pixel):
                    del by_hand[pixel]
            continue
        if kind == "accept":
            rejected = [one for one in rejected if not np.isin(one, pixels).any()]
        by_hand.update(dict.fromkeys(pixels.tolist(), kind != "remove"))
    added = sorted(pixel for pixel, state in by_hand.items() if state)
    removed = sorted(pixel for pixel, state in by_hand.items() if not state)
    markers = np.unique(np.concatenate([np.zeros(0, dtype=np.intp), *rejected]))
    return markers, np.array(added, dtype=np.intp), np.array(removed, dtype=np.intp)


def reject_groups(crmask: np.ndarray, edits: Sequence[Edit]) -> np.ndarray:
    """Return the flat indices of the pixels of rejected groups.

    Parameters
    ----------
    crmask : `~numpy.ndarray`
        bool, ``(ny, nx)``, the automatic mask.
    edits : sequence of Edit
        In order.
    """
    markers = _layers(edits)[0]
    # Without any, the mask is not looked through.
    if not markers.size:
        return markers
    places = np.flatnonzero(crmask)
    number, labels = label_pixels(places, crmask.shape[1])
    marked = np.zeros(number, dtype=bool)
    marked[labels[np.isin(places, markers)]] = True
    return places[marked[labels]]


def apply_edits(
    crmask: np.ndarray, bad: np.ndarray | None, edits: Sequence[Edit]
) -> np.ndarray:
    """Return the mask with what a person changed.

    Parameters
    ----------
    crmask : `~numpy.ndarray`
        bool, ``(ny, nx)``, the automatic mask; it is not modified.
    bad : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, excluded pixels, which are never flagged.
    edits : sequence of Edit
        In order: of those that add and remove a pixel the last counts.

    Returns
    -------
    `~numpy.ndarray`
        bool, ``(ny, nx)``.
    """
    edited = np.array(crmask, dtype=bool, order="C")
    _, added, removed = _layers(edits)
    flat = edited.reshape(-1)
    flat[reject_groups(crmask, edits)] = False
    flat[added] = True
    flat[removed] = False
    if bad is not None:
        edited &= ~bad
    return edited


def count_changes(automatic: np.ndarray, edited: np.ndarray) -> dict[str, int]:
    """Count the pixels by which edits changed a mask.

    Parameters
    ----------
    automatic, edited : `~numpy.ndarray`
        bool, ``(ny, nx)``, before and after.

    Returns
    -------
    dict
        Pixels "added" and "removed".
    """
    return {
        "added": int(np.count_nonzero(edited & ~automatic)),
        "removed": int(np.count_nonzero(automatic & ~edited)),
    }
