"""Masks of other packages, with their own defaults, to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np

from ..nddata.frame import read_frame
from ..nddata.gain import resolve_gain, resolve_readnoise, unit_factor
from ..nddata.typing import CCDLike, ParameterLike

__all__ = ["BASELINES", "BaselineName", "baseline_crmask"]

BaselineName: TypeAlias = Literal["astroscrappy", "ccdproc"]
#: Names of baselines, with the function of each that makes a mask.
BASELINES: Mapping[str, str] = {
    "astroscrappy": "detect_cosmics",
    "ccdproc": "cosmicray_lacosmic",
}


def baseline_crmask(
    ccd: CCDLike,
    name: str,
    *,
    gain: ParameterLike | None = None,
    readnoise: ParameterLike | None = None,
) -> np.ndarray:
    """Return the cosmic rays that another package finds, with its defaults.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData` or array-like
        ``(ny, nx)``, not modified. Pixels that are masked or not finite are not
        flagged.
    name : {"astroscrappy", "ccdproc"}
        Which package.
    gain : float, `~astropy.units.Quantity` or str, optional
        In electron/adu, or the header keyword that holds it, for a frame in adu.
    readnoise : float, `~astropy.units.Quantity` or str, optional
        In electron, or the header keyword; by default that of the package, 6.5.

    Returns
    -------
    `~numpy.ndarray`
        bool, ``(ny, nx)``.

    Raises
    ------
    ValueError
        If the frame cannot be converted to electron.
    ImportError
        If the package is not installed.
    """
    frame = read_frame(ccd)
    number = resolve_gain(gain, frame.header)
    factor, _ = unit_factor(frame.unit, "electron", number, name)
    options = {}
    noise = resolve_readnoise(readnoise, frame.header, number)
    if noise is not None:
        options["readnoise"] = noise
    data = np.array(frame.data, dtype=np.float32) * np.float32(factor)
    bad = ~np.isfinite(data)
    if frame.mask is not None:
        bad |= frame.mask
    data[bad] = np.median(data[~bad]) if not bad.all() else 0
    try:
        if name == "astroscrappy":
            from astroscrappy import detect_cosmics

            crmask, _ = detect_cosmics(data, inmask=bad, **options)
        else:
            from ccdproc import cosmicray_lacosmic

            _, crmask = cosmicray_lacosmic(data, **options)
    except ImportError as error:
        raise ImportError(
            f"{name!r} is not installed: pip install {name}, or leave it out of others="
        ) from error
    return np.asarray(crmask, dtype=bool) & ~bad
