"""One image of a file: read it, clean it, and say what is written of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy import units as u

from ..io.fits_image import CleanedImage, Image
from ..models.model import Model
from ..nddata.frame import Frame, read_frame
from ..pipeline.clean import CleanedFrame, clean_frame
from ..pipeline.frame_warnings import warn_of_bad_pixels
from ..pipeline.plan import Plan, make_plan
from .options import FileOptions

__all__ = ["clean_image", "describe_cleaned", "plan_image"]


def clean_image(
    image: Image, options: FileOptions, model: Model, path: Path
) -> CleanedImage:
    """Clean one image of a file as the options say.

    Large arrays are freed when it returns, so a mosaic takes the memory of one chip.

    Parameters
    ----------
    image : Image
        The image.
    options : FileOptions
        What to do.
    model : Model
        For task "mask".
    path : path
        The file, for messages.

    Returns
    -------
    CleanedImage
        Its flagged pixels and what they are filled with.

    Raises
    ------
    TypeError, ValueError, ImportError
        If the image or the options are not what is allowed.

    Warns
    -----
    AstropyUserWarning
        If 90 % of the pixels or more are bad on input.
    """
    frame, plan = plan_image(image, options, model, path)
    where = f"{path}[{image.title}]"
    try:
        cleaned = clean_frame(frame, plan, probability=options.probability)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    crmask = cleaned.crmask
    warn_of_bad_pixels(cleaned.excluded or 0, crmask.size, where)
    return describe_cleaned(cleaned, plan)


def plan_image(
    image: Image, options: FileOptions, model: Model, path: Path
) -> tuple[Frame, Plan]:
    """Read one image of a file, and check how it is cleaned.

    Parameters
    ----------
    image, options, model, path
        As for `clean_image`.

    Returns
    -------
    frame : `~deepcr_ccd.nddata.frame.Frame`
        Its pixels, mask and noise.
    plan : `~deepcr_ccd.pipeline.plan.Plan`
        How it is cleaned.

    Raises
    ------
    TypeError, ValueError, ImportError
        As `clean_image`.
    """
    where = f"{path}[{image.title}]"
    ccd = image.read(noise=model.card.measures_noise)
    if ccd.unit == u.dimensionless_unscaled and model.card.unit is not None:
        if options.gain is None:
            raise ValueError(
                f"{where} has no BUNIT that is a known unit, and model "
                f"{model.card.name!r} works in {model.card.unit}: "
                "give unit='electron', or unit='adu' and gain="
            )
        ccd.unit = u.adu
    try:
        frame = read_frame(ccd)
        return frame, make_plan(frame, model, options)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def describe_cleaned(cleaned: CleanedFrame, plan: Plan) -> CleanedImage:
    """Return what is written of a cleaned frame.

    Parameters
    ----------
    cleaned : `~deepcr_ccd.pipeline.clean.CleanedFrame`
        Its mask and what it is filled with.
    plan : `~deepcr_ccd.pipeline.plan.Plan`
        How it was cleaned.
    """
    crmask = cleaned.crmask
    pixels = np.unravel_index(np.flatnonzero(crmask), crmask.shape)
    keywords, history = cleaned.describe(plan)
    cards = [(key, *value) for key, value in keywords.items()]
    cards.append(("HISTORY", history, ""))
    return CleanedImage(
        pixels, cleaned.values, cleaned.sigma, cards, cleaned.probability
    )
