"""Shifts between exposures of one field: measured, and taken out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage

from ...preprocess.background import measure_background

__all__ = ["MIN_SOURCES", "Shift", "find_shift", "measure_shift", "moved_image"]

#: Drifts of repeated exposures, in px, are of this order or less.
DRIFT = 20.0
#: Peaks of the correlation that are tried, and fewest sources that two frames must have
#: in common for a measurement of their shift.
CANDIDATES = 10
MIN_SOURCES = 3
#: Sources that count, and how far two may differ, in smoothed inverse hyperbolic sines
#: of their brightness in sigma.
VISIBLE = 0.7
ALIKE = 0.3


def find_shift(frame: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Return how far a frame is shifted against another of the same field.

    Parameters
    ----------
    frame, reference : `~numpy.ndarray`
        ``(ny, nx)``, finite.

    Returns
    -------
    dy, dx : float
        In px: what is at ``(y, x)`` in ``reference`` is at ``(y + dy, x + dx)`` in
        ``frame``. 0 if they have fewer than three sources in common.

    Notes
    -----
    Of the highest peaks of the cross-correlation the one at which the most sources are
    as bright in both, and from there least squares on the slopes (Lucas & Kanade
    1981), of images that are compressed so that no single star or cosmic ray decides.
    """
    return measure_shift(frame, reference).shift


class Shift(NamedTuple):
    """A shift in px; doubtful if both frames have sources, but next to none in both."""

    shift: tuple[float, float]
    doubtful: bool = False


def measure_shift(frame: np.ndarray, reference: np.ndarray) -> Shift:
    """Measure a shift as `find_shift` does, and whether it is reliable.

    Parameters
    ----------
    frame, reference : `~numpy.ndarray`
        As for `find_shift`.

    Returns
    -------
    Shift
        The shift, and whether it is in doubt.
    """
    smooth = []
    for image in (frame, reference):
        sky, sigma = measure_background(image).at()
        # A median takes most cosmic rays out, and leaves stars.
        clean = ndimage.median_filter((image - sky) / sigma, 3)
        smooth.append(ndimage.gaussian_filter(np.arcsinh(np.maximum(clean - 3, 0)), 1))
    # The first guess comes from point sources, not from wider ones.
    sharp = [image - ndimage.gaussian_filter(image, 4) for image in smooth]
    shape = [fft.next_fast_len(2 * size) for size in frame.shape]
    spectra = [fft.rfft2(image, shape) for image in sharp]
    correlation = fft.irfft2(spectra[0] * np.conj(spectra[1]), shape)
    if not correlation.max() > 0:
        return Shift((0.0, 0.0))
    # Small drifts are likelier than large ones, should cosmic rays make a second peak.
    lags = [np.minimum(np.arange(n), n - np.arange(n)) for n in shape]
    correlation *= np.exp(-0.5 * (lags[0][:, None] ** 2 + lags[1] ** 2) / DRIFT**2)
    shift, common = _best_shift(smooth[0], smooth[1], correlation)
    if common < MIN_SOURCES:
        there = min(_in_common(image, image, (0, 0)) for image in smooth)
        return Shift((0.0, 0.0), doubtful=there >= MIN_SOURCES)
    for _ in range(8):
        step = _step(smooth[0], ndimage.shift(smooth[1], shift, order=1))
        shift += step
        if np.abs(step).max() < 0.005:
            break
    return Shift((float(shift[0]), float(shift[1])))


def _best_shift(
    frame: np.ndarray, reference: np.ndarray, correlation: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return the shift with the most sources in common, and their number.

    Of two frames with few stars and many cosmic rays the highest peak of the
    correlation may be where two of these happen to meet; but these do not agree in
    brightness, or are few.
    """
    best, most = np.zeros(2), _in_common(frame, reference, (0, 0))
    # No shift is the most likely: another needs more sources than chance gives.
    least = max(MIN_SOURCES, most + 2)
    for _ in range(CANDIDATES):
        peak = np.unravel_index(np.argmax(correlation), correlation.shape)
        dy, dx = (
            int(p - n if p > n // 2 else p)
            for p, n in zip(peak, correlation.shape, strict=True)
        )
        lag = (dy, dx)
        number = _in_common(frame, reference, lag)
        if number >= least and number > most:
            best, most = np.array(lag, dtype=float), number
        near = [
            np.arange(p - 2, p + 3) % n
            for p, n in zip(peak, correlation.shape, strict=True)
        ]
        correlation[np.ix_(*near)] = -np.inf
    return best, most


def _in_common(frame: np.ndarray, reference: np.ndarray, lag: tuple[int, int]) -> int:
    """Count the peaks of a frame that are in a shifted reference, as bright."""
    here = tuple(
        slice(max(d, 0), n + min(d, 0)) for d, n in zip(lag, frame.shape, strict=True)
    )
    there = tuple(
        slice(max(-d, 0), n - max(d, 0)) for d, n in zip(lag, frame.shape, strict=True)
    )
    one, other = frame[here], reference[there]
    if 0 in one.shape:
        return 0
    peaks = (one > VISIBLE) & (one == ndimage.maximum_filter(one, 5))
    close = ndimage.maximum_filter(other, 3)
    return int(np.count_nonzero(np.abs(one - close)[peaks] < ALIKE))


def _step(frame: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Return the shift that is left between two images, by their slopes."""
    slopes = np.gradient(moved)
    difference = frame - moved
    steep = np.hypot(*slopes) > 0.05
    if steep.sum() < 10:
        return np.zeros(2)
    spread = np.median(np.abs(difference[steep]))
    # The largest differences are of sources in one image only.
    kept = steep & (np.abs(difference) <= 3 * spread)
    matrix = np.stack([slope[kept] for slope in slopes], axis=1)
    step, *_ = np.linalg.lstsq(-matrix, difference[kept], rcond=None)
    return np.clip(step, -0.5, 0.5)


def moved_image(image: np.ndarray, move: np.ndarray, outside: float) -> np.ndarray:
    """Return an image shifted by so much, by whole pixels where that is near enough.

    Parameters
    ----------
    image : `~numpy.ndarray`
        ``(ny, nx)``.
    move : `~numpy.ndarray`
        In y and in x, in px.
    outside : float
        What comes in from beyond the edges.
    """
    if np.abs(move).max() < 0.02:
        return image
    if np.abs(move - np.rint(move)).max() < 0.1:
        move, order = np.rint(move), 0
    else:
        order = 1
    return ndimage.shift(image, move, order=order, mode="constant", cval=outside)
