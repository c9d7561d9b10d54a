"""Defects of detectors, some of which look like cosmic rays."""

from __future__ import annotations

import numpy as np
from scipy import special

__all__ = ["add_banding", "add_columns", "add_hot_pixels", "bleed", "shade"]


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
