"""Cutouts: small squares of pixels around places of a frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

__all__ = [
    "Cutouts",
    "PixelFlag",
    "gaussian_kernel",
    "good_pixels",
    "crop_centre",
    "noise_from_neighbours",
    "mask_positions",
    "read_cutouts",
    "working_dtype",
]

#: Window elements, and pixels of a frame, that are worked on at a time: bounds memory.
ELEMENTS = 2_000_000
PIXELS = 4_000_000
#: Where windows have fewer elements than this share of the rows that they lie in, only
#: they are read.
SPARSE = 1.0
#: Good pixels that a window must hold to be used.
ENOUGH = 8
#: The lower quartile of the size of differences of two numbers of noise 1.
QUARTILE = 0.4506


class PixelFlag:
    """What a pixel may be used for when others are filled; values of uint8 arrays.

    Plain numbers, as comparisons of uint8 arrays with an `enum.IntEnum` take NumPy
    eight times as long.
    """

    #: Not usable: excluded, not finite, or beyond the edge of the frame.
    BAD = 0
    #: Affected by a cosmic ray: holds the light of the sky and the charge of the CR.
    CR = 1
    #: Usable.
    GOOD = 2


class Cutouts(NamedTuple):
    """Windows of ``k * k`` pixels around ``n`` places.

    ``values`` and ``good`` are ``(n, k * k)``, by rows; values that are not good are 0.
    ``good`` is of the kind that was given.
    ``which`` are the places, as an index into those that were asked for.
    """

    values: np.ndarray
    good: np.ndarray
    which: np.ndarray


def working_dtype(dtype: np.dtype) -> np.dtype:
    """Return the floating type in which pixels of a type are worked on.

    Parameters
    ----------
    dtype : `~numpy.dtype`
        Of a frame.
    """
    wide = dtype.kind == "f" and dtype.itemsize >= 8
    return np.dtype(np.float64 if wide else np.float32)


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


def mask_positions(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the True pixels, in the order of ``data[mask]``.

    `numpy.nonzero` takes four times as long where they are few.

    Parameters
    ----------
    mask : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    """
    return np.divmod(np.flatnonzero(mask), mask.shape[1])


def read_cutouts(
    data: np.ndarray,
    good: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    radius: int,
) -> Iterator[Cutouts]:
    """Read the windows around some places, a part of them at a time.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype; read some rows at a time.
    good : `~numpy.ndarray`
        bool, ``(ny, nx)``, True where ``data`` may be used; or uint8, flags of pixels,
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
        yield Cutouts(
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
        part = part.astype(working_dtype(part.dtype), copy=False)
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
    slab = slab.astype(working_dtype(slab.dtype), copy=False)
    usable = good[inside] * np.isfinite(slab)
    border = ((inside.start - low, high - inside.start - len(slab)), (radius,) * 2)
    slab = np.pad(np.where(usable, slab, 0), border)
    usable = np.pad(usable, border)
    place = rows - rows[0], columns
    width = 2 * radius + 1
    return tuple(
        sliding_window_view(plane, (width, width))[place] for plane in (slab, usable)
    )


def crop_centre(windows: np.ndarray, radius: int) -> np.ndarray:
    """Return the middle of windows; zeros beyond them.

    Parameters
    ----------
    windows : `~numpy.ndarray`
        ``(n, k * k)``, from `read_cutouts`.
    radius : int
        Half of the middle's width, in px.

    Returns
    -------
    `~numpy.ndarray`
        ``(n, (2 * radius + 1) ** 2)``, a new array.
    """
    width = int(np.sqrt(windows.shape[1]))
    windows = windows.reshape(-1, width, width)
    beyond = max(0, radius - width // 2)
    if beyond:
        windows = np.pad(windows, ((0, 0), (beyond, beyond), (beyond, beyond)))
    centre = width // 2 + beyond
    inner = slice(centre - radius, centre + radius + 1)
    return windows[:, inner, inner].reshape(len(windows), -1)


def gaussian_kernel(radius: int, scale: float) -> np.ndarray:
    """Return weights that fall off from the middle of a window.

    Parameters
    ----------
    radius : int
        Half of its width, in px.
    scale : float
        Their scale length, in px.

    Returns
    -------
    `~numpy.ndarray`
        ``(2 * radius + 1, 2 * radius + 1)``, 1 in the middle.
    """
    line = np.arange(-radius, radius + 1) ** 2
    return np.exp(-(line[:, None] + line) / (2 * scale**2))


def noise_from_neighbours(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return the noise in windows, from the smaller differences between neighbours.

    These are the noise's even beside a star.

    Parameters
    ----------
    values, good : `~numpy.ndarray`
        ``(n, k * k)``, from `read_cutouts`.

    Returns
    -------
    `~numpy.ndarray`
        ``(n,)``, in the unit of ``values``; 0 where too few are good.
    """
    width = int(np.sqrt(values.shape[1]))
    shape = (-1, width, width)
    values, good = values.reshape(shape), good.reshape(shape)
    pairs = ((np.s_[:, :, 1:], np.s_[:, :, :-1]), (np.s_[:, 1:], np.s_[:, :-1]))
    steps = [
        np.where(good[a] & good[b], np.abs(values[a] - values[b]), np.inf)
        for a, b in pairs
    ]
    steps = np.concatenate([step.reshape(len(values), -1) for step in steps], axis=1)
    steps.sort(axis=1)
    number = np.isfinite(steps).sum(axis=1)
    quartile = np.take_along_axis(steps, number[:, None] // 4, axis=1)[:, 0]
    return np.where(number >= ENOUGH, quartile / QUARTILE, 0)
