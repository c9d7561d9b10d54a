"""Clean one giant frame that Dask holds, and say what memory it took.

    python benchmarks/giant.py FOLDER [--size 20000] [--chunk 2000]

A frame of simulated stars and cosmic rays is written to FOLDER as float32, mapped into
memory by Dask, cleaned lazily, and written to FOLDER chunk by chunk. Memory is that of
the process without pages of files, which the system takes back when it needs them.
"""

import argparse
import multiprocessing
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from astropy.nddata import CCDData

from deepcr_ccd import cosmicray_deepcr
from deepcr_ccd.demo import simulate


def anonymous():
    """Return the memory of this process without pages of files, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0


class Watch(threading.Thread):
    """Notes the highest memory until it is told to stop."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak = 0.0
        self.done = threading.Event()

    def run(self):
        """Look ten times a second."""
        while not self.done.wait(0.1):
            self.peak = max(self.peak, anonymous())


def new_file(path, size, dtype):
    """Return a new array file of size x size px."""
    return np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=(size, size))


def write_frame(path, size, width=1000):
    """Write a frame of simulated tiles."""
    frame = new_file(path, size, np.float32)
    for y in range(0, size, width):
        part = simulate((width, width), n_stars=300, n_tracks=250, seed=y).data
        for x in range(0, size, width):
            piece = frame[y : y + width, x : x + width]
            piece[:] = part[: piece.shape[0], : piece.shape[1]]
    frame.flush()


def read_chunk(path, block_info=None):
    """Read a chunk of the frame; Dask says which."""
    rows, columns = block_info[None]["array-location"]
    return np.load(path, mmap_mode="r")[slice(*rows), slice(*columns)]


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=20000)
    parser.add_argument("--chunk", type=int, default=2000)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    size = options.size
    # By a process of its own, whose memory does not count.
    writer = multiprocessing.get_context("spawn").Process(
        target=write_frame, args=(options.folder / "frame.npy", size)
    )
    writer.start()
    writer.join()
    # Not by da.from_array, which copies what is mapped into memory.
    chunks = da.core.normalize_chunks(options.chunk, (size, size))
    array = da.map_blocks(
        read_chunk, options.folder / "frame.npy", chunks=chunks, dtype=np.float32
    )
    ccd = CCDData(array, unit="electron")
    outputs = [
        new_file(options.folder / f"{name}.npy", size, dtype)
        for name, dtype in (("cleaned", np.float32), ("mask", bool))
    ]
    before = anonymous()
    watch = Watch()
    watch.start()
    start = time.perf_counter()
    cleaned = cosmicray_deepcr(ccd)
    measured = time.perf_counter() - start
    with dask.config.set(scheduler="threads"):
        da.store([cleaned.data, cleaned.mask], outputs)
    seconds = time.perf_counter() - start
    watch.done.set()
    print(
        f"{size} x {size} px in chunks of {options.chunk}: {seconds:.0f} s "
        f"({measured:.0f} s to measure the frame), {size**2 / seconds / 1e6:.1f} "
        f"Mpix/s, {np.count_nonzero(outputs[1])} px struck\n"
        f"memory: {before:.0f} MB before, {watch.peak:.0f} MB at its peak"
    )


if __name__ == "__main__":
    main()
