"""Compare simulated with real cosmic rays in a figure: sizes, charges, elongations.

    python benchmarks/check_tracks.py FIGURE.png [--data ../shared/data]

Real ones are the library from darks of LSST's ITL sensors (thick, 10 um), those cut
from CR-SPLIT pairs of HST/STIS (thin, 21 um), and from short ACS/HRC exposures (thin,
21 um). Simulated ones are of the same pixels and thickness. All are cut at the same
charge, 60 electrons a pixel, which is about the noise that the real ones were cut from.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from deposit_libraries import REAL, cut_hrc, cut_stis

from deepcr_ccd.simulation.cosmic_rays import read_lsst_darks, simulate_deposit

FLOOR = 60.0


def measure(deposits):
    """Return size in px, charge in electron and elongation of each deposit."""
    rows = []
    for deposit in deposits:
        charge = np.where(deposit > FLOOR, deposit, 0)
        total = charge.sum()
        size = np.count_nonzero(charge)
        if size == 0:
            continue
        y, x = np.nonzero(charge)
        weights = charge[y, x]
        matrix = np.cov(np.stack([y, x]), aweights=weights, ddof=0) if size > 1 else 0
        # A pixel has a width of its own.
        low, high = np.linalg.eigvalsh(np.eye(2) / 12 + matrix)
        rows.append((size, total, np.sqrt(high / low)))
    return np.array(rows).T


def main():
    """Draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("figure", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    rng = np.random.default_rng(3)
    stis, hrc = REAL["held out"]["stis"][0], REAL["held out"]["hrc"][0]
    pairs = {
        "LSST ITL darks": (
            read_lsst_darks(options.data / "lsst_darks/cosmic_rays_itl_2017.fits.gz"),
            {"pixel": 10.0, "thickness": 100.0},
        ),
        "HST/STIS": (
            cut_stis(options.data / f"hst_stis/{stis}_raw.fits"),
            {"pixel": 21.0, "thickness": 14.0},
        ),
        "HST/ACS/HRC": (
            cut_hrc(options.data / f"hst_acs_hrc/{hrc}.fits.gz", 4.0),
            {"pixel": 21.0, "thickness": 14.0},
        ),
    }
    names = ("size (px)", "charge (electron)", "elongation")
    bins = (
        np.geomspace(1, 100, 16),
        np.geomspace(60, 1e5, 25),
        np.geomspace(1, 30, 20),
    )
    figure, axes = plt.subplots(3, 3, figsize=(11, 9), layout="constrained")
    for row, (camera, (real, detector)) in zip(axes, pairs.items(), strict=True):
        simulated = [simulate_deposit(rng, **detector) for _ in range(5000)]
        tables = {"real": measure(real), "simulated": measure(simulated)}
        for number, ax in enumerate(row):
            for label, table in tables.items():
                values = table[number]
                weights = np.full(values.size, 1 / values.size)
                ax.hist(values, bins[number], weights=weights, histtype="step",
                        label=f"{label} ({values.size})")  # fmt: skip
                low, middle, high = np.percentile(values, [10, 50, 90])
                print(f"{camera}, {label}, {names[number]}: {middle:.4g} "
                      f"({low:.4g} to {high:.4g})")  # fmt: skip
            ax.set(xscale="log", xlabel=names[number], ylabel="fraction", title=camera)
        row[0].legend(fontsize="small")
    figure.savefig(options.figure, dpi=100)


if __name__ == "__main__":
    main()
