"""CCDData in, CCDData out: ``cosmicray_deepcr`` and ``cosmicray_probability``."""

from __future__ import annotations

import os
from typing import Any, Literal

import torch
from astropy.nddata import NDData

from ..choices import DEFAULT_MODEL, EngineName, FillMethod, PrecisionName
from ..models.model import Model
from ..nddata.data_quality import DQLike, read_convention
from ..nddata.frame import Frame, read_frame, read_frames
from ..nddata.header import KEYWORDS, read_keywords
from ..nddata.typing import CCDLike, ParameterLike
from ..notices import names_its_arguments
from ..options import CleanOptions
from ..pipeline.clean import CleanedFrame, clean_frame, frame_probability
from ..pipeline.plan import Plan, make_plan

__all__ = ["KEYWORDS", "cosmicray_deepcr", "cosmicray_probability"]


@names_its_arguments
def cosmicray_deepcr(
    ccd: CCDLike,
    *,
    model: str | os.PathLike | Model = DEFAULT_MODEL,
    gain: ParameterLike | None = None,
    readnoise: ParameterLike | None = None,
    threshold: float | None = None,
    extend_threshold: float | None = None,
    target_fpr: float | None = None,
    grow: float = 0,
    inpaint: FillMethod | Literal[False] | None = "auto",
    satlevel: ParameterLike | None = None,
    psffwhm: float | None = None,
    dq: DQLike | None = None,
    device: str | torch.device | None = None,
    precision: PrecisionName | None = None,
    engine: EngineName | None = None,
    tile_size: int | None = None,
    add_keyword: Any = True,
    progress: bool = False,
) -> Any:
    """Detect the cosmic rays of a single frame, mask them, and fill them in.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData`, other NDData, Quantity or array-like
        Frame of shape ``(ny, nx)``, or a stack ``(n, ny, nx)`` that is cleaned
        plane by plane; or a list of CCDData, which are cleaned one by one. A list of
        arrays is a stack. It is not modified. Masks of `numpy.ma.MaskedArray`, of
        `~astropy.utils.masked.Masked` and of Dask's masked arrays are used. Dask
        arrays are cleaned lazily, in their chunks. For models that need a unit, a
        plain array is taken to be in that unit, or in adu if ``gain`` is given. If the
        header has a Bayer pattern (BAYERPAT and the like), each colour of the raw frame
        is cleaned by itself.
    model : str, path-like or Model
        A name of `list_models`, the path of a model file, or a model.
    gain : float, `~astropy.units.Quantity` or str, optional
        In electron/adu, or the header keyword that holds it. Needed by models that
        work in a unit which is not the frame's; the default takes any.
    readnoise : float, `~astropy.units.Quantity` or str, optional
        In electron (a Quantity may be in adu, if ``gain`` is given), or the header
        keyword that holds it. A lower limit of the noise, which is measured in the
        frame; for models that work in units of the noise, such as the default. A frame
        in adu needs ``gain`` with it; one without a unit is taken to be in electron, or
        in adu if ``gain`` is given.
    threshold : float, optional
        Probability in [0, 1] above which a pixel is flagged. By default that of the
        model description (``load_model(...).card``), which is 0.45 for
        ``universal``.
    extend_threshold : float, optional
        Lower probability, down to which cosmic rays are followed: a pixel above it is
        flagged too if it is connected (by sides or corners, within 32 steps) to one
        that is above ``threshold`` and above 0.85. By default that of the model
        description, which is 0.2 for ``universal``, or ``threshold`` if that is lower.
        With 1, ``threshold`` is used alone.
    target_fpr : float, optional
        In place of thresholds: the false positive rate, which is the fraction of clean
        pixels that may be flagged, such as 1e-4; for models whose description has a
        calibration. It is reached by one threshold, which gives the highest true
        positive rate; ``extend_threshold`` is then not used.
    grow : float
        Radius in px by which to grow the mask; 0 leaves it as it is.
    inpaint : {"auto", "median", "mean", "idw", "interpolate", "network"} or None
        How to fill CR-affected pixels, see `inpaint`. "auto", which is the default,
        writes values that a network predicts: with the default model that network is
        ``universal-inpaint``. For photometry use the mask, or None, with which the
        pixels keep their values.
    satlevel : float, `~astropy.units.Quantity` or str, optional
        Saturation level in the frame's unit (or a Quantity that converts to it, or
        a header keyword). Saturated stars with their bleeding are excluded: extended
        sources at or above this level. By default ("auto") the level is that of the
        header (SATURATE, SATLEVEL, MAXLIN and the like), and any at which values of the
        frame pile up. Header levels are taken to be in adu: for a frame in electron
        they are used only with ``gain``, and for one in another unit not at all. Cosmic
        rays above the level are still flagged. With `numpy.inf` no pixel is saturated.
    psffwhm : float, optional
        FWHM in px of the stars on the frame; of spectra, that across the trace. Models
        that are told how wide stars are, such as the default, flag what is sharper. By
        default it is measured on the frame; "unknown" and "no stars" are possible
        results (see CRPSF below).
    dq : str or dict, optional
        What the integers in ``ccd.flags`` mean: the name of an observatory, such as
        "hst", "jwst", "gemini" or "lsst", or a dictionary, see :doc:`/data_quality`.
        Pixels with bad flags are excluded and masked, and cosmic rays are entered into
        the flags of the result. Without it, flags are not read. Not for Dask arrays.
    device : str or torch.device, optional
        Such as ``"cpu"`` or ``"cuda"``. By default CUDA, then MPS, then the CPU.
    precision : {"auto", "float32", "bfloat16", "int8"}, optional
        Number format of the network. "auto", which is the default, is bfloat16 where
        the processor computes in it, and float32 elsewhere; see `load_model` and Notes.
    engine : {"auto", "torch", "openvino"}, optional
        What runs the network. "auto", which is the default, is OpenVINO where it is
        installed and the CPU is used, and PyTorch elsewhere; see `load_model`.
    tile_size : int, optional
        Width in px of the tiles that the frame is cut into. It changes memory
        and speed, not the result (in bfloat16, not beyond its rounding).
    add_keyword : bool, str, `ccdproc.Keyword` or dict
        True records in the header what was done, in a HISTORY line and these keywords
        (the three counts not for Dask arrays):

        ========  =================================================
        CRMODEL   model that detected the cosmic rays
        CRVERS    version of deepcr_ccd
        CRTHRESH  probability above which a pixel is flagged
        CREXTEND  threshold of pixels connected to flagged ones
        CRPSF     FWHM of stars in px that the model was told
        CRNPIX    number of pixels flagged as cosmic rays
        CRNOBJ    number of cosmic rays (groups of touching pixels)
        CRNSKIP   number of pixels excluded, being bad on input
        CRFILL    how flagged pixels were filled
        ========  =================================================

        False records nothing. Or what to record in their place, as in ccdproc: keywords
        with their values, a Keyword, or one without a value.
    progress : bool
        Show a progress bar of tqdm; not for Dask arrays.

    Returns
    -------
    `~astropy.nddata.CCDData` or other NDData
        If ``ccd`` is one: the same type, in the same unit, with CR-affected pixels
        filled. float64 data stay float64, and all others, integers too, become float32.
        The mask is the old mask OR the CR mask; the CR mask alone is
        ``cleaned.mask & ~ccd.mask``, or ``cleaned.mask`` if ``ccd`` had no mask. The
        uncertainty of filled pixels becomes the one-sigma of the fill. It stays where
        the neighbours are all equal, and where it was 0 or not finite. Excluded pixels,
        which were masked, not finite or saturated on input, keep their data. Those that
        were not masked are not added to the mask.
    list of `~astropy.nddata.CCDData`
        If ``ccd`` is a list of them: each as if it had been given alone.
    cleaned, crmask : `~numpy.ndarray`
        Otherwise: the cleaned frame, of the class that came in, and the bool CR mask,
        both of its shape. If the class has a mask, that of the cleaned frame is set
        (old mask OR CR mask). A `numpy.ma.MaskedArray` keeps its ``fill_value`` (if
        that fits the data that are returned) and ``hardmask``. Arrays are C-contiguous,
        float64 if the data are, and else float32.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of an allowed kind or value, or the frame's unit
        cannot be taken to the model's.
    FileNotFoundError
        If ``model`` is the path of a file that does not exist.
    ImportError
        If OpenVINO is asked for and not installed, or ``progress`` is and tqdm is not.

    Warns
    -----
    DeepCRWarning
        If ``gain``, ``readnoise``, ``psffwhm`` or ``dq`` was given and has no use.
    AstropyUserWarning
        If the uncertainty contradicts the scatter of the frame, and is not used; if its
        class is unknown, and it stays as it was at filled pixels; if more than 10 % of
        the pixels that are not excluded are flagged; if half of the pixels or more are
        at or above the saturation level; if cosmic rays affect so much of a frame that
        its noise cannot be measured, and most are missed.

    Notes
    -----
    The uncertainty of a CCDData (a standard deviation, a variance or an inverse
    variance) is used by models that work in units of the noise: it shows where there
    is more noise than in the rest of the frame, as where sky lines were subtracted. Its
    scale is that of the scatter of the frame; if the two differ by more than a factor
    of three, the uncertainty is not used. Where it is zero or not finite, the noise is
    measured.

    Precision and engine depend on the machine by default, so that masks can differ in a
    few pixels between machines. With ``device="cpu"``, ``precision="float32"`` and
    ``engine="torch"`` results are the same, but for rounding in float32.

    The method is deepCR's [1]_: a U-Net gives each pixel the probability that it is
    affected by a cosmic ray.

    References
    ----------
    .. [1] Zhang, K. & Bloom, J. S. 2020, ApJ 889, 24.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from deepcr_ccd import cosmicray_deepcr
    >>> rng = np.random.default_rng(1)
    >>> ccd = CCDData(rng.normal(60, 8, (64, 64)), unit="electron")
    >>> ccd.data[20, 20:26] += 900
    >>> cleaned = cosmicray_deepcr(ccd, device="cpu")
    >>> bool(cleaned.mask[20, 20:26].all())
    True
    >>> cleaned.header["CRNOBJ"]
    1
    """
    options = CleanOptions(
        model=model,
        gain=gain,
        readnoise=readnoise,
        threshold=threshold,
        extend_threshold=extend_threshold,
        target_fpr=target_fpr,
        grow=grow,
        inpaint=inpaint,
        satlevel=satlevel,
        psffwhm=psffwhm,
        dq=dq,
        device=device,
        precision=precision,
        engine=engine,
        tile_size=tile_size,
    )
    frames, plans, is_list = _read_and_plan(ccd, options)
    logged = read_keywords(add_keyword, [frame.header for frame in frames])
    results = []
    for frame, plan in zip(frames, plans, strict=True):
        cleaned = clean_frame(frame, plan, progress=progress)
        results.append(_rebuild(frame, cleaned, plan, logged))
    return results if is_list else results[0]


