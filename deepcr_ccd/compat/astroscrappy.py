"""Front door 2: ``detect_cosmics`` with astroscrappy's signature and return order."""

from __future__ import annotations

import logging
import sys

import numpy as np
from scipy.special import expit, logit

from ..inpainting.local import median5
from ..models.zoo import DEFAULT_MODEL, load_model
from ..nddata.array_classes import take_apart
from ..nddata.frame import as_mask, read_frame
from ..nddata.gain import resolve_gain, resolve_readnoise, saturation_level, unit_factor
from ..notices import warn_unused
from ..pipeline import detect as detection
from ..pipeline.fill import Fill, fill_frame
from ..pipeline.guard import warn_if_cr_dominated, warn_of_flagged
from ..preprocess.known_noise import KnownNoise
from ..segmentation.hysteresis import Thresholds

__all__ = ["detect_cosmics"]

logger = logging.getLogger(__name__)

#: astroscrappy's default, which says nothing of the frame at hand.
READNOISE = 6.5
#: astroscrappy's ways of filling, and ours that do the same ("median" is its own).
CLEANTYPES = {"median": None, "medmask": "median", "meanmask": "mean", "idw": "idw"}

#: Parameters of L.A.Cosmic that a network does not have, and their defaults.
IGNORED = {
    "sigclip": 4.5,
    "sigfrac": 0.3,
    "objlim": 5.0,
    "niter": 4,
    "sepmed": True,
    "fsmode": "median",
    "psfmodel": "gauss",
    "psffwhm": 2.5,
    "psfsize": 7,
    "psfk": None,
    "psfbeta": 4.765,
}
#: Those that are one of some words, and those that are numbers.
CHOICES = {
    "cleantype": tuple(CLEANTYPES),
    "fsmode": ("median", "convolve"),
    "psfmodel": ("gauss", "gaussx", "gaussy", "moffat"),
}
NUMBERS = ("sigclip", "sigfrac", "objlim", "niter", "psffwhm", "psfsize", "psfbeta")


