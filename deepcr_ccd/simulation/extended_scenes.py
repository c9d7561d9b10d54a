"""Scenes of extended sources on the fine grid: spectra, slits, disks."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

__all__ = ["OVERSAMPLING", "make_disks", "make_slits", "make_spectrum"]

#: Fine pixels per pixel, along each axis.
OVERSAMPLING = 4


def make_spectrum(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Make a slit or echelle spectrum with sky lines and emission knots.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    shape : (int, int)
        In fine pixels.

    Returns
    -------
    `~numpy.ndarray`
        Of that shape, in electron per fine pixel, already at its final resolution.
    """
    ny, nx = shape
    y, x = np.mgrid[:ny, :nx].astype(np.float32)
    over = OVERSAMPLING
    scene = np.zeros(shape, np.float32)
    tilt, curve = rng.normal(0, 0.02), rng.normal(0, 2e-5)
    orders = 1 if rng.random() < 0.6 else rng.integers(3, 9)
    spacing = ny / orders
    for order in range(orders):
        width = rng.uniform(0.6, 4) * over
        centre = spacing * (order + rng.uniform(0.3, 0.7))
        trace = centre + tilt * x + curve * (x - nx / 2) ** 2
        continuum = 10 ** rng.uniform(0.3, 3.5) * (
            1 + 0.3 * np.sin(x / rng.uniform(50, 400))
        )
        wiggles = ndimage.gaussian_filter1d(rng.normal(0, 1, nx), rng.uniform(2, 12))
        continuum = continuum * np.clip(1 + rng.uniform(0, 4) * wiggles, 0.05, None)
        scene += continuum * np.exp(-0.5 * ((y - trace) / width) ** 2)
        for _ in range(rng.poisson(4)):
            # Emission-line knots on the trace, as small as the resolution.
            x0, length = rng.uniform(0, nx), rng.uniform(0.6, 2) * over
            knot = np.exp(
                -0.5 * ((x - x0) / length) ** 2 - 0.5 * ((y - trace) / width) ** 2
            )
            scene += 10 ** rng.uniform(1.5, 4) * knot
    slant = rng.normal(0, 0.03)
    for _ in range(rng.poisson(6) if rng.random() < 0.7 else 0):
        x0, width = rng.uniform(0, nx), rng.uniform(0.7, 1.8) * over
        line = np.exp(-0.5 * ((x - x0 - slant * (y - ny / 2)) / width) ** 2)
        scene += 10 ** rng.uniform(0.8, 3.3) * line
    if rng.random() < 0.5:
        scene = scene.T.copy() if ny == nx else scene
    return scene / over**2


