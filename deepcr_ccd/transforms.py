"""What a card can ask to be done to a frame before its network sees it.

A transform looks at the whole frame once, and returns a function that takes the
pixels of a tile to the numbers that go into the network. Training and inference
call the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .tiling import Tile

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


#: Transforms a model card can name.
TRANSFORMS: dict[str, Transform] = {
    "scaled": Transform(scaled),
    "standardized": Transform(standardized),
}