def detect_cosmics(
    indat,
    inmask=None,
    inbkg=None,
    invar=None,
    sigclip=4.5,
    sigfrac=0.3,
    objlim=5.0,
    gain=1.0,
    readnoise=6.5,
    satlevel=65536.0,
    niter=4,
    sepmed=True,
    cleantype="meanmask",
    fsmode="median",
    psfmodel="gauss",
    psffwhm=2.5,
    psfsize=7,
    psfk=None,
    psfbeta=4.765,
    verbose=False,
    *,
    model=DEFAULT_MODEL,
    threshold: float | None = None,
    extend_threshold: float | None = None,
    target_fpr: float | None = None,
    device=None,
) -> tuple[np.ndarray, np.ndarray]:
    """Detect cosmic rays in an array: astroscrappy's function, with a network.

    Parameters
    ----------
    indat : array-like
        ``(ny, nx)``, in adu if ``gain`` is in electron/adu. Not modified.
    inmask : array-like, optional
        bool, ``(ny, nx)``, True where bad: not examined and not reported.
    inbkg : float or array-like, optional
        Number or ``(ny, nx)``, background in the unit of ``indat``. Its shape, not its
        median level, is subtracted before the network looks, unless the model
        works in units of the noise; filling is done on what is left. To such models
        it also says, with ``gain`` and ``readnoise``, where there is more noise.
        Pixels where it is not finite are not examined.
    invar : float or array-like, optional
        Number or ``(ny, nx)``, variance in the unit of ``indat`` squared, for models
        that work in units of the noise; as the uncertainty of `cosmicray_deepcr`.
        Others give a warning.
    gain : float
        In electron/adu.
    readnoise : float
        In electron; for models that work in units of the noise, which then is not
        less. The default says nothing, and the noise is measured.
    satlevel : float, optional
        In electron. Stars that reach it, as cosmic rays may, are not examined, nor are
        those that pile up at a lower level. With None only the latter are left out,
        with `numpy.inf` nothing is.
    cleantype : {"median", "medmask", "meanmask", "idw"}
        How struck pixels are filled: plain 5x5 median; or median, mean or inverse
        distance weighted mean of the good pixels in a window of 5x5 px (which
        grows until it holds 8 of them).
    sigfrac : float
        In L.A.Cosmic the share of ``sigclip`` down to which neighbours of cosmic rays
        are flagged. Here it sets ``extend_threshold``: the default stands for the
        model's own, 1 for none, and other values for thresholds in proportion (in
        log odds). For models that have none it is accepted without effect.
    sigclip, objlim, sepmed : optional
        Of L.A.Cosmic; accepted without effect.
    niter : int
        One pass does; with 0 there is none, and nothing is found.
    fsmode, psfmodel, psffwhm, psfsize, psfk, psfbeta : optional
        Of L.A.Cosmic; accepted without effect.
    verbose : bool
        Print the number of pixels found.
    model : str, path-like or Model
        A name of `list_models`, the path of a model file, or a model.
    threshold : float, optional
        Probability in [0, 1] above which a pixel is a cosmic ray. By default what
        the model's card says.
    extend_threshold : float, optional
        Lower probability, down to which cosmic rays are followed, as for
        `~deepcr_ccd.cosmicray_deepcr`; 1 follows none.
    target_fpr : float, optional
        In place of thresholds: the share of clean pixels that may be flagged.
    device : str or torch.device, optional
        Such as ``"cpu"`` or ``"cuda"``. By default CUDA, then MPS, then the CPU.

    Returns
    -------
    crmask : `~numpy.ndarray`
        bool, ``(ny, nx)``, True where a cosmic ray struck.
    cleanarr : `~numpy.ndarray`
        ``(ny, nx)``, in the unit of ``indat``; float64 if that is, else float32.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of an allowed kind or value.
    ImportError
        If the model is a published checkpoint and deepCR is not installed.

    Warns
    -----
    DeepCRWarning
        If ``invar`` has no effect. Parameters of L.A.Cosmic that have none are named in
        the log, at level INFO.
    AstropyUserWarning
        If more of the frame is flagged, or struck, than the method is for.

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
    >>> crmask, cleaned = detect_cosmics(frame, model="ACS-WFC", device="cpu")
    >>> int(crmask[20, 20:26].sum())
    6
    """
    given = locals()
    frame = read_frame(indat, "indat")
    data = frame.data
    if data.ndim != 2:
        raise ValueError(f"indat has shape {data.shape}; allowed is (ny, nx)")
    _check_arguments(given)
    model = load_model(model, device=device, task="mask")
    thresholds = model.card.thresholds(threshold, extend_threshold, target_fpr)
    followed = extend_threshold is None and thresholds.reach > 0
    if followed:
        thresholds = _heed_sigfrac(thresholds, sigfrac)
    # True is 1, as in C.
    gain = resolve_gain(1.0 if gain is None or gain is True else gain)
    mask = frame.mask
    if inmask is not None:
        inmask = as_mask(inmask, data.shape, "inmask")
        mask = inmask if mask is None else mask | inmask
    inbkg, no_sky = _read_background(inbkg, data.shape)
    if no_sky is not None:
        mask = no_sky if mask is None else mask | no_sky
    invar = _read_plane(invar, data.shape, "invar")
    if invar is not None and "variance" not in model.card.uses:
        warn_unused("invar", f"model {model.card.name!r} does not use it", 3)
    ignored = [k for k, default in IGNORED.items() if not _same(given[k], default)]
    if followed and "sigfrac" in ignored:
        ignored.remove("sigfrac")
    if ignored:
        logger.info("no effect with model %r: %s", model.card.name, ", ".join(ignored))
    if niter < 1:
        return np.zeros(data.shape, dtype=bool), frame.copy_data()

    factor, _ = unit_factor(None, model.card.unit, gain, model.card.name)
    readnoise = resolve_readnoise(readnoise)
    facts = {}
    if readnoise is not None and readnoise != READNOISE:
        facts["readnoise"] = readnoise / gain * factor
    work = data
    if inbkg is not None and "background" in model.card.uses:
        facts["background"] = inbkg * factor
    elif inbkg is not None:
        work = data - (inbkg - np.nanmedian(inbkg))
    if invar is not None:
        facts["variance"] = KnownNoise(invar, 2, factor, "invar")
    elif "background" in facts:
        # That of the light that was taken out, and of the detector.
        light = np.maximum(inbkg, 0) / gain + ((readnoise or 0) / gain) ** 2
        facts["variance"] = KnownNoise(light, 2, factor, objects=False)
    level = saturation_level(satlevel, None)
    bad = detection.excluded_pixels(data, mask, None if level is None else level / gain)
    if work is not data:
        flaw = detection.excluded_pixels(work, None)
        bad = flaw if bad is None else bad if flaw is None else bad | flaw
    if model.card.measures_noise:
        warn_if_cr_dominated(work, bad)
    crmask = detection.find_cosmic_rays(
        work, bad, model, thresholds, factor=factor, **facts
    )
    skipped = 0 if bad is None else np.count_nonzero(bad)
    warn_of_flagged(np.count_nonzero(crmask), crmask.size - skipped)

    cleanarr = frame.copy_data()
    flat = data if inbkg is None else data - inbkg
    if CLEANTYPES[cleantype] is None:
        values = median5(flat, crmask)
    else:
        fill = Fill(CLEANTYPES[cleantype])
        values, _ = fill_frame(flat, crmask, bad, fill)
    cleanarr[crmask] = values if inbkg is None else values + inbkg[crmask]
    if verbose:
        pixels = np.count_nonzero(crmask)
        logger.info("%d cosmic pixels", pixels)
        sys.stdout.write(f"{pixels} cosmic pixels\n")
    return crmask, cleanarr


