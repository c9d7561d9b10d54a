"""A frame as networks see it: float32, in their unit, without bad pixels, by tiles."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from ..inpainting.local import fill_pixels
from ..tiling.tiles import Tile, read_tile, reflect_indices, row_blocks

__all__ = ["Plane", "to_float32"]

LARGEST = np.finfo(np.float32).max
#: Factors that a gain may be, or a unit.
USUAL = (1e-6, 1e6)
#: With more bad pixels than this share, those out of sight are not looked at closely.
MANY = 0.02


class Plane:
    """A frame that is converted where and when it is read.

    So a memory-mapped frame larger than memory can be worked on. In what is read, a
    bad pixel has the median of its good neighbours, or its own value if that is
    higher, but none above the highest good pixel. So saturated stars keep their cores,
    without which their rims would look like cosmic rays.

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
        have no effect, and are not looked at closely.
    shape, origin : tuple of int, optional
        If ``data`` is a piece of a frame: the shape of the whole, and where in it the
        piece begins.
    finite : bool
        Whether all that is not in ``bad`` is finite; otherwise, what is indexed is
        made so.
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
        if bad is not None:
            self._patch(radius, highest)

    def __getitem__(self, index) -> np.ndarray:
        """Return some pixels, float32 and finite, bad ones as they are."""
        return to_float32(self.data[index], self.factor, finite=not self.finite)

    def raw(self, index) -> np.ndarray:
        """Return some pixels, float32, bad ones as they are and perhaps not finite."""
        return to_float32(self.data[index], self.factor)

    def cut(
        self, rows: np.ndarray, columns: np.ndarray, size: tuple[int, int]
    ) -> np.ndarray:
        """Return windows, float32 and finite, bad pixels as they are, as a new array.

        Parameters
        ----------
        rows, columns : `~numpy.ndarray`
            int, where they begin; they lie within the frame.
        size : tuple of int
            Their height and width in px.
        """
        windows = sliding_window_view(self.data, size)[rows, columns]
        return to_float32(windows, self.factor, finite=not self.finite)

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
        if self._places.size:
            place = np.searchsorted(self._places, flat)
            place = np.minimum(place, self._places.size - 1)
            known = self._places[place] == flat
            values[rows[known], columns[known]] = self._values[place[known]]
        return values

    def whole(self) -> np.ndarray:
        """Return all pixels, float32, as a new array."""
        return np.array(self.read(Tile(tuple((0, n) for n in self.shape), (), ())))

    def _convert(self, values: np.ndarray) -> np.ndarray:
        return to_float32(values, self.factor)

    def _patch(self, radius: int | None, highest: float | None) -> None:
        """Work out what bad pixels are replaced by."""
        near, self._level = self.bad, np.float32(0)
        if radius is not None and self.bad.mean() > MANY:
            near = self.bad & ndimage.maximum_filter(~self.bad, size=2 * radius + 1)
            self._level = self._convert(_median(self.data, ~self.bad))
        self._places = np.flatnonzero(near)
        if highest is None:
            highest = _highest(self.data, self.bad)
        own = self.data[near]
        own = np.where(np.isfinite(own), np.minimum(own, highest), -np.inf)
        # The spread of huge numbers is not needed.
        with np.errstate(over="ignore", invalid="ignore"):
            fill, _ = fill_pixels(self.data, near, self.bad, "median")
        self._values = self._convert(np.maximum(fill, own))


def to_float32(values: np.ndarray, factor: float, finite: bool = False) -> np.ndarray:
    """Return pixels as networks take them; the same array if it is such already.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Any real dtype and byte order.
    factor : float
        From their unit to that of the network.
    finite : bool
        Whether to put numbers in the place of what is none.
    """
    with np.errstate(over="ignore", under="ignore"):
        if not USUAL[0] < factor < USUAL[1]:
            # Before or after, float32 would not hold it.
            frame = (values * np.float64(factor)).astype(np.float32)
        else:
            frame = values.astype(np.float32, copy=False)
            if factor != 1:
                frame = frame * np.float32(factor)
    if values.dtype.itemsize > 4 or factor != 1:
        frame = np.clip(frame, -LARGEST, LARGEST)
    if finite:
        frame = np.nan_to_num(frame, nan=0, posinf=LARGEST, neginf=-LARGEST)
    return frame


def _highest(data: np.ndarray, bad: np.ndarray) -> float:
    """Return the highest good pixel, looking at some rows at a time."""
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
