"""Score methods by cosmic rays and by stars, at their default thresholds.

    python benchmarks/objects_and_stars.py [--output FOLDER] [--number 24]

Cosmic rays: on simulated frames of every kind (not used in training), completeness,
the covered fraction of each, and purity, the fraction of flagged objects that are
real. Stars: on star fields with known positions and three widths of the point spread
function, the fraction of stars without a cosmic ray whose core is flagged, and the
change of their flux when flagged pixels are filled. Calibration: the fraction of
CR-affected pixels by the probability that ``universal`` gives.
"""

import argparse
from pathlib import Path

import astroscrappy
import numpy as np
from astropy.table import Table, vstack

from deepcr_ccd import cosmicray_deepcr, load_model
from deepcr_ccd.evaluation.frames import simulate_frames
from deepcr_ccd.evaluation.object_scores import ObjectScores
from deepcr_ccd.evaluation.reliability import Reliability
from deepcr_ccd.evaluation.star_harm import star_harm
from deepcr_ccd.simulation.cosmic_rays import add_deposits, simulate_deposit
from deepcr_ccd.simulation.scenes import KINDS

SIZES = (1, 2, 3, 5, 9, 1e9)
FWHMS = (1.4, 2.0, 3.5)
READNOISE = 5.0
SKY = 120.0


def lacosmic(frame, readnoise):
    """Return what astroscrappy's defaults make of a frame."""
    mask, cleaned = astroscrappy.detect_cosmics(frame, readnoise=readnoise)
    return cleaned, mask


def methods():
    """Return functions of a frame and its read noise: cleaned frame and mask."""
    found = {}
    for name in ("universal", "universal-thorough", "universal-fast", "ACS-WFC"):
        model = load_model(name, device="cpu")
        found[name] = lambda frame, readnoise, model=model: cosmicray_deepcr(  # noqa: ARG005
            frame, model=model
        )
    found["astroscrappy"] = lacosmic
    return found


def star_field(fwhm, rng, size=512, number=400):
    """Return a noise-free star field, and places and fluxes of its stars."""
    places = rng.uniform(0, size, (number, 2))
    fluxes = 10 ** rng.uniform(2.5, 5.5, number)
    scene = np.full((size, size), SKY)
    fine = (np.arange(5) - 2) / 5
    for (row, column), flux in zip(places, fluxes, strict=True):
        y0, x0 = int(round(row)), int(round(column))
        reach = int(6 * fwhm) + 2
        y = np.arange(max(y0 - reach, 0), min(y0 + reach + 1, size))
        x = np.arange(max(x0 - reach, 0), min(x0 + reach + 1, size))
        alpha2 = (fwhm / 2) ** 2 / (2 ** (1 / 3.5) - 1)
        r2 = (
            (y[:, None, None, None] + fine[None, None, :, None] - row) ** 2
            + (x[None, :, None, None] + fine - column) ** 2
        )  # fmt: skip
        profile = (1 + r2 / alpha2) ** -3.5
        norm = 2.5 / (np.pi * alpha2)
        scene[y[0] : y[-1] + 1, x[0] : x[-1] + 1] += flux * norm * profile.mean((2, 3))
    return scene, places, fluxes


def score_cosmic_rays(number, scored):
    """Return purity of each method, and completeness by size, over all kinds."""
    rows, sizes = [], []
    calibration = Reliability()
    model = load_model("universal", device="cpu")
    for kind in KINDS:
        scores = {name: ObjectScores(sizes=SIZES) for name in scored}
        for item in simulate_frames(kind, number, seed=77):
            excess = np.maximum(item.frame - item.noiseless, 0)
            p = model.probability(item.frame)
            calibration.add(p, item.truth, item.ignore)
            for name, method in scored.items():
                _, mask = method(item.frame, item.readnoise)
                scores[name].add(mask, item.truth, excess, item.ignore)
        for name, score in scores.items():
            table = score.completeness()
            every = table["number"]
            rows.append({
                "frames": kind, "method": name, "cosmic rays": int(every.sum()),
                "completeness (%)": 100 * np.average(table["found"], weights=every),
                "covered (%)": 100 * np.average(table["covered"], weights=every),
                "purity (%)": 100 * score.purity,
            })  # fmt: skip
            table["frames"], table["method"] = kind, name
            sizes.append(table)
    return Table(rows), vstack(sizes), calibration.table()


def score_stars(number, scored):
    """Return what each method does to stars, by the width of their images."""
    tables = []
    for fwhm in FWHMS:
        for name, method in scored.items():
            rng = np.random.default_rng([5, int(10 * fwhm)])
            deposits = [simulate_deposit(rng) for _ in range(500)]
            parts = []
            for _ in range(number // 4):
                scene, places, fluxes = star_field(fwhm, rng)
                charge = add_deposits(scene, deposits, rng, 150)
                frame = rng.poisson(scene + charge) + rng.normal(
                    0, READNOISE, scene.shape
                )
                frame = frame.astype(np.float32)
                cleaned, mask = method(frame, READNOISE)
                parts.append(
                    star_harm(frame, cleaned, mask, places, fluxes, truth=charge > 1)
                )
            part = vstack(parts)
            for low in np.unique(part["low"]):
                group = part[part["low"] == low]
                weights = group["number"]
                tables.append({
                    "FWHM (px)": fwhm, "method": name, "flux from": low,
                    "to": group["high"][0], "stars": int(sum(weights)),
                    "core flagged (%)": 100 * np.average(
                        group["flagged"], weights=weights),
                    "flux change (%)": 100 * np.average(group["bias"], weights=weights),
                })  # fmt: skip
    return Table(tables)


def main():
    """Score, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--number", type=int, default=24, help="frames of a kind")
    options = parser.parse_args()
    scored = methods()
    completeness, sizes, calibration = score_cosmic_rays(options.number, scored)
    tables = {
        "completeness": completeness,
        "sizes": sizes,
        "calibration": calibration,
        "stars": score_stars(options.number, scored),
    }
    for name, table in tables.items():
        for column in table.itercols():
            if column.dtype.kind == "f":
                column.info.format = ".4g"
        print(name)
        table.pprint_all()
        if options.output:
            options.output.mkdir(parents=True, exist_ok=True)
            table.write(options.output / f"{name}.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
