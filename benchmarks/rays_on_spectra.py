"""Put real cosmic rays on the light of spectra, and count what is found.

    python benchmarks/rays_on_spectra.py [--data ../shared/data] [--seeds 3]

Frames: the spectra of a standard star with the Kast and SPRAT spectrographs, of the
folder ``more`` of --data, and a simulated echelle spectrum. Cosmic rays are deposits of
held-out HST/STIS exposures, and centred on the brightest tenth of the light. Scored are
pixels whose charge exceeds eight sigma of the noise there (photons included); false are
pixels that are flagged with the cosmic rays on and touch none of them, nor what is
flagged in the frame before.
"""

import argparse
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import Table
from astroscrappy import detect_cosmics
from deposit_libraries import deposit_libraries
from scipy import ndimage

from deepcr_ccd import cosmicray_deepcr
from deepcr_ccd.simulation.cosmic_rays import add_deposits

#: Files, gain (electron/adu) and read noise (electron), and what of them is exposed.
FRAMES = {
    "Kast": ("kast_b24.fits.gz", 1.2, 3.7, np.s_[100:300, 50:1000]),
    "SPRAT": ("sprat_s_27_0_0.fits.gz", 2.45, 9.0, np.s_[20:240, 20:1000]),
}
BRIGHTEST, NUMBER, SIGMAS = 0.1, 60, 8.0


def read(folder):
    """Return the frames, in electron, and their read noise."""
    frames = {}
    for name, (file, gain, readnoise, part) in FRAMES.items():
        path = folder / "more" / file
        if path.is_file():
            data = fits.getdata(path).astype(np.float32)[part] * gain
            # Less the bias level and the sky, whose noise stays.
            frames[name] = data - np.median(data) + 10, readnoise
    frames["simulated echelle"] = echelle(np.random.default_rng(77)), 4.0
    return frames


def echelle(rng):
    """Return a spectrum of curved orders with absorption lines, 3.5 px wide across."""
    y, x = np.mgrid[:512, :1024].astype(np.float32)
    light = np.zeros(x.shape, np.float32)
    columns = np.arange(1024)
    for number, start in enumerate(range(20, 500, 24)):
        middle = start + 6e-5 * (columns - 500.0) ** 2
        level = 400 * 1.2**number * np.exp(-(((columns - 512) / 400) ** 2))
        for line in rng.uniform(0, 1024, 60):
            depth, width = rng.uniform(0.1, 0.9), rng.uniform(1.2, 3)
            level = level * (1 - depth * np.exp(-0.5 * ((columns - line) / width) ** 2))
        light += level * np.exp(-0.5 * ((y - middle) / 1.5) ** 2)
    return (rng.poisson(light + 10) + rng.normal(0, 4, x.shape)).astype(np.float32)


def masks(frame, readnoise):
    """Yield the names of methods and their CR masks of a frame in electron."""
    ccd = CCDData(frame, unit="electron")
    for model in ("universal", "universal-thorough", "ACS-WFC"):
        yield model, cosmicray_deepcr(ccd, model=model, inpaint=None).mask
    for objlim in (5.0, 2.0):
        yield (
            f"astroscrappy, objlim={objlim:g}",
            detect_cosmics(frame, gain=1.0, readnoise=readnoise, objlim=objlim)[0],
        )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    library = deposit_libraries(options.data, 4242, "held out")[1]
    rows = []
    for name, (frame, readnoise) in read(options.data).items():
        light = ndimage.median_filter(frame, 5)
        sigma = np.sqrt(np.maximum(light, 0) + readnoise**2)
        before = dict(masks(frame, readnoise))
        bright = np.argwhere(light >= np.quantile(light, 1 - BRIGHTEST))
        counts = {}
        for seed in range(options.seeds):
            rng = np.random.default_rng([7, seed])
            places = bright[rng.integers(len(bright), size=NUMBER)]
            charge = add_deposits(np.zeros_like(frame), library, rng, NUMBER, places)
            affected = charge > SIGMAS * sigma
            near = ndimage.binary_dilation(charge > 0.5 * sigma, np.ones((5, 5)))
            for method, mask in masks(frame + charge, readnoise):
                old = ndimage.binary_dilation(before[method], np.ones((3, 3)))
                found, every, false = counts.setdefault(method, [0, 0, 0])
                counts[method] = [
                    found + int((mask & affected).sum()),
                    every + int(affected.sum()),
                    false + int((mask & ~near & ~old).sum()),
                ]
        for method, (found, every, false) in counts.items():
            flagged = int(before[method].sum())
            rows.append((name, method, 100 * found / every, every, false, flagged))
    names = ("frame", "method", "found_percent", "pixels", "false", "flagged_before")
    table = Table(rows=rows, names=names)
    table["found_percent"].format = ".1f"
    table.pprint_all()


if __name__ == "__main__":
    main()
