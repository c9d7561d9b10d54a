"""Charge that leaks from masked pixels into their neighbours is no cosmic ray.

A masked hot pixel or bad column is far brighter than the charge that leaks into the
pixels around it, and leaks into several of them. Where its value is not known, the leak
is on both sides of it, or goes on along it. A cosmic ray that crosses it continues
beyond. Borders without data, and masked regions that are wide and faint, leak nothing.
"""

from __future__ import annotations

import numpy as np

from ..preprocess.cells import median

__all__ = ["REACH", "drop_leaks"]

#: Half-width in px of the cutout around a neighbour of a masked pixel, and how far away
#: pixels have an influence.
CUTOUT = 5
REACH = CUTOUT + 2
#: A flagged pixel beyond so many flagged or masked ones belongs to the same cosmic ray.
STEPS = 4
#: A masked pixel is so many times brighter than what leaks from it; and at least so
#: many other neighbours of masked pixels are brighter than this fraction of the leak.
BRIGHTER = 5.0
OTHERS = 2
SIMILAR = 0.3
#: So many flagged neighbours of masked pixels in a line are a leak, however bright the
#: masked pixels are, if no more of them are across the line than this; else if they
#: are brighter than the leak.
LINE = 7
WIDEST_COLUMN = 4
#: Steps from a pixel to its eight neighbours.
DIRECTIONS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
#: Candidates whose cutouts are in memory at a time.
CANDIDATES_AT_A_TIME = 20_000


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
        bool, ``(ny, nx)``, excluded pixels.

    Returns
    -------
    `~numpy.ndarray`
        bool, ``(ny, nx)``. A pixel depends on those within `REACH` of it.
    """
    if bad is None:
        return crmask
    places = np.argwhere(crmask)
    near = np.concatenate(
        [
            np.zeros(0, dtype=bool),
            *(_cut(bad, part, 1).any(axis=(1, 2)) for part in _parts(places)),
        ]
    )
    places = places[near]
    if not len(places):
        return crmask
    leaks = np.zeros_like(crmask)
    for part in _parts(places):
        found = part[_are_leaks(crmask, plane, bad, part)]
        leaks[found[:, 0], found[:, 1]] = True
    result = crmask & ~leaks
    # Faint pixels that are flagged only beside a leak.
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
        height = plane[part[:, 0], part[:, 1]] - level
        found = part[height < SIMILAR * (values.max(axis=(1, 2)) - level)]
        faint[found[:, 0], found[:, 1]] = True
    others = result & ~faint
    for part in _parts(places):
        drop = part[~_cut(others, part, 1).any(axis=(1, 2))]
        result[drop[:, 0], drop[:, 1]] = False
    return result


def _parts(places: np.ndarray) -> list[np.ndarray]:
    return [
        places[i : i + CANDIDATES_AT_A_TIME]
        for i in range(0, len(places), CANDIDATES_AT_A_TIME)
    ]


def _cut(frame: np.ndarray, places: np.ndarray, reach: int) -> np.ndarray:
    """Return cutouts around places, ``(n, y, x)``; zero beyond the frame's edges."""
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
    """Return masks, ``(n, y, x)``, grown by the eight neighbours of each pixel."""
    for axis in (1, 2):
        grown = mask.copy()
        ahead, behind = [slice(None)] * 3, [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        grown[tuple(behind)] |= mask[tuple(ahead)]
        grown[tuple(ahead)] |= mask[tuple(behind)]
        mask = grown
    return mask


def _levels(plane: np.ndarray, excluded: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the median of good pixels around places; 0 where there are none."""
    values = _cut(plane, places, CUTOUT).astype(np.float64)
    good = np.isfinite(values) & ~_cut(excluded, places, CUTOUT)
    flat = len(places), -1
    found = median(values.reshape(flat), good.reshape(flat))
    return np.nan_to_num(found)


def _are_leaks(
    crmask: np.ndarray, plane: np.ndarray, bad: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Tell which flagged neighbours of masked pixels are leaks."""
    masked, flagged = _cut(bad, places, CUTOUT), _cut(crmask, places, CUTOUT)
    rim = _grow(masked) & ~masked
    # Masked pixels just outside of the cutout are not known, nor their neighbours.
    inner = np.zeros_like(rim)
    inner[:, 1:-1, 1:-1] = True
    values = _cut(plane, places, CUTOUT).astype(np.float64)
    finite = np.isfinite(values)
    level = _levels(plane, crmask | bad, places)[:, None, None]
    excess = np.where(finite, values, 0) - level
    height = excess[:, CUTOUT, CUTOUT][:, None, None]
    beside, around = (
        (slice(None), *[slice(CUTOUT - n, CUTOUT + n + 1)] * 2) for n in (1, 2)
    )
    most = np.where(rim & flagged, excess, -np.inf)[around].max(axis=(1, 2))
    # A cosmic ray continues beyond, through masked pixels too.
    beyond = flagged & ~rim & inner & (excess > SIMILAR * most[:, None, None])
    for _ in range(STEPS):
        beyond |= _grow(beyond) & (flagged | masked)
    ends_here = ~beyond[:, CUTOUT, CUTOUT]
    # The masked pixels beside, and the other neighbours of masked pixels.
    measured = (masked & finite)[beside].any(axis=(1, 2))
    source = np.where(masked & finite, excess, -np.inf)[beside].max(axis=(1, 2))
    others = (rim & (excess > SIMILAR * height))[around].sum(axis=(1, 2)) - 1
    bright = rim & (excess > SIMILAR * height)
    across = {step: _across(masked, bright, step) for step in DIRECTIONS}
    both_sides = np.logical_or.reduce([opposite for opposite, _ in across.values()])
    height = height[:, 0, 0]
    leaks = (source > BRIGHTER * height) | (both_sides & ~measured)
    leaks &= others >= OTHERS
    # Along a bad column.
    for axis, steps in ((1, [(-1, 0), (1, 0)]), (0, [(0, -1), (0, 1)])):
        line = (rim & flagged)[:, 1:-1, 1:-1]
        middle = line.shape[1] // 2
        line = line[:, middle] if axis else line[:, :, middle]
        narrow = np.logical_or.reduce([across[step][1] for step in steps])
        leaks |= (line.sum(axis=1) >= LINE) & (narrow | (source > height))
    return leaks & ends_here


def _across(
    masked: np.ndarray, bright: np.ndarray, step: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Look from the centres of cutouts across the masked pixels beside them.

    Returns whether there is a bright pixel on the other side, and whether there is
    another side, both ``(n,)``: after at most `WIDEST_COLUMN` masked pixels.
    """
    inside = masked[:, CUTOUT + step[0], CUTOUT + step[1]]
    opposite, narrow = np.zeros_like(inside), np.zeros_like(inside)
    for number in range(2, WIDEST_COLUMN + 2):
        place = CUTOUT + number * step[0], CUTOUT + number * step[1]
        over = inside & ~masked[:, place[0], place[1]]
        narrow |= over
        opposite |= over & bright[:, place[0], place[1]]
        inside = inside & ~over
    return opposite, narrow
