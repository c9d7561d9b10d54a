"""The interface of astroscrappy: ``detect_cosmics``, and what it returns."""

from __future__ import annotations

import logging
import os
import sys
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..choices import DEFAULT_MODEL, EngineName, PrecisionName
from ..inpainting.local import median5
from ..models.model import Model
from ..nddata.frame import as_mask, read_frame
from ..nddata.gain import resolve_gain, resolve_readnoise, saturation_level, unit_factor
from ..nddata.typing import CCDLike, MaskLike, ParameterLike
from ..notices import names_its_arguments, warn_unused
from ..options import CleanOptions
from ..pipeline import detect as detection
from ..pipeline.fill import Fill, fill_frame
from ..pipeline.frame_warnings import (
    warn_if_cr_dominated,
    warn_if_nothing_is_left,
    warn_of_flagged,
)
from ..preprocess.known_noise import KnownNoise
from ..preprocess.star_width import StarWidth
from .lacosmic_arguments import (
    CLEANTYPES,
    PSFFWHM,
    READNOISE,
    check_arguments,
    heed_sigfrac,
    ignored_arguments,
    read_background,
    read_plane,
)

__all__ = ["detect_cosmics"]

logger = logging.getLogger(__name__)


@names_its_arguments
def detect_cosmics(
    indat: CCDLike,
    inmask: MaskLike | None = None,
    inbkg: ArrayLike | None = None,
    invar: ArrayLike | None = None,
    sigclip: float = 4.5,
    sigfrac: float = 0.3,
    objlim: float = 5.0,
    gain: ParameterLike | None = 1.0,
    readnoise: ParameterLike | None = 6.5,
    satlevel: ParameterLike | None = 65536.0,
    niter: int = 4,
    sepmed: bool = True,
    cleantype: Literal["median", "medmask", "meanmask", "idw"] = "meanmask",
    fsmode: Literal["median", "convolve"] = "median",
    psfmodel: Literal["gauss", "gaussx", "gaussy", "moffat"] = "gauss",
    psffwhm: float = 2.5,
    psfsize: int = 7,
    psfk: ArrayLike | None = None,
    psfbeta: float = 4.765,
    verbose: bool = False,
    *,
    model: str | os.PathLike | Model = DEFAULT_MODEL,
    threshold: float | None = None,
    extend_threshold: float | None = None,
    target_fpr: float | None = None,
    grow: float = 0,
    device: str | torch.device | None = None,
    precision: PrecisionName | None = None,
    engine: EngineName | None = None,
    tile_size: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Detect cosmic rays in an array: astroscrappy's function, with a network.

    Parameters
    ----------
    indat : array-like
        ``(ny, nx)``, in adu if ``gain`` is in electron/adu. Not modified.
    inmask : array-like, optional
        bool, ``(ny, nx)``, True where bad: these are excluded and not flagged.
    inbkg : float or array-like, optional
        Number or ``(ny, nx)``, background that ``indat`` contains, in its unit. It is
        subtracted before cosmic rays are searched and pixels are filled; ``cleanarr``
        contains it again. Models that work in a unit see the frame with the median of
        the background added. For models that work in units of the noise, such as the
        default, ``inbkg``, ``gain`` and ``readnoise`` also show where there is more
        noise than elsewhere. Pixels where it is not finite are excluded.
    invar : float or array-like, optional
        Number or ``(ny, nx)``, variance in the square of the unit of ``indat``, for
        models that work in units of the noise. It is used as the uncertainty of a
        CCDData by `~deepcr_ccd.cosmicray_deepcr`. Other models give a warning.
    gain : float
        In electron/adu; 1 if ``indat`` is in electron.
    readnoise : float
        In electron: a lower limit of the noise that is measured in the frame, for
        models that work in units of the noise. The default, 6.5, is astroscrappy's and
        not that of your detector: it sets no limit.
    satlevel : float, optional
        In electron. Stars that reach it are excluded, and so are those whose values
        pile up at a lower level; cosmic rays above it are still flagged. With None
        there is no such limit, and only stars whose values pile up are excluded; with
        `numpy.inf` no pixel is saturated.
    cleantype : {"median", "medmask", "meanmask", "idw"}
        How CR-affected pixels are filled: plain 5x5 median; or median, mean or inverse
        distance weighted mean of the good pixels in a cutout of 5x5 px (which
        grows until it has 8 of them).
    sigfrac : float
        In L.A.Cosmic the fraction of ``sigclip`` down to which neighbours of cosmic
        rays are flagged. Here it changes ``extend_threshold``, if that is not given:
        0.3 is the model's own, and 1 follows no cosmic ray. Between these, and below
        0.3, the distance from ``threshold`` to ``extend_threshold``, as the logarithm
        of p / (1 - p), is proportional to 1 - ``sigfrac``. It has no effect with
        ``target_fpr``, and for models with one threshold.
    sigclip, objlim, sepmed : optional
        Of L.A.Cosmic; accepted without effect.
    niter : int
        The network needs one pass: values from 1 on have no effect. With 0 nothing is
        searched, and the mask is empty.
    psffwhm : float
        FWHM in px of the stars in ``indat``, as for `~deepcr_ccd.cosmicray_deepcr`. The
        default, 2.5, is astroscrappy's and not that of your frame: it is measured.
    fsmode, psfmodel, psfsize, psfk, psfbeta : optional
        Of L.A.Cosmic; accepted without effect.
    verbose : bool
        Print the number of pixels found.
    model : str, path-like or Model
        A name of `list_models`, the path of a model file, or a model.
    threshold : float, optional
        Probability in [0, 1] above which a pixel is flagged. By default that of the
        model description (``load_model(...).card``), which is 0.45 for
        ``universal``.
    extend_threshold : float, optional
        Lower probability, down to which cosmic rays are followed, as for
        `~deepcr_ccd.cosmicray_deepcr`; with 1, ``threshold`` is used alone.
    target_fpr : float, optional
        In place of thresholds: the false positive rate, which is the fraction of
        clean pixels that may be flagged; ``extend_threshold`` is then not used.
    grow : float
        Radius in px by which to grow the mask.
    device, precision, engine, tile_size : optional
        As for `~deepcr_ccd.cosmicray_deepcr`.

    Returns
    -------
    crmask : `~numpy.ndarray`
        bool, ``(ny, nx)``, True at pixels affected by cosmic rays.
    cleanarr : `~numpy.ndarray`
        ``(ny, nx)``, in the unit of ``indat``: the cleaned frame; float64 if ``indat``
        is, else float32.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of an allowed kind or value.
    FileNotFoundError
        If ``model`` is the path of a file that does not exist.
    ImportError
        If OpenVINO is asked for and not installed.

    Warns
    -----
    DeepCRWarning
        If ``invar`` has no effect. Parameters of L.A.Cosmic that have none are named in
        the log, at level INFO.
    AstropyUserWarning
        If more than 10 % of the pixels that are not excluded are flagged; if half of
        the pixels or more are at or above ``satlevel``; if cosmic rays affect so much
        of the frame that its noise cannot be measured, and most are missed; if
        ``invar`` contradicts the scatter of the frame, and is not used.

    References
    ----------
    Signature: astroscrappy (McCully et al.), after van Dokkum 2001, PASP 113,
    1420. Method: Zhang, K. & Bloom, J. S. 2020, ApJ 889, 24.

    Examples
    --------
    >>> import numpy as np
    >>> from deepcr_ccd import detect_cosmics
    >>> frame = np.random.default_rng(1).normal(60, 8, (64, 64))
    >>> frame[20, 20:26] += 900
    >>> crmask, cleaned = detect_cosmics(frame, device="cpu")
    >>> int(crmask[20, 20:26].sum())
    6
    """
    given = locals()
    frame = read_frame(indat, "indat")
    data = frame.data
    if data.ndim != 2:
        raise ValueError(f"indat has shape {data.shape}; allowed is (ny, nx)")
    check_arguments(given)
    options = CleanOptions(
        model=model,
        threshold=threshold,
        extend_threshold=extend_threshold,
        target_fpr=target_fpr,
        grow=grow,
        psffwhm=None if psffwhm == PSFFWHM else psffwhm,
        device=device,
        precision=precision,
        engine=engine,
        tile_size=tile_size,
    )
    loaded_model = options.load_model()
    thresholds = options.thresholds(loaded_model)
    followed = extend_threshold is None and thresholds.reach > 0
    if followed:
        thresholds = heed_sigfrac(thresholds, sigfrac)
    # True is 1, as in C.
    per_adu = resolve_gain(1.0 if gain is None or gain is True else gain) or 1.0
    mask = frame.mask
    if inmask is not None:
        mask = _either(mask, as_mask(inmask, data.shape, "inmask"))
    inbkg, no_background = read_background(inbkg, data.shape)
    mask = _either(mask, no_background)
    invar = read_plane(invar, data.shape, "invar")
    if invar is not None and "known_noise" not in loaded_model.card.uses_noise_facts:
        warn_unused("invar", f"model {loaded_model.card.name!r} does not use it")
    told = options.psffwhm is not None and loaded_model.card.uses_star_width
    heeded = {name for name, has in (("sigfrac", followed), ("psffwhm", told)) if has}
    ignored = ignored_arguments(given, heeded=heeded)
    if ignored:
        name = loaded_model.card.name
        logger.info("no effect with model %r: %s", name, ", ".join(ignored))
    if niter < 1:
        return np.zeros(data.shape, dtype=bool), frame.copy_data()

    factor, _ = unit_factor(
        None, loaded_model.card.unit, per_adu, loaded_model.card.name
    )
    noise_facts = _known_noise(
        loaded_model, factor, per_adu, resolve_readnoise(readnoise), inbkg, invar
    )
    work = data
    if inbkg is not None and "background" not in loaded_model.card.uses_noise_facts:
        work = data - (inbkg - np.nanmedian(inbkg))
    level = saturation_level(satlevel, None)
    level = None if level is None else level / per_adu
    bad = detection.excluded_pixels(data, mask, level)
    if work is not data:
        bad = _either(bad, detection.excluded_pixels(work, None))
    if loaded_model.card.measures_noise:
        warn_if_cr_dominated(work, bad)
    arguments = {"factor": factor, "tile_size": tile_size, **noise_facts}
    if told:
        arguments["star_width"] = StarWidth.of(psffwhm)
    crmask = detection.find_cosmic_rays(
        work, bad, loaded_model, thresholds, grow, **arguments
    )
    excluded = 0 if bad is None else int(np.count_nonzero(bad))
    warn_if_nothing_is_left(crmask.size - excluded)
    warn_of_flagged(int(np.count_nonzero(crmask)), crmask.size - excluded)

    cleanarr = frame.copy_data()
    cleanarr[crmask] = _fill(data, crmask, bad, inbkg, CLEANTYPES[cleantype])
    if verbose:
        pixels = np.count_nonzero(crmask)
        logger.info("%d cosmic pixels", pixels)
        sys.stdout.write(f"{pixels} cosmic pixels\n")
    return crmask, cleanarr


def _fill(
    data: np.ndarray,
    crmask: np.ndarray,
    bad: np.ndarray | None,
    inbkg: np.ndarray | None,
    method: str | None,
) -> np.ndarray:
    """Return what flagged pixels become, in the order of ``data[crmask]``."""
    flat = data if inbkg is None else data - inbkg
    if method is None:
        values = median5(flat, crmask)
    else:
        values, _ = fill_frame(flat, crmask, bad, Fill(method))
    return values if inbkg is None else values + inbkg[crmask]


def _either(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    """Return the union of two masks, either of which may be missing."""
    if one is None or other is None:
        return other if one is None else one
    return one | other


def _known_noise(
    model: Model,
    factor: float,
    gain: float,
    readnoise: float | None,
    inbkg: np.ndarray | None,
    invar: np.ndarray | None,
) -> dict:
    """Return what the arguments say of the noise, in the unit of the model."""
    noise_facts: dict = {}
    if readnoise is not None and readnoise != READNOISE:
        noise_facts["readnoise"] = readnoise / gain * factor
    if inbkg is not None and "background" in model.card.uses_noise_facts:
        noise_facts["background"] = inbkg * factor
    if invar is not None:
        noise_facts["known_noise"] = KnownNoise(invar, 2, factor, "invar")
    elif inbkg is not None and "background" in noise_facts:
        # Of the background that was subtracted, and of the detector.
        noise = np.maximum(inbkg, 0) / gain + ((readnoise or 0) / gain) ** 2
        noise_facts["known_noise"] = KnownNoise(noise, 2, factor, objects=False)
    return noise_facts
