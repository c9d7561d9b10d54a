"""Noise-free skies of many kinds, in electron above the sky level.

Sources are placed on a grid finer than the pixels, convolved with a point spread
function there, and summed to pixels: so the profile of an undersampled star depends on
where in its pixel it falls, which is what makes it look like a cosmic ray.
"""

from __future__ import annotations

from os import PathLike

import numpy as np
from astropy.io import fits
from scipy import fft, ndimage

from .extended_scenes import OVERSAMPLING, make_disks, make_slits, make_spectrum

__all__ = ["KINDS", "make_psf", "make_scene", "read_psf"]

#: Kinds of scenes, and how often each is drawn.
KINDS = {
    "sparse": 0.10,
    "extragalactic": 0.20,
    "cluster": 0.20,
    "resolved": 0.20,
    "nebula": 0.06,
    "spectrum": 0.12,
    "trails": 0.12,
    "slits": 0.12,
    "disks": 0.08,
}


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


def _fluxes(rng, number, slope, faint, bright):
    """Draw fluxes of a power law in number, between two limits."""
    u = rng.random(number)
    low, high = faint**-slope, bright**-slope
    return (low + u * (high - low)) ** (-1 / slope)


def _stars(rng, grid, number, slope, faint, bright, place=None):
    ny, nx = grid.shape
    if place is None:
        y, x = rng.integers(0, ny, number), rng.integers(0, nx, number)
    else:
        y, x = (
            np.clip(c, 0, n - 1).astype(int)
            for c, n in zip(place, (ny, nx), strict=True)
        )
    np.add.at(grid, (y, x), _fluxes(rng, number, slope, faint, bright))


def _galaxy(rng, shape, flux, effective):
    """Return a galaxy with an elliptical Sersic profile, on the fine grid."""
    ny, nx = shape
    y0, x0 = rng.uniform(0, ny), rng.uniform(0, nx)
    reach = int(6 * effective) + 4
    rows = slice(max(0, int(y0) - reach), min(ny, int(y0) + reach))
    columns = slice(max(0, int(x0) - reach), min(nx, int(x0) + reach))
    y, x = np.mgrid[rows, columns]
    angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.25, 1)
    dx, dy = x - x0, y - y0
    along = dx * np.cos(angle) + dy * np.sin(angle)
    across = (-dx * np.sin(angle) + dy * np.cos(angle)) / ratio
    index = rng.choice([0.7, 1.0, 1.5, 2.5, 4.0])
    b = 2 * index - 1 / 3
    profile = np.exp(
        -b * (np.hypot(np.hypot(along, across), 0.5) / effective) ** (1 / index)
    )
    total = profile.sum()
    return rows, columns, profile * (flux / total if total > 0 else 0)


