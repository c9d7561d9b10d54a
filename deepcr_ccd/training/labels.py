"""Truth from repeated exposures: what is in one of them only, and did not move."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from astropy.utils.exceptions import AstropyUserWarning
from scipy import ndimage

from ..detection import unexamined
from ..frame import read_frame
from ..noise import electron_factor, resolve_gain, resolve_satlevel
from ..plane import Plane
from ..sky import measure_noise
from .groups import EIGHT, group_peaks
from .registration import FEWEST, measure_shift, moved_image

__all__ = ["LabelledFrame", "label_exposures"]

#: Pixels of a track are linked where they are above this many sigma.
LINK = 2.5
#: How far from the saturated pixels of a star nothing is labelled, in px: its charge
#: spills over, now one pixel further and now one less.
SPILL = 2
#: No track is as long as this, in px: one that passes through a quarter of a millimetre
#: of silicon at ten degrees leaves 95 px of 15 micrometres. What scatters about a line
#: by more than so many px is no line.
LONGEST = 100
STRAIGHT = 8.0


class LabelledFrame(NamedTuple):
    """A frame, which of its pixels are struck, and which nobody can say of.

    ``frame`` is float32, ``(ny, nx)``, in electron (in the exposure's own unit if that
    is neither electron nor counts); ``truth`` and ``ignore`` are bool, and no pixel is
    in both.
    """

    frame: np.ndarray
    truth: np.ndarray
    ignore: np.ndarray


def label_exposures(
    exposures: Sequence,
    *,
    gain=None,
    satlevel=None,
    core: float = 5.0,
    grow: float = 2.0,
    register: bool = True,
) -> list[LabelledFrame]:
    """Label the cosmic rays of repeated exposures of one field.

    Parameters
    ----------
    exposures : sequence of `~astropy.nddata.CCDData` or array-like
        Two or more, ``(ny, nx)``, of one pointing and exposure time. Drifts are
        measured. The more there are, the surer the labels.
    gain : float, `~astropy.units.Quantity` or str, optional
        In electron/adu, or the header keyword that holds it, for frames in counts.
    satlevel : float, `~astropy.units.Quantity` or str, optional
        Saturation level, in the frames' unit; such pixels are ignored, and what is
        close to those that saturate in more than one exposure, as stars do.
    core, grow : float
        A cosmic ray has a pixel above ``core`` sigma, goes on over pixels above 2.5
        sigma (or ``grow``, if that is more), and takes in the pixels above ``grow``
        sigma that touch these. Other pixels that touch a cosmic ray are ignored.
    register : bool
        Whether to measure and take out drifts.

    Returns
    -------
    list of LabelledFrame
        One an exposure. Ignored are pixels that are bad on input, that another
        exposure does not cover or has struck, whose excess is faint, those of sources
        that moved or saturate, and those on lines longer than a track, which
        satellites leave.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than two exposures, or they differ in shape.

    Warns
    -----
    AstropyUserWarning
        If an exposure has sources, and next to none where the first has them.

    Notes
    -----
    Each exposure is compared with the median of the others (the one other of a pair,
    the lower of two), shifted to it. The noise is that of both, and a share of the
    local slope, for what shifts and changes of seeing leave of stars.
    """
    if len(exposures) < 2:
        raise ValueError(f"exposures must be two or more, not {len(exposures)}")
    frames, bads, full = [], [], []
    for number, exposure in enumerate(exposures):
        plane, bad, saturated = _read(exposure, f"exposures[{number}]", gain, satlevel)
        if frames and plane.shape != frames[0].shape:
            raise ValueError(
                f"exposures[{number}] has shape {plane.shape}; the first has "
                f"{frames[0].shape}"
            )
        frames.append(plane)
        bads.append(bad)
        full.append(saturated)
    shifts = _shifts(frames) if register else [(0.0, 0.0)] * len(frames)
    excesses = [_excess(number, frames, bads, shifts) for number in range(len(frames))]
    labelled = []
    for number, (strength, unknown) in enumerate(excesses):
        truth, undecided = _label(strength, unknown, core, grow)
        moved = _moved(truth, number, excesses, shifts, core)
        ignore = unknown | undecided | moved | _spilt(number, full, shifts)
        ignore |= _streaks(strength, unknown)
        labelled.append(LabelledFrame(frames[number], truth & ~ignore, ignore))
    return labelled


def _read(exposure, name: str, gain, satlevel) -> tuple[np.ndarray, ...]:
    """Return an exposure in electron where it can be, with bad pixels filled.

    And which these are, and which are saturated.
    """
    frame = read_frame(exposure, name)
    if frame.data.ndim != 2:
        raise ValueError(f"{name} has shape {frame.data.shape}; allowed is (ny, nx)")
    gain = resolve_gain(gain, frame.header)
    level = resolve_satlevel(satlevel, frame.unit, frame.header, gain)
    bad = unexamined(frame.data, frame.mask)
    factor = electron_factor(frame.unit, gain)
    plane = frame.data.astype(np.float32) * np.float32(factor)
    saturated = np.zeros(plane.shape, dtype=bool)
    if level is not None:
        saturated = frame.data >= level
        bad = saturated.copy() if bad is None else bad | saturated
    if bad is None or not bad.any():
        return plane, np.zeros(plane.shape, dtype=bool), saturated
    if bad.all():
        raise ValueError(f"{name} has no good pixel")
    return Plane(plane, bad=bad).whole(), bad, saturated


def _shifts(frames: list) -> list[tuple[float, float]]:
    """Return how far exposures are shifted against the first."""
    shifts = [(0.0, 0.0)]
    for number, frame in enumerate(frames[1:], start=1):
        found = measure_shift(frame, frames[0])
        if found.doubtful:
            warnings.warn(
                f"exposures[{number}] has fewer than {FEWEST} sources in common with "
                "the first, and is taken to be of the very same pointing; if it is "
                "not, sources are labelled: align such frames, and say register=False",
                AstropyUserWarning,
                stacklevel=3,
            )
        shifts.append(found.shift)
    return shifts


def _excess(
    number: int, frames: list, bads: list, shifts: list
) -> tuple[np.ndarray, np.ndarray]:
    """Return the excess of an exposure over the others, in sigma, and the unknown."""
    frame = frames[number]
    sky, sigma = measure_noise(frame, bads[number]).at()
    others, hidden = [], []
    for other, shift in enumerate(shifts):
        if other == number:
            continue
        move = np.subtract(shifts[number], shift)
        other_sky, _ = measure_noise(frames[other], bads[other]).at()
        level = moved_image(frames[other] - other_sky, move, np.nan)
        spoiled = moved_image(bads[other].astype(np.float32), move, 1.0) > 0.01
        others.append(np.where(spoiled, np.nan, level))
        hidden.append(spoiled | np.isnan(level))
    stack = np.stack(others)
    known = ~np.stack(hidden)
    # The median; of an even number, the mean of the middle two if they agree, and the
    # lower if not, as the higher may be struck.
    values = np.where(known, stack, np.inf)
    values.sort(axis=0)
    count = known.sum(axis=0)
    low, high = (
        np.take_along_axis(values, place[None], axis=0)[0]
        for place in (
            np.maximum(count - 1, 0) // 2,
            np.minimum(count, len(stack) - 1) // 2,
        )
    )
    agree = high <= low + 4 * sigma
    reference = np.where(agree, (low + np.where(agree, high, low)) / 2, low)
    unknown = bads[number] | (count == 0)
    reference[count == 0] = 0
    light = np.maximum(ndimage.median_filter(reference, 3), 0)
    slope = ndimage.maximum_filter(reference, 3) - ndimage.minimum_filter(reference, 3)
    drift = max(np.abs(np.subtract(shifts, shifts[number])).max() % 1, 0.05)
    variance = (sigma**2 + light) * (1 + 1 / np.maximum(count, 1))
    variance += (0.15 + 0.3 * min(drift, 0.5)) ** 2 * np.where(
        slope > 6 * sigma, slope, 0
    ) ** 2
    excess = frame - sky - reference
    # What is left of a sky that changed from one exposure to the next.
    excess -= measure_noise(excess, unknown).at()[0]
    return excess / np.sqrt(variance), unknown


def _spilt(number: int, full: list, shifts: list) -> np.ndarray:
    """Return what is close to stars that saturate, as an exposure has them.

    A cosmic ray that saturates does so once.
    """
    times = np.zeros(full[number].shape, dtype=int)
    if not any(saturated.any() for saturated in full):
        return times > 0
    for other, shift in zip(full, shifts, strict=True):
        move = np.subtract(shifts[number], shift)
        times += moved_image(other.astype(np.float32), move, 0.0) > 0.01
    stars = group_peaks(times, times > 0) > 1
    return ndimage.binary_dilation(stars, EIGHT, iterations=SPILL)


def _label(
    strength: np.ndarray, unknown: np.ndarray, core: float, grow: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return struck and undecided pixels."""
    # Connected at a level that noise rarely reaches, then one pixel further: lower
    # down, chains of noise would lead away from the track.
    linked = (strength > max(LINK, grow)) & ~unknown
    track = group_peaks(strength, linked) > core
    beside = ndimage.binary_dilation(track, EIGHT)
    truth = track | (beside & (strength > grow) & ~unknown)
    # Excesses that are too faint to decide, and what is beside a track. Where another
    # exposure is struck there is nothing to compare with.
    struck_elsewhere = ndimage.binary_dilation(strength < -core, EIGHT)
    undecided = (strength > LINK) | beside | struck_elsewhere
    return truth, undecided & ~truth


