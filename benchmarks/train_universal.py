"""Train ``universal``: one model for cameras it has never seen.

    python benchmarks/train_universal.py FOLDER [--steps 16000] [--data ../shared/data]
        [--psfs DRIZZLEPAC/pars/psfs]
    python benchmarks/train_universal.py FOLDER --task inpaint [--steps 12000]
    python benchmarks/train_universal.py FOLDER --task fast [--steps 26000]

The second trains ``universal-inpaint``, which fills, on the same data; the third
``universal-fast``: the channels of ``universal``, as it is installed, that matter most,
distilled from it.

Scenes and tracks are simulated. To these come real cosmic rays, cut from frames that
are named in REAL (absent ones are left out): differences of CR-SPLIT pairs of HST/STIS,
short ACS/HRC exposures of blank sky, and a library from darks of LSST's ITL sensors;
and real frames, labelled by repeated exposures (see real_frames.py). Other exposures of
these are held out for validation. With --psfs, two scenes of five are seen through
Tiny Tim's point spread functions of HST's cameras, which come with drizzlepac; other
filters are held out. Scenes, deposits, checkpoint, history and the model go to FOLDER;
a run that was ended goes on.
"""

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
from deposit_libraries import deposit_libraries
from real_frames import lowell_frames, stis_frames, uvis_frames
from simulated_frames import (
    SIZE,
    held_out_frames,
    make_scenes,
    read_psfs,
    told_scenes,
)

from deepcr_ccd.evaluation.scores import RocCurve
from deepcr_ccd.models.model import Model, ModelCard
from deepcr_ccd.models.zoo import load_model
from deepcr_ccd.pipeline.fill import Fill, fill_frame
from deepcr_ccd.simulation.star_camera import StarCamera
from deepcr_ccd.training.datasets import LabelledFrames, MixedFrames, ToldFrames
from deepcr_ccd.training.fit import Recipe, train_model
from deepcr_ccd.training.inpaint_datasets import InpaintCutouts
from deepcr_ccd.training.pruning import prune_channels

BATCH = 8
#: Fractions of items: simulated frames, labelled exposures of three cameras.
FRACTIONS = {"simulated": 0.78, "stis": 0.06, "lowell": 0.09, "uvis": 0.07}
#: FWHMs in px that the network knows, and the fraction of scenes with sharp stars.
STAR_WIDTHS = [1.3, 1.7, 2.2, 3.0, 4.2, 6.5]
SHARP = 0.3
FPRS = (0.0005, 0.005)
UNIVERSAL = ModelCard(
    name="universal",
    task="mask",
    architecture="unet",
    arguments={
        "in_channels": 1,
        "width": [32, 32, 64],
        "levels": 3,
        "stem": 2,
        "skip": "add",
        "merge": 1,
        "star_widths": STAR_WIDTHS,
    },
    unit=None,
    transform="noise",
    instrument="any",
)
#: The models, and how many steps each is trained for.
TASKS = {
    "mask": (UNIVERSAL, 16000),
    "fast": (
        dataclasses.replace(
            UNIVERSAL,
            name="universal-fast",
            arguments={**UNIVERSAL.arguments, "width": [16, 32, 64]},
        ),
        26000,
    ),
    "inpaint": (
        ModelCard(
            name="universal-inpaint",
            task="inpaint",
            architecture="window",
            arguments={"radius": 6, "width": [320, 160]},
            unit=None,
            transform="window",
            instrument="any",
        ),
        12000,
    ),
}


#: Real frames that are labelled.
REAL_FRAMES = {"stis": stis_frames, "lowell": lowell_frames, "uvis": uvis_frames}
#: Where in its folder each goes.
SUBFOLDERS = {"mask": "", "inpaint": "inpaint", "fast": "fast"}


def mixture(options, camera, length):
    """Return items to train on: simulated frames, and real ones that are labelled."""
    known = {"length": length, "seed": options.seed}
    sets = {"simulated": ToldFrames(camera, STAR_WIDTHS, **known)}
    known |= {"size": SIZE, "star_widths": STAR_WIDTHS}
    for name, read in REAL_FRAMES.items():
        items = read(options.data, "train")
        if items:
            frames = [(item.frame, item.truth, item.ignore) for item in items]
            sets[name] = LabelledFrames(frames, **known)
    fractions = [FRACTIONS[name] for name in sets]
    return MixedFrames(list(sets.values()), fractions, length=length, seed=options.seed)


