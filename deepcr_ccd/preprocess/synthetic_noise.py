"""Synthetic noise, repeatable as it depends on the place of a pixel only."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtri

from ..tiling.tiles import Tile, reflect_indices

__all__ = [
    "DitheredFrame",
    "MIN_WIDTH",
    "dither",
    "find_quantization_step",
    "pad_thin_frame",
]

#: Frames of fewer rows or columns are padded by about as many synthetic ones.
MIN_WIDTH = 16
#: Number of rows from which the quantization step is found; the smallest number of
#: differences; and the fraction of these that must be multiples of the step.
SAMPLED_ROWS = 64
MIN_DIFFERENCES = 30
MIN_MULTIPLES = 0.95


def _uniform(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return uniform numbers in (0, 1) for places of pixels, by hashing them."""
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
    """Return uniform noise in (-0.5, 0.5) of a quantization step, for dithering.

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
    """A coarsely quantized frame with dither, computed where it is indexed.

    Parameters
    ----------
    frame : array-like
        ``(ny, nx)``.
    digit : float
        From `find_quantization_step`.
    """

    def __init__(self, frame: Any, digit: float):
        self.frame = frame
        self.digit = np.float32(digit)
        self.shape = frame.shape
        self.serial = getattr(frame, "serial", False)
        there = getattr(frame, "device_frame", None)
        self.device_frame = there and there.dithered(digit)

    def __getitem__(self, index: Any) -> np.ndarray:
        parts = index if isinstance(index, tuple) else (index, slice(None))
        pixels = [
            np.arange(size)[part] for part, size in zip(parts, self.shape, strict=True)
        ]
        return self.frame[index] + self.digit * _centred(*pixels)


def find_quantization_step(frame: Any, bad: np.ndarray | None) -> float:
    """Return the quantization step of a frame whose noise is less than half of it.

    Parameters
    ----------
    frame : array-like
        ``(ny, nx)``, finite.
    bad : `~numpy.ndarray` or None
        bool, pixels to leave out.

    Returns
    -------
    float
        Zero if most neighbours differ, or nearly all are equal.
    """
    steps = []
    for number in np.unique(
        np.linspace(0, frame.shape[0] - 1, SAMPLED_ROWS).astype(int)
    ):
        # A whole row, which is contiguous in memory.
        row = slice(number, number + 1)
        step = np.abs(np.diff(np.asarray(frame[row], dtype=np.float64)[0]))
        if bad is not None:
            hidden = bad[row][0]
            step = step[~(hidden[1:] | hidden[:-1])]
        steps.append(step)
    every = np.concatenate(steps)
    differ = every[every > 0]
    if differ.size < MIN_DIFFERENCES or differ.size >= 0.5 * every.size:
        return 0.0
    digit = np.percentile(differ, 10)
    multiple = differ / digit
    whole = np.abs(multiple - np.rint(multiple)) < 1e-2
    return float(digit) if whole.mean() > MIN_MULTIPLES else 0.0


def pad_thin_frame(
    numbers: np.ndarray, tile: Tile, shape: tuple[int, int], stride: int
) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Pad the input of a frame of few rows or columns with background noise.

    Networks work poorly on frames that are narrower than what they were trained on.

    Parameters
    ----------
    numbers : `~numpy.ndarray`
        float32, the network's input for a tile: the inverse hyperbolic sine of pixels
        in units of the noise.
    tile : Tile
        The tile.
    shape : tuple of int
        ``(ny, nx)`` of the frame, in px.
    stride : int
        Stride of the network: the width of the padding is a multiple of it.

    Returns
    -------
    numbers, inside : `~numpy.ndarray`, tuple of slice
        The padded input, and where in it the tile is.
    """
    width = -(-MIN_WIDTH // stride) * stride
    widths = [width if size < MIN_WIDTH else 0 for size in shape]
    if not any(widths):
        return numbers, (slice(None), slice(None))
    rows, columns = (
        np.arange(start - more, stop + more) + 1_000_003
        for (start, stop), more in zip(tile.read, widths, strict=True)
    )
    result = np.arcsinh(ndtri(_uniform(rows, columns))).astype(np.float32)
    ny, nx = numbers.shape
    inside = slice(widths[0], widths[0] + ny), slice(widths[1], widths[1] + nx)
    result[inside] = numbers
    return result, inside
