"""Trials of endurance and attacks: killed runs, a full disk, damaged files and models.

    python benchmarks/reliability.py kill [--files 200] [--kills 50]
    python benchmarks/reliability.py soak [--frames 1000]
    python benchmarks/reliability.py batch [--files 200]
    python benchmarks/reliability.py disk --small FOLDER
    python benchmarks/reliability.py dask [--files 200]
    python benchmarks/reliability.py ATTACK [--number N] [--output TABLE.ecsv]

``kill`` ends a batch with SIGKILL again and again at random moments, takes it up with
``--resume``, and checks that no output is ever half-written and none is lost in the
end. ``soak`` cleans frames in one process and reports how its memory grows. ``batch``
times a batch of files against a plain loop of read, clean and write.

Attacks are ``fuzz`` (damaged files among good ones), ``bad-neighbours`` (one file of
each kind that is no frame), ``originals`` (results that would replace inputs), ``fork``
(children of a process that has used the models), ``sizes`` (memory over thousands of
frame sizes), ``models`` (model files made to harm) and ``all`` of these. Each prints
rows of a table, and the exit status is 1 if anything went wrong. ``--output`` puts them
into a table, in place of the rows of an earlier run. ``--keep FOLDER`` leaves damaged
files there.
"""

import argparse
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import Table
from attack_engines import fork, sizes
from attack_models import models
from attack_originals import originals
from attacks import COLUMNS, bad_neighbours, fuzz

from deepcr_ccd import clean_files, cosmicray_deepcr
from deepcr_ccd.demo import simulate
from deepcr_ccd.io.fits_layout import check_whole

ENVIRONMENT = {
    "OMP_NUM_THREADS": 1,
    "MALLOC_TRIM_THRESHOLD_": 2**29,
    "MALLOC_MMAP_THRESHOLD_": 2**28,
}


