"""Masks of one threshold and of two, and the choice of the second one.

    python benchmarks/two_thresholds.py FOLDER [--frames 12] [--models universal ...]
        [--data ../shared/data] [--psfs DRIZZLEPAC/pars/psfs] [--output FILE.ecsv]
    python benchmarks/two_thresholds.py FOLDER --choose [--frames 24] [--write]

The first scores masks on the frames of compare_models.py, which are held out: the true
positive rate, the fraction of cosmic rays with 95 % of their pixels flagged, false
objects per frame, and false positives per megapixel. FOLDER keeps scenes.

With --choose the recalibration of probabilities is measured on validation frames:
simulated ones, which are neither trained on nor scored, and, for the second threshold,
the real ones that were trained on. First the curve of the recalibration is measured;
thresholds and calibration are converted with it, so that they flag the same pixels.
Then the threshold down to which cosmic rays are followed: the highest one at which the
mean over all kinds of the F2 score, in which completeness counts twice as much as
purity, is within 0.001 of the best. With --write this goes into the models' cards;
weights stay as they are, to the byte.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from astropy.table import Table
from deposit_libraries import deposit_libraries
from real_frames import lowell_frames, stis_frames
from simulated_frames import held_out_frames

from deepcr_ccd import load_model
from deepcr_ccd.evaluation.frames import simulate_frames
from deepcr_ccd.evaluation.object_scores import ObjectScores
from deepcr_ccd.evaluation.reliability import Reliability
from deepcr_ccd.models.model import Model
from deepcr_ccd.models.recalibration import network_threshold, recalibrate
from deepcr_ccd.models.weights import read_network
from deepcr_ccd.pipeline.detect import threshold_mask
from deepcr_ccd.segmentation.hysteresis import Thresholds
from deepcr_ccd.simulation.scenes import KINDS

OWN = ("universal", "universal-fast", "universal-thorough")
CARDS = Path(__file__).parents[1] / "deepcr_ccd" / "data"
GRID = (0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05)
#: Completeness counts so many times as much as purity.
BETA = 2
#: Scores that are as good as the best.
CLOSE = 0.001


def real_frames(data, part):
    """Return real frames of a part, by kind; hot pixels of STIS are ignored."""
    frames = {}
    stis = stis_frames(data, part)
    if stis:
        frames["STIS pairs"] = stis[:4]
    lowell = lowell_frames(data, part)
    if lowell:
        frames["Lowell Hall"] = lowell[::2]
    return frames


def validation_frames(data, number):
    """Return frames of every kind, to choose on: simulated ones are not trained on."""
    frames = {kind: simulate_frames(kind, number, seed=4343) for kind in KINDS}
    return frames | real_frames(data, "train")


def recalibrated(model, frames):
    """Return a recalibrated model, with thresholds that flag the same pixels."""
    card = dataclasses.replace(model.card, recalibration=(), extend_threshold=None)
    how = {"device": model.device, "precision": model.precision}
    plain = Model(card, model.network, **how)
    reliability = Reliability(bins=20)
    for kind in KINDS:
        for item in frames[kind]:
            reliability.add(plain.probability(item.frame), item.truth, item.ignore)
    points = tuple(reliability.points())

    def move(threshold):
        said = network_threshold(threshold, model.card.recalibration)
        moved = recalibrate(np.array([said], dtype=np.float32), points)
        return round(float(moved[0]), 4)

    card = dataclasses.replace(
        card,
        threshold=move(model.card.threshold),
        calibration={r: move(t) for r, t in model.card.calibration.items()},
        recalibration=points,
    )
    return Model(card, model.network, **how)


def choose(model, frames):
    """Return the lower threshold that is best for a model, and the scores of all."""
    seed = model.card.threshold
    grid = [seed, *(low for low in GRID if low < seed)]
    scores = np.zeros((len(frames), len(grid)))
    for row, items in zip(scores, frames.values(), strict=True):
        counts = np.zeros((len(grid), 3))
        for item in items:
            probability = model.probability(item.frame)
            affected, clean = item.truth & ~item.ignore, ~item.truth & ~item.ignore
            for count, low in zip(counts, grid, strict=True):
                mask = threshold_mask(probability, Thresholds(seed, low))
                found = (mask & affected).sum()
                count += found, affected.sum() - found, (mask & clean).sum()
        found, missed, false = counts.T
        weighed = (1 + BETA**2) * found
        row[:] = weighed / (weighed + BETA**2 * missed + false)
    mean = scores.mean(axis=0)
    best = next(low for low, f in zip(grid, mean, strict=True) if f > max(mean) - CLOSE)
    return best, Table({"extend_threshold": grid, "F2": mean.round(4)})


def judge(model, frames):
    """Return a row for each kind of frame and number of thresholds."""
    card = model.card
    extend = card.threshold if card.extend_threshold is None else card.extend_threshold
    rows = []
    for kind, items in frames.items():
        probabilities = [model.probability(item.frame) for item in items]
        for thresholds in ((card.threshold, card.threshold), (card.threshold, extend)):
            objects = ObjectScores(sizes=(1, np.inf))
            affected = found = clean = false = 0
            for item, probability in zip(items, probabilities, strict=True):
                mask = threshold_mask(probability, Thresholds(*thresholds))
                charge = item.frame - item.noiseless
                objects.add(mask, item.truth, charge, item.ignore)
                counted = ~item.ignore
                affected += (item.truth & counted).sum()
                found += (mask & item.truth & counted).sum()
                clean += (~item.truth & counted).sum()
                false += (mask & ~item.truth & counted).sum()
            rows.append({
                "frames": kind, "model": card.name,
                "thresholds": " and ".join(f"{t:g}" for t in dict.fromkeys(thresholds)),
                "true positive rate (%)": 100 * found / affected,
                "covered to 95 % (%)": 100 * objects.completeness()["whole"][0],
                "false objects per frame": objects.false / len(items),
                "false positives per megapixel": 1e6 * false / clean,
            })  # fmt: skip
    return rows


def main():
    """Choose or score, as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", default=OWN)
    parser.add_argument("--frames", type=int, default=12, help="of each kind")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--psfs", type=Path)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--write", action="store_true", help="what is chosen")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    models = [load_model(name, device="cpu") for name in options.models]
    if options.choose:
        frames = validation_frames(options.data, options.frames)
        for model in models:
            model = recalibrated(model, frames)
            best, table = choose(model, frames)
            card = dataclasses.replace(model.card, extend_threshold=best)
            print(f"{card.name}: {card.threshold} and {best}, {card.recalibration}")
            table.pprint_all()
            if options.write:
                path = CARDS / f"{card.name}.safetensors"
                Model(card, read_network(path)[1], device="cpu").save(path)
        return
    libraries = deposit_libraries(options.data, 4242, "held out")
    frames = held_out_frames(
        options.folder, libraries, options.frames, psfs=options.psfs
    )
    frames |= real_frames(options.data, "held out")
    table = Table([row for model in models for row in judge(model, frames)])
    for column in table.itercols():
        if column.dtype.kind == "f":
            column.info.format = ".1f"
    table.pprint_all()
    if options.output:
        table.write(options.output, overwrite=True)


if __name__ == "__main__":
    main()
