"""Saturated regions of a frame, by its highest values and the shapes they make.

A pixel at a level where values pile up is saturated only where it is part of a star, a
bleeding column or the like, and not of a cosmic ray that is as bright. Stars have
wings, which decline smoothly around the core.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..segmentation.connected import label_pixels
from ..tiling.tiles import row_blocks
from .saturated_shapes import Cutout, keep_extended, keep_star, keep_wrapped
from .saturation_levels import (
    ABOVE,
    EQUAL,
    Background,
    Level,
    find_levels,
    sample_background,
    sample_step,
)

__all__ = ["find_saturation", "exclude_saturated"]

#: Connected pixels above this fraction of a level belong to one source.
SHOULDER = 0.7
#: Space around a saturated source, in px, in which its wings are measured.
MARGIN = 14
#: Where values of converters with 15 and 16 bits wrap around.
WRAPS = (32767, 65535)


def exclude_saturated(
    plane: np.ndarray, bad: np.ndarray, satlevel: float | None
) -> np.ndarray:
    """Exclude the saturated pixels of a plane in memory.

    Parameters
    ----------
    plane : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    bad : `~numpy.ndarray`
        bool, ``(ny, nx)``, True where bad or not finite. It is changed.
    satlevel : float or None
        From `deepcr_ccd.nddata.gain.saturation_level`.

    Returns
    -------
    `~numpy.ndarray`
        ``bad``.
    """
    if satlevel == np.inf:
        return bad
    step = sample_step(plane.shape)
    sample = plane[::step, ::step][~bad[::step, ::step]]
    background = sample_background(sample, plane.size)
    saturated = find_saturation(plane, bad, background, satlevel)
    bad[np.unravel_index(saturated, bad.shape)] = True
    return bad


def find_saturation(
    plane: Any, bad: Any, background: Background | None, satlevel: float | None = None
) -> np.ndarray:
    """Return which pixels of a frame are saturated.

    Parameters
    ----------
    plane : array-like
        ``(ny, nx)``, any real dtype, indexed by slices of rows and columns.
    bad : array-like or None
        bool, ``(ny, nx)``, True where bad or not finite.
    background : Background or None
        From `sample_background`.
    satlevel : float or None
        A level in the unit of the frame, of the user or the header; levels that show in
        the frame itself are searched as well. With infinity, nothing is saturated.

    Returns
    -------
    `~numpy.ndarray`
        int64, ``(n,)``, their flat indices, ascending; pixels in ``bad`` may be among
        them.
    """
    none = np.empty(0, dtype=np.int64)
    if background is None or satlevel == np.inf:
        return none
    lowest = background.level + max(ABOVE * background.sigma, 0)
    if satlevel is not None and satlevel <= lowest:
        # As bright as the background: no source stands out.
        return _brighter(plane, bad, satlevel)[0]
    floor = max(lowest, background.brightest)
    if satlevel is not None:
        floor = min(floor, satlevel)
    places, values = _brighter(plane, bad, floor)
    above = values > background.level
    places, values = places[above], values[above]
    found = [none]
    order = np.sort(values)
    if satlevel is not None:
        at = values >= satlevel
        found += _judge(plane, bad, background, places[at], values[at], None, satlevel)
    settled = np.zeros(places.size, dtype=bool)
    for level in find_levels(order, background, floor):
        limit = background.level + SHOULDER * (level.value - background.level)
        at = (values >= limit) & ~settled
        for star in _judge(
            plane, bad, background, places[at], values[at], level, level.value
        ):
            found.append(star)
            settled |= np.isin(places, star, assume_unique=True)
    if order.size and _may_wrap(order[-1]):
        limit = background.level + 0.2 * (order[-1] - background.level)
        places, values = _brighter(plane, bad, max(limit, floor))
        found += _judge_wraps(plane, bad, background, places, values)
    return np.unique(np.concatenate(found))


def _brighter(plane: Any, bad: Any, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return flat indices and values of good pixels that are not below a limit."""
    places, values = [], []
    width = plane.shape[1]
    for rows in row_blocks(plane.shape):
        block = np.asarray(plane[rows])
        if block.dtype.itemsize < 4 and block.dtype.kind == "f":
            block = block.astype(np.float32)
        here = np.flatnonzero(block >= _bound(limit, block.dtype))
        if here.size:
            where = np.divmod(here, width)
            value = block[where].astype(np.float64)
            good = np.isfinite(value)
            if bad is not None:
                good &= ~np.asarray(bad[rows])[where]
            places.append(here[good].astype(np.int64) + rows.start * width)
            values.append(value[good])
    if not places:
        return np.empty(0, dtype=np.int64), np.empty(0)
    return np.concatenate(places), np.concatenate(values)


