"""A frame as a network takes it: float32, in its unit, bad pixels filled, by tiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from ..inpainting.local import fill_pixels
from ..tiling.tiles import Tile, read_tile, reflect_indices, row_blocks

__all__ = ["NetworkInput", "to_float32"]

MAX_FLOAT32 = float(np.finfo(np.float32).max)
#: Factors between these may be applied in float32.
USUAL_FACTORS = (1e-6, 1e6)
#: With a larger fraction of bad pixels than this, those that no output depends on are
#: filled with one value.
MANY_BAD = 0.02


class NetworkInput:
    """A frame that is converted where and when it is read.

    So a memory-mapped frame may be larger than memory. In tiles, a bad pixel has the
    median of its good neighbours, or its own value if that is higher, up to that of the
    highest good pixel. So saturated stars keep their cores, without which their rims
    would look like cosmic rays.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype and byte order. It is not modified.
    factor : float
        From the unit of ``data`` to that of the network.
    bad : `~numpy.ndarray`, optional
        bool, ``(ny, nx)``, some but not all True; all that is not finite must be in it.
    radius : int, optional
        Receptive radius of the network in px: bad pixels farther from any good one
        have no effect on the output.
    shape, origin : tuple of int, optional
        If ``data`` is a piece of a frame: the shape of the whole, and where in it the
        piece begins.
    finite : bool
        Whether all pixels not in ``bad`` are finite; otherwise, they are made so where
        the plane is indexed.
    highest : float, optional
        The highest good pixel of the whole frame, if that is known.
    """

    def __init__(
        self,
        data: np.ndarray,
        factor: float = 1.0,
        bad: np.ndarray | None = None,
        radius: int | None = None,
        *,
        shape: tuple[int, int] | None = None,
        origin: tuple[int, int] = (0, 0),
        finite: bool = True,
        highest: float | None = None,
    ):
        self.data = data
        self.factor = factor
        self.bad = bad
        self.shape = shape or data.shape
        self.origin = origin
        self.finite = finite and bad is None
        #: A copy in the memory of a GPU, see `deepcr_ccd.preprocess.on_device`.
        self.device_frame: Any = None
        if bad is not None:
            self._fill_bad(bad, radius, highest)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Return some pixels, float32 and finite, bad ones as they are."""
        return to_float32(self.data[index], self.factor, finite=not self.finite)

    def raw(self, index: Any) -> np.ndarray:
        """Return some pixels, float32, bad ones as they are and perhaps not finite."""
        return to_float32(self.data[index], self.factor)

    def cut(
        self, rows: np.ndarray, columns: np.ndarray, size: tuple[int, int]
    ) -> np.ndarray:
        """Return cutouts, float32 and finite, bad pixels as they are, as a new array.

        Parameters
        ----------
        rows, columns : `~numpy.ndarray`
            int, ``(n,)``, where they begin; they lie within the frame.
        size : tuple of int
            Their height and width in px.

        Returns
        -------
        `~numpy.ndarray`
            ``(n, *size)``.
        """
        cutouts = sliding_window_view(self.data, size)[rows, columns]
        return to_float32(cutouts, self.factor, finite=not self.finite)

    def read(self, tile: Tile) -> np.ndarray:
        """Return the pixels of a tile's read, float32; possibly a view, not to write.

        Parameters
        ----------
        tile : Tile
            From `~deepcr_ccd.tiling.tiles.plan_tiles` for this shape.
        """
        whole = self.shape, self.origin
        values = self._convert(read_tile(self.data, tile, *whole))
        if self.bad is None:
            return values
        rows, columns = np.nonzero(read_tile(self.bad, tile, *whole))
        if not rows.size:
            return values
        there = [
            reflect_indices(*span, size) - start
            for span, size, start in zip(
                tile.read, self.shape, self.origin, strict=True
            )
        ]
        flat = there[0][rows] * self.data.shape[1] + there[1][columns]
        values = values.copy()
        values[rows, columns] = self._level
        if self._filled.size:
            place = np.searchsorted(self._filled, flat)
            place = np.minimum(place, self._filled.size - 1)
            has_fill = self._filled[place] == flat
            values[rows[has_fill], columns[has_fill]] = self._fills[place[has_fill]]
        return values

    def whole(self) -> np.ndarray:
        """Return all pixels, float32, as a new array."""
        ny, nx = self.shape
        every = slice(0, ny), slice(0, nx)
        return np.array(self.read(Tile(((0, ny), (0, nx)), every, every)))

    @property
    def fills(self) -> tuple[float, np.ndarray, np.ndarray]:
        """What bad pixels have in tiles.

        The value of most, then the flat indices, ascending, and values of those that
        differ; float32.
        """
        return float(self._level), self._filled, self._fills

    def _convert(self, values: np.ndarray) -> np.ndarray:
        return to_float32(values, self.factor)

    def _fill_bad(
        self, bad: np.ndarray, radius: int | None, highest: float | None
    ) -> None:
        """Compute the fills of bad pixels."""
        near, self._level = bad, np.zeros((), np.float32)
        if radius is not None and bad.mean() > MANY_BAD:
            near = bad & ndimage.maximum_filter(~bad, size=2 * radius + 1)
            self._level = self._convert(_median(self.data, ~bad))
        self._filled = np.flatnonzero(near)
        if highest is None:
            highest = _highest(self.data, bad)
        pixel_values = self.data[near]
        pixel_values = np.where(
            np.isfinite(pixel_values), np.minimum(pixel_values, highest), -np.inf
        )
        # The sigma of the fills, which may overflow, is not needed.
        with np.errstate(over="ignore", invalid="ignore"):
            fill, _ = fill_pixels(self.data, near, bad, "median")
        self._fills = self._convert(np.maximum(fill, pixel_values))


def to_float32(values: np.ndarray, factor: float, finite: bool = False) -> np.ndarray:
    """Return pixels as a network takes them; the same array if it is such already.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Any real dtype and byte order.
    factor : float
        From their unit to that of the network.
    finite : bool
        Whether to replace NaN by 0 and infinities by the largest numbers.
    """
    with np.errstate(over="ignore", under="ignore"):
        if not USUAL_FACTORS[0] < factor < USUAL_FACTORS[1]:
            # Values may overflow float32, before or after.
            frame = (values * np.float64(factor)).astype(np.float32)
        else:
            frame = values.astype(np.float32, copy=False)
            if factor != 1:
                frame = frame * np.float32(factor)
    if values.dtype.itemsize > 4 or factor != 1:
        frame = np.clip(frame, -MAX_FLOAT32, MAX_FLOAT32)
    if finite:
        frame = np.nan_to_num(frame, nan=0, posinf=MAX_FLOAT32, neginf=-MAX_FLOAT32)
    return frame


def _highest(data: np.ndarray, bad: np.ndarray) -> float:
    """Return the value of the highest good pixel, reading some rows at a time."""
    highest = -np.inf
    for rows in row_blocks(data.shape):
        good = data[rows][~bad[rows]]
        if good.size:
            highest = max(highest, good.max())
    return highest


def _median(data: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return the median of the good pixels, of about a million if there are more."""
    step = max(1, int(np.sqrt(data.size / 1e6)))
    part = data[::step, ::step][good[::step, ::step]]
    return np.asarray(np.median(part if part.size else data[good]))
