"""Frames, files and nights of frames that several tests work on."""

import numpy as np
from astropy.io import fits
from scipy import ndimage

from deepcr_ccd.demo import simulate
from deepcr_ccd.simulation.cosmic_rays import add_deposits, simulate_deposit
from deepcr_ccd.simulation.scenes import make_scene


def sci(ccd, ver=1, dtype=np.float32, **header):
    data = ccd.data
    if np.dtype(dtype).kind in "iu":
        data = np.rint(data)
    hdu = fits.ImageHDU(data.astype(dtype), name="SCI")
    hdu.ver = ver
    hdu.header["BUNIT"] = "ELECTRONS"
    hdu.header["ODDKEY"] = (1.50, "kept as it is written")
    hdu.header.update(header)
    return hdu


def hst_like(path, ccd, two=True, checksum=False, **header):
    """Two chips with ERR, DQ, a table and a WCS extension, as an flc has."""
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update({"TELESCOP": "HST", "INSTRUME": "ACS", "DETECTOR": "WFC"})
    for ver in (1, 2) if two else (1,):
        dq = np.zeros(ccd.shape, dtype=np.int16)
        dq[3, 3:6] = 256
        dq[4, 3:6] = 4096
        dq[5, 3:6] = 64
        hdus += [
            sci(ccd, ver, **header),
            fits.ImageHDU(np.full(ccd.shape, 8, np.float32), name="ERR"),
            fits.ImageHDU(dq, name="DQ"),
        ]
        hdus[-1].ver = hdus[-2].ver = ver
    hdus.append(fits.ImageHDU(np.arange(12.0).reshape(3, 4), name="WCSDVARR"))
    hdus.append(fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[1, 2, 3])]))
    fits.HDUList(hdus).writeto(path, checksum=checksum)
    return path


def series(number, *, shifts=None, seed=0, size=128, kind="extragalactic"):
    """Exposures of one scene, each with its own rays, and what the rays left."""
    rng = np.random.default_rng(seed)
    scene = make_scene(rng, size + 20, kind)
    deposits = [simulate_deposit(rng) for _ in range(200)]
    frames, charges = [], []
    for i in range(number):
        dy, dx = shifts[i] if shifts else (0, 0)
        seen = ndimage.shift(scene, (dy, dx), order=1)[10:-10, 10:-10]
        charge = add_deposits(seen, deposits, rng, 25)
        frames.append(rng.poisson(seen + 50 + charge) + rng.normal(0, 4, seen.shape))
        charges.append(charge)
    return frames, charges


def make_stars(shape, fwhm):
    """Stars of one shape on a sky of 100, with some noise."""
    rng = np.random.default_rng(4)
    frame = rng.normal(100, 1, shape).astype(np.float32)
    y, x = np.indices(shape)
    for row in range(8, shape[0] - 8, 13):
        for column in range(8, shape[1] - 8, 13):
            square = (y - row - rng.uniform(-0.4, 0.4)) ** 2 + (x - column) ** 2
            frame += rng.uniform(500, 5000) * np.exp(-4 * np.log(2) * square / fwhm**2)
    return frame


def write_night(folder, number, size=64):
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(number):
        ccd = simulate((size, size), n_stars=3, n_tracks=4, seed=i)
        hdu = fits.PrimaryHDU(ccd.data.astype(np.float32))
        hdu.header["BUNIT"] = "electron"
        paths.append(folder / f"frame{i:03}.fits")
        hdu.writeto(paths[-1])
    return paths


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


MASKS = [
    "ACS-WFC",
    "ACS-WFC-F435W",
    "ACS-WFC-F606W",
    "ACS-WFC-F814W",
    "ACS-WFC-F606W-2-4",
    "WFC3-UVIS",
    "decam",
]