def told_camera(options, psfs):
    """Return the camera that simulates frames whose star width is told."""
    folder, seed = options.folder, options.seed
    banks = [
        told_scenes(folder / "told_scenes.npz", options.scenes, seed, psfs),
        told_scenes(folder / "sharp_scenes.npz", options.scenes // 6, seed, sharp=True),
    ]
    libraries = deposit_libraries(options.data, seed, "train", thick=True)
    return StarCamera(banks, [1 - SHARP, SHARP], libraries)


def validation(folder, libraries, data, psfs):
    """Return a function that scores a model on held-out frames of every kind."""
    frames = held_out_frames(folder, libraries, psfs=psfs)
    frames |= {name: read(data, "held out") for name, read in REAL_FRAMES.items()}
    frames["lowell"] = frames["lowell"][::5]
    frames = {kind: items for kind, items in frames.items() if items}

    def validate(model):
        scores = {}
        for kind, observations in frames.items():
            roc = RocCurve()
            for item in observations[:6]:
                roc.add(model.probability(item.frame), item.truth, item.ignore)
            for fpr in FPRS:
                scores[f"{kind}@{100 * fpr:g}%"] = 100 * roc.tpr_at(fpr)
        return scores

    return validate


def fill_errors(model, observations):
    """Return the summed squared errors of fills and of medians, a row a frame."""
    errors = []
    for item in observations:
        # Faint ends of tracks, and their full pixels, are of no use to either.
        fills = [
            fill_frame(
                item.frame, item.truth, item.ignore, fill, cr_affected=item.truth
            )
            for fill in (Fill("network", model), Fill("median"))
        ]
        target = item.noiseless[item.truth]
        errors.append([np.sum((fill - target) ** 2.0) for fill, _ in fills])
    return np.array(errors)


def error_ratio(errors):
    """Return the mean squared error of fills over that of medians."""
    fills, medians = errors.sum(axis=-2).T
    return fills / medians


def fill_validation(folder, libraries, data, psfs):  # noqa: ARG001
    """Return a function that scores fills: mean squared error over that of medians."""
    frames = held_out_frames(folder, libraries, psfs=psfs)

    def validate(model):
        return {
            f"{kind} mse/median": error_ratio(fill_errors(model, observations))
            for kind, observations in frames.items()
        }

    return validate


def main():
    """Train as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--task", choices=list(TASKS), default="mask")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--psfs", type=Path, help="drizzlepac's folder pars/psfs")
    parser.add_argument("--width", type=int, nargs="+")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--start", type=Path, help="weights of a run to go on from")
    parser.add_argument("--teacher", help="a model to learn from, by name or path")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cuda shortens it")
    parser.add_argument(
        "--no-validation",
        dest="validate",
        action="store_false",
        help="leave out the scores at checkpoints",
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    psfs = read_psfs(options.psfs, "train")
    card, steps = TASKS[options.task]
    if options.width:
        arguments = {**card.arguments, "width": options.width}
        if options.task == "mask":
            arguments["levels"] = len(options.width)
        card = dataclasses.replace(card, arguments=arguments)
    recipe = Recipe(
        steps=options.steps or steps,
        seed=options.seed,
        rate=options.rate,
        batch=options.batch,
        workers=options.workers,
        checkpoint_every=1000,
        teacher_weight=0.0 if options.task == "mask" else 0.5,
        ignored_weight=0.2 if options.task == "mask" else 1.0,
        norm=options.task != "mask",
    )
    length = recipe.steps * recipe.batch
    masks = card.task == "mask"
    if masks:
        dataset = mixture(options, told_camera(options, psfs), length)
    else:
        libraries = deposit_libraries(options.data, options.seed, "train")
        bank = make_scenes(
            options.folder / "scenes.npy", options.scenes, options.seed, psfs=psfs
        )
        dataset = InpaintCutouts(
            bank,
            libraries,
            length=length,
            size=SIZE,
            seed=options.seed,
            radius=card.arguments["radius"],
        )
    known = {}
    if options.start:
        known["start"] = Model.load(options.start, device="cpu", precision="float32")
    if options.teacher:
        known["teacher"] = load_model(options.teacher, device="cpu", task="mask")
    if options.task == "fast":
        name = options.teacher or "universal"
        wide = load_model(name, device="cpu", task="mask", precision="float32")
        frames = (dataset[number]["frame"] for number in range(64))
        pruned = prune_channels(wide, card.arguments["width"], frames)
        known = {"teacher": wide, "start": pruned, **known}
    validate = None
    if options.validate:
        make = validation if masks else fill_validation
        libraries = deposit_libraries(options.data, 4242, "held out")
        validate = make(options.folder, libraries, options.data, options.psfs)
    began = time.time()
    train_model(
        dataset,
        card,
        options.folder / SUBFOLDERS[options.task],
        recipe=recipe,
        **known,
        device=options.device,
        validate=validate,
        report=lambda line: print(
            f"{(time.time() - began) / 60:6.1f} min  {line}", flush=True
        ),
    )


if __name__ == "__main__":
    main()
