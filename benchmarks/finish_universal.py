"""Give trained weights their card, and put them where the package ships them.

    python benchmarks/finish_universal.py FOLDER [--threshold 0.5] [--seconds N]

FOLDER is where train_universal.py wrote weights and held-out scenes. Calibration and
scores are measured here, on held-out frames.
"""

import argparse
import dataclasses
from pathlib import Path

from astropy.table import Table
from train_universal import FPRS, REAL, deposits, held_out_frames

from deepcr_ccd.evaluation.scores import RocCurve
from deepcr_ccd.model import Model

DATA = Path(__file__).parents[1] / "deepcr_ccd" / "data"
RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


def main():
    """Finish the model that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--output", type=Path, default=DATA)
    options = parser.parse_args()
    model = Model.load(options.folder / "universal.safetensors", device="cpu")
    history = Table.read(options.folder / "history.ecsv")
    minutes = history["seconds"].sum() / 60
    frames = held_out_frames(options.folder, deposits(options.data, 4242, "held out"))
    every, scores = RocCurve(), {}
    for kind, items in frames.items():
        roc = RocCurve()
        for item in items:
            p = model.probability(item.frame)
            for curve in (roc, every):
                curve.add(p, item.truth, item.ignore)
        low, high = (100 * roc.tpr_at(fpr) for fpr in FPRS)
        scores[kind] = f"{low:.1f} / {high:.1f}"
    calibration = {f"{rate:g}": round(every.threshold_at(rate), 4) for rate in RATES}
    stis, hrc = (", ".join(REAL["train"][camera]) for camera in ("stis", "hrc"))
    card = dataclasses.replace(
        model.card,
        threshold=options.threshold,
        calibration=calibration,
        scores={"TPR in % at FPR 0.05 / 0.5 %, held-out simulated frames": scores},
        training_data=(
            "simulated scenes and cosmic rays; real cosmic rays cut from HST/STIS "
            f"CR-SPLIT pairs {stis} (programme of NGC 1068, visit 02), HST/ACS/HRC "
            f"{hrc}, and LSST ITL darks of 2017 (imSim). "
            f"benchmarks/train_universal.py, {history['step'][-1]} steps of 32 frames "
            f"of 128x128 px, {minutes:.0f} minutes on two cores"
        ),
        citation="deepcr_ccd; method: Zhang & Bloom 2020, ApJ 889, 24",
        license="BSD-3-Clause",
        description=(
            "Cosmic rays in frames of any camera, imaging or spectroscopic, in any "
            "unit: it works in units of the noise, which it measures itself."
        ),
    )
    Model(card, model.network, device="cpu").save(
        options.output / "universal.safetensors"
    )
    print(card.to_json())


if __name__ == "__main__":
    main()
