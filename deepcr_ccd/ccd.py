"""Front door 1: CCDData (or an array) in, the same kind of thing out."""

from __future__ import annotations

import numpy as np
from astropy import units as u

from . import chunked, detection
from .cleaning import find, make_plan
from .fills import choose_fill, fill_frame
from .frame import as_mask, is_chunked, read_frame
from .keywords import KEYWORDS, record
from .noise import resolve_gain
from .zoo import DEFAULT_MODEL, load_model

__all__ = ["KEYWORDS", "cosmicray_deepcr", "cosmicray_probability", "inpaint"]


def cosmicray_deepcr(
    ccd,
    *,
    model=DEFAULT_MODEL,
    gain=None,
    readnoise=None,
    threshold: float | None = None,
    target_fpr: float | None = None,
    grow: float = 0,
    inpaint: str | None = "auto",
    satlevel=None,
    device=None,
    precision: str | None = None,
    tile_size: int | None = None,
    add_keyword: bool = True,
    progress: bool = False,
):
    """Find the cosmic rays of a single frame, mask them, and fill them in.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData`, other NDData, Quantity or array-like
        Frame of shape ``(ny, nx)``, or a stack ``(n, ny, nx)`` that is cleaned
        plane by plane. It is not modified. Dask arrays are worked on lazily, in their
        chunks. To models that need a unit, a plain array is in the one they work in,
        or in adu if ``gain`` is given.
    model : str, path-like or Model
        A name of `list_models`, the path of a model file, or a model.
    gain : float, `~astropy.units.Quantity` or str, optional
        In electron/adu, or the header keyword that holds it. Needed by models that
        work in a unit which is not the frame's; the default takes any.
    readnoise : float, `~astropy.units.Quantity` or str, optional
        In electron, or the header keyword that holds it; for models that work in
        units of the noise.
    threshold : float, optional
        Probability in [0, 1] above which a pixel is a cosmic ray. By default what
        the model's card says.
    target_fpr : float, optional
        In place of a threshold: the share of clean pixels that may be flagged, such
        as 1e-4, for models whose card has a calibration.
    grow : float
        Radius in px by which to grow the mask.
    inpaint : {"auto", "median", "mean", "idw", "interpolate", "network"} or None
        How to fill struck pixels, see `inpaint`. With None they keep their values.
    satlevel : float, `~astropy.units.Quantity` or str, optional
        Saturation level in the frame's unit (or a Quantity that converts to it, or
        a header keyword). Pixels at or above it are not examined.
    device : str or torch.device, optional
        Such as ``"cpu"`` or ``"cuda"``. By default CUDA, then MPS, then the CPU.
    precision : {"auto", "float32", "bfloat16", "int8"}, optional
        What the network computes in. "auto", which is the default, is bfloat16 where
        the processor computes in it, and float32 elsewhere; see `load_model`.
    tile_size : int, optional
        Width in px of the tiles in which the frame is worked on. It changes memory
        and speed, not the result (in bfloat16, not beyond its rounding).
    add_keyword : bool
        Record what was done in the header: CRMODEL, CRVERS, CRTHRESH, CRNPIX,
        CRNOBJ, CRNSKIP, CRFILL and a HISTORY line.
    progress : bool
        Show a progress bar.

    Returns
    -------
    `~astropy.nddata.CCDData` or other NDData
        If ``ccd`` is one: the same type, in the same unit, with struck pixels
        filled, the mask (old mask OR cosmic rays) set, and the uncertainty of
        filled pixels set to the spread of their neighbours. Pixels that were
        masked, not finite or saturated on input were not examined and keep their
        data.
    cleaned, crmask : `~numpy.ndarray`
        Otherwise: the cleaned frame, of the kind that came in, and the bool mask
        of cosmic rays.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of an allowed kind or value, or the frame's unit
        cannot be taken to the model's.
    ImportError
        If the model is a published checkpoint and deepCR is not installed.

    Warns
    -----
    AstropyUserWarning
        If ``gain`` or ``readnoise`` was given and has no use.

    Notes
    -----
    The method is deepCR's [1]_: a U-Net gives each pixel the probability that it
    was struck. float64 data stay float64; everything else becomes float32.

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
    >>> cleaned = cosmicray_deepcr(ccd, model="ACS-WFC", device="cpu")
    >>> bool(cleaned.mask[20, 20:26].all())
    True
    >>> cleaned.header["CRNOBJ"]
    1
    """
    frame = read_frame(ccd, chunked=True)
    model = load_model(model, device=device, task="mask", precision=precision)
    plan = make_plan(
        frame,
        model,
        gain=gain,
        readnoise=readnoise,
        threshold=threshold,
        target_fpr=target_fpr,
        grow=grow,
        inpaint=inpaint,
        satlevel=satlevel,
        tile_size=tile_size,
    )
    if is_chunked(frame.data):
        plan = chunked.check_fill(plan, inpaint)
        cleaned, crmask, sigma = chunked.clean(frame, plan)
        # What takes the whole frame to count is left out.
        keywords = record(model.card.name, plan.threshold, plan.fill.method)
        return chunked.rebuild(
            frame, cleaned, crmask, sigma, keywords if add_keyword else None
        )

    found = find(frame, plan, progress=progress)
    crmask = found.crmask
    # Copied last, when all that is large and not returned is gone.
    cleaned = frame.copy_data()
    if found.values is not None:
        cleaned[crmask] = found.values
    if isinstance(ccd, u.Quantity):
        return u.Quantity(cleaned, frame.unit, copy=False), crmask
    if isinstance(ccd, np.ma.MaskedArray):
        return np.ma.MaskedArray(cleaned, frame.combine_mask(crmask)), crmask
    if frame.header is None:
        return cleaned, crmask
    keywords, history = found.describe(plan) if add_keyword else (None, "")
    return frame.rebuild(
        cleaned, found.sigma, crmask=crmask, keywords=keywords, history=history
    )


