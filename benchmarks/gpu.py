"""Check and time deepcr_ccd on a GPU: one run of less than four minutes, all told.

    python benchmarks/gpu.py [--sizes 1024 2048 4096 8192 16384] [--budget 220]
                             [--models universal universal-fast] [--profile]
                             [--device cuda] [--quick] [--ecsv FILE]

In this order, as long as the budget of seconds lasts: agreement of the GPU with the
processor; what the card does at best; the network alone, from device memory; masks and
fills of frames of n x n px, from an array to an array, in stages too; batches of small
frames; tile sizes and precisions; other packages; PyTorch's compiler. Times are medians
of the runs after a first one. Jobs that are left out are named.

"From device memory" is a frame that is there already: its background and noise are
measured, it is prepared, and the network's levels stay there. "% of limit" is the rate
over what the operations or the memory traffic of the network's convolutions allow in
bfloat16, whichever is less, if no layer is joined with the next.

Without a GPU, ``--device cpu --sizes 512 --quick`` shows that the script runs.
"""

import argparse
import copy
import functools
import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from astropy.table import Table
from gpu_bench import (
    RESERVE,
    Bench,
    frame,
    limits,
    load,
    megapixels,
    prepare_on_device,
    roofline,
)

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability
from deepcr_ccd.models.engines import on_device
from deepcr_ccd.pipeline.detect import excluded_pixels, find_cosmic_rays, prepare_plane
from deepcr_ccd.preprocess.background import measure_background
from deepcr_ccd.preprocess.network_input import NetworkInput
from deepcr_ccd.preprocess.normalize import in_noise_units
from deepcr_ccd.preprocess.on_device.normalize import normalization_on_device
from deepcr_ccd.segmentation.hysteresis import Thresholds
from deepcr_ccd.tiling.tiles import plan_tiles
from deepcr_ccd.tiling.workers import choose_tile_size

SIZES = [1024, 2048, 4096, 8192, 16384]


def agreement(bench, names, size):
    """Print how masks and probabilities differ from those of the processor."""
    data = frame((size, size), "crowded")
    for name in names:
        for precision in ("float32", None):
            if not bench.has_time(f"agreement, {name}", 8 if bench.cuda else 1):
                return
            found = {}
            for label, device, on in (
                ("processor", "cpu", False),
                ("device", bench.device, True),
                ("device, prepared by the processor", bench.device, False),
            ):
                prepare_on_device(bench, on)
                model = load(name, bench, device, precision)
                mask = cosmicray_deepcr(data, model=model, inpaint=None)[1]
                found[label] = mask, cosmicray_probability(data, model=model)
            mask, probability = found.pop("processor")
            for label, (other, its) in found.items():
                differ, largest = mask != other, np.abs(probability - its).max()
                print(
                    f"agreement, {name}, {model.precision}, {label}: {differ.sum()} of "
                    f"{mask.sum()} flagged pixels differ, probabilities by up to "
                    f"{largest:.2g}",
                    flush=True,
                )
    prepare_on_device(bench)


def network_alone(bench, name, sizes):
    """Time the network on tensors that are on the device."""
    for precision in ("bfloat16", "float16", "float32"):
        # Half precision is not one of the package's; the weights are those of float32.
        known = "float32" if precision == "float16" else precision
        dtype = getattr(torch, precision)
        engine = load(name, bench, precision=known).engine_for()
        network = engine.network
        if precision == "float16":
            if not bench.cuda:
                continue
            network = copy.deepcopy(network).half()
        for size in sizes if precision == "bfloat16" else sizes[:1]:
            x = torch.randn(1, 1, size, size, device=bench.device).to(
                dtype, memory_format=torch.channels_last
            )
            label = f"{name}, network, {precision}, {size}"
            run = torch.inference_mode()(functools.partial(network, x))
            bench.job(label, megapixels(size), run, "network")
            if bench.cuda:
                torch.backends.cudnn.benchmark = True
                bench.job(f"{label}, cuDNN tuned", megapixels(size), run, "network")
                torch.backends.cudnn.benchmark = False
                graph = capture(run, label)
                if graph:
                    what = f"{label}, CUDA graph"
                    bench.job(what, megapixels(size), graph.replay, "network")
            del x


def capture(run, label):
    """Return a CUDA graph of a function, or None if it cannot be captured."""
    try:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
    except Exception as error:
        print(f"{label}: no CUDA graph: {str(error)[:200]}", flush=True)
        return None
    return graph


