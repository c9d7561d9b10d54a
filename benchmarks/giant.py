"""Clean one giant frame, and measure time and memory.

    python benchmarks/giant.py FOLDER [--size 20000] [--chunk 2000]
    python benchmarks/giant.py FOLDER --fits [--size 20000]

A frame of simulated stars and cosmic rays is written to FOLDER as float32. Then it is
mapped into memory by Dask, cleaned lazily, and written to FOLDER chunk by chunk; or,
with --fits, it is a FITS file, cleaned as by ``deepcr-ccd clean``. Memory is that of
the process without pages of files, which the system takes back when it needs them.
"""

import argparse
import contextlib
import multiprocessing
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData

from deepcr_ccd import clean_files, cosmicray_deepcr
from deepcr_ccd.demo import simulate


def anonymous():
    """Return the memory of this process without pages of files, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0


class Watch(threading.Thread):
    """Notes the highest memory until it is stopped."""

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
    """Write a frame of simulated tiles, as FITS or for NumPy."""
    header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2)])
    header.update(NAXIS1=size, NAXIS2=size, BUNIT="electron")
    with (
        contextlib.closing(fits.StreamingHDU(path, header))
        if path.suffix == ".fits"
        else contextlib.nullcontext(new_file(path, size, np.float32))
    ) as file:
        for y in range(0, size, width):
            part = simulate((width, width), n_stars=300, n_tracks=250, seed=y).data
            rows = np.tile(part, (1, -(-size // width)))[: size - y, :size]
            if path.suffix == ".fits":
                file.write(rows.astype(">f4"))
            else:
                file[y : y + width] = rows


def read_chunk(path, block_info=None):
    """Read the chunk of the frame that Dask asks for."""
    rows, columns = block_info[None]["array-location"]
    return np.load(path, mmap_mode="r")[slice(*rows), slice(*columns)]


def clean_chunks(source, chunk):
    """Clean a Dask array; return the number of flagged pixels, and a description."""
    # Not by da.from_array, which copies what is mapped into memory.
    shape = np.load(source, mmap_mode="r").shape
    chunks = da.core.normalize_chunks(chunk, shape)
    array = da.map_blocks(read_chunk, source, chunks=chunks, dtype=np.float32)
    outputs = [
        new_file(source.with_name(f"{name}.npy"), shape[0], dtype)
        for name, dtype in (("cleaned", np.float32), ("mask", bool))
    ]
    start = time.perf_counter()
    cleaned = cosmicray_deepcr(CCDData(array, unit="electron"))
    measured = time.perf_counter() - start
    with dask.config.set(scheduler="threads"):
        da.store([cleaned.data, cleaned.mask], outputs)
    description = f"chunks of {chunk} px, {measured:.0f} s to measure the frame"
    return np.count_nonzero(outputs[1]), description


def clean_fits(source):
    """Clean a FITS file; return the number of flagged pixels, and a description."""
    (row,) = clean_files([source], source.parent / "cleaned", overwrite=True)
    if row["status"] != "done":
        raise SystemExit(row["message"])
    return row["pixels"], "a FITS file"


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=20000)
    parser.add_argument("--chunk", type=int, default=2000)
    parser.add_argument("--fits", action="store_true", help="from file to file")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    size = options.size
    source = options.folder / ("frame.fits" if options.fits else "frame.npy")
    source.unlink(missing_ok=True)
    # By a process of its own, whose memory does not count.
    writer = multiprocessing.get_context("spawn").Process(
        target=write_frame, args=(source, size)
    )
    writer.start()
    writer.join()
    before = anonymous()
    watch = Watch()
    watch.start()
    start = time.perf_counter()
    flagged, description = (
        clean_fits(source) if options.fits else clean_chunks(source, options.chunk)
    )
    seconds = time.perf_counter() - start
    watch.done.set()
    print(
        f"{size} x {size} px, {description}: {seconds:.0f} s, "
        f"{size**2 / seconds / 1e6:.1f} Mpix/s, {flagged} px flagged\n"
        f"memory: {before:.0f} MB before, {watch.peak:.0f} MB at its peak"
    )


if __name__ == "__main__":
    main()
