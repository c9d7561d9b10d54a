"""Defects of detectors, some of which look like cosmic rays."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage, special

__all__ = [
    "add_banding",
    "add_columns",
    "add_equal_hot_pixels",
    "add_hot_pixels",
    "add_leaks",
    "add_spots",
    "bleed",
    "compress",
    "shade",
]


def add_hot_pixels(
    rng: np.random.Generator, sigma: np.ndarray, fraction: float
) -> np.ndarray:
    """Return the charge of hot pixels, single ones without any spread.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    sigma : `~numpy.ndarray`
        ``(ny, nx)``, one-sigma noise, in electron.
    fraction : float
        Of pixels that are hot.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, nx)``, in electron, 0 where not hot. Dark currents fall off
        with a long tail: a few pixels are a thousand times as hot as most.
    """
    hot = rng.random(sigma.shape) < fraction
    scale = np.exp(rng.uniform(np.log(2), np.log(12)))
    size = rng.exponential(1, hot.sum()) * rng.lognormal(0, 0.9, hot.sum())
    charge = np.zeros(sigma.shape, dtype=np.float32)
    charge[hot] = scale * size * sigma[hot]
    return charge


def add_equal_hot_pixels(
    rng: np.random.Generator, sigma: np.ndarray, fraction: float
) -> np.ndarray:
    """Return the charge of hot pixels that are all as hot as each other.

    Parameters
    ----------
    rng, sigma, fraction
        As for `add_hot_pixels`.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, nx)``, in electron: 8 to 100 times the noise, or 0.
    """
    hot = rng.random(sigma.shape) < fraction
    level = np.exp(rng.uniform(np.log(8), np.log(100))) * np.median(sigma)
    return np.where(hot, level, 0).astype(np.float32)


def add_leaks(rng: np.random.Generator, sigma: np.ndarray) -> np.ndarray:
    """Return the charge beside hot pixels that are masked, and filled already.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    sigma : `~numpy.ndarray`
        ``(ny, nx)``, one-sigma noise, in electron.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, nx)``, in electron: 2 to 40 times the noise in the four or the
        eight pixels around each.
    """
    hot = rng.random(sigma.shape) < 10 ** rng.uniform(-4, -2.7)
    near = ndimage.generate_binary_structure(2, int(rng.integers(1, 3)))
    level = np.exp(rng.uniform(np.log(2), np.log(40))) * np.median(sigma)
    around = ndimage.binary_dilation(hot, near) & ~hot
    return np.where(around, level, 0).astype(np.float32)


def add_spots(
    rng: np.random.Generator, shape: tuple[int, int], background: float
) -> np.ndarray:
    """Return round patches of light with sharp edges: discs, half discs and rings.

    As pinholes in front of a lamp, masks of focal planes, and ghosts make them.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    shape : tuple of int
        Of the frame.
    background : float
        In electron.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, nx)``, in electron.
    """
    ny, nx = shape
    fine = np.zeros((2 * ny, 2 * nx), dtype=np.float32)
    y, x = np.mgrid[: 2 * ny, : 2 * nx] / 2
    for _ in range(rng.integers(1, 25)):
        y0, x0 = rng.uniform(0, ny), rng.uniform(0, nx)
        radius = rng.uniform(1.3, 4) if rng.random() < 0.6 else rng.uniform(3, 20)
        distance = np.hypot(y - y0, x - x0)
        spot = distance < radius
        if rng.random() < 0.3:
            angle = rng.uniform(0, 2 * np.pi)
            spot &= (y - y0) * np.cos(angle) + (x - x0) * np.sin(angle) > 0
        if rng.random() < 0.3:
            spot &= distance > 0.7 * radius
        fine += spot * np.float32((background + 30) * 10 ** rng.uniform(-1, 1.3))
    smooth = ndimage.gaussian_filter(fine, rng.uniform(1.2, 2.5))
    return smooth.reshape(ny, 2, nx, 2).mean(axis=(1, 3))


def compress(
    rng: np.random.Generator, frame: np.ndarray, sigma: np.ndarray
) -> np.ndarray:
    """Return a frame after lossy compression in blocks of 8x8 px, as JPEG does.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    frame, sigma : `~numpy.ndarray`
        ``(ny, nx)``, sides multiples of 8, and its one-sigma noise.
    """
    ny, nx = (n // 8 for n in frame.shape)
    blocks = frame.reshape(ny, 8, nx, 8).transpose(0, 2, 1, 3)
    waves = fft.dctn(blocks, axes=(2, 3), norm="ortho")
    # High frequencies are kept less well.
    steps = 1 + rng.uniform(0.1, 0.5) * np.add.outer(np.arange(8), np.arange(8))
    steps = steps * np.median(sigma) * rng.uniform(1, 6)
    blocks = fft.idctn(np.rint(waves / steps) * steps, axes=(2, 3), norm="ortho")
    return blocks.transpose(0, 2, 1, 3).reshape(frame.shape)


def add_columns(rng: np.random.Generator, sigma: np.ndarray) -> np.ndarray:
    """Return the charge of a few bad columns or rows, whole or from some row on.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    sigma : `~numpy.ndarray`
        ``(ny, nx)``, one-sigma noise, in electron.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, nx)``, in electron; negative in dark columns.
    """
    along_rows = rng.random() < 0.3
    ny, nx = sigma.shape[::-1] if along_rows else sigma.shape
    offset = np.zeros((ny, nx), dtype=np.float32)
    level = float(np.median(sigma))
    for _ in range(rng.integers(1, 5)):
        x, width = rng.integers(nx), rng.choice([1, 1, 1, 2, 3])
        start = rng.integers(ny) if rng.random() < 0.5 else 0
        size = level * np.exp(rng.uniform(np.log(2), np.log(200)))
        if rng.random() < 0.3:
            size = -min(size, 5 * level)
        offset[start:, x : x + width] += size
    return offset.T if along_rows else offset


def add_banding(
    rng: np.random.Generator, shape: tuple[int, int], readnoise: float
) -> np.ndarray:
    """Return offsets that rows or columns have in common, from read-out electronics.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    shape : tuple of int
        ``(ny, nx)``.
    readnoise : float
        In electron.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, 1)`` or ``(1, nx)``, in electron.
    """
    axis = rng.integers(2)
    size = readnoise * rng.uniform(0.1, 1.2)
    lines = rng.normal(0, size, shape[axis]).astype(np.float32)
    return lines[:, None] if axis == 0 else lines[None, :]


def shade(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return the fraction of light that passes an edge, as of a field stop or overscan.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    shape : tuple of int
        ``(ny, nx)``.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, nx)``, 1 on one side of the edge and 0 on the other.
    """
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    angle = rng.choice([0, rng.uniform(0, 0.5 * np.pi)]) + rng.integers(4) * np.pi / 2
    y0, x0 = (rng.uniform(0.1, 0.9) * n for n in shape)
    across = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    if rng.random() < 0.5:
        # Round, through the same point.
        radius = max(shape) * 10 ** rng.uniform(-0.5, 1)
        along = -(x - x0) * np.sin(angle) + (y - y0) * np.cos(angle)
        across = radius - np.hypot(across - radius, along)
    softness = rng.choice([0.1, rng.uniform(0.3, 6)])
    return (0.5 * (1 + special.erf(across / softness))).astype(np.float32)


def bleed(frame: np.ndarray, well: float) -> np.ndarray:
    """Let the charge above the full well bleed along its column, half each way.

    Parameters
    ----------
    frame : `~numpy.ndarray`
        ``(ny, nx)``, in electron.
    well : float
        Full well of a pixel, in electron.

    Returns
    -------
    `~numpy.ndarray`
        A frame that is nowhere above ``well``.
    """
    excess = np.maximum(frame - well, 0)
    frame = np.minimum(frame, well)
    for column in np.nonzero(excess.any(axis=0))[0]:
        for step in (1, -1):
            spilt, line = excess[::step, column] / 2, frame[::step, column]
            carried = 0.0
            for row in range(np.nonzero(spilt)[0][0], len(line)):
                carried += spilt[row]
                room = min(well - line[row], carried)
                line[row] += room
                carried -= room
                if carried <= 0 and not spilt[row + 1 :].any():
                    break
    return frame
