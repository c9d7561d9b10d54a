"""What a card can ask to be done to a frame before its network sees it.

A transform looks at the whole frame once, and returns a function that takes the
pixels of a tile to the numbers that go into the network. Training and inference
call the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .sky import measure_noise
from .tiling import Tile, read_tile

__all__ = ["TRANSFORMS", "Transform"]

#: Input is clipped here: far above any well, far below float32 overflow inside.
LARGEST = 1e12

Apply = Callable[[np.ndarray, Tile | None], np.ndarray]


class Transform(NamedTuple):
    """A transform, and which of the optional facts about noise it makes use of."""

    prepare: Callable[..., Apply]
    uses: frozenset[str] = frozenset()


def _linear(offset: float, scale: float) -> Apply:
    offset, scale = np.float32(offset), np.float32(scale)

    def apply(values: np.ndarray, tile: Tile | None = None) -> np.ndarray:  # noqa: ARG001
        if offset == 0 and scale == 1:
            return np.clip(values, -LARGEST, LARGEST)
        return (np.clip(values, -LARGEST, LARGEST) - offset) / scale

    return apply


def scaled(frame: np.ndarray, bad: np.ndarray | None, *, scale: float = 1.0) -> Apply:  # noqa: ARG001
    """Divide by a constant.

    Parameters
    ----------
    frame : `~numpy.ndarray`
        ``(ny, nx)``, in the card's unit.
    bad : `~numpy.ndarray` or None
        Pixels to leave out of statistics.
    scale : float
        The constant.
    """
    return _linear(0.0, scale)


def standardized(frame: np.ndarray, bad: np.ndarray | None) -> Apply:
    """Subtract the frame's mean and divide by its standard deviation.

    Both are taken over the good pixels of the whole frame.

    Parameters
    ----------
    frame : `~numpy.ndarray`
        ``(ny, nx)``, in any unit.
    bad : `~numpy.ndarray` or None
        Pixels to leave out of statistics.
    """
    good = frame if bad is None else frame[~bad]
    if not good.size:
        return _linear(0.0, 1.0)
    good = np.clip(good, -LARGEST, LARGEST)
    mean = good.mean(dtype=np.float64)
    spread = good.std(dtype=np.float64)
    return _linear(mean, spread if spread > 0 else 1.0)


def in_noise_units(
    frame: np.ndarray,
    bad: np.ndarray | None,
    *,
    cell: int = 64,
    background: np.ndarray | None = None,
    variance: np.ndarray | None = None,
    readnoise: float | None = None,
) -> Apply:
    """Subtract the sky, divide by its noise, and take the inverse hyperbolic sine.

    Parameters
    ----------
    frame : `~numpy.ndarray`
        ``(ny, nx)``, in any unit: the result does not depend on it.
    bad : `~numpy.ndarray` or None
        Pixels to leave out of the measurement.
    cell : int
        Width in px of the cells in which sky and noise are measured.
    background, variance : `~numpy.ndarray`, optional
        ``(ny, nx)``; used in place of what would be measured.
    readnoise : float, optional
        In the unit of the frame: the noise is not less.
    """
    if background is not None:
        frame = frame - background
    noise = measure_noise(frame, bad, cell=cell)
    floor = np.float32(readnoise or 0)

    def apply(values: np.ndarray, tile: Tile | None = None) -> np.ndarray:
        sky, sigma = noise.at(tile)
        if background is not None:
            sky += background if tile is None else read_tile(background, tile)
        if variance is not None:
            plane = variance if tile is None else read_tile(variance, tile)
            known = np.isfinite(plane) & (plane > 0)
            sigma = np.where(known, np.sqrt(np.where(known, plane, 1)), sigma)
        clipped = np.clip(values, -LARGEST, LARGEST)
        scaled = (clipped - sky) / np.maximum(sigma, floor)
        return np.arcsinh(scaled).astype(np.float32, copy=False)

    return apply


#: Transforms a model card can name.
TRANSFORMS: dict[str, Transform] = {
    "scaled": Transform(scaled),
    "standardized": Transform(standardized),
    "noise": Transform(
        in_noise_units, frozenset({"background", "variance", "readnoise"})
    ),
}
