"""Noise-free scenes of many kinds, in electron above the background.

Sources are placed on a grid finer than the pixels, convolved with a point spread
function there, and summed to pixels: so the profile of an undersampled star depends on
where in its pixel it falls, which is what makes it look like a cosmic ray.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage

from .extended_scenes import OVERSAMPLING, make_disks, make_slits, make_spectrum
from .psf import make_psf

__all__ = ["KINDS", "Scene", "make_scene", "make_scene_with_psf"]

#: Kinds of scenes, and their relative frequencies. The random numbers of held-out
#: frames (`~deepcr_ccd.evaluation.frames.simulate_frames`) depend on the position in
#: this table: append a new kind at the end.
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
#: Kinds that have no point sources.
SPECTRA = ("spectrum", "slits")
#: Border in px around a scene in which there are sources, whose light reaches inside.
BORDER = 16


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
        From `~deepcr_ccd.simulation.psf.read_psf`; by default from
        `~deepcr_ccd.simulation.psf.make_psf`. Spectra are not convolved with it.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(size, size)``, in electron, >= 0, without the background.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    return make_scene_with_psf(rng, size, kind, psf).light


class Scene(NamedTuple):
    """A scene: what it shows, and through which point spread function.

    ``light`` is float32, ``(size, size)``, in electron; ``kind`` a key of `KINDS`;
    ``psf`` is that on the fine grid, None for spectra; ``sampled`` tells whether what a
    pixel collects is in it.
    """

    light: np.ndarray
    kind: str
    psf: np.ndarray | None
    sampled: bool


def make_scene_with_psf(
    rng: np.random.Generator,
    size: int = 256,
    kind: str | None = None,
    psf: np.ndarray | None = None,
) -> Scene:
    """Make a scene, and tell through which point spread function it is seen.

    Parameters
    ----------
    rng, size, kind, psf
        As for `make_scene`.

    Returns
    -------
    Scene

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind is None:
        frequencies = np.array(list(KINDS.values()))
        kind = str(rng.choice(list(KINDS), p=frequencies / sum(KINDS.values())))
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is unknown; allowed are {', '.join(KINDS)}")
    width = size + 2 * BORDER
    fine = np.zeros((width * OVERSAMPLING, width * OVERSAMPLING))
    drawn, fwhm = make_psf(rng)
    if kind == "spectrum":
        scene = _sum_to_pixels(make_spectrum(rng, fine.shape))
    else:
        SOURCES[kind](rng, fine, fwhm)
        optics = drawn if psf is None else psf
        if kind == "trails":
            optics = _trailed(rng, optics)
        sharp = _convolve(fine, optics)
        if psf is None:
            scene = _sum_to_pixels(sharp)
        else:
            # What a pixel collects is in the point spread function.
            middle = slice(OVERSAMPLING // 2, None, OVERSAMPLING)
            scene = sharp[middle, middle]
    scene = scene[BORDER:-BORDER, BORDER:-BORDER]
    light = np.maximum(scene, 0).astype(np.float32)
    through = None if kind in SPECTRA else drawn if psf is None else psf
    return Scene(light, kind, through, psf is not None)


def _sum_to_pixels(fine: np.ndarray) -> np.ndarray:
    """Return an image on the fine grid summed to pixels."""
    ny, nx = (n // OVERSAMPLING for n in fine.shape)
    return fine.reshape(ny, OVERSAMPLING, nx, OVERSAMPLING).sum(axis=(1, 3))


def _convolve(fine: np.ndarray, psf: np.ndarray) -> np.ndarray:
    """Return sources on the fine grid, convolved with a point spread function."""
    shape = [
        fft.next_fast_len(n + m - 1, real=True)
        for n, m in zip(fine.shape, psf.shape, strict=True)
    ]
    product = fft.rfft2(fine.astype(np.float32), shape) * fft.rfft2(psf, shape)
    middle = psf.shape[0] // 2
    return fft.irfft2(product, shape)[
        middle : middle + fine.shape[0], middle : middle + fine.shape[1]
    ]


def _trailed(rng: np.random.Generator, psf: np.ndarray) -> np.ndarray:
    """Return a point spread function that moved along a line during the exposure."""
    length, angle = rng.uniform(4, 25), rng.uniform(0, 2 * np.pi)
    line = np.zeros_like(psf)
    steps = np.linspace(-0.5, 0.5, int(length * OVERSAMPLING * 2))
    steps = steps * length * OVERSAMPLING
    middle = psf.shape[0] // 2
    rows = np.clip(middle + steps * np.sin(angle), 0, len(psf) - 1).astype(int)
    columns = np.clip(middle + steps * np.cos(angle), 0, len(psf) - 1).astype(int)
    np.add.at(line, (rows, columns), 1 / len(steps))
    return fft.irfft2(
        fft.rfft2(np.fft.ifftshift(psf)) * fft.rfft2(line), s=psf.shape
    ).astype(np.float32)


def _draw_fluxes(
    rng: np.random.Generator, number: int, slope: float, faint: float, bright: float
) -> np.ndarray:
    """Draw fluxes of a power law in number, between two limits in electron."""
    u = rng.random(number)
    low, high = faint**-slope, bright**-slope
    return (low + u * (high - low)) ** (-1 / slope)


def _add_stars(
    rng: np.random.Generator,
    fine: np.ndarray,
    number: int,
    slope: float,
    faint: float,
    bright: float,
    positions: np.ndarray | None = None,
) -> None:
    """Add stars to the fine grid, anywhere or at ``(2, number)`` rows and columns."""
    ny, nx = fine.shape
    if positions is None:
        y, x = rng.integers(0, ny, number), rng.integers(0, nx, number)
    else:
        y, x = (
            np.clip(c, 0, n - 1).astype(int)
            for c, n in zip(positions, (ny, nx), strict=True)
        )
    np.add.at(fine, (y, x), _draw_fluxes(rng, number, slope, faint, bright))


def _add_galaxy(
    rng: np.random.Generator, fine: np.ndarray, flux: float, effective: float
) -> None:
    """Add a galaxy with an elliptical Sersic profile; its radius is in fine pixels."""
    ny, nx = fine.shape
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
    fine[rows, columns] += profile * (flux / total if total > 0 else 0)


def _area(fine: np.ndarray) -> int:
    """Return the area of a scene in px."""
    return (len(fine) // OVERSAMPLING) ** 2


def _add_sparse(rng: np.random.Generator, fine: np.ndarray, _fwhm: float) -> None:
    number = rng.poisson(_area(fine) * 10 ** rng.uniform(-4.3, -3))
    _add_stars(rng, fine, number, 0.8, 200, 3e5)


def _add_extragalactic(
    rng: np.random.Generator, fine: np.ndarray, _fwhm: float
) -> None:
    area = _area(fine)
    _add_stars(rng, fine, rng.poisson(area * 4e-4), 0.7, 200, 3e5)
    for _ in range(rng.poisson(area * 10 ** rng.uniform(-3.6, -2.6))):
        effective = OVERSAMPLING * np.exp(rng.normal(np.log(2.5), 0.7))
        flux = _draw_fluxes(rng, 1, 0.9, 300, 1e6)[0]
        _add_galaxy(rng, fine, flux, effective)


def _add_cluster(rng: np.random.Generator, fine: np.ndarray, fwhm: float) -> None:
    width = len(fine)
    density = 10 ** rng.uniform(-2.6, -1.0)
    number = rng.poisson(_area(fine) * density / max(1, fwhm / 2) ** 1.5)
    positions = None
    if rng.random() < 0.6:
        # Concentrated around a centre; others are fields of a crowded region.
        scale = rng.uniform(0.15, 0.6) * width
        centre = rng.uniform(0, width, (2, 1))
        positions = centre + rng.standard_t(3, (2, number)) * scale
        inside = ((positions >= 0) & (positions < width)).all(axis=0)
        positions, number = positions[:, inside], int(inside.sum())
    slope = rng.uniform(0.4, 0.9)
    faint, bright = 10 ** rng.uniform(1.5, 2.7), 10 ** rng.uniform(4.3, 6)
    _add_stars(rng, fine, number, slope, faint, bright, positions)


def _add_resolved(rng: np.random.Generator, fine: np.ndarray, _fwhm: float) -> None:
    """Add a galaxy's unresolved light of many faint stars, and its brightest stars."""
    area = _area(fine)
    number = rng.poisson(area * 10 ** rng.uniform(-1.2, 0.4))
    slope, faint = rng.uniform(0.8, 1.5), 10 ** rng.uniform(0.8, 2)
    _add_stars(rng, fine, number, slope, faint, 1e5)
    flux = area * 10 ** rng.uniform(0.5, 2.5)
    _add_galaxy(rng, fine, flux, len(fine) * rng.uniform(0.2, 0.6))


def _add_nebula(rng: np.random.Generator, fine: np.ndarray, _fwhm: float) -> None:
    width = len(fine) // OVERSAMPLING
    for scale in (3, 10, 30):
        noise = rng.normal(0, 1, (width // scale + 3,) * 2)
        cloud = ndimage.zoom(noise, float(scale * OVERSAMPLING), order=1)
        cloud = np.clip(cloud[: len(fine), : len(fine)], 0, None)
        fine += cloud * 10 ** rng.uniform(0, 2) / OVERSAMPLING**2
    _add_stars(rng, fine, rng.poisson(_area(fine) * 1e-3), 0.8, 200, 1e5)


def _add_star_field(rng: np.random.Generator, fine: np.ndarray, _fwhm: float) -> None:
    number = rng.poisson(_area(fine) * 10 ** rng.uniform(-3.5, -2.3))
    _add_stars(rng, fine, number, 0.8, 500, 1e6)


def _add_slits(rng: np.random.Generator, fine: np.ndarray, _fwhm: float) -> None:
    fine += make_slits(rng, fine.shape)


def _add_disks(rng: np.random.Generator, fine: np.ndarray, _fwhm: float) -> None:
    fine += make_disks(rng, fine.shape)
    _add_stars(rng, fine, rng.poisson(_area(fine) * 3e-4), 0.8, 200, 1e5)


#: How the sources of each kind are added to the fine grid, given the FWHM in px.
#: Spectra have none: `make_spectrum` makes them as sharp as they are seen.
SOURCES: dict[str, Callable[[np.random.Generator, np.ndarray, float], None]] = {
    "sparse": _add_sparse,
    "extragalactic": _add_extragalactic,
    "cluster": _add_cluster,
    "resolved": _add_resolved,
    "nebula": _add_nebula,
    "trails": _add_star_field,
    "slits": _add_slits,
    "disks": _add_disks,
}
