"""Simulated frames, of scenes and cosmic rays that no model is trained on."""

import multiprocessing
import time

import numpy as np
from scipy import ndimage

from deepcr_ccd.preprocess.background import BackgroundMap
from deepcr_ccd.preprocess.star_width import measure_star_width
from deepcr_ccd.simulation.camera import CameraSimulator, LabelThresholds
from deepcr_ccd.simulation.extended_scenes import OVERSAMPLING
from deepcr_ccd.simulation.psf import make_sharp_psf, psf_fwhm, read_psf
from deepcr_ccd.simulation.scenes import (
    KINDS,
    SPECTRA,
    make_scene,
    make_scene_with_psf,
)
from deepcr_ccd.simulation.star_camera import SceneBank

SIZE = 256
#: Tiny Tim's point spread functions, by camera: filters, and pixels binned to one. In
#: pairs and fours, pixels of the HRC are as wide as those of ACS-WFC and WFPC2.
PSFS = {
    "train": {
        "acs/wfc/acs_wfc": (["f435w", "f475w", "f555w", "f625w", "f814w", "f850lp"], 1),
        "wfc3/uvis/wfc3_uvis": (["f275w", "f336w", "f438w", "f606w"], 1),
        "acs/hrc/acs_hrc": (["f435w", "f555w", "f814w"], (1, 2, 4)),
    },
    "held out": {
        "acs/wfc/acs_wfc": (["f606w", "f775w"], 1),
        "wfc3/uvis/wfc3_uvis": (["f814w"], 1),
        "acs/hrc/acs_hrc": (["f606w"], (2, 4)),
    },
}
#: How often a scene is seen through one of them.
THROUGH_PSFS = 0.4
#: Kinds of held-out scenes that are.
HUBBLE = ("sparse", "extragalactic", "cluster", "resolved")
#: Scored are pixels above one sigma; the fainter ends of tracks are left out.
SCORED = LabelThresholds(pixel=1.0)


def read_psfs(folder, part):
    """Read the point spread functions of a part of PSFS; none without a folder."""
    if folder is None:
        return []
    return [
        read_psf(folder / f"{camera}_{name}.fits", binning)
        for camera, (filters, binnings) in PSFS[part].items()
        for binning in np.atleast_1d(binnings)
        for name in filters
    ]


def one_scene(arguments):
    """Make a scene from its seed; for a pool of processes."""
    seed, kind, psf = arguments
    return make_scene(np.random.default_rng(seed), SIZE, kind, psf)


def make_scenes(path, number, seed, kind=None, psfs=(), fraction=THROUGH_PSFS):
    """Make scenes, or read those that were made before."""
    if path.exists():
        return np.load(path, mmap_mode="r")
    start = time.time()
    rng = np.random.default_rng(seed)
    jobs = [
        (
            (seed, i),
            kind,
            psfs[rng.integers(len(psfs))] if psfs and rng.random() < fraction else None,
        )
        for i in range(number)
    ]
    with multiprocessing.Pool() as pool:
        made = np.stack(list(pool.imap(one_scene, jobs, chunksize=8)))
    np.save(path, made)
    print(f"{number} scenes in {time.time() - start:.0f} s")
    return np.load(path, mmap_mode="r")


#: Fraction of scenes that are empty sky, in banks whose star widths are known, and of
#: these how many have smooth structure.
EMPTY, STRUCTURED = 0.12, 0.4
#: Fraction of the others that are seen through Tiny Tim's point spread functions, and
#: how often these are blurred by charge diffusion, with which sigma in px.
TOLD_THROUGH_PSFS = 0.55
BLURS, BLURRED = (0.0, 0.35, 0.5), (0.6, 0.2, 0.2)
#: Kinds of scenes through sharp point spread functions. Isolated stars look most like
#: cosmic rays.
SHARP_KINDS = (
    *["isolated"] * 6,
    *["sparse"] * 2,
    "extragalactic",
    "cluster",
    "resolved",
    "trails",
)


def _empty_sky(rng):
    """Return a scene without stars."""
    light = np.zeros((SIZE, SIZE), np.float32)
    if rng.random() < STRUCTURED:
        smooth = ndimage.zoom(rng.normal(0, 1, (12, 12)), SIZE / 12, order=3)
        light += np.clip(smooth[:SIZE, :SIZE], 0, None) * 10 ** rng.uniform(0, 2.5)
    return light.astype(np.float32)


