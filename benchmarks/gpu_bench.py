"""For gpu.py: jobs in a budget of seconds, their table, and the limits of a card."""

import functools
import statistics
import time

import numpy as np
import torch
from speed import flops
from speed import frame as make_frame

from deepcr_ccd import load_model
from deepcr_ccd.models.engines import on_device

#: Seconds per megapixel that a job is expected to take, where nothing is known yet.
GUESS = {"cuda": 0.03, "cpu": 1.0}
#: Jobs that take more seconds than this run once after their first run. While frames
#: are timed, this many seconds are kept for what comes after.
LONG, RESERVE = 5, 70


class Bench:
    """Jobs that run while the budget lasts, and a table of what they took."""

    def __init__(self, options):
        self.device = torch.device(options.device)
        self.cuda = self.device.type == "cuda"
        self.runs = 1 if options.quick else options.runs
        self.end = time.perf_counter() + options.budget
        self.reserve = 0
        #: What the card allows, in Mpx/s, by model.
        self.limits = {}
        self.rows, self.left_out = [], []
        self.seconds_per_mpx = {}

    def sync(self):
        """Wait for the GPU."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def has_time(self, what, expected):
        """Tell whether a job of so many seconds fits into the budget."""
        fits = time.perf_counter() + expected < self.end - self.reserve
        if not fits:
            self.left_out.append(what)
        return fits

    def time(self, function, runs=None):
        """Return the median time in seconds, after a first run."""
        times = []
        for _ in range((runs or self.runs) + 1):
            self.sync()
            start = time.perf_counter()
            function()
            self.sync()
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:])

    def job(self, what, mpx, function, kind=None, frames=1, runs=None):
        """Time a job if there is time for it, and print what it took."""
        kind = kind or what
        runs = runs or self.runs
        expected = 1.2 * mpx * self.seconds_per_mpx.get(kind, GUESS[self.device.type])
        if expected > LONG:
            runs = 1
        if not self.has_time(what, expected * (runs + 1)):
            return
        try:
            if self.cuda:
                torch.cuda.reset_peak_memory_stats(self.device)
            seconds = self.time(function, runs)
            memory = (
                torch.cuda.max_memory_allocated(self.device) / 1e6 if self.cuda else 0
            )
        except Exception as error:
            print(f"{what}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            return
        self.seconds_per_mpx[kind] = seconds / mpx
        rate, limit = mpx / seconds, self.limits.get(what.partition(",")[0], np.nan)
        self.rows.append(
            (what, 1e3 * seconds, frames / seconds, rate, 100 * rate / limit, memory)
        )
        print("{}: {:.4g} ms, {:.4g} frames/s, {:.4g} Mpx/s".format(*self.rows[-1]))


@functools.lru_cache(maxsize=2)
def frame(shape, scene="sparse"):
    """Return a simulated frame, which is kept for the next job."""
    return make_frame(shape, scene)


def megapixels(size):
    """Return the megapixels of a frame of size x size px."""
    return size**2 / 1e6


def load(name, bench, device=None, precision=None):
    """Return a model that PyTorch runs, on the device unless another is given."""
    device = bench.device if device is None else device
    return load_model(name, device=device, precision=precision, engine="torch")


def prepare_on_device(bench, on=True):
    """Prepare frames on the device, or in the machine's memory, from now on."""
    on_device.DEVICE_TYPES = {bench.device.type} if on else set()


def limits(bench, quick):
    """Print and return what the card does at best: operations and bytes a second."""
    n = 512 if quick else 8192
    best = {}
    for dtype in (torch.bfloat16, torch.float32):
        a = torch.randn(n, n, device=bench.device).to(dtype)
        best[dtype] = 2 * n**3 / bench.time(functools.partial(torch.matmul, a, a))
    large = torch.zeros(n // 64 * 2**20, device=bench.device)
    other = torch.empty_like(large)
    size = large.numel() * 4
    # Read and written.
    best["memory"] = 2 * size / bench.time(lambda: other.copy_(large))
    here = torch.empty(large.shape, pin_memory=bench.cuda)
    best["pinned"] = size / bench.time(lambda: other.copy_(here, non_blocking=True))
    pageable = torch.zeros(large.shape)
    best["pageable"] = size / bench.time(lambda: other.copy_(pageable))
    print(
        f"at best: matrix products {best[torch.bfloat16] / 1e12:.4g} TFLOP/s in "
        f"bfloat16, {best[torch.float32] / 1e12:.4g} in float32; copies "
        f"{best['memory'] / 1e9:.4g} GB/s within the device, from memory "
        f"{best['pinned'] / 1e9:.4g} GB/s (pinned), {best['pageable'] / 1e9:.4g} GB/s",
        flush=True,
    )
    return best


def traffic(network):
    """Return the values that convolutions read and write, per pixel."""
    total = 0

    def count(_, given, made):
        nonlocal total
        total += given[0].numel() + made.numel()

    hooks = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if hasattr(layer, "weight")
    ]
    parameter = next(network.parameters())
    with torch.inference_mode():
        network(parameter.new_zeros(1, 1, 256, 256))
    for hook in hooks:
        hook.remove()
    return total / 256**2


def roofline(bench, name, best):
    """Find what the card allows a network in bfloat16, and print it."""
    network = load(name, bench, precision="bfloat16").engine_for().network
    operations, size = flops(name), 2 * traffic(network)
    compute = best[torch.bfloat16] / operations / 1e6
    memory = best["memory"] / size / 1e6
    bench.limits[name] = min(compute, memory)
    print(
        f"{name}: {operations:.0f} operations and {size:.0f} bytes a pixel, if no "
        f"layer is joined with the next, allow {compute:.4g} and {memory:.4g} Mpx/s; "
        f"copies of float32 to the device {best['pinned'] / 4e6:.4g} Mpx/s",
        flush=True,
    )
