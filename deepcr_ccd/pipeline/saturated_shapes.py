"""The saturated pixels of a group of bright pixels, by its shape and its wings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..segmentation.connected import EIGHT_CONNECTED

__all__ = ["Cutout", "keep_extended", "keep_star", "keep_wrapped"]

#: Distances from a core, in px, of its wings and of the surroundings of these.
WINGS, AROUND = (1.0, 2.9), (6.0, 9.0)
#: How far wings rise above their surroundings: in sigma of the median, and at least one
#: sigma of a pixel; and as a fraction of the level, for cores whose half width is 1 px,
#: 2 px and more, as the charge of cosmic rays diffuses too; and for bleeding stars.
RISE, WING_FRACTIONS, BLEEDING_WING_FRACTION = 6.0, (0.015, 0.01, 0.005), 0.004
#: The least fraction of a group that is its core and its bleeding.
MAIN_FRACTION = 0.5
#: The length in px of a bleeding line along rows or columns that ends at an edge of the
#: frame, and of one that does not.
LINE, LONG_LINE = 16, 64
#: Cosmic rays have fewer pixels than this at or above any level, or are thinner in px.
HUGE, WIDE = 400, 4
#: The fraction of a level above which values are at it.
AT_LEVEL = 0.999
#: The length in px of a run of pixels that is part of the bleeding.
RUN = 5
#: The most pixels of a group on the rim of a star; larger groups are not of the star.
RIM = 4


class Cutout(NamedTuple):
    """A group of bright pixels and its surroundings.

    ``height`` is over the background, 1 at the level; ``good`` and ``member`` are bool
    of that shape: good pixels, and those of the group. ``sigma`` is of the background,
    in units of ``height``; ``origin`` is where the cutout begins in the frame, and
    ``shape`` that of the frame.
    """

    height: np.ndarray
    good: np.ndarray
    member: np.ndarray
    sigma: float
    origin: tuple[int, int]
    shape: tuple[int, int]

    def places(self, where: np.ndarray, width: int) -> np.ndarray:
        """Return flat indices in the frame of some pixels."""
        rows, columns = np.nonzero(where)
        return (
            (rows + self.origin[0]).astype(np.int64) * width + columns + self.origin[1]
        )


def keep_extended(cutout: Cutout) -> np.ndarray | None:
    """Return the saturated pixels of a group above a known level; None if none is.

    Parameters
    ----------
    cutout : Cutout
        Its members are all at or above the level.

    Returns
    -------
    `~numpy.ndarray` or None
        bool, of the shape of the cutout.
    """
    member = cutout.member
    core, width = _core(member)
    axis, run = _longest_run(member)
    if not _is_huge(member, width) and not _is_star(cutout, core, width, axis):
        return _grow(member, axis) if _is_line(cutout, axis, run) else None
    return _keep(member, core, axis if _is_long(run, width) else None)


def keep_star(cutout: Cutout, *, equal: bool) -> np.ndarray | None:
    """Return the saturated star in a group near a level; None if there is none.

    Parameters
    ----------
    cutout : Cutout
        Its members are near the level, and others that touch them.
    equal : bool
        Whether values at the level are equal, and not only near each other.

    Returns
    -------
    `~numpy.ndarray` or None
        bool, of the shape of the cutout.
    """
    member = cutout.member
    axis, run = _longest_run(member)
    if not equal and not _is_long(run, 1):
        # Neither saturated at one value nor bleeding, whatever its width.
        return None
    core, width = _core(member)
    bleeds = (
        _is_long(run, width)
        and _is_compact(member, core, axis)
        and _has_narrow_tail(cutout, axis)
    )
    if equal and _is_line(cutout, axis, run) and width <= 3:
        return _grow(member, axis)
    if equal and _is_huge(member, width):
        return _keep(member, core, axis)
    if bleeds and width > 1:
        if not _has_wings(cutout, core, BLEEDING_WING_FRACTION):
            return None
    elif not equal or not (width > 1 or _is_long(run, width)):
        return None
    elif not _is_star(cutout, core, width, axis):
        return None
    if not _is_long(run, width):
        # Only what is at the level: the rim is as smooth as that of any star.
        full = member & (cutout.height >= AT_LEVEL)
        return _keep(full, core & full)
    return _keep(member, core, axis)


def keep_wrapped(cutout: Cutout) -> np.ndarray | None:
    """Return the core of a star whose values wrapped around; None if none did.

    Parameters
    ----------
    cutout : Cutout
        Its members may be a ring around a core of low values.

    Returns
    -------
    `~numpy.ndarray` or None
        bool, of the shape of the cutout.
    """
    full = ndimage.binary_fill_holes(cutout.member)
    hole = full & ~cutout.member & cutout.good
    # From near the highest value to near the lowest, in one step.
    beside = ndimage.maximum_filter(np.where(cutout.member, cutout.height, 0), 3)
    if not (hole & (beside > 0.5)).any():
        return None
    core, width = _core(full)
    if not _is_star(cutout._replace(member=full), core, width, 0):
        return None
    around = ndimage.binary_dilation(hole, EIGHT_CONNECTED, iterations=2)
    return ndimage.binary_fill_holes(around & full | hole)


def _core(member: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the middle of the widest place of a group, and its half width in px."""
    # Beyond the group there is nothing to find.
    box = tuple(
        slice(max(int(a.min()) - 3, 0), int(a.max()) + 4) for a in np.nonzero(member)
    )
    part = member[box]
    depth = ndimage.distance_transform_cdt(part, "chessboard")
    width = int(depth.max())
    mass = ndimage.uniform_filter(part.astype(np.float32), 5, mode="constant")
    middle = np.where(depth == width, mass, -1).argmax()
    y, x = (
        int(place) + span.start
        for place, span in zip(np.unravel_index(middle, part.shape), box, strict=True)
    )
    core = np.zeros_like(member)
    core[max(y - width, 0) : y + width + 1, max(x - width, 0) : x + width + 1] = True
    return core & member, width


