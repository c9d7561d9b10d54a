"""Background and noise of cells, measured on a device.

The same numbers as of `~deepcr_ccd.preprocess.background.measure_background`, up to the
rounding of sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from ..cells import MAD_TO_SIGMA, MAX_VALUE, SAMPLES, robust_scatter
from ..dark_regions import MIN_GOOD, PARTS

__all__ = ["SAMPLES_AT_A_TIME", "measure_cells"]

#: Number of samples that are processed at a time.
SAMPLES_AT_A_TIME = 4_000_000
#: Which samples are good; None for all.
Good = torch.Tensor | None


def measure_cells(
    values_at: Callable[[int, int], torch.Tensor],
    good_at: Callable[[int, int], Good],
    samples: tuple[int, int],
    enough: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measure background and noise of cells.

    Parameters
    ----------
    values_at, good_at : callable
        Return the samples' neighbours, ``(ncells, mcells, samples)``, for a step along
        each axis: their values, float32, and which of them are good, or None for all.
    samples : tuple of int
        Number of samples of a cell along each axis.
    enough : float
        The fraction of samples that must be good.

    Returns
    -------
    background, noise : `~numpy.ndarray`
        float64, ``(ncells, mcells)``; NaN where a cell has too few good samples, the
        noise also where it is zero.
    parts : `~numpy.ndarray`
        float64, the medians of the parts of the cells.
    """
    most = float(MAX_VALUE)

    def take(dy: int, dx: int) -> torch.Tensor:
        return values_at(dy, dx).clamp(-most, most)

    values, good = take(0, 0), good_at(0, 0)
    middle = _median(values, good)
    distance = (values - middle[..., None]).abs()
    spread = MAD_TO_SIGMA * _median(distance, good)
    kept = distance <= 3 * spread[..., None]
    if good is not None:
        kept &= good
    number = kept.sum(dim=-1).clamp(min=1)
    zero = values.new_zeros(())
    mean = torch.where(kept, values, zero).sum(dim=-1, dtype=torch.float64) / number
    background = 2.5 * _median(values, kept) - 1.5 * mean
    background = torch.maximum(background, middle - spread)
    background = torch.minimum(background, middle + spread)
    noises = []
    for dy, dx in ((0, 1), (1, 0)):
        difference = (take(-dy, -dx) - 2 * values + take(dy, dx)).abs()
        every = good
        if good is not None:
            before, after = good_at(-dy, -dx), good_at(dy, dx)
            if before is not None and after is not None:
                every = good & before & after
        noise = _robust_scatter(difference, every) / math.sqrt(6)
        noises.append(torch.where(noise > 0, noise, torch.nan))
    rms = torch.fmin(*noises)
    rms = torch.where(rms > 0, rms, spread)
    if good is not None:
        poor = good.to(torch.float64).mean(dim=-1) < enough
        background, rms = (
            torch.where(poor, torch.nan, found) for found in (background, rms)
        )
    rms = torch.where(rms > 0, rms, torch.nan)
    parts = _measure_parts(values, good, samples)
    background, rms = torch.stack([background, rms]).cpu().numpy()
    return background, rms, parts.cpu().numpy()


def _median(values: torch.Tensor, good: Good) -> torch.Tensor:
    """Return what `~deepcr_ccd.preprocess.cells.median` does, float64."""
    every = values.shape[-1]
    if good is None:
        # Of an even number, the lower one of the middle, as there.
        middle = values.sort(dim=-1).values[..., (every - 1) // 2]
        return middle.to(torch.float64)
    ordered = torch.where(good, values, torch.inf).sort(dim=-1).values
    number = good.sum(dim=-1, keepdim=True)
    low = ordered.gather(-1, (number - 1).clamp(min=0) // 2)
    high = ordered.gather(-1, number.clamp(max=every - 1) // 2)
    middle = (low + high)[..., 0].to(torch.float64) / 2
    return torch.where(number[..., 0] > 0, middle, torch.nan)


def _robust_scatter(size: torch.Tensor, good: Good) -> torch.Tensor:
    found = MAD_TO_SIGMA * _median(size, good)
    coarse = found == 0
    if coarse.any():
        # Of few frames, and there of few cells.
        their_good = None if good is None else good[coarse].cpu().numpy()
        scatter = robust_scatter(size[coarse].cpu().numpy(), their_good)
        found[coarse] = torch.from_numpy(scatter).to(found.device)
    return found


def _measure_parts(
    values: torch.Tensor, good: Good, samples: tuple[int, int]
) -> torch.Tensor:
    """Return the medians of the parts of cells, ``(PARTS * ncells, PARTS * mcells)``.

    As `~deepcr_ccd.preprocess.dark_regions.measure_parts`.
    """
    n, m = values.shape[:2]
    if min(samples) < SAMPLES:
        return torch.full((PARTS * n, PARTS * m), torch.nan, dtype=torch.float64)
    inner = SAMPLES // PARTS

    def part(plane: torch.Tensor) -> torch.Tensor:
        parted = plane.reshape(n, m, PARTS, inner, PARTS, inner)
        parted = parted.permute(0, 2, 1, 4, 3, 5)
        return parted.reshape(PARTS * n, PARTS * m, inner**2)

    if good is None:
        return _median(part(values), None)
    good = part(good)
    medians = _median(part(values), good)
    poor = good.to(torch.float64).mean(dim=-1) < MIN_GOOD
    return torch.where(poor, torch.nan, medians)
