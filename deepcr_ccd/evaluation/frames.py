"""Frames whose cosmic rays are known, for the evaluation of methods."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData

from ..io.fits_file import FitsFile, matching_images
from ..io.given_paths import FITS_FILE, given_path
from ..nddata.gain import electron_factor, resolve_gain, resolve_readnoise
from ..nddata.typing import ParameterLike
from ..simulation.camera import CameraSimulator, LabelThresholds, Observation
from ..simulation.cosmic_rays import simulate_deposit
from ..simulation.psf import read_psf
from ..simulation.scenes import KINDS, make_scene
from ..training.exposure_labels import label_exposures

__all__ = [
    "LabelledFrame",
    "count_affected",
    "read_labelled_frames",
    "simulate_frames",
]

#: Read noise in electron if none is given: L.A.Cosmic's default.
READNOISE = 6.5


class LabelledFrame(NamedTuple):
    """A real frame and which of its pixels are affected by cosmic rays.

    Attributes
    ----------
    frame : `~numpy.ndarray`
        float32, ``(ny, nx)``, in electron, or in the file's unit where that or the gain
        is not known.
    truth : `~numpy.ndarray`
        bool, ``(ny, nx)``, the CR mask.
    ignore : `~numpy.ndarray`
        bool, ``(ny, nx)``, pixels that count nowhere.
    readnoise : float
        In electron.
    """

    frame: np.ndarray
    truth: np.ndarray
    ignore: np.ndarray
    readnoise: float


def simulate_frames(
    kind: str,
    number: int = 8,
    *,
    size: int = 256,
    seed: int = 0,
    psf: str | os.PathLike | None = None,
) -> list[Observation]:
    """Simulate frames of one kind of scene, each with a camera of its own.

    Parameters
    ----------
    kind : str
        A key of ``deepcr_ccd.simulation.scenes.KINDS``.
    number : int
        How many.
    size : int
        Width of a frame in px.
    seed : int
        Of the random numbers; other ones than in the training of ``universal``.
    psf : str or path-like, optional
        FITS file with the point spread function of a camera, sampled by its pixels; see
        `~deepcr_ccd.simulation.psf.read_psf`. By default it is drawn for each frame.

    Returns
    -------
    list of Observation
        The truth is pixels in which the charge of cosmic rays is above one sigma.

    Raises
    ------
    ValueError
        If the kind is unknown, or the file holds no point spread function.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is unknown; allowed are {', '.join(KINDS)}")
    # Part of the seed: kinds are only ever added at the end of KINDS.
    place = list(KINDS).index(kind)
    rng = np.random.default_rng([700_001, seed, place])
    optics = None if psf is None else read_psf(psf)
    scenes = np.stack([make_scene(rng, size, kind, optics) for _ in range(number)])
    deposits = [simulate_deposit(rng) for _ in range(3000)]
    camera = CameraSimulator(scenes, [deposits], size, LabelThresholds(pixel=1.0))
    return [
        camera.observe(np.random.default_rng([700_002, seed, place, i]))
        for i in range(number)
    ]


def read_labelled_frames(
    paths: Sequence[str | os.PathLike],
    *,
    unit: str | None = None,
    gain: ParameterLike | None = None,
    readnoise: ParameterLike | None = None,
    satlevel: ParameterLike | None = None,
) -> list[LabelledFrame]:
    """Read frames, and which of their pixels cosmic rays affect.

    Parameters
    ----------
    paths : sequence of str or path-like
        FITS files. Either each has an extension TRUTH (nonzero
        where CR-affected) of the shape of its image, and optionally IGNORE (nonzero
        where pixels do not count); or
        they are two or more exposures of one pointing, whose cosmic rays
        `~deepcr_ccd.training.exposure_labels.label_exposures` labels.
    unit : str, optional
        Unit of the images, in place of BUNIT.
    gain : float, `~astropy.units.Quantity` or str, optional
        In electron/adu, or the header keyword that holds it.
    readnoise : float, `~astropy.units.Quantity` or str, optional
        In electron, or a keyword; only L.A.Cosmic needs it.
    satlevel : float, `~astropy.units.Quantity` or str, optional
        Saturation level, in the frames' unit; such pixels are ignored.

    Returns
    -------
    list of LabelledFrame
        In electron where unit and gain are known; otherwise in their own unit.

    Raises
    ------
    ValueError
        If some files have a TRUTH and others do not, or it does not fit its image; or
        if a file is given twice as exposures.
    """
    for path in paths:
        given_path(path, "paths", FITS_FILE)
    files = [FitsFile(path, unit=unit) for path in paths]
    planes = [_truth(path) for path in paths]
    if all(found is None for found in planes):
        _check_different(paths)
        items = []
        for images in matching_images(files):
            exposures = [image.read() for image in images]
            labelled = label_exposures(exposures, gain=gain, satlevel=satlevel)
            for ccd, (frame, truth, ignore) in zip(exposures, labelled, strict=True):
                noise = _noise(readnoise, ccd, gain)
                items.append(LabelledFrame(frame, truth, ignore, noise))
        return items
    items = []
    for path, file, found in zip(paths, files, planes, strict=True):
        if found is None:
            raise ValueError(f"{path} has no extension TRUTH, and others have one")
        ccd = file.images[0].read()
        truth, ignore = found
        if truth.shape != ccd.shape:
            raise ValueError(
                f"{path}: TRUTH has shape {truth.shape}, the image {ccd.shape}"
            )
        factor = electron_factor(ccd.unit, resolve_gain(gain, ccd.header))
        frame = (np.asarray(ccd.data, dtype=np.float32) * factor).astype(np.float32)
        bad = ~np.isfinite(frame)
        if ccd.mask is not None:
            bad |= ccd.mask
        frame[~np.isfinite(frame)] = np.nanmedian(frame)
        ignore = ignore | bad
        noise = _noise(readnoise, ccd, gain)
        items.append(LabelledFrame(frame, truth & ~ignore, ignore, noise))
    return items


def _check_different(paths: Sequence[str | os.PathLike]) -> None:
    """Raise an error if two exposures are one file, also by other names or links."""
    known = set()
    for path in paths:
        real = os.path.realpath(path)
        if real in known:
            raise ValueError(
                f"{os.fspath(path)} is given twice: exposures of one pointing must be "
                "different files"
            )
        known.add(real)


def count_affected(items: Iterable[Observation | LabelledFrame]) -> int:
    """Return the number of CR-affected pixels that count.

    Parameters
    ----------
    items : iterable
        Frames with ``truth`` and ``ignore``.
    """
    return sum(int((item.truth & ~item.ignore).sum()) for item in items)


def _noise(
    readnoise: ParameterLike | None, ccd: CCDData, gain: ParameterLike | None
) -> float:
    noise = resolve_readnoise(readnoise, ccd.header, resolve_gain(gain, ccd.header))
    return READNOISE if noise is None else noise


def _truth(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the planes TRUTH and IGNORE of a file, or None if it has none."""
    with fits.open(path) as hdus:
        names = [hdu.name for hdu in hdus]
        if "TRUTH" not in names:
            return None
        truth = hdus["TRUTH"].data != 0
        if "IGNORE" not in names:
            return truth, np.zeros_like(truth)
        return truth, hdus["IGNORE"].data != 0
