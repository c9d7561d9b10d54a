"""CR masks from repeated exposures: excesses in one of them that did not move."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from astropy import units as u
from astropy.nddata import NDData
from scipy import ndimage

from ..nddata.frame import read_frame
from ..nddata.gain import COUNTS, convert_satlevel, electron_factor, resolve_gain
from ..nddata.typing import CCDLike, ParameterLike
from ..notices import warn_user
from ..pipeline.detect import excluded_pixels
from ..preprocess.network_input import NetworkInput
from ..segmentation.connected import EIGHT_CONNECTED, group_peaks
from .exposures.changed_sources import changed_sources
from .exposures.comparison import ExposureComparison, compare_exposure
from .exposures.registration import MIN_SOURCES, measure_shift, moved_image

__all__ = ["LabelledFrame", "label_exposures"]

#: Pixels of a track are linked where they are above this many sigma.
LINK_SIGMA = 2.5
#: How far from the saturated pixels of a star nothing is labelled, in px: its charge
#: spills over, now one pixel further and now one less.
SPILL = 2
#: No track is as long as this, in px: one that passes through a quarter of a millimetre
#: of silicon at ten degrees leaves 95 px of 15 micrometres. What scatters about a line
#: by more than so many px is no line.
MAX_TRACK_LENGTH = 100
MAX_SCATTER = 8.0
#: A change of seeing with a warning: residual of a star, as a fraction of its range.
NOTABLE = 0.05
#: The fraction of cosmic rays that look like stars by chance.
CHANCE = 0.03

logger = logging.getLogger(__name__)


class LabelledFrame(NamedTuple):
    """A frame, its CR mask, and pixels that cannot be labelled.

    ``frame`` is float32, ``(ny, nx)``, in electron (in the exposure's own unit if that
    is neither electron nor counts); ``truth`` and ``ignore`` are bool, and no pixel is
    in both.
    """

    frame: np.ndarray
    truth: np.ndarray
    ignore: np.ndarray


def label_exposures(
    exposures: Sequence[CCDLike],
    *,
    gain: ParameterLike | None = None,
    satlevel: ParameterLike | None = None,
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
        One for each exposure. Ignored are pixels that are bad on input, that another
        exposure does not cover or has a cosmic ray on, and whose excess is faint or
        explained by the slopes and the seeing of stars; those of saturated sources;
        those with the shape of a star, as of moving objects and variable stars; and
        those on lines longer than a track, as of satellites.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than two exposures, they differ in shape, or in unit where
        no gain takes both to electron.

    Warns
    -----
    AstropyUserWarning
        If an exposure has sources, and next to none where the first has them; and, in
        one warning, if more groups of pixels are ignored for their shape than cosmic
        rays have it by chance (3 %; else their number is logged), or the seeing is
        another.

    Notes
    -----
    Each exposure is compared with the median of the others (the one other of a pair,
    the lower of two), shifted to it. The noise is that of both, and a fraction of the
    local slope, for the residuals of shifted stars; where the seeing changed, also a
    fraction of the range in 5x5 px, measured on the stars.

    What moved or faded is known by its shape, that of the stars of these exposures,
    trailed or not, which a cosmic ray rarely has. In undersampled exposures single
    pixels look like stars, and without stars there is nothing to compare with: there it
    must come again in the exposures before and after, nearby and as bright.
    """
    _check(exposures, core, grow)
    frames: list[np.ndarray] = []
    bads: list[np.ndarray] = []
    full: list[np.ndarray] = []
    units: dict[u.UnitBase, str] = {}
    for number, exposure in enumerate(exposures):
        name = f"exposures[{number}]"
        plane, bad, saturated, unit = _read(exposure, name, gain, satlevel)
        if unit is not None:
            units.setdefault(unit, name)
        if len(units) > 1:
            first = next(iter(units))
            raise ValueError(
                f"{name} is in {unit}, {units[first]} in {first}: convert them, or "
                "give gain= for those in counts"
            )
        if frames and plane.shape != frames[0].shape:
            raise ValueError(
                f"exposures[{number}] has shape {plane.shape}; the first has "
                f"{frames[0].shape}"
            )
        frames.append(plane)
        bads.append(bad)
        full.append(saturated)
    shifts = _shifts(frames) if register else [(0.0, 0.0)] * len(frames)
    compared = [
        compare_exposure(number, frames, bads, shifts) for number in range(len(frames))
    ]
    marked = [_label(one, core, grow) for one in compared]
    streaks = [_streaks(one.strength, one.unknown) for one in compared]
    truths = [
        truth & ~streak for (truth, _), streak in zip(marked, streaks, strict=True)
    ]
    changed = changed_sources(compared, truths, shifts, core)
    _report_changed(changed, truths, [one.seeing for one in compared])
    labelled = []
    for number, one in enumerate(compared):
        truth, undecided = truths[number], marked[number][1]
        ignore = (
            one.unknown | undecided | streaks[number] | _spilt(number, full, shifts)
        )
        ignore |= ndimage.binary_dilation(
            changed[number] > 0, EIGHT_CONNECTED, iterations=2
        )
        labelled.append(LabelledFrame(frames[number], truth & ~ignore, ignore))
    return labelled


