"""Give trained weights their card, and put them where the package ships them.

    python benchmarks/finish_universal.py FOLDER [--threshold 0.55] [--seed 2]
        [--psfs DRIZZLEPAC/pars/psfs]
    python benchmarks/finish_universal.py FOLDER --task inpaint [--seed 3]
        [--frames NUMBER]
    python benchmarks/finish_universal.py FOLDER --task fast [--threshold 0.6]
    python benchmarks/finish_universal.py FOLDER --task thorough [--threshold 0.55]
    python benchmarks/finish_universal.py FOLDER --task TASK --provenance

FOLDER is where train_universal.py wrote weights and held-out scenes; the seed and
--psfs are what it was given, and --frames how many frames of each kind there are to be,
each of a scene of its own. Calibration and scores are measured here, on held-out
frames; the recalibration of probabilities, and the threshold down to which cosmic
rays are followed, on others (two_thresholds.py). --threshold is before recalibration.
With --again these alone are renewed, of an installed detection model;
``universal-thorough`` is made of ``universal`` in this way. FOLDER may then be any.
With --provenance nothing is measured: an installed model gets what is written here of
its data, use and limits. Each file gets a test input with its output.
"""

import argparse
import dataclasses
import datetime
from pathlib import Path

import numpy as np
from astropy.table import Table
from deposit_libraries import REAL, deposit_libraries
from simulated_frames import SIZE, held_out_frames, read_psfs
from train_universal import (
    BATCH,
    FPRS,
    SUBFOLDERS,
    TASKS,
    error_ratio,
    fill_errors,
    mixture,
    told_camera,
)
from two_thresholds import choose, recalibrated, validation_frames

from deepcr_ccd.evaluation.scores import RocCurve
from deepcr_ccd.models.model import Model
from deepcr_ccd.models.zoo import load_model
from deepcr_ccd.training.quantization import measure_activation_ranges

DATA = Path(__file__).parents[1] / "deepcr_ccd" / "data"
CREDITS = {
    "citation": "deepcr_ccd; method: Zhang & Bloom 2020, ApJ 889, 24",
    "authors": ["The deepcr_ccd developers"],
    "license": "BSD-3-Clause",
}
DESCRIPTIONS = {
    "mask": (
        "Cosmic rays in frames of any camera, imaging or spectroscopic, in any "
        "unit: it works in units of the noise, which it measures itself."
    ),
    "fast": (
        "Distilled from universal, with half of the channels of its first level: "
        "faster, and less exact, most of all in crowded fields."
    ),
    "thorough": (
        "universal with test-time rotations by quarters of a turn: its errors "
        "differ, and the mean has fewer. It takes four times as long."
    ),
    "inpaint": "Fills CR-affected pixels in frames of any camera, in any unit.",
}
#: What is known without a measurement; the ranges are those of the simulation.
SIMULATED = {"fwhm_range": [1.15, 8.0], "background_range": [0.3, 2000.0]}
DATASETS = [
    {
        "name": "HST/STIS, NGC 1068, visit 02, CR-SPLIT exposures",
        "archive": "MAST",
        "identifiers": list(REAL["train"]["stis"]),
        "use": "cosmic rays; labelled frames",
    },
    {
        "name": "HST/ACS/HRC, short exposures of blank sky",
        "archive": "MAST",
        "identifiers": list(REAL["train"]["hrc"]),
        "use": "cosmic rays",
    },
    {"name": "LSST ITL darks of 2017, from imSim", "use": "cosmic rays"},
]
LABELLED = [
    {
        "name": "HST/WFC3/UVIS",
        "archive": "MAST",
        "identifiers": ["ibo821kvq"],
        "use": "labelled frames, columns 1-256",
    },
    {
        "name": "Lowell Hall 42-inch",
        "identifiers": ["20190326.0144-0158"],
        "use": "labelled frames, columns 20-690",
    },
]
DETECTION = {
    **SIMULATED,
    "datasets": DATASETS + LABELLED,
    "intended_use": (
        "Single CCD frames after bias and dark, imaging or spectroscopic, in any unit."
    ),
    "known_limits": (
        "Frames that were resampled. Hot pixels are flagged as cosmic rays are. "
        "Resolved galaxies and short star trails are hardest; points and lines "
        "narrower than 1.7 px without wings are partly flagged."
    ),
}
PROVENANCE = {
    "mask": DETECTION,
    "fast": {**DETECTION, "parent": "universal"},
    "thorough": {**DETECTION, "parent": "universal"},
    "inpaint": {
        **SIMULATED,
        "datasets": DATASETS,
        "intended_use": "CR-affected pixels of single CCD frames, in any unit.",
        "known_limits": (
            "Fills are estimates: what was below a cosmic ray is not measured."
        ),
    },
}
#: Frames of a kind to choose the lower threshold on, and to recalibrate.
VALIDATION = 24
RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


def provenance(folder, options):
    """Return what a model was trained on, and for how long, in words."""
    what = "" if options.task == "mask" else f" --task {options.task}"
    history = Table.read(folder / "history.ecsv")
    stis, hrc = (", ".join(REAL["train"][camera]) for camera in ("stis", "hrc"))
    more = ""
    if options.task != "inpaint":
        more = (
            "; labelled real frames: the same STIS exposures, columns 20-690 of the "
            "Lowell Hall 42-inch series 20190326.0144-0158, and columns 1-256 of "
            "HST/WFC3/UVIS ibo821kvq"
        )
    through = " (some through Tiny Tim's PSFs of HST)" if options.psfs else ""
    return (
        f"simulated scenes{through} and cosmic rays; real cosmic rays cut from "
        f"HST/STIS CR-SPLIT pairs {stis} (NGC 1068, visit 02), HST/ACS/HRC {hrc}, "
        f"and LSST ITL darks of 2017 (imSim){more}. "
        f"benchmarks/train_universal.py{what}, seed {options.seed}{options.note}, "
        f"{history['step'][-1]} steps of {BATCH} frames of {SIZE}x{SIZE} px, "
        f"{history['seconds'].sum() / 60:.0f} minutes on two cores"
    )


