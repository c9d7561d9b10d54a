"""Cutouts: small squares of pixels around positions in a frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .pixel_flags import PixelFlag

__all__ = [
    "MIN_GOOD_PIXELS",
    "Cutouts",
    "Pixels",
    "TypedPixels",
    "crop_centre",
    "cutout_radius",
    "gaussian_kernel",
    "noise_from_neighbours",
    "read_cutouts",
    "working_dtype",
]

#: Elements of cutouts, and pixels of a frame, that are read at a time: bounds memory.
MAX_CUTOUT_ELEMENTS = 2_000_000
MAX_FRAME_PIXELS = 4_000_000
#: Cutouts are read one by one where they have fewer elements than this fraction of the
#: rows that they lie in; elsewhere, these rows are read whole.
SPARSE_FRACTION = 1.0
#: Good pixels that a cutout must have for its central pixel to be filled.
MIN_GOOD_PIXELS = 8
#: Differences between neighbours that a noise must be measured from.
MIN_DIFFERENCES = 8
#: The lower quartile of the absolute differences of two numbers of noise 1.
QUARTILE_OF_DIFFERENCES = 0.4506


class Pixels(Protocol):
    """A frame that can be indexed: an array, or what converts pixels as it is read.

    It may have a method ``cut``, as
    `~deepcr_ccd.preprocess.network_input.NetworkInput` does.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """As ``(ny, nx)``."""

    def __getitem__(self, index: Any) -> np.ndarray:
        """Return some pixels."""


class TypedPixels(Pixels, Protocol):
    """Likewise, of a known data type."""

    @property
    def dtype(self) -> np.dtype:
        """Of the pixels."""


class Cutouts(NamedTuple):
    """Cutouts of ``k * k`` pixels around ``n`` positions.

    ``values`` and ``flags`` are ``(n, k * k)``, by rows; ``flags`` are of the type that
    was given, and values are 0 where they are. ``which`` is int, ``(n,)``: the
    positions, as an index into those that were asked for.
    """

    values: np.ndarray
    flags: np.ndarray
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