def write_night(folder, number, size):
    """Write files of simulated frames, each different."""
    folder.mkdir()
    frame = simulate((size, size), n_stars=size // 8, n_tracks=size // 16, seed=1).data
    rng = np.random.default_rng(1)
    for i in range(number):
        data = np.roll(frame, rng.integers(0, size, 2), (0, 1)).astype(np.float32)
        hdu = fits.PrimaryHDU(data)
        hdu.header["BUNIT"] = "electron"
        hdu.writeto(folder / f"frame{i:04}.fits")


def kill(options):
    """Kill a batch at random moments; nothing may be lost or half-written."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_night(folder / "night", options.files, 128)
        out = folder / "out"
        command = [sys.executable, "-m", "deepcr_ccd", "clean", str(folder / "night")]
        command += ["-o", str(out), "--resume", "--quiet"]
        broken = 0
        for _ in range(options.kills):
            process = subprocess.Popen(command)
            time.sleep(random.uniform(2.0, 6.0))
            process.kill()
            process.wait()
            for path in out.glob("*.fits"):
                try:
                    check_whole(path)
                except OSError as error:
                    broken += 1
                    print(error)
        subprocess.run(command, check=True)
        whole = list(out.glob("*.fits"))
        left = [path for path in out.iterdir() if path not in whole]
        print(
            f"{options.kills} kills: {broken} half-written, "
            f"{options.files - len(whole)} lost, {len(left)} other files left"
        )


def soak(options):
    """Clean many frames in one process, and watch its memory."""
    frame = simulate((512, 512), n_stars=60, n_tracks=30, seed=2).data
    sizes = []
    for i in range(options.frames):
        cosmicray_deepcr(frame + i % 7)
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        sizes.append(pages * resource.getpagesize() / 1e6)
    start = statistics.median(sizes[50:150])
    end = statistics.median(sizes[-100:])
    print(f"{options.frames} frames: {start:.0f} MB, then {end:.0f} MB")


def batch(options):
    """Time a batch against a loop of CCDData.read, cosmicray_deepcr and write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_night(folder / "night", options.files, 1024)
        files = sorted((folder / "night").iterdir())
        clean_files(files[:2], folder / "warm")

        cores = torch.get_num_threads()

        def loop(output):
            output.mkdir()
            for path in files:
                cosmicray_deepcr(CCDData.read(path)).write(output / path.name)

        def loop_on_one_core(output):
            torch.set_num_threads(1)
            try:
                loop(output)
            finally:
                torch.set_num_threads(cores)

        ways = {
            "plain loop": loop,
            "loop on one core": loop_on_one_core,
            "clean_files": partial(clean_files, files),
        }
        seconds = {how: [] for how in ways}
        for turn in range(options.runs):
            for how, run in ways.items():
                start, busy = time.perf_counter(), time.process_time()
                run(folder / f"{how}{turn}")
                seconds[how].append(time.perf_counter() - start)
                cores = (time.process_time() - busy) / seconds[how][-1]
                print(
                    f"{how} {seconds[how][-1]:.1f} s, {cores:.2f} cores busy", end="; "
                )
            print()
            # Or the system would look for fresh memory to keep them in.
            for how in ways:
                shutil.rmtree(folder / f"{how}{turn}")
        medians = {key: statistics.median(value) for key, value in seconds.items()}
        ratio = medians["plain loop"] / medians["clean_files"]
        best = medians["plain loop"] / (medians["loop on one core"] / cores)
        print(f"clean_files is {ratio:.2f} times as fast as the loop")
        print(f"{cores} cores that never wait for each other would be {best:.2f} times")


def disk(options):
    """Fill a file system up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_night(folder / "night", 20, 128)
        table = clean_files(sorted((folder / "night").iterdir()), options.small)
        status = list(table["status"])
        left = list(options.small.iterdir())
        for path in left:
            check_whole(path)
        failed = table[table["status"] == "failed"]
        print(
            f"{status.count('done')} files done, {len(failed)} failed "
            f"({failed['message'][0]}); {len(left)} left, all whole"
        )


def dask(options):
    """Time a batch through a cluster of two workers."""
    import dask as config
    from distributed import Client, LocalCluster

    # Dask has its workers give memory back at once, and networks take it all the time.
    config.config.set({"distributed.nanny.pre-spawn-environ": ENVIRONMENT})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_night(folder / "night", options.files, 1024)
        files = sorted((folder / "night").iterdir())
        clean_files(files[:2], folder / "warm")
        seconds = {"here": [], "Dask": []}
        with (
            LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            Client(cluster) as client,
        ):
            clean_files(files[:8], folder / "warm too", scheduler=client)
            for turn in range(options.runs):
                for how, scheduler in (("here", None), ("Dask", client)):
                    start = time.perf_counter()
                    clean_files(files, folder / f"{how}{turn}", scheduler=scheduler)
                    seconds[how].append(time.perf_counter() - start)
                    shutil.rmtree(folder / f"{how}{turn}")
                print({key: round(value[-1], 1) for key, value in seconds.items()})
        medians = {key: statistics.median(value) for key, value in seconds.items()}
        ratio = medians["here"] / medians["Dask"]
        print(f"through Dask it is {ratio:.2f} times as fast")


ATTACKS = {
    "fuzz": fuzz,
    "bad-neighbours": bad_neighbours,
    "originals": originals,
    "fork": fork,
    "sizes": sizes,
    "models": models,
}


def attack(names, options):
    """Run attacks, print their table, and write it; return whether all went well."""
    found = []
    for name in names:
        for row in ATTACKS[name](options):
            found.append(row)
            print(*(f"{key}: {value};" for key, value in row.items()), flush=True)
    table = Table(rows=[[row[key] for key in COLUMNS] for row in found], names=COLUMNS)
    print(*table.pformat(max_lines=-1, max_width=-1, align="<"), sep="\n")
    if options.output:
        rows = []
        if options.output.exists():
            rows = [dict(row) for row in Table.read(options.output)]
        made = {subject(row) for row in found}
        rows = [row for row in rows if subject(row) not in made] + found
        order = [name.replace("-", " ") for name in ATTACKS]
        rows.sort(key=lambda row: order.index(subject(row)))
        table = Table(rows=[[row[k] for k in COLUMNS] for row in rows], names=COLUMNS)
        table.write(options.output, format="ascii.ecsv", overwrite=True)
    return not any(row["wrong"] for row in found)


def subject(row):
    """Return which attack a row of the table belongs to."""
    return row["attack"].partition(":")[0]


def main():
    """Run the trial or attack that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    trials = {trial.__name__: trial for trial in (kill, soak, batch, disk, dask)}
    parser.add_argument("trial", choices=[*trials, *ATTACKS, "all"])
    parser.add_argument("--small", type=Path, metavar="FOLDER")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--number", type=int, help="of files of fuzz, sizes of sizes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=20, help="seconds for each")
    parser.add_argument("--output", type=Path, metavar="TABLE.ecsv")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.trial in trials:
        trials[options.trial](options)
        return 0
    names = list(ATTACKS) if options.trial == "all" else [options.trial]
    return 0 if attack(names, options) else 1


if __name__ == "__main__":
    sys.exit(main())