def _isolated_stars(rng, psf):
    """Return a scene of stars on blank sky, at any place within a pixel."""
    light, reach = np.zeros((SIZE, SIZE)), 12
    middle = psf.shape[0] // 2
    for _ in range(rng.poisson(10 ** rng.uniform(0.5, 2))):
        y, x = rng.uniform(-0.5, SIZE - 0.5, 2)
        rows, columns = (
            np.arange(max(0, round(n) - reach), min(SIZE, round(n) + reach + 1))
            for n in (y, x)
        )
        places = np.meshgrid(
            middle + (rows - y) * OVERSAMPLING,
            middle + (columns - x) * OVERSAMPLING,
            indexing="ij",
        )
        star = ndimage.map_coordinates(psf, places, order=3)
        electrons = 10 ** rng.uniform(2.2, 5)
        light[np.ix_(rows, columns)] += electrons * np.maximum(star, 0)
    return light.astype(np.float32)


def _spectrum_fwhm(light):
    """Return the FWHM across the traces of a noise-free spectrum, or 0."""
    scaled = (light * (2000 / max(float(light.max()), 1e-9)) + 3).astype(np.float32)
    flat = np.zeros((1, 1), np.float32)
    width = measure_star_width(scaled, None, BackgroundMap(flat, flat + 1, light.shape))
    return width.fwhm if width.stars else 0.0


def told_scene(arguments):
    """Make a scene and the FWHM of its stars; for a pool of processes."""
    seed, kind, psf, blur = arguments
    rng = np.random.default_rng(seed)
    if kind == "empty":
        return _empty_sky(rng), 0.0, False
    if kind == "isolated":
        return _isolated_stars(rng, psf), psf_fwhm(psf, sampled=True), False
    if psf is not None and blur:
        psf = ndimage.gaussian_filter(psf, blur * OVERSAMPLING)
    scene = make_scene_with_psf(rng, SIZE, kind, psf)
    spectrum = scene.kind in SPECTRA
    if scene.psf is None:
        fwhm = _spectrum_fwhm(scene.light)
    else:
        fwhm = psf_fwhm(scene.psf, scene.sampled)
    return scene.light, fwhm if np.isfinite(fwhm) else 0.0, spectrum


def told_scenes(path, number, seed, psfs=(), sharp=False):
    """Make a bank of scenes whose star widths are known, or read it.

    With ``sharp``, all are seen through sharp point spread functions. Others are as
    those of `make_scenes`, but some are empty, more are seen through Tiny Tim's point
    spread functions, and some of these are blurred by charge diffusion.
    """
    if not path.exists():
        rng = np.random.default_rng(seed)
        jobs = []
        for i in range(number):
            kind, psf, blur = None, None, 0.0
            if sharp:
                kind = str(rng.choice(SHARP_KINDS))
                # Stars without wings look like events, whatever their width.
                wide = kind == "isolated" and rng.random() < 0.6
                psf = make_sharp_psf(rng, widest=6.0 if wide else 2.3)
            elif rng.random() < EMPTY:
                kind = "empty"
            elif psfs and rng.random() < TOLD_THROUGH_PSFS:
                psf = psfs[rng.integers(len(psfs))]
                blur = rng.choice(BLURS, p=BLURRED)
            jobs.append(((seed, i), kind, psf, float(blur)))
        with multiprocessing.Pool() as pool:
            made = list(pool.imap(told_scene, jobs, chunksize=8))
        light, fwhm, spectra = (np.array(part) for part in zip(*made, strict=True))
        np.savez(path, light=light, fwhm=fwhm, spectra=spectra)
    with np.load(path) as bank:
        return SceneBank(bank["light"], bank["fwhm"], bank["spectra"])


def held_out_frames(folder, libraries, number=None, psfs=None, limits=SCORED):
    """Return observations of every kind of scene, none of which is trained on.

    By default there are 12 of each kind, of 10 scenes; otherwise one a scene. Those
    through held-out point spread functions come with a folder of them; limits say which
    pixels are labelled as CR-affected.
    """
    frames = {}
    through = read_psfs(psfs, "held out")
    kinds = [*KINDS, *(f"hubble {kind}" for kind in HUBBLE if through)]
    for place, kind in enumerate(kinds):
        name = kind.replace(" ", "_") + (f"_{number}" if number else "")
        scene = kind.rpartition(" ")[2]
        seen = through if scene != kind else ()
        bank = make_scenes(
            folder / f"held_out_{name}.npy",
            number or 10,
            90_000 + place,
            scene,
            seen,
            fraction=1,
        )
        every = [slice(i, i + 1) for i in range(number)] if number else [slice(10)] * 12
        frames[kind] = [
            CameraSimulator(bank[which], libraries, SIZE, limits).observe(
                np.random.default_rng([99, place, i])
            )
            for i, which in enumerate(every)
        ]
    return frames
