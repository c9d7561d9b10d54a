"""A recipe of Gemini's DRAGONS that flags cosmic rays in single GMOS images."""

import numpy as np
from astropy.nddata import CCDData, VarianceUncertainty

from deepcr_ccd import cosmicray_deepcr, load_model

recipe_tags = {"GMOS", "IMAGE"}


def flag_cosmic_rays(adinputs, fill=None):
    """Set the bit of cosmic rays in the masks of AstroData objects.

    ``fill`` is a method of filling, such as "median"; by default pixels keep their
    values, and stacking leaves them out by their flags.
    """
    model = load_model("universal")
    for ad in adinputs:
        for ext in ad:
            mask = np.zeros(ext.shape) if ext.mask is None else ext.mask
            noise = None if ext.variance is None else VarianceUncertainty(ext.variance)
            ccd = CCDData(
                ext.data,
                unit="adu" if ext.is_in_adu() else "electron",
                uncertainty=noise,
                flags=mask.astype(np.uint16),
            )
            # Saturated pixels are in the mask already.
            cleaned = cosmicray_deepcr(ccd, model=model, dq="gemini", inpaint=fill)
            variance = None if noise is None else cleaned.uncertainty.array
            ext.reset(cleaned.data, mask=cleaned.flags, variance=variance)
        ad.update_filename(suffix="_CRMasked", strip=True)
    return adinputs


def reduce(p):
    """Reduce science images, with cosmic rays found in each by itself."""
    p.prepare()
    p.addDQ()
    p.addVAR(read_noise=True)
    p.overscanCorrect()
    p.biasCorrect()
    p.ADUToElectrons()
    p.addVAR(poisson_noise=True)
    p.flatCorrect()
    flag_cosmic_rays(p.streams["main"])
    p.mosaicDetectors()
    p.storeProcessedScience(suffix="_image")


_default = reduce
