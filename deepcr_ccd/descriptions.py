"""What a network that fills is told of the windows around struck pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .rays import NEAR_RAYS, RAYS, measure_rays, rays_in_windows, size_of
from .star_fits import FITS, HIGHEST, fit_stars
from .stars import PROFILE, Stars, find_stars
from .windows import GOOD, HELD, gaussian, middle_of, places, read_windows

__all__ = [
    "BLOCK",
    "TOLD",
    "Block",
    "compare_windows",
    "describe_windows",
    "look_around",
    "map_windows",
    "window_units",
]

#: Places that a thread works on at a time.
PART = 4096
#: Width in px of the blocks of a frame in which stars look alike.
BLOCK = 1024
#: Half-width in px of what is told of struck pixels, too; how many numbers are told
#: beside `window_units`.
MIDDLE = 2
TOLD = (2 * MIDDLE + 1) ** 2 + 1 + RAYS + NEAR_RAYS + PROFILE + FITS
#: Scale length in px of the weights by which a window's own units are measured.
KERNEL = 2.0


class Block(NamedTuple):
    """What stars and cosmic rays look like in a part of a frame.

    ``rays`` is `~deepcr_ccd.rays.measure_rays`.
    """

    stars: Stars
    rays: np.ndarray


def look_around(data: np.ndarray, kinds: np.ndarray) -> Block:
    """Measure stars and cosmic rays of a part of a frame.

    Parameters
    ----------
    data : `~numpy.ndarray`
        float, ``(ny, nx)``, in any unit.
    kinds : `~numpy.ndarray`
        uint8, ``(ny, nx)``: `GOOD`, `HELD` or 0.
    """
    return Block(find_stars(data, kinds != GOOD), measure_rays(data, kinds))


def map_windows(
    function: Callable[[np.ndarray, np.ndarray, Block], np.ndarray],
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
        Takes ``values`` and ``good`` of `Windows`, and what is seen in the block of
        `BLOCK` px where they are; returns some numbers for each.
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

    def look(block: tuple[int, int]) -> Block:
        where = tuple(
            slice(max(BLOCK * place - start, 0), BLOCK * (place + 1) - start)
            for place, start in zip(block, origin, strict=True)
        )
        return look_around(read(where), kinds[where])

    blocks = list(dict.fromkeys(block for block, _ in parts))
    seen = dict(zip(blocks, mapped(look, blocks), strict=True))

    def work(part: tuple) -> None:
        block, these = part
        found = read_windows(data, kinds, rows[these], columns[these], radius)
        for values, kind, which in found:
            out[these[which]] = function(values, kind, seen[block])

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
    values: np.ndarray, kinds: np.ndarray, block: Block
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say of windows what a network that fills is told, but for comparisons with stars.

    Parameters
    ----------
    values, kinds : `~numpy.ndarray`
        ``(n, k * k)``, from `read_windows`.
    block : Block
        Of where they are.

    Returns
    -------
    numbers : `~numpy.ndarray`
        float32, ``(n, 2 * k * k + TOLD)``: `window_units` of the good pixels; what all
        pixels in the middle hold, in these units, 0 where that is not known; whether
        the one in the middle is among these; what rays leave and the noise, as
        logarithms; zeros, where `compare_windows` puts more; the profile of the stars;
        and zeros again.
    mean, spread : `~numpy.ndarray`
        As from `window_units`.
    """
    size = values.shape[1]
    good = kinds == GOOD
    numbers = np.zeros((len(values), 2 * size + TOLD), dtype=np.float32)
    own, mean, spread = window_units(np.where(good, values, 0), good)
    numbers[:, : 2 * size] = own
    held = (middle_of(values, MIDDLE) - mean[:, None]) / spread[:, None]
    held = np.where(middle_of(kinds, MIDDLE) > 0, held, 0)
    numbers[:, 2 * size : 2 * size + held.shape[1]] = held.clip(-HIGHEST, HIGHEST)
    place = 2 * size + held.shape[1]
    numbers[:, place] = kinds[:, size // 2] == HELD
    rays = np.append(block.rays, block.stars.noise) / spread[:, None]
    numbers[:, place + 1 : place + 1 + RAYS] = size_of(rays)
    numbers[:, -PROFILE - FITS : -FITS] = block.stars.profile
    return numbers, mean, spread


def compare_windows(
    numbers: np.ndarray,
    which: np.ndarray,
    values: np.ndarray,
    kinds: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    block: Block,
) -> None:
    """Add to what is said of some windows how they compare with stars and with rays.

    Parameters
    ----------
    numbers : `~numpy.ndarray`
        From `describe_windows`; `~deepcr_ccd.rays.rays_in_windows` and
        `~deepcr_ccd.star_fits.fit_stars` are put into them.
    which : `~numpy.ndarray`
        Index of the windows.
    values, kinds, mean, spread, block
        What `describe_windows` took and gave, of all windows.
    """
    values, kinds, mean, spread = (
        plane[which] for plane in (values, kinds, mean, spread)
    )
    near, expected = rays_in_windows(values, kinds, block.rays)
    near[:, :-1] = size_of(near[:, :-1] / spread[:, None])
    end = -PROFILE - FITS
    numbers[which, end - NEAR_RAYS : end] = near
    fits = fit_stars(values, kinds, mean, spread, block.stars, expected)
    numbers[which, -FITS:] = fits


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
    kernel = gaussian(half, KERNEL).ravel()
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