def _bound(limit: float, dtype: np.dtype) -> Any:
    """Return a limit in the dtype of the values, so that these are not converted."""
    if dtype.kind in "iu":
        return dtype.type(
            min(max(np.ceil(limit), np.iinfo(dtype).min), np.iinfo(dtype).max)
        )
    return dtype.type(limit) if dtype.kind == "f" else limit


def _judge(
    plane: Any,
    bad: Any,
    background: Background,
    places: np.ndarray,
    values: np.ndarray,
    level: Level | None,
    value: float,
) -> list[np.ndarray]:
    """Return the saturated pixels of groups of bright pixels, as flat indices."""
    if not places.size:
        return []
    _, labels = label_pixels(places, plane.shape[1], corners=level is None)
    if level is None:
        wanted = np.ones(labels.max() + 1, dtype=bool)
    else:
        near = np.abs(values - value) <= 0.08 * (value - background.level)
        at = np.bincount(labels, near)
        wanted = (at >= EQUAL) & (at >= 0.3 * np.bincount(labels))
        if level.equal:
            wanted &= np.bincount(labels, values == value) >= EQUAL
    found = []
    for group in _split(labels, wanted):
        cutout = _cut(plane, bad, places[group], background, value)
        if level is None:
            kept = keep_extended(cutout)
        else:
            kept = keep_star(cutout, equal=level.equal)
        if kept is not None:
            found.append(cutout.places(kept, plane.shape[1]))
    return found


def _split(labels: np.ndarray, wanted: np.ndarray) -> list[np.ndarray]:
    """Return the members of each group that is wanted."""
    order = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels))
    return [g for g, w in zip(np.split(order, ends[:-1]), wanted, strict=True) if w]


def _cut(
    plane: Any, bad: Any, places: np.ndarray, background: Background, value: float
) -> Cutout:
    """Cut a group of pixels out of a frame, with a margin around it."""
    rows, columns = np.divmod(places, plane.shape[1])
    spans = [
        slice(max(int(a.min()) - MARGIN, 0), min(int(a.max()) + MARGIN + 1, size))
        for a, size in zip((rows, columns), plane.shape, strict=True)
    ]
    cut = np.asarray(plane[spans[0], spans[1]]).astype(np.float64)
    good = np.isfinite(cut)
    if bad is not None:
        good &= ~np.asarray(bad[spans[0], spans[1]])
    member = np.zeros(cut.shape, dtype=bool)
    member[rows - spans[0].start, columns - spans[1].start] = True
    return Cutout(
        (cut - background.level) / (value - background.level),
        good,
        member,
        background.sigma / (value - background.level),
        (spans[0].start, spans[1].start),
        plane.shape,
    )


def _may_wrap(highest: float) -> bool:
    """Tell whether the highest value is that of a converter, whose values may wrap."""
    return any(0.85 * wrap <= highest <= wrap + 1 for wrap in WRAPS)


def _judge_wraps(
    plane: Any, bad: Any, background: Background, places: np.ndarray, values: np.ndarray
) -> list[np.ndarray]:
    """Return cores of stars whose values went beyond the highest and began anew."""
    if not places.size:
        return []
    _, labels = label_pixels(places, plane.shape[1])
    top = values.max()
    peaks = np.zeros(labels.max() + 1)
    np.maximum.at(peaks, labels, values)
    wanted = (peaks >= 0.6 * top) & (np.bincount(labels) >= 8)
    found = []
    for group in _split(labels, wanted):
        cutout = _cut(plane, bad, places[group], background, top)
        kept = keep_wrapped(cutout)
        if kept is not None:
            found.append(cutout.places(kept, plane.shape[1]))
    return found
