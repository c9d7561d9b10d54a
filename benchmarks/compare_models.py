"""Compare ``universal`` with the published models and with L.A.Cosmic.

    python benchmarks/compare_models.py FOLDER [--model FILE] [--data ../shared/data]

FOLDER is where train_universal.py put its held-out scenes. Frames are simulated scenes
of every kind with held-out cosmic rays, and the held-out CR-SPLIT pair of HST/STIS.
Prints true positive rates, in percent, at false positive rates of 0.05 and 0.5 %.
"""

import argparse
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy import ndimage
from train_universal import deposits, held_out_frames

from deepcr_ccd import cosmicray_deepcr, detect_cosmics, load_model
from deepcr_ccd.evaluation.compare import compare
from deepcr_ccd.sky import measure_noise
from deepcr_ccd.training.dataset import Observation


def stis_pair(path):
    """Return both exposures of a CR-SPLIT pair, with their difference as truth."""
    with fits.open(path) as hdus:
        pair = [hdus["SCI", v].data[10:1010, 20:410].astype(np.float32) for v in (1, 2)]
    # Without the bias level, as a calibrated frame would be, and 10 electrons of sky.
    pair = [frame - np.median(frame) + 10 for frame in pair]
    items = []
    for one, other in (pair, pair[::-1]):
        excess = one - other
        sky, sigma = measure_noise(excess).at()
        # Noise that the two share less of where there is light.
        light = ndimage.median_filter(np.minimum(one, other), 3) - 10
        sigma = np.sqrt(sigma**2 + 2 * np.maximum(light, 0))
        strength = (excess - sky) / sigma
        groups, number = ndimage.label(strength > 3, np.ones((3, 3)))
        peaks = ndimage.maximum(strength, groups, np.arange(number + 1))
        truth = (groups > 0) & (peaks > 6)[groups]
        near = ndimage.binary_dilation(truth, iterations=2)
        # Undecided are fainter excesses, and what struck the other exposure there too.
        ignore = (np.abs(strength) > 1.5) & ~truth
        ignore |= near & ~truth & (strength > 1)
        ignore |= ndimage.binary_dilation(strength < -4, iterations=1) & ~truth
        items.append(Observation(one, truth, ignore, 4.0, np.minimum(one, other)))
    return items


def hot_pixels(folder):
    """Return which pixels of the CCD are hot: they are so in all exposures."""
    exposures = []
    for path in sorted((folder / "hst_stis").glob("*_raw.fits")):
        with fits.open(path) as hdus:
            exposures += [hdus["SCI", v].data[10:1010, 20:410] for v in (1, 2)]
    middle = np.median(exposures, axis=0).astype(np.float32)
    excess = middle - ndimage.median_filter(middle, 5)
    return excess > 5 * measure_noise(excess).at()[1]


def trials(model):
    """Print what a model finds where the answer is known."""
    rng = np.random.default_rng(3)
    noise = rng.normal(100, 10, (2048, 2048)).astype(np.float32)
    found = cosmicray_deepcr(noise, model=model, inpaint=None)[1].sum()
    print(f"pure noise: {found / 4.194:.2f} px flagged per megapixel")
    from astroscrappy.tests import fake_data

    np.random.seed(200)  # noqa: NPY002
    data, struck = fake_data.make_fake_data()
    crmask, _ = detect_cosmics(data, model=model)
    near = ndimage.binary_dilation(struck, np.ones((3, 3)))
    print(
        f"astroscrappy's fake data: {(crmask & struck).sum()} of {struck.sum()} found, "
        f"{(crmask & ~near).sum()} px elsewhere"
    )


def main():
    """Compare as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--ecsv", type=Path)
    options = parser.parse_args()
    path = options.model or options.folder / "universal.safetensors"
    models = {"universal": load_model(path, device="cpu")}
    for name in ("ACS-WFC", "WFC3-UVIS", "decam"):
        models[name] = load_model(name, device="cpu")
    frames = held_out_frames(options.folder, deposits(options.data, 4242, "held out"))
    stis = options.data / "hst_stis" / "o56502050_raw.fits"
    if stis.is_file():
        frames["STIS pair"] = stis_pair(stis)
        # 6 % of these undarkened pixels are hot: to any look at one frame they are
        # cosmic rays. A dark would take them out, or a list of bad pixels.
        hot = hot_pixels(options.data)
        frames["STIS, hot ignored"] = [
            item._replace(truth=item.truth & ~hot, ignore=item.ignore | hot)
            for item in frames["STIS pair"]
        ]
    table = compare(frames, models, astroscrappy=True)
    table.pprint_all()
    if options.ecsv:
        table.write(options.ecsv, format="ascii.ecsv", overwrite=True)
    trials(models["universal"])


if __name__ == "__main__":
    main()