def _lines(
    rng: np.random.Generator, width: int, density: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return positions and fluxes of lines along a spectrum, and their width."""
    number = rng.poisson(width / OVERSAMPLING * density)
    strength = 10 ** rng.uniform(1, rng.uniform(2, 4.5), number)
    slit = rng.choice([0.3, rng.uniform(0.3, 3)]) * OVERSAMPLING
    return rng.uniform(-0.2 * width, 1.2 * width, number), strength, max(slit, 1.0)


def make_slits(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Make spectra of many short slits, or of a bundle of fibres.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    shape : (int, int)
        In fine pixels.

    Returns
    -------
    `~numpy.ndarray`
        Of that shape, in electron per fine pixel; not yet convolved with a point spread
        function.

    Notes
    -----
    Lines of sky or lamps are at the same wavelengths in all of them; multi-object masks
    shift these from slit to slit. Some have a continuum, some nothing but lines.
    """
    ny, nx = shape
    over = OVERSAMPLING
    scene = np.zeros(shape)
    x = np.arange(nx)
    fibres = rng.random() < 0.5
    if fibres:
        height = rng.uniform(0.3, 1.5) * over
        pitch = np.exp(rng.uniform(np.log(3.5), np.log(16))) * over
    else:
        height = np.exp(rng.uniform(np.log(4), np.log(50))) * over
        pitch = height + rng.uniform(0, 5) * over
    tilt, curve = rng.normal(0, 0.02), rng.normal(0, 2e-5)
    bow = tilt * (x - nx / 2) + curve * (x - nx / 2) ** 2
    slant = rng.normal(0, 0.06)
    places, strengths, wide = _lines(rng, nx, 10 ** rng.uniform(-2.3, -0.7))
    level = 10 ** rng.uniform(0, 3.7) if rng.random() < 0.7 else 0.0
    shifts = rng.choice([0, rng.uniform(0, 0.2)])
    for centre in np.arange(-pitch, ny + pitch, pitch):
        gain = rng.lognormal(0, 0.5 if fibres else 0.2)
        shift = shifts * rng.normal() * nx
        along = np.zeros(nx)
        for place, strength in zip(places + shift, strengths, strict=True):
            # A line is an image of the slit: a box, with its ends between pixels.
            cover = np.clip(wide / 2 + 0.5 - np.abs(x - place), 0, 1)
            along += strength * cover / wide * over
        wiggles = ndimage.gaussian_filter1d(rng.normal(0, 1, nx), rng.uniform(4, 60))
        continuum = level * np.clip(1 + rng.uniform(0, 3) * wiggles, 0.1, None)
        reach = height / 2 + np.abs(bow).max() + 2
        first, last = int(max(0, centre - reach)), int(min(ny, centre + reach + 1))
        if first >= last:
            continue
        off = np.arange(first, last)[:, None] - centre - bow
        inside = np.clip(height / 2 + 0.5 - np.abs(off), 0, 1)
        seen = np.interp((x - slant * off).ravel(), x, along).reshape(off.shape)
        if fibres:
            seen = seen + continuum
        else:
            # An object somewhere on the slit, and the continuum of the sky.
            trace = rng.uniform(-0.4, 0.4) * height
            spread = rng.uniform(0.5, 3) * over
            object_ = np.exp(-0.5 * ((off - trace) / spread) ** 2)
            seen = seen + continuum * object_ + 10 ** rng.uniform(-1, 1.5)
        scene[first:last] += gain * inside * seen / (over if fibres else over**2)
    return scene.T.copy() if ny == nx and rng.random() < 0.5 else scene


def make_disks(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Make bodies with a sharp limb: planets with bands, spots, shadows and rings.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    shape : (int, int)
        In fine pixels.

    Returns
    -------
    `~numpy.ndarray`
        Of that shape, in electron per fine pixel; not yet convolved with a point spread
        function.
    """
    ny, nx = shape
    over = OVERSAMPLING
    y, x = np.mgrid[:ny, :nx].astype(np.float32)
    scene = np.zeros(shape)
    for _ in range(1 + rng.poisson(0.7)):
        radius = 10 ** rng.uniform(0.6, 2.5) * over
        y0, x0 = rng.uniform(-0.1 * ny, 1.1 * ny), rng.uniform(-0.1 * nx, 1.1 * nx)
        angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.6, 1)
        along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
        across = -(x - x0) * np.sin(angle) + (y - y0) * np.cos(angle)
        r2 = (along / radius) ** 2 + (across / (ratio * radius)) ** 2
        body = np.clip(1 - r2, 0, None) ** rng.choice([0, 0.2, 0.5, 1]) * (r2 < 1)
        if rng.random() < 0.6:
            period = np.exp(rng.uniform(np.log(3), np.log(60))) * over
            body *= 1 + rng.uniform(0, 0.4) * np.sin(2 * np.pi * across / period)
        if rng.random() < 0.7:
            scale = np.exp(rng.uniform(np.log(1), np.log(20))) * over
            small = tuple(int(n / scale) + 4 for n in shape)
            clouds = ndimage.zoom(rng.normal(0, 1, small), scale, order=1)[:ny, :nx]
            body *= np.clip(1 + rng.uniform(0, 0.4) * clouds, 0, None)
        if rng.random() < 0.3:
            # Lit from one side.
            body *= np.clip(along / radius + rng.uniform(-0.7, 0.7), 0, 1) ** 0.5
        for _ in range(rng.poisson(3)):
            spot = rng.uniform(0.7, 6) * over
            at = rng.normal(0, 0.5 * radius, 2)
            near = (along - at[0]) ** 2 + (across - at[1]) ** 2 < spot**2
            body[near] *= rng.uniform(0, 1.8)
        if rng.random() < 0.3:
            flat = rng.uniform(0.08, 0.9)
            distance = np.hypot(along, across / flat) / radius
            for _ in range(1 + rng.poisson(1)):
                inner = rng.uniform(1.1, 2.2)
                outer = inner + rng.uniform(0.5, 20) * over / radius
                body += rng.uniform(0.05, 1) * ((distance > inner) & (distance < outer))
        scene += 10 ** rng.uniform(1.7, 4.6) * body
    return scene / over**2
