"""A reduction with ccdproc: one step of several is that of deepcr_ccd."""

import ccdproc
from astropy import units as u

from deepcr_ccd import cosmicray_deepcr, load_model

GAIN, READNOISE = 4 * u.electron / u.adu, 5 * u.electron


def reduce_frame(ccd, bias, flat, model):
    """Reduce one frame in adu."""
    ccd = ccdproc.subtract_bias(ccd, bias)
    # Without it, the uncertainty would be that of bias and flat alone.
    ccd = ccdproc.create_deviation(ccd, gain=GAIN, readnoise=READNOISE)
    ccd = ccdproc.flat_correct(ccd, flat)
    return cosmicray_deepcr(ccd, model=model)


def reduce_night(folder, output):
    """Reduce the science frames of a folder, and combine them.

    Frames with ``IMAGETYP`` BIAS, FLAT and LIGHT are read, in adu. Pixels that are
    affected by cosmic rays are left out of the mean by their masks.
    """
    files = ccdproc.ImageFileCollection(folder)
    frames = {
        kind: list(files.ccds(imagetyp=kind, ccd_kwargs={"unit": u.adu}))
        for kind in ("BIAS", "FLAT", "LIGHT")
    }
    bias = ccdproc.combine(frames["BIAS"], method="median")
    flats = [ccdproc.subtract_bias(flat, bias) for flat in frames["FLAT"]]
    flat = ccdproc.combine(flats, method="median")
    model = load_model("universal")
    reduced = [reduce_frame(ccd, bias, flat, model) for ccd in frames["LIGHT"]]
    combined = ccdproc.combine(reduced, method="average")
    combined.write(output)
    return combined
