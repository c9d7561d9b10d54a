"""Libraries of cosmic rays: simulated, and cut from real frames.

Real ones are read from the folder of the option ``--data``; absent ones are left out.
Those to train on and those that are held out come from different exposures.
"""

import numpy as np
from astropy.io import fits
from real_frames import STIS, UVIS, uvis_excess, uvis_frames
from scipy import ndimage

from deepcr_ccd.preprocess.background import measure_background
from deepcr_ccd.simulation.cosmic_rays import (
    cut_deposits,
    read_lsst_darks,
    simulate_deposit,
)

REAL = {
    "train": {"stis": STIS["train"], "hrc": ["pulcova_hrc_f435w_raw"]},
    "held out": {"stis": STIS["held out"], "hrc": ["pulcova_hrc_f550m_raw"]},
}


def cut_stis(path):
    """Cut deposits from the difference of a CR-SPLIT pair, spectrum left out."""
    with fits.open(path) as hdus:
        a, b = (hdus["SCI", v].data.astype(np.float32) for v in (1, 2))
    deposits = []
    for one, other in ((a, b), (b, a)):
        excess = one - other
        for rows in (slice(10, 410), slice(650, 1010)):
            part = excess[rows, 20:-20] if excess.shape[0] > 800 else excess[:, 20:410]
            noise = measure_background(part)
            sky, sigma = noise.at()
            deposits += cut_deposits(part - sky, sigma, core=8, grow=2)
            if excess.shape[0] <= 800:
                break
    return deposits


def cut_hrc(path, gain):
    """Cut deposits from a short exposure of blank sky."""
    with fits.open(path) as hdus:
        data = hdus["SCI"].data.astype(np.float32)[:, 25:-25] * gain
    excess = data - ndimage.median_filter(data, 15)
    _, sigma = measure_background(excess).at()
    return cut_deposits(excess, sigma, core=10, grow=2.5)


def cut_uvis(folder, part):
    """Cut deposits from a part of the WFC3/UVIS frame."""
    labelled = uvis_frames(folder, part)
    if not labelled:
        return []
    frame, _, light, _ = uvis_excess(folder)
    excess = np.where(labelled[0].ignore, 0, (frame - light)[:, UVIS[part]])
    sigma = np.sqrt(np.median(frame) + labelled[0].readnoise ** 2)
    return cut_deposits(excess.astype(np.float32), sigma, core=6, grow=1.5)


def deposit_libraries(folder, seed, part, thick=False):
    """Return libraries of deposits: simulated, and real ones of a part of REAL.

    With ``thick``, those of WFC3/UVIS are among them.
    """
    rng = np.random.default_rng(seed)
    libraries = [[simulate_deposit(rng) for _ in range(12000)]]
    stis, hrc = [], []
    for name in REAL[part]["stis"]:
        path = folder / "hst_stis" / f"{name}_raw.fits"
        if path.is_file():
            stis += cut_stis(path)
    for name in REAL[part]["hrc"]:
        path = folder / "hst_acs_hrc" / f"{name}.fits.gz"
        if path.is_file():
            hrc += cut_hrc(path, 4.0)
    path = folder / "lsst_darks" / "cosmic_rays_itl_2017.fits.gz"
    lsst = []
    if path.is_file():
        every = read_lsst_darks(path)
        lsst = [d for i, d in enumerate(every) if (i % 5 == 0) == (part == "held out")]
    uvis = cut_uvis(folder, part) if thick else []
    print(
        f"{part}: {len(stis)} STIS, {len(hrc)} HRC, {len(lsst)} LSST, {len(uvis)} UVIS "
        "deposits"
    )
    real = [library for library in (stis + hrc, lsst) if library]
    if uvis:
        # Those of thick detectors as often as all the others that are real.
        return libraries * len(real) + real + [uvis] * 2
    # The simulated ones are as frequent as the real ones together.
    return libraries * max(1, len(real)) + real
