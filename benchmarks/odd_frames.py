"""Count false positives on frames with structure that looks like cosmic rays.

    python benchmarks/odd_frames.py [MODEL ...] [--data ../shared/data] [--picture PNG]

Fibres, lamps, planets, steps between amplifiers, fringes and the like, made by other
code than the scenes that models are trained on. Prints, for each model at its own
threshold, false positives per megapixel and the true positive rate. On a smooth
frame most false positives are ends of tracks, fainter than one sigma.
"""

import argparse
from pathlib import Path

import numpy as np
from astropy.table import Table
from deposit_libraries import deposit_libraries
from scipy import ndimage

from deepcr_ccd import load_model
from deepcr_ccd.simulation.camera import LabelThresholds, label_charge
from deepcr_ccd.simulation.cosmic_rays import add_deposits

SIZE = 512
FINE = 4
READNOISE = 4.0
Y, X = np.mgrid[:SIZE, :SIZE].astype(float)


def seen(fine, fwhm):
    """Blur a scene on a grid of FINE x FINE to a pixel, and sum it to pixels."""
    blurred = ndimage.gaussian_filter(fine, fwhm / 2.355 * FINE)
    return blurred.reshape(SIZE, FINE, SIZE, FINE).sum(axis=(1, 3))


def amplifiers(step, ratio):
    """Make quadrants that differ by a step, and halves by a ratio."""
    frame = np.full((SIZE, SIZE), 300.0)
    frame[:, SIZE // 2 :] = frame[:, SIZE // 2 :] * ratio + step
    frame[SIZE // 2 :] -= 0.4 * step
    return frame


def fringes(level, contrast):
    """Make the interference of sky lines in a thin detector."""
    phase = 2 * np.pi * (X / 9 + 8 * np.sin(Y / 60))
    return level * (1 + contrast * np.sin(phase) * np.cos(Y / 33))


def flat(rng, level):
    """Make a flat field, with pixels that differ by a percent."""
    return level * (1 + 0.01 * rng.normal(size=(SIZE, SIZE)))


def fibres(rng, pitch, fwhm, level):
    """Make spectra with emission lines, one above the other."""
    scene = np.full((SIZE, SIZE), 5.0)
    column = np.arange(SIZE)
    rows = (np.arange(SIZE * FINE) + 0.5)[:, None] / FINE
    width = fwhm / 2.355
    for number, centre in enumerate(np.arange(pitch / 2, SIZE, pitch)):
        flux = level * rng.lognormal(0, 0.5)
        spectrum = flux * (1 + 0.2 * np.sin(column / rng.uniform(20, 90) + number))
        for _ in range(rng.poisson(10)):
            place = rng.uniform(0, SIZE)
            line = np.exp(-0.5 * ((column - place) / width) ** 2)
            spectrum = spectrum + flux * rng.exponential(4) * line
        trace = centre + 0.004 * (column - SIZE / 2) + 8e-6 * (column - SIZE / 2) ** 2
        near = abs(rows[:, 0] - centre) < 10 + 6 * width
        profile = np.zeros((SIZE * FINE, SIZE))
        profile[near] = np.exp(-0.5 * ((rows[near] - trace) / width) ** 2)
        scene += spectrum * profile.reshape(SIZE, FINE, SIZE).mean(axis=1)
    return scene


def lamp(rng, fwhm, slit=14):
    """Make lines of a lamp through short slits, each with lines of its own."""
    scene = np.full((SIZE, SIZE), 5.0)
    width = fwhm / 2.355
    for centre in range(slit, SIZE, 2 * slit):
        inside = abs(Y - centre) < 0.4 * slit
        for _ in range(31):
            place = rng.uniform(0, SIZE) + 0.05 * (Y - centre)
            line = np.exp(-0.5 * ((X - place) / width) ** 2)
            scene += inside * 10 ** rng.uniform(1.5, 4.5) * line
    # The ends of slits are as sharp as the lines.
    return ndimage.gaussian_filter1d(scene, width, axis=0)


def points(rng, fwhm, number=250):
    """Make lines of a lamp through fibres: bright points, as sharp as the optics."""
    fine = np.zeros((SIZE * FINE, SIZE * FINE))
    places = tuple(rng.integers(0, SIZE * FINE, (2, number)))
    fine[places] = 10 ** rng.uniform(2.5, 5, number)
    return seen(fine, fwhm) + 5


def planet(level, fwhm):
    """Make a planet with bands, the shadow of a moon, and a ring."""
    y, x = np.mgrid[: SIZE * FINE, : SIZE * FINE] / FINE - SIZE / 2
    x = x - 30
    body = np.clip(1 - (np.hypot(y, x) / 150) ** 2, 0, None) ** 0.3
    body *= 1 + 0.2 * np.sin(y / 7) + 0.1 * np.sin(x / 5 + y / 9)
    body[np.hypot(y - 40, x) < 4] *= 0.2
    body += 0.5 * (abs(np.hypot(3 * y, x) - 220) < 6)
    return seen(level * body / FINE**2, fwhm) + 5


def satellite(level, fwhm):
    """Make a straight trail across the frame."""
    distance = (Y - 0.37 * X - 100) / np.hypot(1, 0.37)
    return 50 + level * np.exp(-0.5 * (distance / (fwhm / 2.355)) ** 2)


def filaments(rng, level):
    """Make thin filaments of a nebula, in a PSF of 2.4 px."""
    field = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)), 15)
    thin = level * np.exp(-0.5 * (field / (0.04 * field.std())) ** 2)
    return 50 + ndimage.gaussian_filter(thin, 1.0)