def cosmicray_probability(
    ccd,
    *,
    model=DEFAULT_MODEL,
    gain=None,
    readnoise=None,
    device=None,
    precision: str | None = None,
    tile_size: int | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Return the probability that each pixel of a frame was struck.

    Parameters
    ----------
    ccd, model, gain, readnoise, device, precision, tile_size, progress
        As for `cosmicray_deepcr`.

    Returns
    -------
    `~numpy.ndarray`
        float32, of the shape of the frame, in [0, 1]; NaN where a pixel was masked
        or not finite and so not examined.

    Raises
    ------
    TypeError, ValueError, ImportError
        As `cosmicray_deepcr`.

    Examples
    --------
    >>> import numpy as np
    >>> from deepcr_ccd import cosmicray_probability
    >>> frame = np.random.default_rng(1).normal(60, 8, (64, 64))
    >>> frame[20, 20:26] += 900
    >>> p = cosmicray_probability(frame, model="ACS-WFC", device="cpu")
    >>> bool(p[20, 22] > 0.9), bool(p[50, 50] < 0.1)
    (True, True)
    """
    frame = read_frame(ccd, chunked=True)
    model = load_model(model, device=device, task="mask", precision=precision)
    plan = make_plan(frame, model, gain=gain, readnoise=readnoise, inpaint=None)
    options = {"factor": plan.examination.factor, "tile_size": tile_size}
    options |= plan.examination.facts
    planes = []
    for plane, mask in frame.planes():
        if is_chunked(plane):
            planes.append(chunked.examine(plane, mask, None, model, **options)[0])
            continue
        bad = detection.unexamined(plane, mask, None)
        planes.append(
            detection.examine(plane, bad, model, progress=progress, **options)
        )
    return frame.stack(planes)


def inpaint(
    data, mask, *, method="auto", model=None, gain=None, struck=False, device=None
):
    """Fill masked pixels of a frame from what surrounds them.

    Parameters
    ----------
    data : `~astropy.nddata.CCDData`, other NDData, Quantity or array-like
        Frame of shape ``(ny, nx)``, or a stack ``(n, ny, nx)``. It is not
        modified. Pixels that its own mask marks bad, and pixels that are not
        finite, are not used; genuine zeros are data.
    mask : array-like
        bool, of the same shape, True where to fill.
    method : {"auto", "median", "mean", "idw", "interpolate", "network"}
        ``"median"`` and ``"mean"`` of the good pixels in a window of 5x5 px, which
        grows until it holds 8 of them; ``"idw"``, their mean weighted by one over
        the distance; ``"interpolate"``, a plane fitted to them with Gaussian
        weights; ``"network"``, the inpainting network of ``model``; ``"auto"``,
        the network if ``model`` has one and was trained on frames like this, as
        the header tells, and the median elsewhere.
    model : str, path-like or Model, optional
        An inpainting model, or a mask model that names one. ``"network"`` takes
        that of the default model if there is none.
    gain : float, `~astropy.units.Quantity` or str, optional
        In electron/adu, or the header keyword that holds it; for the network.
    struck : bool
        Whether masked pixels hold what was there and more, as where a cosmic ray
        struck. Then a network's fill does not rise above that by more than the noise.
    device : str or torch.device, optional
        Where the network shall run.

    Returns
    -------
    `~astropy.nddata.CCDData` or other NDData
        If ``data`` is one: the same type, with its uncertainty, if any, set to the
        spread of the fill at filled pixels. The mask stays as it was.
    filled, sigma : `~numpy.ndarray` or `~astropy.units.Quantity`
        Otherwise: the filled frame, and the one-sigma of each filled pixel, 0
        where nothing was filled.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of an allowed kind or value, or the mask leaves no
        good pixel to fill from.

    Examples
    --------
    >>> import numpy as np
    >>> from deepcr_ccd import inpaint
    >>> frame = np.full((20, 20), 5.0)
    >>> frame[8, 8:11] = 1000
    >>> filled, sigma = inpaint(frame, frame > 100, method="median")
    >>> float(filled.max())
    5.0
    """
    frame = read_frame(data, "data")
    targets = as_mask(mask, frame.data.shape, "mask")
    if method in (None, False):
        raise ValueError(f"method={method!r} is unknown; use 'auto' or see the docs")
    if model is None and method == "network":
        model = DEFAULT_MODEL
    if model is not None:
        model = load_model(model, device=device)
    fill = choose_fill(method, model, frame, resolve_gain(gain, frame.header), "method")
    filled = frame.copy_data()
    spread = np.zeros_like(filled)
    shape = (-1, *filled.shape[-2:])
    for (plane, own), target, out, sigma in zip(
        frame.planes(),
        targets.reshape(shape),
        filled.reshape(shape),
        spread.reshape(shape),
        strict=True,
    ):
        bad = detection.unexamined(plane, own, None)
        if target.any() and (target if bad is None else target | bad).all():
            raise ValueError("mask leaves no good pixel to fill from")
        told = target if struck else None
        out[target], sigma[target] = fill_frame(plane, target, bad, fill, struck=told)
    if isinstance(data, u.Quantity):
        return tuple(u.Quantity(a, frame.unit, copy=False) for a in (filled, spread))
    if frame.header is not None:
        return frame.rebuild(filled, spread[targets], filled=targets)
    if isinstance(data, np.ma.MaskedArray):
        filled = np.ma.MaskedArray(filled, frame.mask.copy())
    return filled, spread
