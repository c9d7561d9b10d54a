"""Point spread functions: drawn at random, and read from files."""

from __future__ import annotations

from os import PathLike

import numpy as np
from astropy.io import fits
from scipy import ndimage

from ..io.given_paths import FITS_FILE, given_path
from ..preprocess.point_sources import MARGIN, measure_sources
from ..preprocess.star_width import FWHM_PER_SIGMA
from .extended_scenes import OVERSAMPLING

__all__ = ["make_psf", "make_sharp_psf", "psf_fwhm", "read_psf"]


def make_psf(rng: np.random.Generator, size: int = 65) -> tuple[np.ndarray, float]:
    """Return a point spread function on the fine grid, and its FWHM.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    size : int
        Width in px.

    Returns
    -------
    psf : `~numpy.ndarray`
        float32, on the fine grid, of sum 1.
    fwhm : float
        In px.
    """
    half = size * OVERSAMPLING // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1] / OVERSAMPLING
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = -x * np.sin(angle) + y * np.cos(angle)
    if rng.random() < 0.45:
        # From space: a compact core, wings that fall slowly, diffraction spikes.
        fwhm = rng.uniform(1.2, 2.4)
        ellipticity = rng.uniform(0.9, 1.1)
        radius = np.hypot(along * ellipticity, across / ellipticity)
        core = (1 + (radius / fwhm) ** 2 * 4 * (2 ** (1 / 3.5) - 1)) ** -3.5
        rings = 1 + 0.6 * rng.random() * np.cos(2 * np.pi * radius / (1.1 * fwhm))
        wings = rings / (1 + (radius / (1.2 * fwhm)) ** 2) ** 1.5
        spikes = np.zeros_like(radius)
        if rng.random() < 0.8:
            width = rng.uniform(0.3, 0.7)
            for offset in (along, across):
                other = across if offset is along else along
                spikes += np.exp(-((other / width) ** 2) / 2) / (1 + (offset / 3) ** 2)
        psf = core / core.sum()
        psf = psf + rng.uniform(0.05, 0.25) * wings / wings.sum()
        if spikes.any():
            psf = psf + rng.uniform(0.01, 0.06) * spikes / spikes.sum()
    else:
        # From the ground; some without wings, as a Gaussian, and these mostly sharp.
        if rng.random() < 0.6:
            fwhm, beta = 1.2 * (8 / 1.2) ** rng.random(), rng.uniform(2.2, 4.8)
        else:
            fwhm, beta = 1.4 * (8 / 1.4) ** rng.random() ** 2, rng.uniform(5, 40)
        ellipticity = rng.uniform(1, 1.15)
        radius2 = (along * ellipticity) ** 2 + (across / ellipticity) ** 2
        alpha2 = (fwhm / 2) ** 2 / (2 ** (1 / beta) - 1)
        psf = (1 + radius2 / alpha2) ** -beta
    return (psf / psf.sum()).astype(np.float32), fwhm


def make_sharp_psf(
    rng: np.random.Generator, size: int = 65, widest: float = 2.3
) -> np.ndarray:
    """Return a sharp point spread function, mostly a Gaussian without wings.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    size : int
        Width in px.
    widest : float
        Largest FWHM in px.

    Returns
    -------
    `~numpy.ndarray`
        float32, on the fine grid: what a pixel collects of a star, as of `read_psf`.
    """
    half = size * OVERSAMPLING // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1] / OVERSAMPLING
    fwhm, ellipticity = rng.uniform(1.15, widest), rng.uniform(1, 1.1)
    angle = rng.uniform(0, np.pi)
    along = (x * np.cos(angle) + y * np.sin(angle)) * ellipticity
    across = (-x * np.sin(angle) + y * np.cos(angle)) / ellipticity
    radius2 = along**2 + across**2
    if rng.random() < 0.7:
        psf = np.exp(-radius2 * 4 * np.log(2) / fwhm**2)
    else:
        beta = rng.uniform(2.2, 5)
        psf = (1 + radius2 / ((fwhm / 2) ** 2 / (2 ** (1 / beta) - 1))) ** -beta
    psf = ndimage.uniform_filter(psf, OVERSAMPLING, mode="constant")
    return (psf * (OVERSAMPLING**2 / psf.sum())).astype(np.float32)


def read_psf(path: str | PathLike, binning: int = 1, size: int = 65) -> np.ndarray:
    """Read a point spread function that is sampled as a detector samples it.

    As Tiny Tim makes them without oversampling: those of HST's cameras come with
    drizzlepac, in ``drizzlepac/pars/psfs``.

    Parameters
    ----------
    path : str or os.PathLike
        FITS file with one image.
    binning : int
        How many pixels of the file make one of the detector, along each axis.
    size : int
        Width in px of what is kept around the brightest pixel.

    Returns
    -------
    `~numpy.ndarray`
        float32, on the fine grid: what a pixel collects of a star, by the distance
        between the two. Between pixels of the file it is interpolated by cubic splines.

    Raises
    ------
    ValueError
        If the file holds no image, or nothing above zero.
    """
    path = given_path(path, "path", FITS_FILE)
    psf = np.asarray(fits.getdata(path), dtype=float)
    if psf.ndim != 2 or not psf.max() > 0:
        raise ValueError(f"path={str(path)!r} holds no point spread function")
    psf = ndimage.uniform_filter(psf, binning, mode="constant")
    half = size // 2 * OVERSAMPLING
    fine = np.arange(-half, half + 1) * (binning / OVERSAMPLING)
    y, x = np.unravel_index(psf.argmax(), psf.shape)
    places = np.meshgrid(y + fine, x + fine, indexing="ij")
    seen = np.maximum(ndimage.map_coordinates(psf, places, order=3), 0)
    return (seen * (OVERSAMPLING**2 / seen.sum())).astype(np.float32)


def psf_fwhm(psf: np.ndarray, sampled: bool) -> float:
    """Return the FWHM in px of stars, as it is measured on a frame.

    Parameters
    ----------
    psf : `~numpy.ndarray`
        On the fine grid.
    sampled : bool
        Whether it is what a pixel collects of a star, as that of `read_psf`.

    Returns
    -------
    float
        Median over positions within a pixel; NaN if it cannot be measured.
    """
    if not sampled:
        psf = ndimage.uniform_filter(psf, OVERSAMPLING, mode="constant")
    middle = psf.shape[0] // 2
    reach = 2 * MARGIN * OVERSAMPLING
    padded = np.pad(psf, reach)
    cutouts = []
    for dy in range(OVERSAMPLING):
        for dx in range(OVERSAMPLING):
            offsets = np.arange(-2 * MARGIN, 2 * MARGIN) * OVERSAMPLING + middle + reach
            star = padded[np.ix_(offsets + dy, offsets + dx)]
            y, x = np.unravel_index(star.argmax(), star.shape)
            star = np.pad(star, MARGIN)[y : y + 2 * MARGIN + 1, x : x + 2 * MARGIN + 1]
            cutouts.append(star * (1e5 / max(float(star.max()), 1e-30)) + 10)
    sources, _ = measure_sources(np.array(cutouts))
    widths = sources[:, 0]
    return FWHM_PER_SIGMA * float(np.median(widths)) if len(widths) else float("nan")