def dust(rng):
    """Make shadows of dust on the dewar window."""
    frame = np.full((SIZE, SIZE), 2000.0)
    for _ in range(12):
        radius = np.hypot(Y - rng.uniform(0, SIZE), X - rng.uniform(0, SIZE))
        frame *= 1 - 0.15 * ((radius > 12) & (radius < 20))
    return frame


def overscan(level):
    """Make a raw frame, with a strip on either side that no light fell on."""
    frame = np.full((SIZE, SIZE), float(level))
    frame[:, :24] = frame[:, -24:] = 0
    return frame


def field_stop(level):
    """Make a round field, with no light beyond."""
    inside = np.hypot(Y - SIZE / 2, X - SIZE / 2) < 0.45 * SIZE
    return ndimage.gaussian_filter(level * inside.astype(float), 2) + 1


def frames(rng):
    """Return noise-free frames by what is on them, in electron."""
    return {
        "plain sky": np.full((SIZE, SIZE), 50.0),
        "amplifiers 40 e apart": amplifiers(40, 1),
        "gains 30 % apart": amplifiers(0, 1.3),
        "overscan": overscan(1500),
        "round field": field_stop(1500),
        "fringes of 6 %": fringes(1500, 0.06),
        "flat field": flat(rng, 30000),
        "dust": dust(rng),
        "fibres 4 px apart, 1.8 px wide": fibres(rng, 4, 1.8, 400),
        "fibres 6 px apart, 2.2 px wide": fibres(rng, 6, 2.2, 400),
        "fibres 10 px apart, 3 px wide": fibres(rng, 10, 3, 3000),
        "orders 20 px apart, 1.8 px wide": fibres(rng, 20, 1.8, 3000),
        "lamp, slits, 1.8 px": lamp(rng, 1.8),
        "lamp, slits, 3 px": lamp(rng, 3),
        "lamp, fibres, 1.6 px": points(rng, 1.6),
        "lamp, fibres, 2.5 px": points(rng, 2.5),
        "planet, 3000 e, 1.5 px": planet(3000, 1.5),
        "planet, 30000 e, 2.5 px": planet(30000, 2.5),
        "satellite, 1.5 px": satellite(200, 1.5),
        "satellite, 3 px": satellite(200, 3),
        "filaments": filaments(rng, 800),
    }


def main():
    """Count as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=["universal", "ACS-WFC"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    models = {name: load_model(name, device="cpu") for name in options.models}
    libraries = deposit_libraries(options.data, 4242, "held out")
    deposits = [deposit for library in libraries for deposit in library][::7]
    rows, pictures = [], []
    for kind, clean in frames(np.random.default_rng(0)).items():
        rng = np.random.default_rng(5)
        charge = add_deposits(clean.astype(np.float32), deposits, rng, 150)
        noise = np.sqrt(clean + READNOISE**2)
        truth, ignore = label_charge(charge, noise, LabelThresholds(pixel=1.0))
        frame = rng.poisson(clean + charge) + rng.normal(0, READNOISE, clean.shape)
        frame = frame.astype(np.float32)
        row = {"frame": kind}
        for name, model in models.items():
            flagged = model.probability(frame) > model.card.threshold
            false = flagged & ~truth & ~ignore
            row[f"{Path(name).stem}: false px/Mpix"] = round(1e6 * false.mean())
            row[f"{Path(name).stem}: found %"] = round(100 * flagged[truth].mean(), 1)
            pictures.append((f"{kind}: {Path(name).stem}", frame, flagged, truth))
        rows.append(row)
    Table(rows).pprint_all()
    if options.picture:
        draw(pictures, options.picture)


def draw(pictures, path):
    """Draw frames beside what was found (grey), missed (red) and false (blue)."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(
        len(pictures), 2, figsize=(10, 5 * len(pictures)), layout="constrained"
    )
    for row, (title, frame, flagged, truth) in zip(axes, pictures, strict=True):
        low, high = np.percentile(frame, [1, 99])
        row[0].imshow(frame, vmin=low, vmax=high, cmap="gray", origin="lower")
        colours = np.zeros((*frame.shape, 3))
        colours[truth & flagged] = 0.6
        colours[truth & ~flagged] = (1, 0.3, 0.2)
        colours[flagged & ~truth] = (0.3, 0.6, 1)
        row[1].imshow(colours, origin="lower")
        row[0].set_title(title)
    plt.savefig(path, dpi=60)
    plt.close()


if __name__ == "__main__":
    main()