def _has_wings(cutout: Cutout, core: np.ndarray, fraction: float) -> bool:
    """Tell whether light declines around a core as it does around a star."""
    rows, columns = (
        slice(max(int(a.min()) - 10, 0), int(a.max()) + 11) for a in np.nonzero(core)
    )
    part = rows, columns
    distance = ndimage.distance_transform_edt(~core[part])
    free = cutout.good[part] & ~cutout.member[part]
    near, far = (
        cutout.height[part][free & (distance > low) & (distance <= high)]
        for low, high in (WINGS, AROUND)
    )
    if near.size < 5 or far.size < 5:
        return False
    rise = np.median(near) - np.median(far)
    error = cutout.sigma * max(RISE * 1.25 / np.sqrt(near.size), 1)
    return bool(rise > max(fraction, error))


def _is_star(cutout: Cutout, core: np.ndarray, width: int, axis: int) -> bool:
    """Tell whether a group has the wings of a star, and is not a track."""
    fraction = WING_FRACTIONS[min(width, len(WING_FRACTIONS)) - 1]
    return _is_compact(cutout.member, core, axis) and _has_wings(cutout, core, fraction)


def _is_compact(member: np.ndarray, core: np.ndarray, axis: int) -> bool:
    """Tell whether most of a group is its core, or on a line with that."""
    main = ndimage.binary_dilation(core, EIGHT_CONNECTED, iterations=2)
    main |= core.any(axis=axis, keepdims=True)
    return bool((main & member).sum() >= MAIN_FRACTION * member.sum())


def _is_huge(member: np.ndarray, width: int) -> bool:
    return bool(width >= WIDE and member.sum() >= HUGE)


def _is_long(run: int, width: int) -> bool:
    """Tell whether a run of pixels goes far beyond a core of this half width."""
    return run >= 2 * (2 * width - 1) + 2


def _longest_run(member: np.ndarray) -> tuple[int, int]:
    """Return along which axis a group has its longest run, and its length in px."""
    lengths = []
    for line in (member.T, member):
        # Lines one after another, with a gap between them.
        flat = np.pad(line, ((0, 0), (1, 1))).ravel()
        ends = np.flatnonzero(flat[1:] != flat[:-1])
        lengths.append(int((ends[1::2] - ends[::2]).max(initial=0)))
    axis = int(lengths[1] > lengths[0])
    return axis, lengths[axis]


def _is_line(cutout: Cutout, axis: int, run: int) -> bool:
    """Tell whether a group is a straight line along an axis, without a star."""
    where = np.nonzero(cutout.member)
    length = np.ptp(where[axis]) + 1
    if run < LINE or run < 0.8 * length or np.ptp(where[1 - axis]) + 1 > 0.3 * length:
        return False
    first = where[axis].min() + cutout.origin[axis] == 0
    last = where[axis].max() + cutout.origin[axis] == cutout.shape[axis] - 1
    return bool(first or last or run >= LONG_LINE)


def _has_narrow_tail(cutout: Cutout, axis: int) -> bool:
    """Tell whether a group is narrower at its ends, and its sides fall off steeply."""
    member = np.moveaxis(cutout.member, axis, 0)
    height = np.moveaxis(cutout.height, axis, 0)
    widths = member.sum(axis=1)
    rows = np.flatnonzero(widths)
    tail = rows[widths[rows] <= 0.6 * widths.max()]
    if tail.size < 0.25 * rows.size:
        return False
    sides = ndimage.binary_dilation(member, np.ones((1, 5)))[tail]
    sides &= ~ndimage.binary_dilation(member, np.ones((1, 3)))[tail]
    return bool(sides.any() and np.median(height[tail][sides]) < 0.35)


def _keep(member: np.ndarray, core: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Return the core and bleeding of a star, without cosmic rays that cross them."""
    kept = ndimage.binary_opening(member, EIGHT_CONNECTED) | core
    if axis is not None:
        run = np.ones((RUN, 1) if axis == 0 else (1, RUN), dtype=bool)
        kept |= ndimage.binary_opening(member, run)
    labels, _ = ndimage.label(member & ~kept, EIGHT_CONNECTED)
    sizes = np.bincount(labels.ravel())
    sizes[0] = RIM + 1
    kept |= sizes[labels] <= RIM
    kept = ndimage.binary_fill_holes(kept)
    return kept if axis is None else _grow(kept, axis)


def _grow(kept: np.ndarray, axis: int) -> np.ndarray:
    """Return a bleeding region with its rim, and with the tips of the bleeding."""
    grown = ndimage.binary_dilation(kept, EIGHT_CONNECTED)
    along = np.ones((3, 1) if axis == 0 else (1, 3), dtype=bool)
    return ndimage.binary_dilation(grown, along)