def from_device_memory(bench, model, name, size):
    """Time all that is done to a frame that is on the device, but for its results."""
    source = NetworkInput(frame((size, size)))
    on_device.use_device(source, None, bench.device)
    there = source.device_frame
    if there is None:
        print(f"{name}, from device memory, {size}: not copied", flush=True)
        return
    network = model.network
    core = choose_tile_size(bench.device, network.radius, (size, size))
    where = {"halo": network.halo, "stride": network.stride}
    tiles = plan_tiles((size, size), core, reflect=False, **where)
    engine = model.engine_for()

    @torch.inference_mode()
    def run(units=None):
        units = units or in_noise_units(source, None)
        prepare = normalization_on_device(units, bench.device)
        function = on_device.DeviceTiles(there, prepare, engine, (), (0.2, 0.5, 0.9))
        for tile in tiles:
            function.compute(tile, there)

    mpx, label = megapixels(size), f"{name}, from device memory"
    bench.job(f"{label}, {size}", mpx, run, label)
    known = functools.partial(run, in_noise_units(source, None))
    bench.job(f"{label}, {size}, noise known", mpx, known, label)
    measure = functools.partial(measure_background, source)
    bench.job(f"background and noise on the device, {size}", mpx, measure, "measure")


def stages(bench, model, size):
    """Time the stages of a mask, one after another."""
    data, mpx = frame((size, size)), megapixels(size)
    bad = excluded_pixels(data, None, None)

    def job(what, function):
        return bench.job(f"stage: {what}, {size}", mpx, function, f"stage {what}")

    job("excluded pixels", lambda: excluded_pixels(data, None, None))
    job(
        "copy to the device",
        lambda: on_device.copy_to_device(NetworkInput(data), bench.device),
    )
    job("copy, background and noise", lambda: prepare_plane(data, bad, model))
    prepared = prepare_plane(data, bad, model)
    cuts = Thresholds(0.5, 0.2)
    job(
        "network, levels and mask",
        lambda: find_cosmic_rays(data, bad, model, cuts, prepared=prepared),
    )


def frames(bench, models, sizes):
    """Time masks and fills of frames in the machine's memory."""
    for size in sizes:
        data, mpx = frame((size, size)), megapixels(size)
        for name, model in models.items():
            for label, inpaint in (("mask", None), ("mask and fill", "auto")):
                job = functools.partial(
                    cosmicray_deepcr, data, model=model, inpaint=inpaint
                )
                kind = f"{name}, {label}"
                bench.job(f"{kind}, {size}", mpx, job, kind)
        if size > 4096:
            continue
        prepare_on_device(bench, False)
        name, model = next(iter(models.items()))
        job = functools.partial(cosmicray_deepcr, data, model=model, inpaint=None)
        kind = f"{name}, mask, prepared by the processor"
        bench.job(f"{kind}, {size}", mpx, job, kind)
        prepare_on_device(bench)


def batches(bench, model, size, number):
    """Time many small frames, by several threads."""
    every = [np.roll(frame((size, size)), 7 * k, axis=1) for k in range(number)]

    def find(data):
        return cosmicray_deepcr(data, model=model, inpaint=None)[1].sum()

    for threads in sorted({1, 4, 8, os.cpu_count() or 1}):
        with ThreadPoolExecutor(threads) as pool:
            what = f"batch, {number} of {size}, threads: {threads}"
            bench.job(
                what,
                number * megapixels(size),
                lambda pool=pool: list(pool.map(find, every)),
                "batch",
                number,
                runs=1,
            )


def tile_sizes(bench, name, size):
    """Time masks with tiles of several sizes, in several precisions."""
    data, mpx = frame((size, size)), megapixels(size)
    for precision in ("bfloat16", "float32"):
        model = load(name, bench, precision=precision)
        for tile in sorted({t for t in (512, 1024, 2048, 4096) if t < size} | {size}):
            bench.job(
                f"{name}, mask, {size}, {precision}, tiles of {tile}",
                mpx,
                functools.partial(
                    cosmicray_deepcr, data, model=model, inpaint=None, tile_size=tile
                ),
                f"{name}, mask",
            )


