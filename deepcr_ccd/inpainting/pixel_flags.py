"""What each pixel of a frame may be used for when others are filled."""

from __future__ import annotations

import numpy as np

__all__ = ["PixelFlag", "flag_pixels", "good_pixels", "mask_positions"]


class PixelFlag:
    """What a pixel may be used for when others are filled; values of uint8 arrays.

    Plain numbers, as comparisons of uint8 arrays with an `enum.IntEnum` take NumPy
    eight times as long.
    """

    #: Not usable: excluded, not finite, or beyond the edge of the frame.
    BAD = 0
    #: Affected by a cosmic ray: holds the light of the sky and the charge of the CR.
    CR = 1
    #: Usable.
    GOOD = 2


def good_pixels(targets: np.ndarray, bad: np.ndarray | None) -> np.ndarray:
    """Return which pixels targets can be filled from: neither targets nor bad.

    Parameters
    ----------
    targets : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    bad : `~numpy.ndarray` or None
        Likewise.

    Returns
    -------
    `~numpy.ndarray`
        A new array.
    """
    good = ~targets
    if bad is not None:
        # Good and not bad, in no more memory.
        np.greater(good, bad, out=good)
    return good


def flag_pixels(
    targets: np.ndarray, bad: np.ndarray | None, cr_affected: np.ndarray | None
) -> np.ndarray:
    """Return the flags of the pixels of a frame whose targets are to be filled.

    Parameters
    ----------
    targets : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    bad, cr_affected : `~numpy.ndarray` or None
        Likewise, pixels that are not usable, and pixels to which a cosmic ray added
        charge.

    Returns
    -------
    `~numpy.ndarray`
        uint8, ``(ny, nx)``, values of `PixelFlag`.
    """
    flags = good_pixels(targets, bad).view(np.uint8)
    flags *= PixelFlag.GOOD
    if cr_affected is not None:
        flags[cr_affected] = PixelFlag.CR
    return flags


def mask_positions(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the True pixels, in the order of ``data[mask]``.

    `numpy.nonzero` takes four times as long where they are few.

    Parameters
    ----------
    mask : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    """
    rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return rows, columns
