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
        sky, sigma = measure_background(excess, dark=False).at()
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
    # Hot pixels are in every exposure, and sharper than any star.
    middle = np.median(frames, axis=0)
    beside = ndimage.convolve(middle, [[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]])
    sky = ndimage.median_filter(middle, 7)
    height = middle - sky
    sharp = beside - sky < 0.2 * height
    dark |= sharp & (height > 5 * measure_background(middle).at()[1])
    labelled = []
    for start in range(0, len(frames), 5):
        labelled += label_exposures(
            frames[start : start + 5], satlevel=satlevel, core=peak, grow=pixel
        )
    return [
        Observation(frame, truth & ~dark, ignore | dark, LOWELL_READNOISE, frame)
        for frame, truth, ignore in labelled
    ]


#: Columns of the WFC3/UVIS subarray, on which a moving target was followed.
UVIS = {"train": slice(0, 256), "held out": slice(256, 513)}
UVIS_ANGLE, UVIS_READNOISE = 117.5, 3.1  # degree along the trails, electron
#: Diffraction spikes of stars on it: where they cross, half their width and length.
UVIS_SPIKES = ((247, 259, 9, 300), (405, 371, 6, 90))


def uvis_excess(folder):
    """Return the WFC3/UVIS frame, and what is above the light of its trails over noise.

    All stars are trailed: what is left after a median along the trails is a cosmic ray.
    """
    path = folder / "hst_wfc3_uvis" / "ibo821kvq_flt.fits"
    with fits.open(path) as hdus:
        frame = hdus["SCI"].data.astype(np.float32)
        dq = hdus["DQ"].data
    dy, dx = np.sin(np.deg2rad(UVIS_ANGLE)), np.cos(np.deg2rad(UVIS_ANGLE))
    along = np.stack(
        [
            ndimage.shift(frame, (k * dy, k * dx), order=1, mode="nearest")
            for k in range(-9, 10)
        ]
    )
    # Near the end of a trail, that of one side.
    parts = along, along[:10], along[9:]
    light = np.max([np.median(part, axis=0) for part in parts], axis=0)
    sigma = np.sqrt(np.maximum(light, np.median(frame)) + UVIS_READNOISE**2)
    return frame, dq, light, (frame - light) / sigma


def uvis_frames(folder, part, pixel=2.0, peak=6.0):
    """Return the labelled part of the WFC3/UVIS frame."""
    if not (folder / "hst_wfc3_uvis" / "ibo821kvq_flt.fits").is_file():
        return []
    frame, dq, light, excess = uvis_excess(folder)
    groups, number = ndimage.label(excess > pixel, np.ones((3, 3)))
    peaks = ndimage.maximum(excess, groups, np.arange(number + 1))
    truth = (groups > 0) & (peaks > peak)[groups]
    # Trails are not quite straight: on their light, what differs by a part of it.
    uneven = np.abs(frame - light) < 0.4 * (light - np.median(frame))
    truth &= ~(uneven & (excess > pixel))
    ignore = (np.abs(excess) > 1.2) & ~truth
    # Where a trail is bright, it differs from its median by more than the noise.
    ignore &= ~(uneven & (light > 300))
    ignore |= ndimage.binary_dilation(truth) & ~truth
    ignore |= ndimage.binary_dilation(light > 8000, iterations=12)
    ignore |= ndimage.binary_dilation((dq & (256 | 2048)) > 0, iterations=2)
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    for row, column, half, length in UVIS_SPIKES:
        diagonal = np.abs(np.abs(x - column) - np.abs(y - row)) < half
        ignore |= diagonal & (np.hypot(x - column, y - row) < length)
    truth &= ~ignore
    half = (slice(None), UVIS[part])
    planes = (frame, truth, ignore, light)
    frame, truth, ignore, light = (np.ascontiguousarray(p[half]) for p in planes)
    return [Observation(frame, truth, ignore, UVIS_READNOISE, light)]


def stis_frames(folder, part, **limits):
    """Return labelled frames of the STIS pairs of one part."""
    items = []
    for name in STIS[part]:
        path = folder / "hst_stis" / f"{name}_raw.fits"
        if path.is_file():
            items += stis_pair(path, **limits)
    # Hot pixels are in both exposures of a pair.
    hot = hot_pixels(folder) if items else False
    return [
        item._replace(truth=item.truth & ~hot, ignore=item.ignore | hot)
        for item in items
    ]
