"""Neighbours of masked pixels: charge that leaks from these is no cosmic ray.

A hot pixel or a bad column that is masked is brighter by far than what leaks into the
pixels around it, and leaks into several of them. A cosmic ray that crosses one goes on
beyond.
"""

from __future__ import annotations

import numpy as np

from ..preprocess.cells import median

__all__ = ["REACH", "drop_leaks"]

#: Half-width in px of the window in which a neighbour is looked at, and how far what is
#: found there matters.
WINDOW = 5
REACH = WINDOW + 2
#: How many pixels, flagged or masked, may lie between a neighbour of a masked pixel and
#: a flagged pixel that is none: the same cosmic ray.
STEPS = 4
#: A masked pixel holds so many times what leaks from it; and so many other neighbours
#: of masked pixels hold this part of it.
BRIGHTER = 5.0
OTHERS = 2
SIMILAR = 0.3
#: So many flagged neighbours of masked pixels in a line are a leak, whatever the masked
#: pixels hold.
MANY = 7
#: Candidates that are worked on at a time.
BLOCK = 20_000


def drop_leaks(
    crmask: np.ndarray, plane: np.ndarray, bad: np.ndarray | None
) -> np.ndarray:
    """Return a mask of cosmic rays without what leaks from masked pixels.

    Parameters
    ----------
    crmask : `~numpy.ndarray`
        bool, ``(ny, nx)``, False where ``bad``. It is not modified.
    plane : `~numpy.ndarray`
        ``(ny, nx)``, the frame; anything where ``bad``.
    bad : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, what was not examined.

    Returns
    -------
    `~numpy.ndarray`
        bool, ``(ny, nx)``. A pixel depends on those within `REACH` of it.
    """
    if bad is None:
        return crmask
    places = np.argwhere(crmask)
    near = np.concatenate(
        [_cut(bad, part, 1).any(axis=(1, 2)) for part in _parts(places)] or [[]]
    )
    places = places[near.astype(bool)]
    if not len(places):
        return crmask
    leaks = np.zeros_like(crmask)
    for part in _parts(places):
        found = part[_are_leaks(crmask, plane, bad, part)]
        leaks[found[:, 0], found[:, 1]] = True
    result = crmask & ~leaks
    # What a network flags beside them, and is nothing by itself.
    places = np.argwhere(leaks)
    steps = np.argwhere(np.ones((3, 3))) - 1
    places = np.unique((places[:, None] + steps).reshape(-1, 2), axis=0)
    inside = ((places >= 0) & (places < crmask.shape)).all(axis=1)
    places = places[inside]
    places = places[result[places[:, 0], places[:, 1]]]
    faint = np.zeros_like(crmask)
    for part in _parts(places):
        values = np.where(_cut(leaks, part, 1), _cut(plane, part, 1), -np.inf)
        level = _levels(plane, crmask | bad, part)
        own = plane[part[:, 0], part[:, 1]] - level
        found = part[own < SIMILAR * (values.max(axis=(1, 2)) - level)]
        faint[found[:, 0], found[:, 1]] = True
    others = result & ~faint
    for part in _parts(places):
        drop = part[~_cut(others, part, 1).any(axis=(1, 2))]
        result[drop[:, 0], drop[:, 1]] = False
    return result


def _parts(places: np.ndarray) -> list[np.ndarray]:
    return [places[i : i + BLOCK] for i in range(0, len(places), BLOCK)]


def _cut(frame: np.ndarray, places: np.ndarray, reach: int) -> np.ndarray:
    """Return what is around places, ``(n, y, x)``; zero beyond the frame's edges."""
    steps = np.arange(-reach, reach + 1)
    index, inside = [], []
    for place, size in zip(places.T, frame.shape, strict=True):
        lines = place[:, None] + steps
        inside.append((lines >= 0) & (lines < size))
        index.append(np.clip(lines, 0, size - 1))
    values = frame[index[0][:, :, None], index[1][:, None, :]]
    values[~(inside[0][:, :, None] & inside[1][:, None, :])] = 0
    return values


def _grow(mask: np.ndarray) -> np.ndarray:
    """Return masks, ``(n, y, x)``, with the eight neighbours of what is in them."""
    for axis in (1, 2):
        grown = mask.copy()
        ahead, behind = [slice(None)] * 3, [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        grown[tuple(behind)] |= mask[tuple(ahead)]
        grown[tuple(ahead)] |= mask[tuple(behind)]
        mask = grown
    return mask


def _levels(plane: np.ndarray, hidden: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the median of what is around places and not hidden; zero of nothing."""
    values = _cut(plane, places, WINDOW).astype(np.float64)
    good = np.isfinite(values) & ~_cut(hidden, places, WINDOW)
    flat = len(places), -1
    found = median(values.reshape(flat), good.reshape(flat))
    return np.nan_to_num(found)


def _are_leaks(
    crmask: np.ndarray, plane: np.ndarray, bad: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Tell which flagged neighbours of masked pixels are leaks."""
    masked, flagged = _cut(bad, places, WINDOW), _cut(crmask, places, WINDOW)
    rim = _grow(masked) & ~masked
    # That of what is masked just outside of the window is not known.
    inner = np.zeros_like(rim)
    inner[:, 1:-1, 1:-1] = True
    values = _cut(plane, places, WINDOW).astype(np.float64)
    known = np.isfinite(values)
    level = _levels(plane, crmask | bad, places)[:, None, None]
    excess = np.where(known, values, 0) - level
    own = excess[:, WINDOW, WINDOW][:, None, None]
    beside, around = (
        (slice(None), *[slice(WINDOW - n, WINDOW + n + 1)] * 2) for n in (1, 2)
    )
    most = np.where(rim & flagged, excess, -np.inf)[around].max(axis=(1, 2))
    # A cosmic ray goes on beyond, through what is masked too.
    beyond = flagged & ~rim & inner & (excess > SIMILAR * most[:, None, None])
    for _ in range(STEPS):
        beyond |= _grow(beyond) & (flagged | masked)
    alone = ~beyond[:, WINDOW, WINDOW]
    # What the masked pixels beside hold, and the other neighbours of masked pixels.
    told = (masked & known)[beside].any(axis=(1, 2))
    source = np.where(masked & known, excess, -np.inf)[beside].max(axis=(1, 2))
    others = (rim & (excess > SIMILAR * own))[around].sum(axis=(1, 2)) - 1
    leaks = (source > BRIGHTER * own[:, 0, 0]) | ~told
    leaks &= others >= OTHERS
    # Along a bad column.
    row = (rim & flagged)[:, WINDOW, 1:-1].sum(axis=1)
    column = (rim & flagged)[:, 1:-1, WINDOW].sum(axis=1)
    leaks |= np.maximum(row, column) >= MANY
    return leaks & alone
