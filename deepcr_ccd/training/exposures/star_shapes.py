"""What the stars of repeated exposures look like, and how unlike them a cutout is."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from ...segmentation.connected import EIGHT_CONNECTED

__all__ = [
    "REACH",
    "SHARP",
    "WIDE",
    "cutouts_around",
    "normalised",
    "star_places",
    "star_shapes",
    "unlike_stars",
]

#: Half-width in px of the cutouts in which shapes are compared, and of those of which
#: trailed stars are made.
REACH = 3
WIDE = 6
#: Most stars that are used, and their least significance in sigma.
MAX_STARS = 64
SIGNIFICANT = 20.0
#: The mean of the pixels beside the peak of a star is this fraction of it or more; that
#: of a hot pixel is less.
BESIDE = 0.08
#: Cutouts of two stars have this correlation, or a higher one.
SAME = 0.9
#: How much better a star must fit than what is sharper, in squares of the noise.
BETTER = 10.0
#: Lengths in px and angles of trails.
TRAILS = (2.0, 4.0, 7.0, 12.0)
ANGLES = np.arange(0, 180, 22.5)
#: Cutouts that are compared with stars at a time.
CUTOUTS_PER_BATCH = 4096


def star_places(
    light: np.ndarray,
    reference: np.ndarray,
    variance: np.ndarray,
    unknown: np.ndarray,
) -> np.ndarray:
    """Find the stars that an exposure and its reference both have.

    Parameters
    ----------
    light, reference, variance, unknown : `~numpy.ndarray`
        As in `~deepcr_ccd.training.exposures.comparison.ExposureComparison`.

    Returns
    -------
    `~numpy.ndarray`
        int, ``(n, 2)``, their peaks, some from the brightest to the faintest.
    """
    steady = np.where(unknown, 0, np.minimum(light, reference))
    peaks = steady == ndimage.maximum_filter(steady, 2 * REACH + 1)
    peaks &= steady > SIGNIFICANT * np.sqrt(variance)
    beside = ndimage.convolve(
        steady, np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], steady.dtype) / 4
    )
    peaks &= beside > BESIDE * steady
    peaks &= ~ndimage.binary_dilation(unknown, EIGHT_CONNECTED, iterations=REACH)
    for edge in (slice(None, WIDE), slice(-WIDE, None)):
        peaks[edge] = peaks[:, edge] = False
    places = np.argwhere(peaks)
    # From the brightest to the faintest.
    places = places[np.argsort(-steady[peaks], kind="stable")]
    number = min(len(places), MAX_STARS)
    return places[np.linspace(0, len(places) - 1, number).astype(int)]


def cutouts_around(image: np.ndarray, places: np.ndarray, reach: int) -> np.ndarray:
    """Return cutouts around places, ``(n, 2 * reach + 1, 2 * reach + 1)``.

    Parameters
    ----------
    image : `~numpy.ndarray`
        ``(ny, nx)``; goes on beyond its edges as it is there.
    places : `~numpy.ndarray`
        int, ``(n, 2)``.
    reach : int
        In px.
    """
    padded = np.pad(image, reach, mode="edge")
    width = 2 * reach + 1
    return sliding_window_view(padded, (width, width))[places[:, 0], places[:, 1]]


def normalised(cutouts: np.ndarray) -> np.ndarray:
    """Return cutouts as vectors without mean and of length 1.

    Parameters
    ----------
    cutouts : `~numpy.ndarray`
        ``(n, 2 * REACH + 1, 2 * REACH + 1)``.
    """
    flat = cutouts.reshape(len(cutouts), (2 * REACH + 1) ** 2).astype(float)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)


def star_shapes(wide: np.ndarray, least: int) -> np.ndarray:
    """Return what stars and trailed stars look like.

    Parameters
    ----------
    wide : `~numpy.ndarray`
        ``(n, 2 * WIDE + 1, 2 * WIDE + 1)``, cutouts around what may be stars.
    least : int
        How many must look like each other.

    Returns
    -------
    `~numpy.ndarray`
        ``(m, (2 * REACH + 1) ** 2)``, as `normalised` gives them; none if it is not
        known.
    """
    shapes = normalised(_inner(wide))
    if not len(wide):
        return shapes
    # Stars look like each other; blends, cosmic rays and galaxies do not.
    centred = _centred(wide)
    alike = centred @ centred.T > SAME
    usual = alike[alike.sum(axis=1).argmax()]
    if usual.sum() < least:
        return shapes[:0]
    step = -(-int(usual.sum()) // MAX_STARS)
    return np.concatenate([shapes[usual][::step], _trailed(wide[usual])])


def _centred(wide: np.ndarray) -> np.ndarray:
    """Return cutouts moved to where the centre of their light is in the middle."""
    light = wide - np.median(wide, axis=(1, 2), keepdims=True)
    y, x = np.mgrid[-1:2, -1:2]
    near = np.maximum(light[:, WIDE - 1 : WIDE + 2, WIDE - 1 : WIDE + 2], 0)
    total = np.maximum(near.sum(axis=(1, 2)), 1e-30)
    moves = [-(near * axis).sum(axis=(1, 2)) / total for axis in (y, x)]
    moved = [
        ndimage.shift(one, move, order=1, mode="nearest")
        for one, move in zip(wide, np.transpose(moves), strict=True)
    ]
    return normalised(_inner(np.stack(moved)))


def _inner(wide: np.ndarray) -> np.ndarray:
    """Return the middle of wide cutouts."""
    inner = slice(WIDE - REACH, WIDE + REACH + 1)
    return wide[..., inner, inner]


def _trailed(stars: np.ndarray) -> np.ndarray:
    """Return the shapes of stars that move during the exposure, around their peaks."""
    stars = stars - np.median(stars, axis=(1, 2), keepdims=True)
    peaks = stars[:, WIDE, WIDE]
    star = np.median(stars / np.maximum(peaks, 1e-30)[:, None, None], axis=0)
    trails = []
    for angle, length, aside, start in itertools.product(
        np.deg2rad(ANGLES), TRAILS, (-0.4, 0, 0.4), (-0.3, 0, 0.3)
    ):
        along = np.array([np.sin(angle), np.cos(angle)])
        middle = aside * along[::-1] * (-1, 1) + start * length * along
        steps = np.linspace(-length / 2, length / 2, int(2 * length) + 1)
        trails.append(
            sum(ndimage.shift(star, middle + step * along, order=1) for step in steps)
        )
    return normalised(_inner(np.stack(trails)))


def _sharp_shapes() -> np.ndarray:
    """Return the shapes of a few pixels in and around the middle, the first of one."""
    middle = (REACH, REACH)
    steps = [
        (0, 0),
        (0, 1),
        (1, 1),
        (1, 0),
        (1, -1),
        (0, -1),
        (-1, -1),
        (-1, 0),
        (-1, 1),
    ]
    shapes = []
    for one, other in itertools.combinations_with_replacement(steps, 2):
        shape = np.zeros((2 * REACH + 1, 2 * REACH + 1))
        for step in ((0, 0), one, other):
            shape[tuple(np.add(middle, step))] = 1
        shapes.append(shape)
    return normalised(np.stack(shapes))


#: Shapes of the sharpest cosmic rays.
SHARP = _sharp_shapes()


def unlike_stars(
    cutouts: np.ndarray, noise: np.ndarray, stars: np.ndarray
) -> np.ndarray:
    """Return the fraction of the power of cutouts that no star explains, beyond noise.

    Parameters
    ----------
    cutouts : `~numpy.ndarray`
        ``(n, 2 * REACH + 1, 2 * REACH + 1)``.
    noise : `~numpy.ndarray`
        ``(n,)``, the variance in each, summed.
    stars : `~numpy.ndarray`
        From `star_shapes`.

    Returns
    -------
    `~numpy.ndarray`
        ``(n,)``; 1 unless a star explains more than what is sharper does.
    """
    if not len(stars):
        return np.ones(len(cutouts))
    squares = np.maximum(cutouts.var(axis=(1, 2)) * stars.shape[1], 1e-30)
    noise = noise / squares
    unlike = np.empty(len(cutouts))
    for start in range(0, len(cutouts), CUTOUTS_PER_BATCH):
        part = slice(start, start + CUTOUTS_PER_BATCH)
        shapes = normalised(cutouts[part])
        star, sharp = (
            np.maximum((shapes @ one.T).max(axis=1), 0) ** 2 for one in (stars, SHARP)
        )
        left = np.maximum(1 - star - noise[part], 0)
        better = star - sharp > BETTER * noise[part] / stars.shape[1]
        unlike[part] = np.where(better, left, 1)
    return unlike