def _read_and_plan(
    ccd: CCDLike, options: CleanOptions
) -> tuple[list[Frame], list[Plan], bool]:
    """Return frames, how each is cleaned, and whether a list of them was given."""
    dq = read_convention(options.dq)
    several = read_frames(ccd, chunked=True, dq=dq)
    model = options.load_model()
    frames = several or [read_frame(ccd, chunked=True, dq=dq)]
    return frames, [make_plan(frame, model, options) for frame in frames], bool(several)


def _rebuild(
    frame: Frame, cleaned: CleanedFrame, plan: Plan, logged: bool | dict
) -> NDData | tuple:
    """Return a cleaned frame in the class that the user gave."""
    crmask = cleaned.crmask
    # Copied last, when all that is large and not returned is gone.
    data = cleaned.data(frame)
    if frame.header is None:
        return frame.wrap(data, frame.combine_mask(crmask)), crmask
    if logged is True:
        keywords, history = cleaned.describe(plan)
    else:
        keywords, history = logged or {}, ""
    return frame.rebuild(
        data, cleaned.sigma, crmask=crmask, keywords=keywords, history=history
    )


@names_its_arguments
def cosmicray_probability(
    ccd: CCDLike,
    *,
    model: str | os.PathLike | Model = DEFAULT_MODEL,
    gain: ParameterLike | None = None,
    readnoise: ParameterLike | None = None,
    satlevel: ParameterLike | None = None,
    psffwhm: float | None = None,
    dq: DQLike | None = None,
    device: str | torch.device | None = None,
    precision: PrecisionName | None = None,
    engine: EngineName | None = None,
    tile_size: int | None = None,
    progress: bool = False,
) -> Any:
    """Return the probability that each pixel is affected by a cosmic ray.

    Parameters
    ----------
    ccd, model, gain, readnoise, satlevel, psffwhm, dq, device
        As for `cosmicray_deepcr`.
    precision, engine, tile_size, progress
        As for `cosmicray_deepcr`.

    Returns
    -------
    `~numpy.ndarray`
        float32, of the shape of the frame, in [0, 1]; NaN at excluded pixels, which
        are masked, not finite or saturated. A list of CCDData gives a list of arrays,
        and a Dask array one of Dask.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError, ImportError
        As `cosmicray_deepcr`.

    Examples
    --------
    >>> import numpy as np
    >>> from deepcr_ccd import cosmicray_probability
    >>> frame = np.random.default_rng(1).normal(60, 8, (64, 64))
    >>> frame[20, 20:26] += 900
    >>> p = cosmicray_probability(frame, device="cpu")
    >>> bool(p[20, 22] > 0.9), bool(p[50, 50] < 0.1)
    (True, True)
    """
    options = CleanOptions(
        model=model,
        gain=gain,
        readnoise=readnoise,
        inpaint=None,
        satlevel=satlevel,
        psffwhm=psffwhm,
        dq=dq,
        device=device,
        precision=precision,
        engine=engine,
        tile_size=tile_size,
    )
    frames, plans, is_list = _read_and_plan(ccd, options)
    results = [
        frame_probability(frame, plan, progress=progress)
        for frame, plan in zip(frames, plans, strict=True)
    ]
    return results if is_list else results[0]