def _heed_sigfrac(thresholds: Thresholds, sigfrac: float) -> Thresholds:
    """Return thresholds that are as far apart as sigfrac asks for.

    astroscrappy's default stands for those that are given, and 1 for none that is lower
    than the other; what is between and beyond, in proportion, in log odds.
    """
    default = IGNORED["sigfrac"]
    if sigfrac < 0:
        raise ValueError(f"sigfrac={sigfrac!r} must not be negative")
    if sigfrac == default:
        return thresholds
    seed, extend = logit(np.clip(thresholds, 1e-9, 1 - 1e-9))
    share = max(1 - sigfrac, 0) / (1 - default)
    lower = float(expit(seed - share * (seed - extend)))
    return thresholds._replace(extend=min(lower, thresholds.seed))


def _read_plane(value, shape: tuple[int, ...], name: str) -> np.ndarray | None:
    if value is None:
        return None
    value, hidden, _ = take_apart(value)
    plane = np.asarray(value)
    if plane.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, not {plane.dtype}")
    if plane.shape not in (shape, ()):
        raise ValueError(f"{name} has shape {plane.shape}; indat has {shape}")
    # Differences of integers without a sign are none.
    plane = plane.astype(np.result_type(plane.dtype, np.float32), copy=False)
    if hidden is not None:
        plane = np.where(hidden, np.nan, plane)
    return np.broadcast_to(plane, shape)


def _check_arguments(given: dict) -> None:
    """Raise an error if an argument of L.A.Cosmic is none that it takes."""
    for name, allowed in CHOICES.items():
        if not isinstance(given[name], str) or given[name] not in allowed:
            raise ValueError(
                f"{name}={given[name]!r} is unknown; allowed are {', '.join(allowed)}"
            )
    for name in NUMBERS:
        value = given[name]
        if isinstance(value, str) or value is None or np.ndim(value) != 0:
            raise TypeError(f"{name}={value!r} must be a number")
        if np.isnan(value):
            raise ValueError(f"{name}={value!r} must be a number")


def _read_background(
    value, shape: tuple[int, ...]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return a background that is finite, and where it was not: None if nowhere."""
    plane = _read_plane(value, shape, "inbkg")
    if plane is None or plane.dtype.kind != "f" or np.isfinite(plane).all():
        return plane, None
    unknown = ~np.isfinite(plane)
    if unknown.all():
        raise ValueError("inbkg has no finite values")
    return np.where(unknown, np.median(plane[~unknown]), plane), unknown


def _same(value, default) -> bool:
    return value is default or (np.isscalar(value) and value == default)
