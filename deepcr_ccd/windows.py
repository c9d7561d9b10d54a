"""Windows: small squares of pixels around places of a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .stars import PROFILE, star_profile

__all__ = [
    "BLOCK",
    "GOOD",
    "HELD",
    "TOLD",
    "Windows",
    "describe_windows",
    "good_pixels",
    "map_windows",
    "places",
    "read_windows",
    "window_units",
    "working_type",
]

#: Window elements, and pixels of a frame, that are worked on at a time: bounds memory.
ELEMENTS = 2_000_000
PIXELS = 4_000_000
#: Where windows have fewer elements than this share of the rows that they lie in, only
#: they are read.
SPARSE = 1.0
#: Good pixels that a window must hold to be used.
ENOUGH = 8
#: Places that a thread works on at a time.
PART = 4096
#: Kinds of pixels: those that may be filled from; and those that are struck, and hold
#: what was there and more.
GOOD, HELD = 2, 1
#: Width in px of the blocks of a frame in which stars look alike.
BLOCK = 1024
#: Half-width in px of what is told of struck pixels, too; how many numbers are told
#: beside `window_units`; and how large they may be.
MIDDLE = 2
TOLD = (2 * MIDDLE + 1) ** 2 + 1 + PROFILE
HIGHEST = 1e5
#: Scale length in px of the weights by which a window's own units are measured.
KERNEL = 2.0


class Windows(NamedTuple):
    """Windows of ``k * k`` pixels around ``n`` places.

    ``values`` and ``good`` are ``(n, k * k)``, by rows; values that are not good are 0.
    ``good`` is of the kind that was given.
    ``which`` are the places, as an index into those that were asked for.
    """

    values: np.ndarray
    good: np.ndarray
    which: np.ndarray


def working_type(dtype: np.dtype) -> np.dtype:
    """Return the floating type in which pixels of a type are worked on.

    Parameters
    ----------
    dtype : `~numpy.dtype`
        Of a frame.
    """
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def good_pixels(targets: np.ndarray, bad: np.ndarray | None) -> np.ndarray:
    """Return which pixels targets can be filled from: neither targets nor bad.

    Parameters
    ----------
    targets : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    bad : `~numpy.ndarray` or None
        Likewise.

    Returns
    -------
    `~numpy.ndarray`
        A new array.
    """
    good = ~targets
    if bad is not None:
        # Good and not bad, in no more memory.
        np.greater(good, bad, out=good)
    return good


def places(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the True pixels, in the order of ``data[mask]``.

    `numpy.nonzero` takes four times as long where they are few.

    Parameters
    ----------
    mask : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    """
    return np.divmod(np.flatnonzero(mask), mask.shape[1])


