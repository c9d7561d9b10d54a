"""Pixels without data: long runs of one value, as of padding and unexposed corners.

The noise of a detector makes neighbours differ. Where a frame was padded, or set to
zero beyond its field, they are exactly equal; and the step to the sky beside them is so
sharp that networks miss cosmic rays on it.
"""

from __future__ import annotations

import numpy as np

__all__ = ["RUN", "find_runs", "highest_of_runs", "sampled_rows"]

#: The length in px, along a row or a column, from which a run of equal values holds no
#: data.
RUN = 24
#: Of the neighbours elsewhere no more than this fraction may be equal: with coarser
#: steps of the values, or few photons, equal values are data.
MAX_EQUAL = 0.3
#: Rows that are sampled for it, about, and pairs of pixels that there must be.
SAMPLED_LINES = 24
MIN_PAIRS = 100


def sampled_rows(number: int) -> slice:
    """Return which of a number of rows are sampled for `highest_of_runs`.

    Parameters
    ----------
    number : int
        Of the rows of a frame.
    """
    step = max(1, number // SAMPLED_LINES)
    return slice(step // 2, None, step)


def highest_of_runs(rows: np.ndarray, bad: np.ndarray) -> float | None:
    """Return the highest value of which a run holds no data.

    Parameters
    ----------
    rows : `~numpy.ndarray`
        ``(n, nx)``, the rows of a frame in `sampled_rows`.
    bad : `~numpy.ndarray`
        bool, ``(n, nx)``, which of their pixels are masked or not finite.

    Returns
    -------
    float or None
        The median of the frame: brighter runs are of saturated stars. None where equal
        values are data, as many neighbours are equal that are in no run.
    """
    usable = ~(_runs(rows)[:, 1:] | bad[:, 1:] | bad[:, :-1])
    equal = (rows[:, 1:] == rows[:, :-1]) & usable
    pairs = np.count_nonzero(usable)
    if pairs < MIN_PAIRS or np.count_nonzero(equal) > MAX_EQUAL * pairs:
        return None
    return float(np.median(rows[~bad]))


def find_runs(plane: np.ndarray, bad: np.ndarray, highest: float) -> np.ndarray | None:
    """Return which pixels of a plane are in runs of equal values.

    Parameters
    ----------
    plane : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    bad : `~numpy.ndarray`
        bool, ``(ny, nx)``, True where masked or not finite.
    highest : float
        From `highest_of_runs`.

    Returns
    -------
    `~numpy.ndarray` or None
        bool, ``(ny, nx)``; None if there are none.
    """
    found = None
    for turned, excluded in ((plane, bad), (plane.T, bad.T)):
        rows, columns = _where_to_look(turned)
        if not rows.size:
            continue
        values = turned[rows, columns]
        runs = _runs(values) & ~excluded[rows, columns] & (values <= highest)
        if found is None:
            found = np.zeros(plane.shape, dtype=bool)
        (found if turned is plane else found.T)[rows, columns] |= runs
    return found if found is not None and found.any() else None


def _where_to_look(plane: np.ndarray) -> tuple[np.ndarray, slice]:
    """Return rows and columns that may have runs, from some of their pixels."""
    step = RUN // 2
    last = plane.shape[1] - step
    if last < step:
        return np.empty(0, dtype=int), slice(0)
    # In a run is at least one of these pixels with the ones that follow it.
    first = plane[:, :last:step]
    alike = first == plane[:, 1 : last + 1 : step]
    for number in range(2, 2 * step // 3):
        if not alike.any():
            break
        alike &= first == plane[:, number : last + number : step]
    columns = step * np.flatnonzero(alike.any(axis=0))
    if not columns.size:
        return columns, slice(0)
    span = slice(max(columns[0] - step, 0), columns[-1] + RUN + step)
    return np.flatnonzero(alike.any(axis=1)), span


def _runs(rows: np.ndarray) -> np.ndarray:
    """Return which pixels are in runs along rows."""
    ny, nx = rows.shape
    inside = np.zeros(rows.shape, dtype=bool)
    if nx < RUN:
        return inside
    alike = rows[:, 1:] == rows[:, :-1]
    # Where a run begins; and from there all of it.
    for step in _steps(RUN - 1):
        alike = alike[:, step:] & alike[:, : alike.shape[1] - step]
    inside[:, : alike.shape[1]] = alike
    for step in _steps(RUN):
        inside[:, step:] |= inside[:, :-step].copy()
    return inside


def _steps(length: int) -> list[int]:
    """Return by how much to shift, again and again, to go over a length of pixels."""
    steps, reached = [], 1
    while reached < length:
        steps.append(min(reached, length - reached))
        reached += steps[-1]
    return steps
