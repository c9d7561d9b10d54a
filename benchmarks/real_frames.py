"""Real frames whose cosmic rays are known from repeated exposures.

Read from the folder of the option ``--data``; absent ones are left out. No frame serves
both to train and to judge: the STIS exposures are other ones, the Lowell Hall series
shows one field, of which each part has its own half of the detector.
"""

import numpy as np
from astropy.io import fits
from scipy import ndimage

from deepcr_ccd.preprocess.background import measure_background
from deepcr_ccd.simulation.camera import Observation
from deepcr_ccd.training.exposure_labels import label_exposures

STIS = {
    "train": ["o56502020", "o56502030", "o56502040"],
    "held out": ["o56502050"],
}
LOWELL = {"train": slice(20, 690), "held out": slice(712, 1380)}
LOWELL_GAIN, LOWELL_READNOISE = 3.7, 5.6  # electron/adu, electron


def read_stis(path):
    """Return the exposures of a CR-SPLIT pair of HST/STIS, without bias level."""
    with fits.open(path) as hdus:
        pair = [hdus["SCI", v].data[10:1010, 20:410].astype(np.float32) for v in (1, 2)]
    # As a calibrated frame would be, with 10 electrons of sky.
    return [frame - np.median(frame) + 10 for frame in pair]


def stis_pair(path, pixel=3.0, peak=6.0):
    """Return both exposures of a CR-SPLIT pair, with their difference as truth.

    CR-affected are pixels above ``pixel`` sigma, of cosmic rays that have one above
    ``peak`` sigma.
    """
    pair = read_stis(path)
    items = []
    for one, other in (pair, pair[::-1]):
        excess = one - other
        sky, sigma = measure_background(excess).at()
        # Of two exposures the photon noise is not in common.
        light = ndimage.median_filter(np.minimum(one, other), 3) - 10
        sigma = np.sqrt(sigma**2 + 2 * np.maximum(light, 0))
        strength = (excess - sky) / sigma
        groups, number = ndimage.label(strength > pixel, np.ones((3, 3)))
        peaks = ndimage.maximum(strength, groups, np.arange(number + 1))
        truth = (groups > 0) & (peaks > peak)[groups]
        near = ndimage.binary_dilation(truth, iterations=2)
        # Ignored are fainter excesses, and cosmic rays of the other exposure.
        ignore = (np.abs(strength) > 1.5) & ~truth
        ignore |= near & ~truth & (strength > 1)
        ignore |= ndimage.binary_dilation(strength < -4, iterations=1) & ~truth
        items.append(Observation(one, truth, ignore, 4.0, np.minimum(one, other)))
    return items


def hot_pixels(folder):
    """Return which pixels of the STIS CCD are hot: they are so in all exposures."""
    exposures = []
    for path in sorted((folder / "hst_stis").glob("*_raw.fits")):
        with fits.open(path) as hdus:
            exposures += [hdus["SCI", v].data[10:1010, 20:410] for v in (1, 2)]
    middle = np.median(exposures, axis=0).astype(np.float32)
    excess = middle - ndimage.median_filter(middle, 5)
    return excess > 5 * measure_background(excess).at()[1]


def read_lowell(folder):
    """Return the Lowell Hall series, in electron, and what is beyond its field.

    There is no flat-field correction: it would raise the noise where the field ends.
    """
    folder = folder / "lowell_hall"
    bias = fits.getdata(folder / "master_bias.fits.gz").astype(np.float32)
    flat = fits.getdata(folder / "master_flat.fits.gz").astype(np.float32)
    flat = flat / np.median(flat[:, 20:1380])
    dark = ndimage.binary_dilation(flat < 0.5, iterations=10)
    frames = []
    for path in sorted(folder.glob("2019*.fits")):
        data = fits.getdata(path, 1).astype(np.float32)
        frames.append((data - bias) * LOWELL_GAIN)
    return frames, dark


def lowell_frames(folder, part, pixel=2.0, peak=5.0):
    """Return labelled frames of the Lowell Hall series, of one half of the detector."""
    if not (folder / "lowell_hall").is_dir():
        return []
    frames, dark = read_lowell(folder)
    frames, dark = [frame[:, LOWELL[part]] for frame in frames], dark[:, LOWELL[part]]
    satlevel = 28000 * LOWELL_GAIN
    labelled = []
    for start in range(0, len(frames), 5):
        labelled += label_exposures(
            frames[start : start + 5], satlevel=satlevel, core=peak, grow=pixel
        )
    return [
        Observation(frame, truth & ~dark, ignore | dark, LOWELL_READNOISE, frame)
        for frame, truth, ignore in labelled
    ]


def stis_frames(folder, part, **limits):
    """Return labelled frames of the STIS pairs of one part."""
    items = []
    for name in STIS[part]:
        path = folder / "hst_stis" / f"{name}_raw.fits"
        if path.is_file():
            items += stis_pair(path, **limits)
    return items
