"""A plane as the page draws it: levels of detail in tiles of 16 bit."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np

from ..tiling.tiles import row_blocks

__all__ = ["TILE", "Display", "Encoding", "measure_encoding"]

#: Width of a tile in px.
TILE = 512
#: The largest number of a tile; 0 is no value.
LARGEST = 65535
#: About so many pixels are measured for the stretch, and bins of their histogram.
SAMPLE, BINS = 200_000, 128
#: Percentiles of the sample that the page offers as limits.
PERCENTILES = (0.5, 99.5)


class Encoding(NamedTuple):
    """How values become whole numbers: by asinh, fine near the background.

    ``centre`` and ``scale`` are median and noise, in the unit of the frame; ``low`` and
    ``high`` the ends of the range of ``asinh((value - centre) / scale)``.
    """

    centre: float
    scale: float
    low: float
    high: float

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return values as 1 to 65535, and 0 where they are no numbers.

        Parameters
        ----------
        values : `~numpy.ndarray`
            In the unit of the frame.

        Returns
        -------
        `~numpy.ndarray`
            uint16.
        """
        known = ~np.isnan(values)
        with np.errstate(over="ignore"):
            part = np.arcsinh((np.where(known, values, 0.0) - self.centre) / self.scale)
        part = np.clip((part - self.low) / (self.high - self.low), 0, 1)
        return np.where(known, 1 + np.rint(part * (LARGEST - 1)), 0).astype(np.uint16)


def measure_encoding(data: np.ndarray) -> tuple[Encoding, dict]:
    """Measure how a plane is best encoded and shown.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``.

    Returns
    -------
    Encoding
    dict
        Limits "zscale", "percentile" and "minmax" in the unit of the frame, and a
        "histogram" of encoded values.
    """
    # Where Matplotlib is installed, this loads it.
    from astropy.visualization import ZScaleInterval

    step = max(1, int(np.sqrt(data.size / SAMPLE)))
    sample = np.asarray(data[::step, ::step], dtype=np.float64).ravel()
    sample = sample[np.isfinite(sample)]
    least, most = np.inf, -np.inf
    for rows in row_blocks(data.shape):
        block = data[rows]
        if block.dtype.kind == "f":
            block = block[np.isfinite(block)]
        if block.size:
            least, most = min(least, float(block.min())), max(most, float(block.max()))
    if not sample.size:
        sample = np.array([least if np.isfinite(least) else 0.0])
    least, most = (least, most) if least <= most else (0.0, 1.0)
    centre = float(np.median(sample))
    scale = 1.4826 * float(np.median(np.abs(sample - centre)))
    scale = scale or (most - least) / 1000 or max(abs(centre), 1.0)
    low, high = (float(np.arcsinh((end - centre) / scale)) for end in (least, most))
    encoding = Encoding(centre, scale, low, high if high > low else low + 1)
    bounds = np.percentile(sample, PERCENTILES)
    counts, _ = np.histogram(encoding.encode(sample), BINS, (1, LARGEST))
    limits = {
        "zscale": ZScaleInterval().get_limits(sample),
        "percentile": bounds,
        "minmax": (least, most),
    }
    shown: dict = {name: [float(x) for x in pair] for name, pair in limits.items()}
    return encoding, shown | {"histogram": counts.tolist()}


class Display:
    """A plane in levels, each half as wide as the one before.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``, not modified.
    encoding : Encoding
        From `measure_encoding`.
    """

    def __init__(self, data: np.ndarray, encoding: Encoding):
        self.encoding = encoding
        self._levels = [data]
        self._lock = threading.Lock()

    @property
    def n_levels(self) -> int:
        """Number of levels; the last one is one tile."""
        return max(0, int(max(self._levels[0].shape) - 1) // TILE).bit_length() + 1

    def level(self, number: int) -> np.ndarray:
        """Return a level, whose pixels are means of those that have a value.

        Parameters
        ----------
        number : int
            0 is the plane itself.
        """
        # Tiles are asked for by several threads at once.
        with self._lock:
            while len(self._levels) <= number:
                self._levels.append(_halved(self._levels[-1]))
            return self._levels[number]

    def tile(self, level: int, row: int, column: int) -> np.ndarray:
        """Return a tile of a level, encoded.

        Parameters
        ----------
        level, row, column : int
            Which one, from 0.

        Returns
        -------
        `~numpy.ndarray`
            uint16, at most ``(TILE, TILE)``.

        Raises
        ------
        ValueError
            If there is no such tile.
        """
        if not 0 <= level < self.n_levels or row < 0 or column < 0:
            raise ValueError(f"there is no tile {level}, {row}, {column}")
        values = self.level(level)
        part = values[
            row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE
        ]
        if not part.size:
            raise ValueError(f"there is no tile {level}, {row}, {column}")
        return self.encoding.encode(np.asarray(part, dtype=np.float64))


def _halved(values: np.ndarray) -> np.ndarray:
    """Return the means of blocks of 2x2 pixels; NaN where none has a value."""
    ny, nx = values.shape
    half = np.empty((-(-ny // 2), -(-nx // 2)), dtype=np.float32)
    # An even number of rows at a time.
    for rows in row_blocks(half.shape, 1_000_000):
        with np.errstate(over="ignore"):
            block = values[2 * rows.start : 2 * rows.stop].astype(np.float32)
        odd = [(0, size % 2) for size in block.shape]
        if odd != [(0, 0), (0, 0)]:
            block = np.pad(block, odd, constant_values=np.nan)
        quarters = [block[y::2, x::2] for y in (0, 1) for x in (0, 1)]
        with np.errstate(invalid="ignore"):
            mean = quarters[0] + quarters[1]
            for quarter in quarters[2:]:
                mean += quarter
            mean *= 0.25
        lost = ~np.isfinite(mean)
        if lost.any():
            several = np.stack([quarter[lost] for quarter in quarters])
            known = np.isfinite(several)
            total = np.where(known, several, 0).sum(axis=0)
            number = known.sum(axis=0)
            mean[lost] = np.where(number, total / np.maximum(number, 1), np.nan)
        half[rows] = mean
    return half