def make_scene(
    rng: np.random.Generator,
    size: int = 256,
    kind: str | None = None,
    psf: np.ndarray | None = None,
) -> np.ndarray:
    """Make a scene.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    size : int
        Width in px.
    kind : str, optional
        A key of `KINDS`; drawn if not given.
    psf : `~numpy.ndarray`, optional
        From `read_psf`; of `make_psf` if not given. Spectra take none.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(size, size)``, in electron, >= 0, without the sky.
    """
    if kind is None:
        kind = rng.choice(
            list(KINDS), p=np.array(list(KINDS.values())) / sum(KINDS.values())
        )
    over = OVERSAMPLING
    pad = 16
    width = size + 2 * pad
    fine = np.zeros((width * over, width * over))
    made, fwhm = make_psf(rng)
    sampled = psf is not None and kind != "spectrum"
    if not sampled:
        psf = made
    area = width**2
    if kind == "sparse":
        _stars(
            rng, fine, rng.poisson(area * 10 ** rng.uniform(-4.3, -3)), 0.8, 200, 3e5
        )
    elif kind == "extragalactic":
        _stars(rng, fine, rng.poisson(area * 4e-4), 0.7, 200, 3e5)
        for _ in range(rng.poisson(area * 10 ** rng.uniform(-3.6, -2.6))):
            effective = over * np.exp(rng.normal(np.log(2.5), 0.7))
            rows, columns, galaxy = _galaxy(
                rng, fine.shape, _fluxes(rng, 1, 0.9, 300, 1e6)[0], effective
            )
            fine[rows, columns] += galaxy
    elif kind == "cluster":
        number = rng.poisson(
            area * 10 ** rng.uniform(-2.6, -1.0) / max(1, fwhm / 2) ** 1.5
        )
        place = None
        if rng.random() < 0.6:
            scale = rng.uniform(0.15, 0.6) * width * over
            centre = rng.uniform(0, width * over, (2, 1))
            place = centre + rng.standard_t(3, (2, number)) * scale
            inside = ((place >= 0) & (place < width * over)).all(axis=0)
            place, number = place[:, inside], int(inside.sum())
        _stars(
            rng,
            fine,
            number,
            rng.uniform(0.4, 0.9),
            10 ** rng.uniform(1.5, 2.7),
            10 ** rng.uniform(4.3, 6),
            place,
        )
    elif kind == "resolved":
        # Unresolved light of many faint stars, and the brightest of them.
        number = rng.poisson(area * 10 ** rng.uniform(-1.2, 0.4))
        _stars(rng, fine, number, rng.uniform(0.8, 1.5), 10 ** rng.uniform(0.8, 2), 1e5)
        rows, columns, galaxy = _galaxy(
            rng,
            fine.shape,
            area * 10 ** rng.uniform(0.5, 2.5),
            over * width * rng.uniform(0.2, 0.6),
        )
        fine[rows, columns] += galaxy
    elif kind == "nebula":
        for scale in (3, 10, 30):
            cloud = ndimage.zoom(
                rng.normal(0, 1, (width // scale + 3,) * 2), scale * over / 1, order=1
            )
            fine += (
                np.clip(cloud[: fine.shape[0], : fine.shape[1]], 0, None)
                * 10 ** rng.uniform(0, 2)
                / over**2
            )
        _stars(rng, fine, rng.poisson(area * 1e-3), 0.8, 200, 1e5)
    elif kind == "slits":
        fine += make_slits(rng, fine.shape)
    elif kind == "disks":
        fine += make_disks(rng, fine.shape)
        _stars(rng, fine, rng.poisson(area * 3e-4), 0.8, 200, 1e5)
    elif kind == "trails":
        _stars(
            rng, fine, rng.poisson(area * 10 ** rng.uniform(-3.5, -2.3)), 0.8, 500, 1e6
        )
        length, angle = rng.uniform(4, 25), rng.uniform(0, 2 * np.pi)
        line = np.zeros_like(psf)
        steps = np.linspace(-0.5, 0.5, int(length * over * 2)) * length * over
        middle = psf.shape[0] // 2
        rows = np.clip(middle + steps * np.sin(angle), 0, len(psf) - 1).astype(int)
        columns = np.clip(middle + steps * np.cos(angle), 0, len(psf) - 1).astype(int)
        np.add.at(line, (rows, columns), 1 / len(steps))
        psf = fft.irfft2(
            fft.rfft2(np.fft.ifftshift(psf)) * fft.rfft2(line), s=psf.shape
        ).astype(np.float32)
    if kind == "spectrum":
        sharp = make_spectrum(rng, fine.shape)
    else:
        shape = [
            fft.next_fast_len(n + m - 1, real=True)
            for n, m in zip(fine.shape, psf.shape, strict=True)
        ]
        product = fft.rfft2(fine.astype(np.float32), shape) * fft.rfft2(psf, shape)
        middle = psf.shape[0] // 2
        sharp = fft.irfft2(product, shape)[
            middle : middle + fine.shape[0], middle : middle + fine.shape[1]
        ]
    if sampled:
        scene = sharp[over // 2 :: over, over // 2 :: over]
    else:
        scene = sharp.reshape(width, over, width, over).sum(axis=(1, 3))
    scene = scene[pad:-pad, pad:-pad]
    return np.maximum(scene, 0).astype(np.float32)