def _check(exposures: Any, core: Any, grow: Any) -> None:
    """Raise an error if these are no exposures, or limits are no positive numbers."""
    if isinstance(exposures, NDData) or not isinstance(
        exposures, Sequence | np.ndarray
    ):
        raise TypeError(
            f"exposures must be a list of frames, not {type(exposures).__name__}: "
            "label_exposures compares two or more"
        )
    if isinstance(exposures, str):
        raise TypeError(
            f"exposures={exposures!r} must be a list of frames: read them with "
            "CCDData.read(path, unit=...) of astropy.nddata"
        )
    if len(exposures) < 2:
        raise ValueError(f"exposures must be two or more, not {len(exposures)}")
    for name, value in (("core", core), ("grow", grow)):
        if isinstance(value, bool | str) or not isinstance(value, Real | np.number):
            raise TypeError(f"{name}={value!r} must be a number, in sigma")
        if not 0 < float(value) < np.inf:
            raise ValueError(f"{name}={value!r} must be positive and finite, in sigma")


def _report_changed(changed: list, truths: list, seeing: list) -> None:
    """Warn of what was not labelled, as it may not be a cosmic ray, or log it."""
    counts = [int(sources.max()) for sources in changed]
    total = sum(ndimage.label(truth, EIGHT_CONNECTED)[1] for truth in truths)
    messages = []
    if any(counts):
        each = ", ".join(f"{n} in exposures[{i}]" for i, n in enumerate(counts) if n)
        messages.append(
            f"of {total} groups of pixels that differ between exposures, {sum(counts)} "
            "have the shape of stars, trailed or not, and are ignored, as objects that "
            f"moved or changed in brightness ({each})"
        )
        # A few cosmic rays look like stars too.
        usual = CHANCE * total
        if sum(counts) <= usual + 3 * np.sqrt(usual):
            logger.info("label_exposures: %s", messages.pop())
    other = [
        f"exposures[{i}]" for i, residual in enumerate(seeing) if residual > NOTABLE
    ]
    if other:
        messages.append(
            f"the seeing of {', '.join(other)} is not that of the others: at stars "
            "only bright cosmic rays are labelled, and what is fainter is ignored"
        )
    if messages:
        message = f"label_exposures: {'; '.join(messages)}"
        warn_user(message)