def baselines(bench, sizes):
    """Time other packages that are installed."""

    def astroscrappy():
        from astroscrappy import detect_cosmics

        return detect_cosmics

    def deepcr():
        from deepCR import deepCR

        model = deepCR(mask="ACS-WFC", device="GPU" if bench.cuda else "CPU")
        run = functools.partial(model.clean, inpaint=False, segment=True, patch=1024)
        return torch.inference_mode()(run)

    def dfcosmic():
        from dfcosmic import lacosmic

        where = str(bench.device)
        return functools.partial(lacosmic, gain=1, readnoise=6.5, device=where)

    found = {
        "astroscrappy, on the processor": astroscrappy,
        "deepCR": deepcr,
        "dfcosmic": dfcosmic,
    }
    for label, make in found.items():
        try:
            function = make()
        except Exception as error:
            print(f"{label}: {type(error).__name__}: {str(error)[:200]}", flush=True)
            continue
        bench.seconds_per_mpx[label] = 0.5
        for size in sizes:
            run = functools.partial(function, frame((size, size)))
            bench.job(f"{label}, {size}", megapixels(size), run, label, runs=1)


def compiled(bench, name, size):
    """Time the network compiled by PyTorch, which takes a while."""
    if not bench.has_time(f"{name}, network, torch.compile", 60):
        return
    network = load(name, bench).engine_for().network
    x = torch.randn(1, 1, size, size, device=bench.device).to(
        next(network.parameters()).dtype, memory_format=torch.channels_last
    )
    for mode in ("default", "max-autotune-no-cudagraphs"):
        if not bench.has_time(f"{name}, network, torch.compile, {mode}", 40):
            return
        start = time.perf_counter()
        try:
            run = torch.inference_mode()(
                functools.partial(torch.compile(network, mode=mode), x)
            )
            run()
            bench.sync()
        except Exception as error:
            print(f"torch.compile, {mode}: {str(error)[:200]}", flush=True)
            continue
        print(f"torch.compile, {mode}: {time.perf_counter() - start:.1f} s once")
        what = f"{name}, network, {size}, torch.compile, {mode}"
        bench.job(what, megapixels(size), run, "network")


def profiled(bench, model, size):
    """Print where the time of a mask goes, by PyTorch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    data = frame((size, size))
    kinds = [ProfilerActivity.CPU]
    if bench.cuda:
        kinds.append(ProfilerActivity.CUDA)
    with profile(activities=kinds) as found:
        cosmicray_deepcr(data, model=model, inpaint=None)
        bench.sync()
    by = "device_time_total" if bench.cuda else "cpu_time_total"
    print(
        found.key_averages().table(sort_by=by, row_limit=25, max_name_column_width=60)
    )


def main(arguments=None):
    """Run all of it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--models", nargs="+", default=["universal", "universal-fast"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--budget", type=float, default=220, help="seconds")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="small, to try the script")
    parser.add_argument("--profile", action="store_true", help="PyTorch's profiler too")
    parser.add_argument("--ecsv", help="write the table to this file")
    options = parser.parse_args(arguments)
    bench = Bench(options)
    usual = on_device.DEVICE_TYPES
    try:
        measure(bench, options)
    finally:
        on_device.DEVICE_TYPES = usual
    names = ("job", "ms", "frames/s", "Mpx/s", "% of limit", "MB_on_device")
    table = Table(rows=bench.rows, names=names)
    for name in names[1:]:
        table[name].format = ".4g"
    table.pprint_all()
    if bench.left_out:
        print("left out, for want of time:", *bench.left_out, sep="\n    ")
    if options.ecsv:
        table.write(options.ecsv, format="ascii.ecsv", overwrite=True)


def measure(bench, options):
    """Run the jobs in their order."""
    quick, device = options.quick, bench.device
    card = torch.cuda.get_device_name(device) if bench.cuda else "no GPU"
    print(
        f"{card}, torch {torch.__version__}; {os.cpu_count()} cores, "
        f"{platform.processor() or platform.machine()}",
        flush=True,
    )
    prepare_on_device(bench)
    first = options.models[0]
    small = min(options.sizes) if quick else 2048
    middle = [size for size in options.sizes if size <= 4096] or options.sizes[:1]
    agreement(bench, options.models[:1] if quick else options.models, small)
    best = limits(bench, quick)
    for name in options.models:
        roofline(bench, name, best)
        network_alone(bench, name, [small] if quick else [2048, 1024, 4096])
    models = {name: load(name, bench) for name in options.models}
    for size in middle:
        from_device_memory(bench, models[first], first, size)
    stages(bench, models[first], middle[-1])
    bench.reserve = 0 if quick else RESERVE
    frames(bench, models, options.sizes)
    bench.reserve = 0
    batches(bench, models[first], *((256, 4) if quick else (1024, 64)))
    if options.profile:
        profiled(bench, models[first], middle[-1])
    baselines(bench, [256] if quick else middle[-2:])
    tile_sizes(bench, first, middle[-1])
    if not quick:
        compiled(bench, first, 2048)


if __name__ == "__main__":
    main()
