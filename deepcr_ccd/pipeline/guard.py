"""Warn of frames that are not what the method is for: struck nearly everywhere."""

from __future__ import annotations

import numpy as np

from ..notices import warn_user

__all__ = [
    "is_cr_dominated",
    "warn_if_cr_dominated",
    "warn_of_bad_pixels",
    "warn_of_excluded",
    "warn_of_flagged",
]

#: More than this share of the examined pixels is rarely all cosmic rays.
SHARE = 0.1
#: Fewer flagged pixels than this are one track on a small cutout.
FEWEST = 100
#: At least this share of bad pixels is rarely meant.
MOST_BAD = 0.9
#: So many blocks along each axis are looked at, of so many px.
BLOCKS, SIZE = 8, 32
#: Blocks with a greater share of bad pixels are left out.
WORST = 0.2
#: Where noise is normal, 6.7 % of pixels are 1.5 sigma below the background. If next to
#: none are, and so many are 2 sigma above it, what is taken for noise is not noise.
BELOW, ABOVE = 0.003, 0.1
#: With more equal pixels than this, the noise is hidden by digits, or the rest is void.
EQUAL = 0.3
MAD_TO_SIGMA = 1.4826
#: What differs by less than this share of a number is lost in either precision.
SINGLE, DOUBLE = (float(np.finfo(kind).eps) for kind in (np.float32, np.float64))


def warn_of_flagged(flagged: int, examined: int) -> None:
    """Warn if more of a plane is flagged than cosmic rays are likely to hit.

    Parameters
    ----------
    flagged, examined : int
        Numbers of pixels.

    Warns
    -----
    AstropyUserWarning
        Above 10 %.
    """
    if flagged >= FEWEST and flagged > SHARE * examined:
        share = 100 * flagged / examined
        warn_user(
            f"{share:.0f} % of the examined pixels are flagged as cosmic rays: look at "
            "the frame and its mask before you use them",
        )


def warn_of_bad_pixels(skipped: int, pixels: int, where: str) -> None:
    """Warn if next to nothing of an image was examined.

    Parameters
    ----------
    skipped, pixels : int
        Numbers of pixels that were not examined, and of all.
    where : str
        The image.

    Warns
    -----
    AstropyUserWarning
        If it is 90 % of the pixels or more.
    """
    if skipped >= MOST_BAD * pixels > 0:
        share = np.floor(1000 * skipped / pixels) / 10
        warn_user(
            f"{where}: {share:g} % of the pixels are bad on input and were not "
            "examined; in a mask, pixels are good where it is 0",
        )


def warn_of_excluded(excluded: int, pixels: int, satlevel: float) -> None:
    """Warn if a saturation level leaves little of a plane to examine.

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
            "pixels, which are not examined: give it in the unit of the frame, or "
            "numpy.inf for none",
        )


def warn_if_cr_dominated(plane: np.ndarray, bad: np.ndarray | None) -> None:
    """Warn if so much of a plane is struck that its noise cannot be measured.

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
    # Less than what double precision holds is no noise either.
    if DOUBLE * level < sigma < SINGLE * level:
        warn_user(
            f"the noise, {sigma:.3g}, is lost beside a level of {level:.3g} in single "
            "precision, and cosmic rays are missed: subtract the level first",
        )


def is_cr_dominated(plane: np.ndarray, bad: np.ndarray | None) -> bool:
    """Tell whether so much of a plane is struck that its noise cannot be measured.

    The scatter of noise goes both ways, and cosmic rays only add. So if hardly a pixel
    is as far below the background as the scatter between neighbours has it, and many
    are far above, the scatter is that of cosmic rays.

    Parameters
    ----------
    plane : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    bad : `~numpy.ndarray` or None
        bool, ``(ny, nx)``, pixels that are not examined.
    """
    values = _blocks(plane, bad)
    return values is not None and _is_one_sided(values, _scatter(values))


def _is_one_sided(values: np.ndarray, sigma: np.ndarray) -> bool:
    """Tell whether blocks scatter upwards alone, given the scatter of neighbours."""
    middle = np.median(values, axis=(1, 2))
    excess = values - middle[:, None, None]
    if np.mean(excess == 0) > EQUAL:
        return False
    limit = sigma[:, None, None]
    return bool(
        np.mean(excess < -1.5 * limit) < BELOW and np.mean(excess > 2 * limit) > ABOVE
    )


def _blocks(plane: np.ndarray, bad: np.ndarray | None) -> np.ndarray | None:
    """Return blocks of a plane, float64 ``(n, SIZE, SIZE)``; None if there are none."""
    if min(plane.shape) < SIZE:
        return None
    blocks = []
    for y in _starts(plane.shape[0]):
        for x in _starts(plane.shape[1]):
            place = slice(y, y + SIZE), slice(x, x + SIZE)
            block = plane[place].astype(np.float64)
            if bad is not None and bad[place].any():
                if bad[place].mean() > WORST:
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
    number = min(BLOCKS, size // SIZE)
    return np.linspace(0, size - SIZE, number).astype(int)
