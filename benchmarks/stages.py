"""Where the time of a frame goes, stage by stage, from one FITS file to another.

    python benchmarks/speed.py --profile [--sizes 4096x2048] [--threads 1]
                               [--scene crowded] [--model universal]

Functions are timed in the threads that call them, each without those it calls. "busy"
is the time of processors per second. The limits are what the stage would take at the
rates that are measured in the same run: convolutions at that of a large matrix product
in bfloat16, and the rest at that of a copy of memory.
"""

import functools
import importlib
import os
import sys
import tempfile
import threading
import time
import warnings

import numpy as np

#: What is timed, and to which stage it belongs.
STAGES = {
    "pipeline.saturation:exclude_saturated": "saturated stars",
    "preprocess.background:measure_background": "background and noise",
    "preprocess.star_width:measure_star_width": "width of stars",
    "preprocess.network_input:NetworkInput.read": "tiles: read",
    "preprocess.normalize:NoiseUnits.__call__": "tiles: scale",
    "models.engines.openvino_engine:OpenVINOEngine.__call__": "network",
    "models.engines.torch_engine:TorchEngine.compute": "network",
    "segmentation.hysteresis:threshold_levels": "mask",
    "pipeline.detect:finish_mask": "mask",
    "tiling.run:run_over_tiles": "tiles: the rest, waiting",
    "pipeline.fill:fill_frame": "fill: the rest, waiting",
    "inpainting.network:map_cutouts": "fill: cutouts, waiting",
    "inpainting.features:measure_block": "fill: star templates",
    "inpainting.features:compute_features": "fill: features",
    "inpainting.features:refine_features": "fill: template fits",
    "inpainting.local:limit_to_neighbours": "fill: limits",
    "inpainting.local:limit_to_pixel_value": "fill: limits",
    "pipeline.clean:clean_frame": "frame: the rest",
    "io.fits_file:FitsFile.__init__": "file: open",
    "io.fits_image:Image.read": "file: read",
    "io.fits_file:FitsFile.write": "file: write",
    "batch.digest:file_digest": "file: digest",
    "batch.job:run_job": "file: the rest",
}
#: How often a pixel is read and written, in numbers of 4 bytes, at the least.
PASSES = {
    "saturated stars": 1,
    "background and noise": 0.6,
    "width of stars": 1,
    "tiles: scale": 2,
    "mask": 1,
    "fill: star templates": 1,
    "file: read": 2,
    "file: write": 2,
    "file: digest": 1,
}


class Stopwatch:
    """Seconds of each stage, in all threads, without those of stages within it."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._lock, self._local = threading.Lock(), threading.local()

    def watch(self, function, stage):
        """Return a function that is timed."""

        @functools.wraps(function)
        def timed(*args, **kwargs):
            fills = stage == "network" and getattr(args[0], "takes_cutouts", False)
            inner = self._local.__dict__.setdefault("inner", [])
            inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                whole = time.perf_counter() - start
                own = whole - inner.pop()
                if inner:
                    inner[-1] += whole
                key = "fill: network" if fills else stage
                with self._lock:
                    self.seconds[key] = self.seconds.get(key, 0) + own

        return timed

    def install(self):
        """Put timed functions in the place of the package's."""
        for name, stage in STAGES.items():
            where, _, what = name.partition(":")
            owner = importlib.import_module(f"deepcr_ccd.{where}")
            *outer, last = what.split(".")
            for part in outer:
                owner = getattr(owner, part)
            function = getattr(owner, last)
            timed = self.watch(function, stage)
            setattr(owner, last, timed)
            for module in list(sys.modules.values()):
                if getattr(module, "__name__", "").startswith("deepcr_ccd"):
                    known = vars(module)
                    for names in (known, known.get("CUTOUT_TRANSFORMS", {})):
                        names |= {k: timed for k, v in names.items() if v is function}


def copy_rate():
    """Return how many bytes a second a copy reads and writes, in memory."""
    source = np.ones(2**25, dtype=np.float32)
    target = np.empty_like(source)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        target[:] = source
        times.append(time.perf_counter() - start)
    return 2 * source.nbytes / min(times)


def profile(data, model, threads, runs=5):
    """Print the time of each stage of a frame, in the median of some runs."""
    warnings.simplefilter("ignore")
    import torch
    from astropy.io import fits
    from speed import flops, peak

    from deepcr_ccd.cli import main as command

    torch.set_num_threads(1)
    operations, per_second = flops(model), 1e9 * peak()["bfloat16"]
    torch.set_num_threads(threads)
    watch = Stopwatch()
    watch.install()
    with tempfile.TemporaryDirectory() as folder:
        fits.PrimaryHDU(data).writeto(f"{folder}/frame.fits")
        job = ["clean", f"{folder}/frame.fits", "-o", f"{folder}/out", "--quiet"]
        found, walls, busy = [], [], []
        for _ in range(runs + 1):
            watch.seconds.clear()
            start, before = time.perf_counter(), os.times()
            command([*job, "--overwrite", "--model", model])
            walls.append(time.perf_counter() - start)
            now = os.times()
            busy.append(now.user + now.system - before.user - before.system)
            found.append(dict(watch.seconds))
    found, walls, busy = found[1:], walls[1:], busy[1:]
    wall = float(np.median(walls))
    print(
        f"\n{model}, {data.shape[1]}x{data.shape[0]} px, {threads} thread(s): "
        f"{wall:.3f} s, {np.median(busy) / wall:.2f} cores busy"
    )
    limits = {"network": operations * data.size / per_second}
    rate = copy_rate()
    limits |= {stage: 4 * n * data.size / rate for stage, n in PASSES.items()}
    print(
        f"a core computes {per_second / 1e9:.0f} GFLOP/s, copies {rate / 1e9:.1f} GB/s"
    )
    print(f"{'stage':28} {'ms':>7} {'share':>6} {'ns/px':>6} {'limit, ms':>9}")
    medians = {
        stage: float(np.median([one.get(stage, 0) for one in found]))
        for stage in dict.fromkeys([*STAGES.values(), "fill: network"])
    }
    total = sum(medians.values())
    for stage, seconds in medians.items():
        limit = f"{1e3 * limits[stage]:9.0f}" if stage in limits else ""
        print(
            f"{stage:28} {1e3 * seconds:7.1f} {100 * seconds / total:5.1f}% "
            f"{1e9 * seconds / data.size:6.2f} {limit}"
        )
    print(f"{'all threads':28} {1e3 * total:7.1f}")
