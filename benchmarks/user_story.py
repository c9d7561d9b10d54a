"""From twenty frames taken twice to a model for one's own camera, timed.

    python benchmarks/user_story.py FOLDER [--steps 1000] [--size 512]

A camera is simulated that ``universal`` has not seen as such: thick silicon with small
pixels, an elongated point spread function, counts in adu. Twenty fields are exposed
twice and written as FITS files; ``deepcr-ccd train`` labels them by each other and
fine-tunes ``universal``, and trains a new network as well if ``--new`` is given. All
are scored on other fields, whose truth is known. A run that was ended goes on.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy import ndimage

from deepcr_ccd import load_model
from deepcr_ccd.evaluation.scores import RocCurve
from deepcr_ccd.simulation.camera import LabelThresholds, label_charge
from deepcr_ccd.simulation.cosmic_rays import add_deposits, simulate_deposit
from deepcr_ccd.simulation.scenes import make_scene

GAIN, READNOISE, SKY = 1.7, 8.0, 90.0
KINDS = ("extragalactic", "sparse", "cluster", "nebula")
CONFIG = """
[data]
sets = [{sets}]
gain = {gain}

[model]
name = "mine"
{start}

[training]
folder = "{folder}"
steps = {steps}
"""


def observe(scene, deposits, rng):
    """Return a frame in adu, and its truth and what is undecidable."""
    charge = add_deposits(scene, deposits, rng, scene.size // 2500)
    quiet = scene + SKY
    frame = rng.poisson(quiet + charge) + rng.normal(0, READNOISE, scene.shape)
    sigma = np.sqrt(quiet + READNOISE**2)
    truth, ignore = label_charge(charge, sigma, LabelThresholds(pixel=1.0))
    return np.rint(frame / GAIN).astype(np.float32), truth, ignore


def camera(rng):
    """Return what this camera makes of scenes, and of particles."""
    width = rng.uniform(0.4, 0.7), rng.uniform(0.9, 1.3)
    deposits = [simulate_deposit(rng, pixel=10, thickness=180) for _ in range(3000)]
    return lambda scene: ndimage.gaussian_filter(scene, width), deposits


def main():
    """Simulate, train and score."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--fields", type=int, default=20)
    parser.add_argument("--new", action="store_true", help="a new network as well")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    options.folder = options.folder.resolve()
    rng = np.random.default_rng(11)
    blur, deposits = camera(rng)
    sets = []
    for field in range(options.fields):
        paths = [options.folder / f"field{field:02}_{i}.fits" for i in (1, 2)]
        scene = blur(make_scene(rng, options.size, KINDS[field % len(KINDS)]))
        for path in paths:
            hdu = fits.PrimaryHDU(observe(scene, deposits, rng)[0])
            hdu.header["BUNIT"] = "adu"
            hdu.writeto(path, overwrite=True)
        sets.append(f"{[str(path) for path in paths]}")
    models = {"universal": load_model("universal", device="cpu")}
    for name, start in [("fine-tuned", ""), ("new", 'start = ""')][: 1 + options.new]:
        folder = options.folder / name
        config = options.folder / f"{name}.toml"
        config.write_text(
            CONFIG.format(
                sets=", ".join(sets),
                gain=GAIN,
                start=start,
                folder=folder,
                steps=options.steps,
            )
        )
        begin = time.time()
        command = [sys.executable, "-m", "deepcr_ccd", "train", str(config)]
        subprocess.run(command, check=True)
        print(f"{name}: {(time.time() - begin) / 60:.1f} minutes", flush=True)
        models[name] = load_model(folder / "mine.safetensors", device="cpu")
    rocs = {name: RocCurve() for name in models}
    for field in range(12):
        scene = blur(make_scene(rng, 256, KINDS[field % len(KINDS)]))
        frame, truth, ignore = observe(scene, deposits, rng)
        for name, model in models.items():
            rocs[name].add(model.probability(frame), truth, ignore)
    for name, roc in rocs.items():
        rates = ", ".join(f"{100 * roc.tpr_at(fpr):.1f}" for fpr in (5e-4, 5e-3))
        print(f"{name}: TPR at FPR 0.05 and 0.5 %: {rates} %")


if __name__ == "__main__":
    main()
