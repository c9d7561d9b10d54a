"""Measure which input scale suits deepCR's inpainting networks, 100 or 1.

CR-affected pixels are simulated on frames whose values under them are known, filled by
each method, and compared. Prints the root mean square error in electron, and the
median absolute error, for a simulated star field and for the real frames that are
there (see DEEPCR_CCD_DATA).

    python benchmarks/inpaint_scale.py
"""

import dataclasses
import os
from pathlib import Path

import numpy as np

from deepcr_ccd import load_model
from deepcr_ccd.demo import simulate
from deepcr_ccd.io.fits_file import FitsFile
from deepcr_ccd.models.model import Model
from deepcr_ccd.pipeline.fill import Fill, fill_frame

DATA = Path(os.environ.get("DEEPCR_CCD_DATA", "../shared/data"))
REAL = {
    "WFC3/UVIS star trails": "hst_wfc3_uvis/ibo821kvq_flt.fits",
    "ACS/HRC 47 Tuc": "hst_acs_hrc/j8bt06nyq_flt.fits.gz",
}
METHODS = ("median", "mean", "idw", "interpolate")
NETWORKS = ("ACS-WFC-F606W-2-32", "ACS-WFC-F606W-3-32")


def rescaled(model: Model, scale: float) -> Model:
    """Return the model with another input scale."""
    card = dataclasses.replace(model.card, transform_arguments={"scale": scale})
    return Model(card, model.network)


def tracks(shape, rng, n):
    """Return a mask of straight tracks, 1 to 3 px wide."""
    mask = np.zeros(shape, dtype=bool)
    for _ in range(n):
        angle, length = rng.uniform(0, np.pi), rng.exponential(6) + 1
        steps = np.arange(0, length, 0.5)
        y = (rng.uniform(0, shape[0]) + steps * np.sin(angle)).astype(int)
        x = (rng.uniform(0, shape[1]) + steps * np.cos(angle)).astype(int)
        for dy, dx in [(0, 0), (0, 1), (1, 0)][: rng.integers(1, 4)]:
            inside = (y + dy < shape[0]) & (x + dx < shape[1]) & (x + dx >= 0)
            mask[y[inside] + dy, x[inside] + dx] = True
    return mask


def main():
    """Measure and print."""
    rng = np.random.default_rng(0)
    frames = {
        "simulated stars": (
            simulate((1024, 1024), n_stars=1500, n_tracks=0, seed=3).data,
            None,
        )
    }
    for name, path in REAL.items():
        if (DATA / path).is_file():
            ccd = FitsFile(DATA / path, bad_bits=~8192).images[0].read()
            found = load_model("ACS-WFC").probability(np.asarray(ccd.data, np.float32))
            frames[name] = ccd.data, ccd.mask | (found > 0.1)
    for name, (data, bad) in frames.items():
        data = np.asarray(data, dtype=np.float32)
        bad = np.zeros(data.shape, dtype=bool) if bad is None else bad
        targets = tracks(data.shape, rng, data.size // 2000) & ~bad
        print(f"\n{name}: {targets.sum()} px filled")
        fills = {method: Fill(method) for method in METHODS}
        for network in NETWORKS:
            for scale in (100, 1):
                model = rescaled(load_model(network, task="inpaint"), scale)
                fills[f"{network} at /{scale}"] = Fill("network", model)
        universal = load_model("universal-inpaint")
        fills["universal-inpaint"] = Fill("network", universal)
        affected = data.copy()
        affected[targets] += 2000
        for method, fill in fills.items():
            value, _ = fill_frame(affected, targets, bad, fill)
            error = value - data[targets]
            print(
                f"  {method:28} rms {np.sqrt(np.mean(error**2)):8.2f}  "
                f"median |error| {np.median(np.abs(error)):7.2f}"
            )


if __name__ == "__main__":
    main()
