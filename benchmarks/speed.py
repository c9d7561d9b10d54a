"""Time deepcr_ccd and the baselines, each job in a process of its own.

Prints a table: seconds (median and range of the runs, each the median of the second to
the fourth frame of a process; and the median of the first), ratio to astroscrappy,
Mpix/s, and the peak of memory above that of the process before its first frame. The
jobs take turns, so that all see the same machine.

    python benchmarks/speed.py [--sizes 1024x1024 4096x2048] [--scene crowded]
                               [--runs 3] [--threads 2] [--jobs NAME ...]
                               [--ecsv FILE]

With --profile it prints the time of each stage, from file to file, see stages.py.

The fraction of the machine's peak is that of the models' convolutions in bfloat16,
against a large matrix product in it, measured in the same run.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

SIZES = ["1024x1024", "4096x2048", "8192x8192"]
#: Width in px of the simulated tiles of a frame, and how many are different.
TILE, MAX_TILES = 512, 32
#: Frames that a process is timed on, after the first.
LATER = 3


def frame(shape, scene="sparse"):
    """Return a field with tracks, of simulated tiles, in electrons.

    Were they all the same, their brightest pixels would be equal, as those of saturated
    stars are. So there are many, and with noise where they are used again.
    """
    from deepcr_ccd.demo import simulate

    rng = np.random.default_rng(7)
    rows, columns = (-(-n // TILE) for n in shape)
    light = np.zeros((TILE, TILE))
    if scene == "crowded":
        from deepcr_ccd.simulation.scenes import make_scene

        light = make_scene(rng, TILE, "cluster")
    tiles = [
        simulate(light.shape, n_stars=150, n_tracks=40, seed=7 + number).data
        + rng.poisson(light)
        for number in range(min(rows * columns, MAX_TILES))
    ]
    data = np.empty((TILE * rows, TILE * columns), dtype=np.float32)
    for number in range(rows * columns):
        y, x = (TILE * place for place in divmod(number, columns))
        again, which = divmod(number, MAX_TILES)
        noise = rng.normal(0, 1, light.shape) if again else 0
        data[y : y + TILE, x : x + TILE] = tiles[which] + noise
    return data[: shape[0], : shape[1]].copy()


def job_mask(name="ACS-WFC", **how):
    """Return a function that finds cosmic rays without filling."""
    from deepcr_ccd import cosmicray_deepcr, load_model

    model = load_model(name, device="cpu", **how)
    return lambda x: cosmicray_deepcr(x, model=model, inpaint=None)


def job_detect():
    """Return the function with astroscrappy's signature."""
    from deepcr_ccd import detect_cosmics

    return lambda x: detect_cosmics(x, device="cpu")


def job_file(model="universal"):
    """Return the whole command, from one FITS file to another."""
    from astropy.io import fits

    from deepcr_ccd.cli import main as command

    folder = tempfile.mkdtemp()

    def run(x):
        path = os.path.join(folder, f"{x.shape[0]}.fits")
        fits.PrimaryHDU(x).writeto(path, overwrite=True)
        start = time.perf_counter()
        how = ["--model", model, "--overwrite", "--quiet"]
        command(["clean", path, "-o", folder + "/out", *how])
        return time.perf_counter() - start

    return run


def job_lacosmic():
    """Return lacosmic with L.A.Cosmic's usual parameters."""
    from lacosmic import lacosmic

    return lambda x: lacosmic(x, 2, 5, 4.5, effective_gain=1, readnoise=6.5)


def job_cosmic_conn():
    """Return Cosmic-CoNN's model for ground-based images."""
    from cosmic_conn import init_model

    return init_model("ground_imaging").detect_cr


def job_clean(model="ACS-WFC", inpaint="median"):
    """Return a function that finds and fills."""
    from deepcr_ccd import cosmicray_deepcr

    return lambda x: cosmicray_deepcr(x, model=model, inpaint=inpaint, device="cpu")


def job_deepcr(patch):
    """Return deepCR's own function, mask only."""
    from deepCR import deepCR

    model = deepCR(mask="ACS-WFC")
    return lambda x: model.clean(x, inpaint=False, segment=True, patch=patch)


def job_astroscrappy():
    """Return astroscrappy with its defaults."""
    from astroscrappy import detect_cosmics

    return detect_cosmics


def job_ccdproc():
    """Return ccdproc's function for it."""
    from ccdproc import cosmicray_lacosmic

    return cosmicray_lacosmic


JOBS = {
    "astroscrappy": job_astroscrappy,
    "ccdproc": job_ccdproc,
    "deepCR, patch 1024": lambda: job_deepcr(1024),
    "deepCR, patch 256": lambda: job_deepcr(256),
    "lacosmic": job_lacosmic,
    "Cosmic-CoNN": job_cosmic_conn,
    "universal, mask": lambda: job_mask("universal"),
    "universal, mask, torch": lambda: job_mask("universal", engine="torch"),
    "universal, mask, int8": lambda: job_mask("universal", precision="int8"),
    "universal, mask, float32": lambda: job_mask("universal", precision="float32"),
    "universal, detect_cosmics": job_detect,
    "universal, file to file": job_file,
    "universal, mask and fill": lambda: job_clean("universal", "auto"),
    "universal-fast, mask": lambda: job_mask("universal-fast"),
    "universal-fast, mask, torch": lambda: job_mask("universal-fast", engine="torch"),
    "universal-fast, mask, int8": lambda: job_mask("universal-fast", precision="int8"),
    "universal-fast, file to file": lambda: job_file("universal-fast"),
    "universal-fast, mask and fill": lambda: job_clean("universal-fast", "auto"),
    "universal-thorough, mask": lambda: job_mask("universal-thorough"),
    "ACS-WFC, mask": job_mask,
    "ACS-WFC, mask, torch": lambda: job_mask(engine="torch"),
    "ACS-WFC, mask, float32": lambda: job_mask(precision="float32"),
    "ACS-WFC, mask and fill": job_clean,
}