def read_cutouts(
    data: Pixels,
    flags: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    radius: int,
) -> Iterator[Cutouts]:
    """Read the cutouts around some positions, a part of them at a time.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype; read some rows at a time.
    flags : `~numpy.ndarray`
        bool, ``(ny, nx)``, True where ``data`` may be used; or uint8, values of
        `PixelFlag`. In cutouts they are False, or BAD, also where pixels are not finite
        and beyond the edge of the frame.
    rows, columns : `~numpy.ndarray`
        int, ``(n,)``, the positions.
    radius : int
        Half of the width of a cutout, in px: ``k = 2 * radius + 1``.

    Yields
    ------
    Cutouts
        Each position is in one of them.
    """
    width = 2 * radius + 1
    order = np.argsort(rows, kind="stable")
    heights = rows[order]
    most = max(1, MAX_CUTOUT_ELEMENTS // width**2)
    tallest = max(1, MAX_FRAME_PIXELS // data.shape[1])
    start = 0
    while start < order.size:
        first = heights[start]
        stop = np.searchsorted(heights, first + tallest)
        which = order[start : min(stop, start + most)]
        low, high = first - radius, rows[which[-1]] + radius + 1
        in_rows = (high - low) * data.shape[1]
        sparse = which.size * width**2 < SPARSE_FRACTION * in_rows
        read = _read_each if sparse else _read_rows
        values, usable = read(data, flags, rows[which], columns[which], radius)
        yield Cutouts(
            values.reshape(-1, width * width), usable.reshape(-1, width * width), which
        )
        start += which.size


def _read_each(
    data: Pixels,
    flags: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    radius: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Read cutouts and nothing else: line by line, or across the edge by pixels."""
    ny, nx = data.shape
    width = 2 * radius + 1
    inside = (rows >= radius) & (rows < ny - radius)
    inside &= (columns >= radius) & (columns < nx - radius)
    inside &= isinstance(data, np.ndarray) or hasattr(data, "cut")
    shape = (rows.size, width, width)
    parts = []
    for which, read in ((inside, _read_inside), (~inside, _read_across_edge)):
        if which.any():
            part, usable = read(data, flags, rows[which], columns[which], radius)
            part = part.astype(working_dtype(part.dtype), copy=False)
            usable = usable * np.isfinite(part)
            part[usable == PixelFlag.BAD] = 0
            parts.append((which, part, usable))
    if len(parts) == 1:
        return parts[0][1:]
    values = np.empty(shape, dtype=parts[0][1].dtype)
    kept = np.empty(shape, dtype=flags.dtype)
    for which, part, usable in parts:
        values[which], kept[which] = part, usable
    return values, kept


def _read_inside(
    data: Any,
    flags: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    radius: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Copy cutouts that lie within the frame."""
    corners = rows - radius, columns - radius
    size = (2 * radius + 1,) * 2
    if isinstance(data, np.ndarray):
        values = sliding_window_view(data, size)[corners]
    else:
        values = data.cut(*corners, size)
    return values, sliding_window_view(flags, size)[corners]


def _read_across_edge(
    data: Pixels,
    flags: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    radius: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Copy cutouts that may reach across the edge, pixel by pixel."""
    line = np.arange(-radius, radius + 1)
    y, x = rows[:, None] + line, columns[:, None] + line
    ny, nx = data.shape
    inside = ((y >= 0) & (y < ny))[:, :, None] & ((x >= 0) & (x < nx))[:, None, :]
    at = y.clip(0, ny - 1)[:, :, None], x.clip(0, nx - 1)[:, None, :]
    return data[at], flags[at] * inside


def _read_rows(
    data: Pixels,
    flags: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    radius: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Read all rows of some cutouts, and cut these out; for rows in order."""
    low, high = rows[0] - radius, rows[-1] + radius + 1
    inside = slice(max(low, 0), high)
    slab = data[inside]
    slab = slab.astype(working_dtype(slab.dtype), copy=False)
    usable = flags[inside] * np.isfinite(slab)
    border = ((inside.start - low, high - inside.start - len(slab)), (radius,) * 2)
    slab = np.pad(np.where(usable, slab, 0), border)
    usable = np.pad(usable, border)
    corners = rows - rows[0], columns
    size = (2 * radius + 1,) * 2
    values, usable = (
        sliding_window_view(plane, size)[corners] for plane in (slab, usable)
    )
    return values, usable


def cutout_radius(cutouts: np.ndarray) -> int:
    """Return half of the width of cutouts, in px.

    Parameters
    ----------
    cutouts : `~numpy.ndarray`
        ``(n, k * k)``, from `read_cutouts`.
    """
    return int(np.sqrt(cutouts.shape[1])) // 2


def crop_centre(cutouts: np.ndarray, radius: int) -> np.ndarray:
    """Return the centre of cutouts; zeros beyond them.

    Parameters
    ----------
    cutouts : `~numpy.ndarray`
        ``(n, k * k)``, from `read_cutouts`.
    radius : int
        Half of the width of the centre, in px.

    Returns
    -------
    `~numpy.ndarray`
        ``(n, (2 * radius + 1) ** 2)``, a new array.
    """
    half = cutout_radius(cutouts)
    cutouts = cutouts.reshape(-1, 2 * half + 1, 2 * half + 1)
    beyond = max(0, radius - half)
    if beyond:
        cutouts = np.pad(cutouts, ((0, 0), (beyond, beyond), (beyond, beyond)))
    centre = half + beyond
    inner = slice(centre - radius, centre + radius + 1)
    return cutouts[:, inner, inner].reshape(len(cutouts), -1)


def gaussian_kernel(radius: int, scale: float) -> np.ndarray:
    """Return weights that fall off from the centre of a cutout as a Gaussian.

    Parameters
    ----------
    radius : int
        Half of its width, in px.
    scale : float
        The standard deviation of the Gaussian, in px.

    Returns
    -------
    `~numpy.ndarray`
        ``(2 * radius + 1, 2 * radius + 1)``, 1 at the centre.
    """
    line = np.arange(-radius, radius + 1) ** 2
    return np.exp(-(line[:, None] + line) / (2 * scale**2))


def noise_from_neighbours(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return the noise in cutouts, from the smaller differences between neighbours.

    Even beside a star, these are due to noise.

    Parameters
    ----------
    values, good : `~numpy.ndarray`
        ``(n, k * k)``, float and bool, from `read_cutouts`.

    Returns
    -------
    `~numpy.ndarray`
        ``(n,)``, in the unit of ``values``; 0 where too few are good.
    """
    width = 2 * cutout_radius(values) + 1
    shape = (-1, width, width)
    values, good = values.reshape(shape), good.reshape(shape)
    pairs = ((np.s_[:, :, 1:], np.s_[:, :, :-1]), (np.s_[:, 1:], np.s_[:, :-1]))
    along = [
        np.where(good[a] & good[b], np.abs(values[a] - values[b]), np.inf)
        for a, b in pairs
    ]
    differences = np.concatenate([d.reshape(len(values), -1) for d in along], axis=1)
    differences.sort(axis=1)
    number = np.isfinite(differences).sum(axis=1)
    quartile = np.take_along_axis(differences, number[:, None] // 4, axis=1)[:, 0]
    return np.where(number >= MIN_DIFFERENCES, quartile / QUARTILE_OF_DIFFERENCES, 0)