def _streaks(strength: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Return what is on or close to lines that are too long for a cosmic ray.

    They are followed to the edges, as a satellite fades and flickers on its way.
    """
    near = np.zeros(strength.shape, dtype=bool)
    groups, _ = ndimage.label((strength > LINK) & ~unknown, EIGHT)
    for number, box in enumerate(ndimage.find_objects(groups), start=1):
        if np.hypot(*(side.stop - side.start for side in box)) < LONGEST:
            continue
        places = np.argwhere(groups == number)
        centre = places.mean(axis=0)
        across = np.linalg.svd(places - centre, full_matrices=False)[2][1]
        width = ((places - centre) @ across).std()
        if width < STRAIGHT:
            y, x = np.ogrid[: near.shape[0], : near.shape[1]]
            off = (y - centre[0]) * across[0] + (x - centre[1]) * across[1]
            near |= np.abs(off) < 3 * width + SPILL
    return near


def _moved(
    truth: np.ndarray, number: int, excesses: list, shifts: list, core: float
) -> np.ndarray:
    """Return which struck pixels belong to a source that moves from frame to frame.

    A cosmic ray does not come twice: an excess with an excess close to it in both
    neighbours in time (or the only one, at the ends) of a series is a source.
    """
    if len(excesses) < 3 or not truth.any():
        return np.zeros_like(truth)
    near = []
    for other in (number - 1, number + 1):
        if 0 <= other < len(excesses):
            strength, _ = excesses[other]
            move = np.subtract(shifts[number], shifts[other])
            there = moved_image((strength > core).astype(np.float32), move, 0.0) > 0.5
            near.append(ndimage.maximum_filter(there, 7))
    groups, count = ndimage.label(truth, EIGHT)
    every = np.logical_and.reduce(near)
    hits = ndimage.maximum(every, groups, np.arange(1, count + 1)).astype(bool)
    sizes = np.bincount(groups.ravel(), minlength=count + 1)[1:]
    # A source covers several pixels; single ones meet by chance.
    return np.concatenate([[False], hits & (sizes >= 3)])[groups]
