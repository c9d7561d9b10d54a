"""Time deepcr_ccd on a GPU beside astroscrappy on the processor, in one process.

    python benchmarks/gpu.py [--sizes 2048 4096 8192] [--runs 5] [--ecsv FILE]

Prints the median of the runs, after a first one, of frames of n x n px: from an array
in the machine's memory to a mask (and filled pixels) in it. The masks of GPU and
processor are compared on the smallest frame.
"""

import argparse
import functools
import os
import platform
import statistics
import time

import numpy as np
import torch
from astropy.table import Table
from astroscrappy import detect_cosmics
from speed import frame

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability, load_model

#: What is timed: the model, and whether CR-affected pixels are filled.
JOBS = {
    "universal, mask": ("universal", None),
    "universal, mask and fill": ("universal", "auto"),
    "universal-fast, mask": ("universal-fast", None),
    "universal-thorough, mask": ("universal-thorough", None),
    "ACS-WFC, mask": ("ACS-WFC", None),
}


def seconds(function, data, runs):
    """Return the median time of a function on a frame, and that of its first run."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        function(data)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]), times[0]


def agreement(names):
    """Print how masks and probabilities of GPU and processor differ."""
    data = frame((2048, 2048), "crowded")
    for name in names:
        masks, maps = [], []
        for device in ("cpu", "cuda"):
            model = load_model(name, device=device)
            masks.append(cosmicray_deepcr(data, model=model, inpaint=None)[1])
            maps.append(cosmicray_probability(data, model=model))
        differ, largest = masks[0] != masks[1], np.abs(maps[0] - maps[1]).max()
        print(
            f"{name}: of {masks[0].sum()} flagged pixels {differ.sum()} differ between "
            f"GPU and processor; probabilities by up to {largest:.3f}"
        )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2048, 4096, 8192])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--models", nargs="+", help="leave out jobs of other models")
    parser.add_argument("--ecsv", help="write the table to this file")
    options = parser.parse_args()
    jobs = {
        label: job
        for label, job in JOBS.items()
        if options.models is None or job[0] in options.models
    }
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}; "
        f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}"
    )
    agreement(dict.fromkeys(name for name, _ in jobs.values()))
    models = {name: load_model(name, device="cuda") for name, _ in jobs.values()}
    rows = []
    for size in options.sizes:
        data = frame((size, size))
        baseline, _ = seconds(detect_cosmics, data, 1)
        rows.append(("astroscrappy", size, baseline, np.nan, 1.0, np.nan))
        for label, (name, inpaint) in jobs.items():
            torch.cuda.reset_peak_memory_stats()
            find = functools.partial(
                cosmicray_deepcr, model=models[name], inpaint=inpaint, device="cuda"
            )
            median, first = seconds(find, data, options.runs)
            memory = torch.cuda.max_memory_allocated() / 1e6
            rows.append((label, size, median, first, baseline / median, memory))
    names = ("job", "size", "seconds", "first", "vs_astroscrappy", "MB_on_gpu")
    table = Table(rows=rows, names=names)
    table["Mpx/s"] = table["size"] ** 2 / table["seconds"] / 1e6
    for name in ("seconds", "first", "vs_astroscrappy", "MB_on_gpu", "Mpx/s"):
        table[name].format = ".4g"
    table.pprint_all()
    if options.ecsv:
        table.write(options.ecsv, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
