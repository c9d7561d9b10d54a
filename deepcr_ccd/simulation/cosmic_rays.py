"""Charge that particles leave in a CCD: simulated, and cut from real frames.

A deposit is a small float32 array in electron. Simulated ones follow the detector: a
particle crosses silicon of some thickness and frees about 80 electrons a micrometre,
with straggling; the charge diffuses on its way to the gates, the more the deeper it
was freed (species as in Groom 2004, Experimental Astronomy 14, 45).
"""

from __future__ import annotations

import os

import numpy as np
from astropy.io import fits
from scipy import ndimage

from ..segmentation.connected import EIGHT_CONNECTED

__all__ = [
    "add_deposits",
    "add_straight_tracks",
    "cut_deposits",
    "read_lsst_darks",
    "simulate_deposit",
]

#: Electrons freed by a minimum-ionising particle in a micrometre of silicon.
PER_MICRON = 80.0
#: Deposits wider than this, in px, are cut short.
MAX_WIDTH = 200
#: Fractions of each kind of deposit, in thin and in thick silicon. Slow electrons leave
#: thin silicon before they bend much, and are seldom seen whole in it.
FRACTIONS = {
    "thin": {"muon": 0.66, "electron": 0.07, "spot": 0.16, "faint": 0.11},
    "thick": {"muon": 0.46, "electron": 0.20, "spot": 0.16, "faint": 0.18},
}
#: Silicon thicker than this, in micrometre, is thick.
THICK = 60.0


