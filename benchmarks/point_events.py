"""Point-like events of thick detectors, hot pixels and sharp stars: found or flagged.

    python benchmarks/point_events.py [--models universal ACS-WFC] [--seeds 4]
        [--output FILE.ecsv] [--no-astroscrappy]

Frames of 400x400 px, background 50 and read noise 4 electrons, 60 stars of 1000 to
100,000 electrons or none, and 81 events of 600 or 6000 electrons whose charge spreads
by sigma. Printed are the percentages of events whose brightest pixel is flagged at the
default threshold, and of stars whose core is (those with a peak above 10 sigma, away
from events). Models that are told the width of stars have it measured; with --ablation
they are told nothing, or a width that is wrong by 30 % too. Last, hot pixels of 20
sigma, which 1 % of all pixels are.
"""

import argparse
from pathlib import Path

import numpy as np
from astropy.table import Table
from scipy import ndimage

from deepcr_ccd import load_model
from deepcr_ccd.pipeline.detect import threshold_mask
from deepcr_ccd.preprocess.star_width import UNKNOWN, StarWidth
from deepcr_ccd.simulation.point_events import add_event

SIZE, STARS, EVENTS = 400, 60, 81
BACKGROUND, READNOISE = 50, 4
SPREADS = (0.35, 0.5, 0.65, 0.8)
#: Name, FWHM in px and exponent of the Moffat profile (None for a Gaussian) of stars.
FIELDS = (
    ("none", 0, 3),
    ("1.5 px, no wings", 1.5, None),
    ("1.8 px, no wings", 1.8, None),
    ("2.5 px, no wings", 2.5, None),
    ("3.5 px, no wings", 3.5, None),
    ("2.5 px", 2.5, 3),
    ("3.5 px", 3.5, 3),
    ("5 px", 5, 3),
)
FINE = 5


def add_star(image, y, x, electrons, fwhm, beta):
    """Add a star, integrated over pixels."""
    reach = 24
    row, column = round(y), round(x)
    fine = (np.arange((2 * reach + 1) * FINE) - FINE // 2) / FINE - reach
    radius2 = (fine[:, None] + row - y) ** 2 + (fine + column - x) ** 2
    if beta is None:
        profile = np.exp(-radius2 * 4 * np.log(2) / fwhm**2)
    else:
        alpha2 = (fwhm / 2) ** 2 / (2 ** (1 / beta) - 1)
        profile = (1 + radius2 / alpha2) ** -beta
    stamp = profile.reshape(2 * reach + 1, FINE, -1, FINE).sum(axis=(1, 3))
    stamp *= electrons / stamp.sum()
    padded = np.pad(image, reach)
    rows, columns = (slice(n, n + 2 * reach + 1) for n in (row, column))
    padded[rows, columns] += stamp
    image += padded[reach:-reach, reach:-reach] - image


def expose(rng, fwhm, beta, spread):
    """Return a frame, and the light of stars and the charge of events without noise."""
    light, charge = np.zeros((2, SIZE, SIZE))
    for _ in range(STARS if fwhm else 0):
        y, x = rng.uniform(0, SIZE - 1, 2)
        # A power law of slope 0.8.
        low, high = 1000**-0.8, 1e5**-0.8
        electrons = (low + rng.random() * (high - low)) ** (-1 / 0.8)
        add_star(light, y, x, electrons, fwhm, beta)
    places = rng.uniform(8, SIZE - 8, (EVENTS, 2))
    for y, x in places:
        add_event(charge, y, x, spread, rng.choice([600, 6000]))
    frame = rng.poisson(light + charge + BACKGROUND)
    frame = frame + rng.normal(0, READNOISE, frame.shape)
    return frame.astype(np.float32), light, charge, places


def found(mask, light, charge, places):
    """Return how many events are flagged at their brightest pixel, and how many stars.

    Both with their numbers.
    """
    events = [0, 0]
    for y, x in np.round(places).astype(int):
        around = slice(y - 1, y + 2), slice(x - 1, x + 2)
        peak = np.unravel_index(charge[around].argmax(), (3, 3))
        if charge[around][peak] > light[around][peak]:
            events[0] += mask[around][peak]
            events[1] += 1
    sigma = np.sqrt(light + BACKGROUND + READNOISE**2)
    core = (light == ndimage.maximum_filter(light, 9)) & (light > 10 * sigma)
    core &= ndimage.maximum_filter(charge, 5) < 1
    return events, [np.count_nonzero(mask & core), np.count_nonzero(core)]


def mask_by_model(model, frame, width=None):
    """Return the mask of a model at its default thresholds."""
    probability = model.probability(frame, star_width=width)
    return threshold_mask(probability, model.card.thresholds())


def methods(options):
    """Return functions from a frame, and the FWHM of its stars, to a mask, by name."""
    every = {}
    for name in options.models:
        model = load_model(name, device="cpu", task="mask")
        label = Path(name).stem
        every[label] = lambda frame, _fwhm, model=model: mask_by_model(model, frame)
        if options.ablation and model.card.uses_star_width:
            every[f"{label}, told nothing"] = lambda frame, _fwhm, model=model: (
                mask_by_model(model, frame, UNKNOWN)
            )
            for factor in (0.7, 1.3):
                every[f"{label}, told {factor} of it"] = (
                    lambda frame, fwhm, model=model, factor=factor: mask_by_model(
                        model, frame, StarWidth.of(factor * fwhm) if fwhm else None
                    )
                )
    if options.astroscrappy:
        from astroscrappy import detect_cosmics

        every["astroscrappy"] = lambda frame, _fwhm: detect_cosmics(
            frame, gain=1, readnoise=READNOISE
        )[0]
    return every


def hot_pixels(method):
    """Return the percentage of hot pixels that are flagged, one pixel in a hundred."""
    rng = np.random.default_rng(5)
    frame = rng.poisson(BACKGROUND, (SIZE, SIZE)) + rng.normal(
        0, READNOISE, (SIZE, SIZE)
    )
    hot = rng.random(frame.shape) < 0.01
    frame[hot] += 20 * np.sqrt(BACKGROUND + READNOISE**2)
    return 100 * method(frame.astype(np.float32), 0)[hot].mean()


def main():
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=["universal"])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--no-astroscrappy", dest="astroscrappy", action="store_false")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    rows = []
    for label, method in methods(options).items():
        for name, fwhm, beta in FIELDS:
            row = {"method": label, "stars": name}
            flagged = np.zeros(2, int)
            for spread in SPREADS:
                events = np.zeros(2, int)
                for seed in range(options.seeds):
                    rng = np.random.default_rng([seed, int(100 * spread)])
                    frame, *truth = expose(rng, fwhm, beta, spread)
                    mask = method(frame, np.hypot(fwhm, 0.6) if fwhm else 0)
                    one, other = found(mask, *truth)
                    events += one
                    flagged += other
                row[f"{spread}"] = 100 * events[0] / events[1]
            row["stars flagged"] = 100 * flagged[0] / max(flagged[1], 1)
            rows.append(row)
        rows.append(
            {"method": label, "stars": "hot pixels", "0.35": hot_pixels(method)}
        )
        for key in (*map(str, SPREADS), "stars flagged"):
            rows[-1].setdefault(key, np.nan)
    table = Table(rows)
    for column in table.colnames[2:]:
        table[column].format = "%.1f"
    table.pprint(max_lines=-1, max_width=-1)
    if options.output:
        table.write(options.output, overwrite=True)


if __name__ == "__main__":
    main()
