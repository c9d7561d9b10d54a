"""A stage of LCO's BANZAI that flags cosmic rays in the bad-pixel mask."""

from astropy.nddata import CCDData, StdDevUncertainty
from banzai.stages import Stage

from deepcr_ccd import cosmicray_deepcr, load_model

#: BANZAI's masks: 8 is a cosmic ray, and every other bit a bad pixel.
DQ = {"cosmic_ray": 8}


class CosmicRayFlagger(Stage):
    """Flag cosmic rays; pixels keep their values, as elsewhere in BANZAI."""

    def __init__(self, runtime_context):
        super().__init__(runtime_context)
        # Once for all frames.
        self.model = load_model("universal")

    def do_stage(self, image):
        """Set bit 8 of ``image.mask``, and return the image."""
        # Gains are normalised before: data, noise and SATURATE are in electron.
        ccd = CCDData(
            image.data,
            unit="electron",
            uncertainty=StdDevUncertainty(image.uncertainty),
            flags=image.mask,
        )
        level = image.meta.get("SATURATE")
        cleaned = cosmicray_deepcr(
            ccd, model=self.model, dq=DQ, satlevel=level, inpaint=None
        )
        image.mask[:] = cleaned.flags
        image.meta["L1NCRPIX"] = (cleaned.header["CRNPIX"], "cosmic-ray pixels")
        return image