def read_windows(
    data: np.ndarray,
    good: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    radius: int,
) -> Iterator[Windows]:
    """Read the windows around some places, a part of them at a time.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype; read some rows at a time.
    good : `~numpy.ndarray`
        bool, ``(ny, nx)``, True where ``data`` may be used; or uint8, kinds of pixels,
        0 where it may not. Pixels that are not finite, and what lies beyond the frame,
        are never good.
    rows, columns : `~numpy.ndarray`
        int, ``(n,)``, the places.
    radius : int
        Half of a window's width, in px: ``k = 2 * radius + 1``.

    Yields
    ------
    Windows
        Each place is in one of them.
    """
    width = 2 * radius + 1
    order = np.argsort(rows, kind="stable")
    heights = rows[order]
    most = max(1, ELEMENTS // width**2)
    tallest = max(1, PIXELS // data.shape[1])
    start = 0
    while start < order.size:
        first = heights[start]
        stop = np.searchsorted(heights, first + tallest)
        which = order[start : min(stop, start + most)]
        low, high = first - radius, rows[which[-1]] + radius + 1
        sparse = which.size * width**2 < SPARSE * (high - low) * data.shape[1]
        take = _gather if sparse else _slice
        values, usable = take(data, good, rows[which], columns[which], radius)
        yield Windows(
            values.reshape(-1, width * width), usable.reshape(-1, width * width), which
        )
        start += which.size


def _gather(
    data: np.ndarray, good: np.ndarray, rows: np.ndarray, columns: np.ndarray, radius
) -> tuple[np.ndarray, np.ndarray]:
    """Read windows and nothing else: line by line, or across the edge by pixels."""
    ny, nx = data.shape
    width = 2 * radius + 1
    inside = (rows >= radius) & (rows < ny - radius)
    inside &= (columns >= radius) & (columns < nx - radius)
    inside &= isinstance(data, np.ndarray) or hasattr(data, "cut")
    shape = (rows.size, width, width)
    kept = np.empty(shape, dtype=good.dtype)
    values = None
    for which, take in ((inside, _cut), (~inside, _pick)):
        if not which.any():
            continue
        part, usable = take(data, good, rows[which], columns[which], radius)
        part = part.astype(working_type(part.dtype), copy=False)
        usable = usable * np.isfinite(part)
        part[usable == 0] = 0
        if values is None:
            values = np.empty(shape, dtype=part.dtype)
        values[which], kept[which] = part, usable
    return values, kept


def _cut(
    data: np.ndarray, good: np.ndarray, rows: np.ndarray, columns: np.ndarray, radius
) -> tuple[np.ndarray, np.ndarray]:
    """Copy windows that lie within the frame."""
    place = rows - radius, columns - radius
    size = (2 * radius + 1,) * 2
    if isinstance(data, np.ndarray):
        values = sliding_window_view(data, size)[place]
    else:
        values = data.cut(*place, size)
    return values, sliding_window_view(good, size)[place]


def _pick(
    data: np.ndarray, good: np.ndarray, rows: np.ndarray, columns: np.ndarray, radius
) -> tuple[np.ndarray, np.ndarray]:
    """Copy windows that may reach across the edge, pixel by pixel."""
    line = np.arange(-radius, radius + 1)
    y, x = rows[:, None] + line, columns[:, None] + line
    ny, nx = data.shape
    inside = ((y >= 0) & (y < ny))[:, :, None] & ((x >= 0) & (x < nx))[:, None, :]
    at = y.clip(0, ny - 1)[:, :, None], x.clip(0, nx - 1)[:, None, :]
    return data[at], good[at] * inside


def _slice(
    data: np.ndarray, good: np.ndarray, rows: np.ndarray, columns: np.ndarray, radius
) -> tuple[np.ndarray, np.ndarray]:
    """Read all rows of some windows, and cut these out; for rows in order."""
    low, high = rows[0] - radius, rows[-1] + radius + 1
    inside = slice(max(low, 0), high)
    slab = data[inside]
    slab = slab.astype(working_type(slab.dtype), copy=False)
    usable = good[inside] * np.isfinite(slab)
    border = ((inside.start - low, high - inside.start - len(slab)), (radius,) * 2)
    slab = np.pad(np.where(usable, slab, 0), border)
    usable = np.pad(usable, border)
    place = rows - rows[0], columns
    width = 2 * radius + 1
    return tuple(
        sliding_window_view(plane, (width, width))[place] for plane in (slab, usable)
    )


def map_windows(
    function: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    data: np.ndarray,
    kinds: np.ndarray,
    targets: np.ndarray,
    radius: int,
    numbers: int,
    mapped: Callable = map,
    origin: tuple[int, int] = (0, 0),
) -> np.ndarray:
    """Apply a function to the windows around pixels.

    Parameters
    ----------
    function : callable
        Takes ``values`` and ``good`` of `Windows`, and the
        `~deepcr_ccd.stars.star_profile` of the block of `BLOCK` px where they are;
        returns some numbers for each.
    data, radius
        As for `read_windows`.
    kinds : `~numpy.ndarray`
        uint8, ``(ny, nx)``: `GOOD`, `HELD` or 0.
    targets : `~numpy.ndarray`
        bool, ``(ny, nx)``, the pixels.
    numbers : int
        How many numbers the function returns for each.
    mapped : callable, optional
        From `~deepcr_ccd.devices.tile_threads`, to work on parts side by side.
    origin : tuple of int, optional
        If ``data`` is a piece of a frame: where in it the piece begins. It holds the
        blocks of its targets whole.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(n, numbers)``, one row a target, in the order of ``data[targets]``.
    """
    rows, columns = places(targets)
    out = np.empty((rows.size, numbers), dtype=np.float32)
    parts = list(_parts(rows + origin[0], columns + origin[1]))
    # What is not finite does not matter to stars, and takes time to make so.
    read = getattr(data, "raw", data.__getitem__)

    def profile(block: tuple[int, int]) -> np.ndarray:
        where = tuple(
            slice(max(BLOCK * place - start, 0), BLOCK * (place + 1) - start)
            for place, start in zip(block, origin, strict=True)
        )
        return star_profile(read(where), kinds[where] != GOOD)

    blocks = list(dict.fromkeys(block for block, _ in parts))
    profiles = dict(zip(blocks, mapped(profile, blocks), strict=True))

    def work(part: tuple) -> None:
        block, these = part
        found = read_windows(data, kinds, rows[these], columns[these], radius)
        for values, kind, which in found:
            out[these[which]] = function(values, kind, profiles[block])

    for _ in mapped(work, parts):
        pass
    return out


def _parts(
    rows: np.ndarray, columns: np.ndarray
) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yield blocks, and which places to work on at a time there."""
    blocks = rows // BLOCK, columns // BLOCK
    order = np.lexsort(blocks[::-1])
    here = np.stack([block[order] for block in blocks])
    changes = np.flatnonzero((np.diff(here) != 0).any(axis=0)) + 1
    for these in np.split(order, changes):
        for start in range(0, these.size, PART):
            part = these[start : start + PART]
            yield tuple(int(block[part[0]]) for block in blocks), part


def describe_windows(
    values: np.ndarray, kinds: np.ndarray, profile: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say of windows what a network that fills is told.

    Parameters
    ----------
    values, kinds : `~numpy.ndarray`
        ``(n, k * k)``, from `read_windows`.
    profile : `~numpy.ndarray`
        `~deepcr_ccd.stars.star_profile` of where they are.

    Returns
    -------
    numbers : `~numpy.ndarray`
        float32, ``(n, 2 * k * k + TOLD)``: `window_units` of the good pixels; what all
        pixels in the middle hold, in these units, 0 where that is not known; whether
        the one in the middle is among these; and the profile.
    mean, spread : `~numpy.ndarray`
        As from `window_units`.
    """
    size = values.shape[1]
    half = int(np.sqrt(size)) // 2
    good = kinds == GOOD
    numbers = np.empty((len(values), 2 * size + TOLD), dtype=np.float32)
    own, mean, spread = window_units(np.where(good, values, 0), good)
    numbers[:, : 2 * size] = own
    middle = slice(half - MIDDLE, half + MIDDLE + 1)
    shape = (-1, 2 * half + 1, 2 * half + 1)
    held = values.reshape(shape)[:, middle, middle].reshape(len(values), -1)
    known = kinds.reshape(shape)[:, middle, middle].reshape(len(values), -1) > 0
    held = np.where(known, (held - mean[:, None]) / spread[:, None], 0)
    numbers[:, 2 * size : 2 * size + held.shape[1]] = held.clip(-HIGHEST, HIGHEST)
    numbers[:, 2 * size + held.shape[1]] = kinds[:, size // 2] == HELD
    numbers[:, -PROFILE:] = profile
    return numbers, mean, spread


def window_units(
    values: np.ndarray, good: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take windows over their own mean, in units of their own spread.

    So a network sees the same in any unit, on any sky, in faint stars and in bright
    ones. Mean and spread are weighted towards the centre of the window.

    Parameters
    ----------
    values, good : `~numpy.ndarray`
        ``(n, k * k)``, from `read_windows`.

    Returns
    -------
    numbers : `~numpy.ndarray`
        float32, ``(n, 2 * k * k)``: the inverse hyperbolic sine of the values in these
        units, 0 where not good; and which are good, as 0 and 1.
    mean, spread : `~numpy.ndarray`
        ``(n,)``, in the unit of ``values``; the spread is 1 where there is none.
    """
    size = values.shape[1]
    half = int(np.sqrt(size)) // 2
    line = np.arange(-half, half + 1) ** 2
    kernel = np.exp(-(line[:, None] + line) / (2 * KERNEL**2)).ravel()
    numbers = np.empty((len(values), 2, size), dtype=np.float32)
    scaled, known = numbers[:, 0], numbers[:, 1]
    known[:] = good
    # Not by matrix products, whose own threads would get in the way of those of others.
    weights = known * kernel.astype(values.dtype)
    total = weights.sum(axis=1)
    total[total == 0] = 1
    mean = np.einsum("nw,nw->n", values, weights) / total
    over = values - mean[:, None]
    spread = np.sqrt(np.einsum("nw,nw,nw->n", over, over, weights) / total)
    # What rounding leaves of equal values is no spread.
    rounding = 4 * np.finfo(spread.dtype).eps * np.abs(mean)
    spread[~(spread > rounding)] = 1
    over /= spread[:, None]
    np.arcsinh(over, out=scaled, casting="same_kind")
    scaled *= known
    return numbers.reshape(len(values), -1), mean, spread