def _path(
    rng: np.random.Generator, kind: str, thickness: float, pixel: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y and depth of points of a track, in micrometre, and their charge."""
    step = 0.15 * pixel
    if kind == "muon":
        # Isotropic flux through a plane: cos(theta) is the square root of a uniform.
        slant = np.sqrt(rng.uniform(0.002, 1))
        length = min(thickness / slant, MAX_WIDTH * pixel)
        along = np.arange(0.5 * step, max(length, step), step)
        angle = rng.uniform(0, 2 * np.pi)
        depth = thickness * along / along[-1]
        flat = along * np.sqrt(1 - slant**2)
        x, y = flat * np.cos(angle), flat * np.sin(angle)
        charge = PER_MICRON * step * np.ones(along.size)
    elif kind == "electron":
        # Multiple scattering bends the track of a slow electron more and more.
        length = rng.lognormal(np.log(8 * pixel), 0.8)
        along = np.arange(0, min(length, 60 * pixel), step)
        left = np.linspace(1, 0.1, along.size)
        bends = rng.normal(0, 0.25, along.size) / left
        angles = rng.uniform(0, 2 * np.pi) + np.cumsum(bends)
        x, y = np.cumsum(step * np.cos(angles)), np.cumsum(step * np.sin(angles))
        depth = np.full(along.size, rng.uniform(0, thickness))
        charge = PER_MICRON * step * rng.uniform(1, 2) / np.sqrt(left)
    else:
        # An X-ray, or the end of a short track: all charge at one point.
        x = y = np.zeros(1)
        depth = np.array([rng.uniform(0, thickness)])
        middle, spread = (700, 1.1) if kind == "spot" else (110, 0.6)
        charge = np.array([rng.lognormal(np.log(middle), spread)])
    return x, y, depth, charge


def simulate_deposit(
    rng: np.random.Generator,
    *,
    pixel: float | None = None,
    thickness: float | None = None,
) -> np.ndarray:
    """Simulate the charge that one particle leaves in a detector.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    pixel, thickness : float, optional
        Width of a pixel and depth of the silicon, in micrometre; drawn if not given.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, nx)``, in electron.
    """
    if pixel is None:
        pixel = rng.choice([10.0, 13.5, 15.0, 21.0, 24.0])
    if thickness is None:
        thin = rng.random() < 0.7
        thickness = rng.uniform(10, 40) if thin else rng.uniform(80, 250)
    thick = thickness > THICK
    diffusion = rng.uniform(3, 8) if thick else rng.uniform(2, 6)
    fractions = FRACTIONS["thick" if thick else "thin"]
    kind = str(rng.choice(list(fractions), p=list(fractions.values())))
    x, y, depth, charge = _path(rng, kind, thickness, pixel)
    # Straggling: a Gamma distribution with a long tail, close to a Landau curve.
    charge = charge * rng.gamma(2.0, 0.5, charge.size) * rng.lognormal(0, 0.25)
    if kind == "muon" and rng.random() < 0.15:
        charge[rng.integers(charge.size)] += rng.exponential(3000)
    # The charge of each point diffuses in some parts, each of them one random step.
    clouds = 8
    sigma = diffusion * np.sqrt(np.maximum(depth, 0.05 * thickness) / thickness)
    x = np.repeat(x, clouds) + rng.normal(0, 1, x.size * clouds) * sigma.repeat(clouds)
    y = np.repeat(y, clouds) + rng.normal(0, 1, y.size * clouds) * sigma.repeat(clouds)
    column = np.floor(x / pixel + rng.random()).astype(int)
    row = np.floor(y / pixel + rng.random()).astype(int)
    column -= column.min()
    row -= row.min()
    kept = (column < MAX_WIDTH) & (row < MAX_WIDTH)
    deposit = np.zeros((row[kept].max() + 1, column[kept].max() + 1), np.float32)
    np.add.at(
        deposit, (row[kept], column[kept]), (charge / clouds).repeat(clouds)[kept]
    )
    return deposit


def cut_deposits(
    excess: np.ndarray, sigma: np.ndarray | float, *, core: float = 6, grow: float = 1.5
) -> list[np.ndarray]:
    """Cut deposits from a frame of cosmic rays alone, such as a difference.

    Parameters
    ----------
    excess : `~numpy.ndarray`
        ``(ny, nx)``, the charge of cosmic rays, in electron.
    sigma : `~numpy.ndarray` or float
        Its one-sigma noise.
    core, grow : float
        A deposit has a pixel above ``core`` sigma and reaches as far as pixels above
        ``grow`` sigma touch it.

    Returns
    -------
    list of `~numpy.ndarray`
        float32 deposits; those that touch an edge are left out.
    """
    labels, _ = ndimage.label(excess > grow * sigma, EIGHT_CONNECTED)
    cores = np.unique(labels[excess > core * sigma])
    deposits = []
    for label, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None or label not in cores:
            continue
        if any(
            s.start == 0 or s.stop == n
            for s, n in zip(place, labels.shape, strict=True)
        ):
            continue
        inside = labels[place] == label
        if max(inside.shape) <= MAX_WIDTH:
            deposits.append(np.where(inside, excess[place], 0).astype(np.float32))
    return deposits


def read_lsst_darks(path: str | os.PathLike) -> list[np.ndarray]:
    """Read a library of cosmic rays in the format of LSST's imSim.

    Parameters
    ----------
    path : str or path-like
        FITS table of rows of pixels: ``fp_id``, ``x0``, ``y0``, ``pixel_values`` (in
        electron).

    Returns
    -------
    list of `~numpy.ndarray`
        float32 deposits.
    """
    with fits.open(path) as hdus:
        table = hdus[1].data
        ids = np.asarray(table["fp_id"])
        x0, y0 = np.asarray(table["x0"]), np.asarray(table["y0"])
        values = [np.asarray(v, dtype=np.float32) for v in table["pixel_values"]]
    deposits = []
    for label in np.unique(ids):
        rows = np.nonzero(ids == label)[0]
        left, low = x0[rows].min(), y0[rows].min()
        width = max(x0[r] + values[r].size for r in rows) - left
        height = y0[rows].max() - low + 1
        if max(width, height) > MAX_WIDTH:
            continue
        deposit = np.zeros((height, width), np.float32)
        for r in rows:
            start = x0[r] - left
            deposit[y0[r] - low, start : start + values[r].size] += values[r]
        deposits.append(np.maximum(deposit, 0))
    return deposits


def add_deposits(
    frame: np.ndarray,
    deposits: list[np.ndarray],
    rng: np.random.Generator,
    number: int,
    places: np.ndarray | None = None,
) -> np.ndarray:
    """Return the charge of deposits chosen and placed at random.

    Parameters
    ----------
    frame : `~numpy.ndarray`
        Gives the shape.
    deposits : list of `~numpy.ndarray`
        To choose from; each is rotated and mirrored at random.
    rng : `~numpy.random.Generator`
        Source of random numbers.
    number : int
        How many.
    places : `~numpy.ndarray`, optional
        ``(number, 2)``, row and column of the middle of each; drawn if not given.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(ny, nx)``, in electron.
    """
    ny, nx = frame.shape
    charge = np.zeros((ny, nx), dtype=np.float32)
    for which, index in enumerate(rng.integers(0, len(deposits), number)):
        deposit = np.rot90(deposits[index], int(rng.integers(4)))
        if rng.random() < 0.5:
            deposit = deposit[::-1]
        height, width = deposit.shape
        if places is None:
            y = rng.integers(-height + 1, ny)
            x = rng.integers(-width + 1, nx)
        else:
            y = int(places[which, 0]) - height // 2
            x = int(places[which, 1]) - width // 2
        rows = slice(max(y, 0), min(y + height, ny))
        columns = slice(max(x, 0), min(x + width, nx))
        charge[rows, columns] += deposit[
            rows.start - y : rows.stop - y, columns.start - x : columns.stop - x
        ]
    return charge


def add_straight_tracks(rng: np.random.Generator, charge: np.ndarray) -> None:
    """Add tracks along rows and columns, with the same charge in each of their pixels.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of random numbers.
    charge : `~numpy.ndarray`
        ``(ny, nx)``, in electron; it is changed.
    """
    for _ in range(rng.integers(1, 25)):
        image = charge if rng.random() < 0.5 else charge.T
        y, x = (int(rng.integers(n)) for n in image.shape)
        length = int(rng.integers(3, 16))
        image[y, x : x + length] += 10 ** rng.uniform(1.5, 4.8)
