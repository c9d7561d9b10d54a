"""Noise that is made up, and is the same for a pixel each time: by its place."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from ..tiling.tiles import Tile, reflect_indices

__all__ = [
    "DitheredFrame",
    "THIN",
    "dither",
    "find_quantization_step",
    "pad_thin_frame",
]

#: Frames of fewer rows or columns are surrounded by so many made-up ones, about.
THIN = 16
#: Lines of a frame in which its digits are looked for; how many steps are enough; and
#: the fraction of them that is a multiple of a digit.
LINES = 64
FEW = 30
WHOLE = 0.95


def _uniform(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return numbers in (0, 1) for places of pixels: their bits, well mixed."""
    bits = rows.astype(np.uint32)[:, None] * np.uint32(0x9E3779B1)
    bits = bits ^ (columns.astype(np.uint32)[None] * np.uint32(0x85EBCA77))
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        bits ^= bits >> np.uint32(shift)
        bits *= np.uint32(factor)
    bits ^= bits >> np.uint32(15)
    return (bits.astype(np.float64) + 0.5) / 2.0**32


def _pixels(tile: Tile | None, shape: tuple[int, int]) -> list[np.ndarray]:
    read = tile.read if tile else tuple((0, size) for size in shape)
    return [
        reflect_indices(*span, size) for span, size in zip(read, shape, strict=True)
    ]


def dither(tile: Tile | None, shape: tuple[int, int]) -> np.ndarray:
    """Return what makes coarse digits continuous: between -1/2 and 1/2 of one.

    Parameters
    ----------
    tile : Tile or None
        From `~deepcr_ccd.tiling.tiles.plan_tiles` for the frame; None for all of it.
    shape : tuple of int
        Of the frame.
    """
    return _centred(*_pixels(tile, shape))


def _centred(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return (_uniform(rows, columns) - 0.5).astype(np.float32)


class DitheredFrame:
    """A frame of coarse digits, indexed like one in memory.

    Parameters
    ----------
    frame : array-like
        ``(ny, nx)``.
    digit : float
        From `find_quantization_step`.
    """

    def __init__(self, frame, digit: float):
        self.frame = frame
        self.digit = np.float32(digit)
        self.shape = frame.shape
        self.serial = getattr(frame, "serial", False)

    def __getitem__(self, index) -> np.ndarray:
        parts = index if isinstance(index, tuple) else (index, slice(None))
        pixels = [
            np.arange(size)[part] for part, size in zip(parts, self.shape, strict=True)
        ]
        return self.frame[index] + self.digit * _centred(*pixels)


def find_quantization_step(frame, bad: np.ndarray | None) -> float:
    """Return the step between the values of a frame, where its noise is less than half.

    Parameters
    ----------
    frame : array-like
        ``(ny, nx)``, finite.
    bad : `~numpy.ndarray` or None
        bool, pixels to leave out.

    Returns
    -------
    float
        Zero where most neighbours are not equal, or nearly all are.
    """
    steps = []
    for row in np.unique(np.linspace(0, frame.shape[0] - 1, LINES).astype(int)):
        # A row of all pixels, as that is how they lie in memory.
        row = slice(row, row + 1)
        step = np.abs(np.diff(np.asarray(frame[row], dtype=np.float64)[0]))
        if bad is not None:
            hidden = bad[row][0]
            step = step[~(hidden[1:] | hidden[:-1])]
        steps.append(step)
    steps = np.concatenate(steps)
    differ = steps[steps > 0]
    if differ.size < FEW or differ.size >= 0.5 * steps.size:
        return 0.0
    digit = np.percentile(differ, 10)
    number = differ / digit
    whole = np.abs(number - np.rint(number)) < 1e-2
    return float(digit) if whole.mean() > WHOLE else 0.0


def pad_thin_frame(
    numbers: np.ndarray, tile: Tile, shape: tuple[int, int], stride: int
) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Put plain sky around the pixels of a frame that is thin.

    Networks are at a loss where there is next to nothing.

    Parameters
    ----------
    numbers : `~numpy.ndarray`
        A tile of a frame, the inverse hyperbolic sine of units of the noise.
    tile : Tile
        Where it is.
    shape : tuple of int
        Of the frame.
    stride : int
        Of the network's grid: what is added on each side is a multiple of it.

    Returns
    -------
    numbers, inside : `~numpy.ndarray`, tuple of slice
        And where in it the tile is.
    """
    width = -(-THIN // stride) * stride
    widths = [width if size < THIN else 0 for size in shape]
    if not any(widths):
        return numbers, (slice(None), slice(None))
    rows, columns = (
        np.arange(start - more, stop + more) + 1_000_003
        for (start, stop), more in zip(tile.read, widths, strict=True)
    )
    result = np.arcsinh(ndtri(_uniform(rows, columns))).astype(np.float32)
    inside = tuple(
        slice(more, more + size)
        for more, size in zip(widths, numbers.shape, strict=True)
    )
    result[inside] = numbers
    return result, inside