def finish_mask(model, frames, options):
    """Return the measured fields of the card; for int8, on frames of the training."""
    camera = told_camera(options, read_psfs(options.psfs, "train"))
    items = mixture(options, camera, 100)
    frames_and_codes = zip(
        *((item["frame"], item["code"]) for item in map(items.__getitem__, range(100))),
        strict=True,
    )
    ranges = measure_activation_ranges(model.network.cpu(), *frames_and_codes)
    return {
        **judge(model, frames, options),
        "fill": "universal-inpaint",
        "ranges": [[round(end, 3) for end in pair] for pair in ranges],
    }


def judge(model, frames, options):
    """Return what is measured of a model that finds.

    The threshold is given before recalibration; in the card it is a probability.
    """
    plain = dataclasses.replace(
        model.card,
        threshold=options.threshold,
        extend_threshold=None,
        calibration={},
        recalibration=(),
    )
    how = {"device": "cpu", "precision": "float32"}
    own = validation_frames(options.data, VALIDATION)
    model = recalibrated(Model(plain, model.network, **how), own)
    extend, _ = choose(model, own)
    every, scores = RocCurve(), {}
    for kind, items in frames.items():
        roc = RocCurve()
        for item in items:
            p = model.probability(item.frame)
            for curve in (roc, every):
                curve.add(p, item.truth, item.ignore)
        low, high = (100 * roc.tpr_at(fpr) for fpr in FPRS)
        scores[kind] = f"{low:.1f} / {high:.1f}"
    return {
        "threshold": model.card.threshold,
        "extend_threshold": extend,
        "recalibration": model.card.recalibration,
        "calibration": {f"{r:g}": round(every.threshold_at(r), 4) for r in RATES},
        "scores": {"TPR in % at FPR 0.05 / 0.5 %, held-out simulated frames": scores},
    }


def finish_fill(model, frames, options):  # noqa: ARG001
    """Return the measured fields of the card of an inpainting model."""
    scores = {}
    for kind, items in frames.items():
        errors = fill_errors(model, items)
        # Few pixels decide: what might other frames have said?
        drawn = np.random.default_rng(0).integers(len(errors), size=(2000, len(errors)))
        low, high = np.quantile(error_ratio(errors[drawn]), (0.05, 0.95))
        scores[kind] = f"{error_ratio(errors):.2f} ({low:.2f}-{high:.2f})"
    what = "mean squared error over that of medians, CR-affected pixels"
    return {"scores": {f"{what} (90 % of bootstrapped sets of frames)": scores}}


def save(model, fields, options):
    """Write a model with what was measured, what is known, and a test input."""
    fields = {
        "description": DESCRIPTIONS[options.task],
        "version": options.version,
        "date": options.date or datetime.date.today().isoformat(),
        **CREDITS,
        **PROVENANCE[options.task],
        **fields,
    }
    card = dataclasses.replace(model.card, **fields)
    model = Model(card, model.network, device="cpu")
    model.save(options.output / f"{model.card.name}.safetensors")
    print(model.card.to_json())


def main():
    """Finish the models that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--task", choices=[*TASKS, "thorough"], default="mask")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--psfs", type=Path)
    parser.add_argument("--frames", type=int, help="simulated frames of each kind")
    parser.add_argument("--threshold", type=float, default=0.55)
    parser.add_argument("--again", action="store_true", help="measure, and no more")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--note", default="", help="added to the provenance")
    parser.add_argument("--output", type=Path, default=DATA)
    parser.add_argument("--provenance", action="store_true", help="measure nothing")
    parser.add_argument("--date", help="of the training; by default today")
    parser.add_argument("--version", default="1", help="of the model")
    options = parser.parse_args()
    if options.provenance:
        name = {"mask": "universal"}.get(options.task, f"universal-{options.task}")
        save(load_model(name, device="cpu", precision="float32"), {}, options)
        return
    if options.again and options.task == "inpaint":
        parser.error("--again is for detection models")
    options.output.mkdir(parents=True, exist_ok=True)
    libraries = deposit_libraries(options.data, 4242, "held out")
    frames = held_out_frames(
        options.folder, libraries, options.frames, psfs=options.psfs
    )
    if options.again or options.task == "thorough":
        name = "universal-fast" if options.task == "fast" else "universal"
        model = load_model(name, device="cpu", task="mask", precision="float32")
        if options.task == "thorough":
            card = dataclasses.replace(model.card, name="universal-thorough", turns=4)
            model = Model(card, model.network, device="cpu", precision="float32")
        fields = judge(model, frames, options)
    else:
        folder = options.folder / SUBFOLDERS[options.task]
        name = TASKS[options.task][0].name
        model = Model.load(folder / f"{name}.safetensors", precision="float32")
        finish = finish_fill if options.task == "inpaint" else finish_mask
        fields = finish(model, frames, options)
        fields |= {"training_data": provenance(folder, options), **CREDITS}
    save(model, fields, options)


if __name__ == "__main__":
    main()