def _read(
    exposure: CCDLike,
    name: str,
    gain: ParameterLike | None,
    satlevel: ParameterLike | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, u.UnitBase | None]:
    """Return an exposure with bad pixels filled, in electron where possible.

    And masks of its bad and its saturated pixels, and the unit; None if it has none.
    """
    frame = read_frame(exposure, name)
    if frame.data.ndim != 2:
        raise ValueError(f"{name} has shape {frame.data.shape}; allowed is (ny, nx)")
    factor = resolve_gain(gain, frame.header)
    level = convert_satlevel(satlevel, frame.unit, frame.header, factor)
    bad = excluded_pixels(frame.data, frame.mask)
    scale = electron_factor(frame.unit, factor)
    plane = frame.data.astype(np.float32) * np.float32(scale)
    unit = frame.unit
    if unit is not None and any(unit.is_equivalent(c) for c in COUNTS):
        unit = u.adu if factor is None else u.electron
    elif unit is not None and unit.is_equivalent(u.electron):
        unit = u.electron
    saturated = np.zeros(plane.shape, dtype=bool)
    if level is not None and level < np.inf:
        saturated = frame.data >= level
        bad = saturated.copy() if bad is None else bad | saturated
    if bad is None or not bad.any():
        return plane, np.zeros(plane.shape, dtype=bool), saturated, unit
    if bad.all():
        raise ValueError(f"{name} has no good pixel")
    return NetworkInput(plane, bad=bad).whole(), bad, saturated, unit


def _shifts(frames: list) -> list[tuple[float, float]]:
    """Return how far exposures are shifted against the first."""
    shifts = [(0.0, 0.0)]
    for number, frame in enumerate(frames[1:], start=1):
        found = measure_shift(frame, frames[0])
        if found.doubtful:
            warn_user(
                f"exposures[{number}] has fewer than {MIN_SOURCES} sources in "
                "common with the first, and is taken to be of the very same pointing; "
                "if it is not, sources are labelled: align such frames, and give "
                "register=False",
            )
        shifts.append(found.shift)
    return shifts


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
    return ndimage.binary_dilation(stars, EIGHT_CONNECTED, iterations=SPILL)


def _label(
    one: ExposureComparison, core: float, grow: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return CR-affected and undecided pixels."""
    strength, unknown = one.strength, one.unknown
    # Connected at a level that noise rarely reaches, then one pixel further: lower
    # down, chains of noise would lead away from the track.
    linked = (strength > max(LINK_SIGMA, grow)) & ~unknown
    track = group_peaks(strength, linked) > core
    beside = ndimage.binary_dilation(track, EIGHT_CONNECTED)
    truth = track | (beside & (strength > grow) & ~unknown)
    # Excesses that are too faint to decide, and what is beside a track. Where another
    # exposure has a cosmic ray there is nothing to compare with.
    elsewhere = ndimage.binary_dilation(strength < -core, EIGHT_CONNECTED)
    undecided = (strength > LINK_SIGMA) | beside | elsewhere
    # And what slopes and seeing could explain, and noise could not.
    undecided |= one.excess > core * np.sqrt(one.variance)
    return truth, undecided & ~truth


def _streaks(strength: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Return what is on or close to lines that are too long for a cosmic ray.

    They are followed to the edges, as a satellite fades and flickers on its way.
    """
    ny, nx = strength.shape
    near = np.zeros((ny, nx), dtype=bool)
    groups, _ = ndimage.label((strength > LINK_SIGMA) & ~unknown, EIGHT_CONNECTED)
    for number, box in enumerate(ndimage.find_objects(groups), start=1):
        if np.hypot(*(side.stop - side.start for side in box)) < MAX_TRACK_LENGTH:
            continue
        places = np.argwhere(groups == number)
        centre = places.mean(axis=0)
        across = np.linalg.svd(places - centre, full_matrices=False)[2][1]
        width = ((places - centre) @ across).std()
        if width < MAX_SCATTER:
            y, x = np.ogrid[:ny, :nx]
            off = (y - centre[0]) * across[0] + (x - centre[1]) * across[1]
            near |= np.abs(off) < 3 * width + SPILL
    return near
