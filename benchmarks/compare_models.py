"""Compare ``universal`` with the published models and with L.A.Cosmic.

    python benchmarks/compare_models.py FOLDER [--model FILE] [--data ../shared/data]
        [--psfs DRIZZLEPAC/pars/psfs] [--frames NUMBER] [--limits PIXEL PEAK]
        [--border PX]

FOLDER is where train_universal.py put its held-out scenes. Frames are simulated scenes
of every kind with held-out cosmic rays (with --psfs also some through Tiny Tim's point
spread functions of HST, of filters that were held out), the held-out CR-SPLIT pair of
HST/STIS, and the held-out half of the Lowell Hall series. With --frames there are so
many simulated ones of each kind, each of a scene of its own. Prints true positive
rates, in percent, at false positive rates of 0.01, 0.05, 0.1 and 0.5 %. With --limits
those of pixels above PIXEL sigma, of cosmic rays with one above PEAK sigma, on
simulated frames alone; fainter pixels of them count nowhere. With --border those of
pixels that are not more than PX from an edge of a simulated frame.
"""

import argparse
import contextlib
from pathlib import Path

import numpy as np
from deposit_libraries import deposit_libraries
from real_frames import lowell_frames, stis_frames
from scipy import ndimage
from simulated_frames import SCORED, held_out_frames

from deepcr_ccd import cosmicray_deepcr, detect_cosmics, load_model
from deepcr_ccd.evaluation.baselines import CosmicConn
from deepcr_ccd.evaluation.compare import compare
from deepcr_ccd.simulation.camera import LabelThresholds


def trials(model):
    """Print true and false positives where the answer is known."""
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(5):
        noise = rng.normal(100, 10, (2000, 2000)).astype(np.float32)
        found += cosmicray_deepcr(noise, model=model, inpaint=None)[1].sum()
    print(f"pure noise: {found / 20:.2f} px flagged per megapixel")
    from astroscrappy.tests import fake_data

    np.random.seed(200)  # noqa: NPY002
    data, affected = fake_data.make_fake_data()
    crmask, _ = detect_cosmics(data, model=model)
    near = ndimage.binary_dilation(affected, np.ones((3, 3)))
    print(
        f"astroscrappy's fake data: {(crmask & affected).sum()} of "
        f"{affected.sum()} found, "
        f"{(crmask & ~near).sum()} px elsewhere"
    )


def compare_precisions(models, frames):
    """Print how many pixels of its mask a model changes with fewer bits."""
    exact = models[0].to(precision="float32")
    changed, affected = np.zeros(len(models)), 0
    for items in frames.values():
        for item in items:
            mask = exact.probability(item.frame) > exact.card.threshold
            affected += np.count_nonzero(mask)
            for number, model in enumerate(models):
                other = model.probability(item.frame) > exact.card.threshold
                changed[number] += np.count_nonzero(other != mask)
    for model, number in zip(models, changed, strict=True):
        print(f"{model.precision} changes {100 * number / affected:.2f} % of the mask")


def main():
    """Compare as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, help="in place of the one that ships")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--psfs", type=Path)
    parser.add_argument("--frames", type=int, help="simulated frames of each kind")
    parser.add_argument("--limits", type=float, nargs=2, metavar=("PIXEL", "PEAK"))
    parser.add_argument("--border", type=int, metavar="PX")
    parser.add_argument("--output", type=Path, help="folder for table and figure")
    options = parser.parse_args()
    models = {"universal": load_model(options.model or "universal", device="cpu")}
    own = list(models.values())
    if own[0].card.ranges and own[0].engine == "openvino":
        own.append(own[0].to(precision="int8"))
        models["universal, int8"] = own[1]
    others = ("universal-fast", "universal-thorough", "ACS-WFC", "WFC3-UVIS", "decam")
    for name in others:
        models[name] = load_model(name, device="cpu")
    with contextlib.suppress(ImportError):
        models["Cosmic-CoNN ground"] = CosmicConn("ground_imaging")
    libraries = deposit_libraries(options.data, 4242, "held out")
    limits, known = SCORED, {}
    if options.limits:
        known = dict(zip(("pixel", "peak"), options.limits, strict=True))
        limits = LabelThresholds(**known)
    frames = held_out_frames(
        options.folder, libraries, options.frames, psfs=options.psfs, limits=limits
    )
    # By default, labels from repeated exposures have limits of their own.
    real = not options.border
    stis = stis_frames(options.data, "held out", **known) if real else []
    if stis:
        frames["STIS pair"] = stis
    lowell = lowell_frames(options.data, "held out", **known) if real else []
    if lowell:
        frames["Lowell Hall"] = lowell[::2]
    if options.border:
        inside = (slice(options.border, -options.border),) * 2
        for items in frames.values():
            for item in items:
                item.ignore[inside] = True
    result = compare(frames, models, astroscrappy=True, report=print)
    table = result.table()
    table.pprint_all()
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        table.write(options.output / "scores.ecsv", overwrite=True)
        result.points().write(options.output / "roc.ecsv", overwrite=True)
        result.plot(options.output / "roc.png")
    if options.limits or options.border:
        return
    trials(models["universal"])
    compare_precisions(own, frames)


if __name__ == "__main__":
    main()
