"""Warn of frames that are CR-affected or excluded nearly everywhere."""

from __future__ import annotations

import numpy as np

from ..notices import warn_user
from ..preprocess.cells import MAD_TO_SIGMA

__all__ = [
    "is_cr_dominated",
    "warn_if_cr_dominated",
    "warn_if_nothing_is_left",
    "warn_of_bad_pixels",
    "warn_of_excluded",
    "warn_of_flagged",
]

#: If more than this fraction of pixels is flagged, not all are cosmic rays.
FLAGGED_FRACTION = 0.1
#: Fewer flagged pixels than this may be one track on a small cutout.
FEWEST_FLAGGED = 100
#: A mask with this fraction of bad pixels or more is rarely meant.
BAD_FRACTION = 0.9
#: Blocks along each axis in which the noise is measured, and their size in px.
BLOCKS, BLOCK_SIZE = 8, 32
#: Blocks with a greater fraction of bad pixels are left out.
BLOCK_BAD_FRACTION = 0.2
#: Of normal noise, 6.7 % of pixels are 1.5 sigma below the background. If fewer than
#: the first fraction are, and more than the second are 2 sigma above it, the scatter
#: that is measured is not noise.
BELOW, ABOVE = 0.003, 0.1
#: With a greater fraction of equal pixels, digits hide the noise, or the rest is empty.
EQUAL_FRACTION = 0.3
#: Differences smaller than this fraction of a number are lost in either precision.
SINGLE, DOUBLE = (float(np.finfo(kind).eps) for kind in (np.float32, np.float64))


def warn_of_flagged(flagged: int, examined: int) -> None:
    """Warn if more of a plane is flagged than cosmic rays are likely to affect.

    Parameters
    ----------
    flagged, examined : int
        Numbers of flagged pixels, and of those that are not excluded.

    Warns
    -----
    AstropyUserWarning
        Above 10 %.
    """
    if flagged >= FEWEST_FLAGGED and flagged > FLAGGED_FRACTION * examined:
        percent = 100 * flagged / examined
        warn_user(
            f"{percent:.0f} % of the examined pixels are flagged as cosmic rays: look "
            "at the frame and its mask before you use them",
        )


def warn_if_nothing_is_left(examined: int) -> None:
    """Warn if all pixels of a plane are excluded.

    Parameters
    ----------
    examined : int
        Number of pixels that are not excluded.

    Warns
    -----
    AstropyUserWarning
        If it is 0.
    """
    if not examined:
        warn_user(
            "no pixel was examined: all are masked, saturated or not finite",
        )


def warn_of_bad_pixels(excluded: int, pixels: int, where: str) -> None:
    """Warn if next to all pixels of an image are excluded.

    Parameters
    ----------
    excluded, pixels : int
        Numbers of excluded pixels, and of all.
    where : str
        The image.

    Warns
    -----
    AstropyUserWarning
        If it is 90 % of the pixels or more.
    """
    if excluded >= BAD_FRACTION * pixels > 0:
        percent = np.floor(1000 * excluded / pixels) / 10
        warn_user(
            f"{where}: {percent:g} % of the pixels are bad on input and were "
            "excluded; in a mask, pixels are good where it is 0",
        )


def warn_of_excluded(excluded: int, pixels: int, satlevel: float) -> None:
    """Warn if a saturation level excludes much of a plane.

    Parameters
    ----------
    excluded, pixels : int
        Numbers of pixels that are saturated by it, and of all.
    satlevel : float
        The level, in the unit of the plane.

    Warns
    -----
    AstropyUserWarning
        If half of the pixels or more are saturated.
    """
    if 2 * excluded >= pixels > 0:
        warn_user(
            f"satlevel={satlevel:g} excludes {100 * excluded / pixels:.0f} % of the "
            "pixels: give it in the unit of the frame, or "
            "numpy.inf for none",
        )


def warn_if_cr_dominated(plane: np.ndarray, bad: np.ndarray | None) -> None:
    """Warn if cosmic rays affect so much of a plane that its noise is not measurable.

    Parameters
    ----------
    plane, bad
        As for `is_cr_dominated`.

    Warns
    -----
    AstropyUserWarning
        If it is so; or if the noise is lost in the single precision that networks
        compute in, beside a level that is huge.
    """
    values = _blocks(plane, bad)
    if values is None:
        return
    sigma = _scatter(values)
    if plane.dtype.itemsize > 2 and plane.dtype != np.float32:
        _warn_of_digits(values, sigma)
    if _is_one_sided(values, sigma):
        warn_user(
            "what varies from pixel to pixel is not noise: if cosmic rays hit a large "
            "part of this frame, most of them are missed (give shorter exposures, or "
            "combine several)",
        )


def _warn_of_digits(values: np.ndarray, scatter: np.ndarray) -> None:
    sigma = np.median(scatter)
    level = np.abs(np.median(values))
    # What is lost in double precision too is no noise.
    if DOUBLE * level < sigma < SINGLE * level:
        warn_user(
            f"the noise, {sigma:.3g}, is lost beside a level of {level:.3g} in single "
            "precision, and cosmic rays are missed: subtract the level first",
        )


def is_cr_dominated(plane: np.ndarray, bad: np.ndarray | None) -> bool:
    """Tell whether cosmic rays affect so much that the noise is not measurable.

    Noise scatters both ways, and cosmic rays only add charge. So if hardly a pixel is
    as far below the background as the scatter between neighbours suggests, and many are
    far above, the scatter is that of cosmic rays.

    Parameters
    ----------
    plane : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    bad : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, excluded pixels.
    """
    values = _blocks(plane, bad)
    return values is not None and _is_one_sided(values, _scatter(values))


def _is_one_sided(values: np.ndarray, sigma: np.ndarray) -> bool:
    """Tell whether blocks scatter upwards alone, given the scatter of neighbours."""
    middle = np.median(values, axis=(1, 2))
    excess = values - middle[:, None, None]
    if np.mean(excess == 0) > EQUAL_FRACTION:
        return False
    limit = sigma[:, None, None]
    return bool(
        np.mean(excess < -1.5 * limit) < BELOW and np.mean(excess > 2 * limit) > ABOVE
    )


def _blocks(plane: np.ndarray, bad: np.ndarray | None) -> np.ndarray | None:
    """Return blocks, float64 ``(n, BLOCK_SIZE, BLOCK_SIZE)``, or None if none fits."""
    if min(plane.shape) < BLOCK_SIZE:
        return None
    blocks = []
    for y in _starts(plane.shape[0]):
        for x in _starts(plane.shape[1]):
            place = slice(y, y + BLOCK_SIZE), slice(x, x + BLOCK_SIZE)
            block = plane[place].astype(np.float64)
            if bad is not None and bad[place].any():
                if bad[place].mean() > BLOCK_BAD_FRACTION:
                    continue
                block[bad[place]] = np.median(block[~bad[place]])
            blocks.append(block)
    return np.stack(blocks) if blocks else None


def _scatter(values: np.ndarray) -> np.ndarray:
    """Return the scatter of neighbours in each block."""
    step = np.abs(values[:, :, :-2] - 2 * values[:, :, 1:-1] + values[:, :, 2:])
    return MAD_TO_SIGMA / np.sqrt(6) * np.median(step, axis=(1, 2))


def _starts(size: int) -> np.ndarray:
    """Return where blocks begin along an axis."""
    number = min(BLOCKS, size // BLOCK_SIZE)
    return np.linspace(0, size - BLOCK_SIZE, number).astype(int)