class Peak:
    """The peak of resident memory, in MB, while it is watched."""

    def __enter__(self):
        self._stop = threading.Event()
        self.peak = self._now()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    @staticmethod
    def _now():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 1e6

    def _watch(self):
        while not self._stop.wait(0.005):
            self.peak = max(self.peak, self._now())


def peak():
    """Return what the machine computes at best, in GFLOP/s, by precision."""
    import torch

    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a = torch.randn(2048, 2048).to(dtype)
        a @ a
        times = []
        for _ in range(5):
            start = time.perf_counter()
            a @ a
            times.append(time.perf_counter() - start)
        found[name] = 2 * 2048**3 / min(times) / 1e9
    return found


def flops(name):
    """Return the floating-point operations of a model's convolutions, a pixel."""
    import torch

    from deepcr_ccd import load_model

    network = load_model(name, device="cpu", precision="float32").network
    total = 0

    def count(layer, given, made):
        nonlocal total
        up = isinstance(layer, torch.nn.ConvTranspose2d)
        total += 2 * layer.weight.numel() * (given[0] if up else made)[0, 0].numel()

    for layer in network.modules():
        if hasattr(layer, "weight"):
            layer.register_forward_hook(count)
    network(torch.zeros(1, 1, 256, 256))
    return total / 256**2


def work(name, path, threads):
    """Run one job on the frame of a file, and print what it took as JSON."""
    import warnings

    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(threads)
    data = np.load(path)
    function = JOBS[name]()
    function(data[:128, :128].copy())

    def timed():
        start = time.perf_counter()
        inside = function(data)
        seconds = time.perf_counter() - start
        # A file's time is without writing the input.
        return inside if name.endswith("file to file") else seconds

    with Peak() as memory:
        before = memory.peak
        first = timed()
    # Slow jobs vary little.
    later = statistics.median(timed() for _ in range(LATER if first < 2 else 1))
    found = {"seconds": later, "first": first, "memory": memory.peak - before}
    print(json.dumps(found))


def main():
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="NXxNY")
    parser.add_argument("--scene", choices=["sparse", "crowded"], default="sparse")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--jobs", nargs="+", default=list(JOBS), choices=list(JOBS))
    parser.add_argument("--ecsv", help="write the table to this file")
    parser.add_argument("--profile", action="store_true", help="time each stage")
    parser.add_argument("--model", default="universal", help="the one to profile")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not all(re.fullmatch(r"\d+x\d+", size) for size in options.sizes):
        parser.error("argument --sizes: must be like 4096x2048, in px")
    if options.work:
        work(*options.work, options.threads)
        return
    if options.profile:
        from stages import profile

        for size in options.sizes:
            shape = tuple(int(n) for n in size.split("x"))[::-1]
            profile(frame(shape, options.scene), options.model, options.threads)
        return

    from astropy.table import Table

    rows = []
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    for size in options.sizes:
        results = {name: [] for name in options.jobs}
        nx, ny = (int(n) for n in size.split("x"))
        with tempfile.NamedTemporaryFile(suffix=".npy") as file:
            np.save(file.name, frame((ny, nx), options.scene))
            for _ in range(options.runs):
                for name in options.jobs:
                    command = [sys.executable, __file__, "--work", name, file.name]
                    command += ["--threads", str(options.threads)]
                    done = subprocess.run(
                        command, capture_output=True, text=True, env=environment
                    )
                    if done.returncode:
                        print(f"{name}: {done.stderr.strip().splitlines()[-1]}")
                        continue
                    results[name].append(json.loads(done.stdout.splitlines()[-1]))
        seconds = {n: [r["seconds"] for r in runs] for n, runs in results.items()}
        reference = seconds.get("astroscrappy")
        for name, times in seconds.items():
            if not times:
                continue
            median = statistics.median(times)
            rows.append(
                {
                    "frame": size,
                    "job": name,
                    "seconds": round(median, 3),
                    "range": f"{min(times):.2f}-{max(times):.2f}",
                    "first": round(
                        statistics.median(r["first"] for r in results[name]), 3
                    ),
                    "vs_astroscrappy": round(statistics.median(reference) / median, 2)
                    if reference
                    else np.nan,
                    "Mpix/s": round(nx * ny / median / 1e6, 2),
                    "MB": round(max(r["memory"] for r in results[name])),
                }
            )
            print(*rows[-1].values(), sep=" | ", flush=True)
    table = Table(rows)
    best = peak()
    print(
        f"\npeak, GFLOP/s: {best['float32']:.0f} in float32, "
        f"{best['bfloat16']:.0f} in bfloat16"
    )
    for row in rows:
        name, _, what = row["job"].partition(", ")
        if what == "mask":
            fraction = row["Mpix/s"] * 1e-3 * flops(name) / best["bfloat16"]
            print(f"{row['job']}, {row['frame']}: {100 * fraction:.0f} % of the peak")
    table.pprint_all()
    if options.ecsv:
        table.write(options.ecsv, format="ascii.ecsv", overwrite=True)


if __name__ == "__main__":
    main()
