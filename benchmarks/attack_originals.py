"""An attack of ``reliability.py``: results that would replace inputs or other files."""

import contextlib
import io
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from attack_files import as_bytes, pixels
from attacks import digests, row

from deepcr_ccd.cli import main

MODES = ((), ("--overwrite",), ("--resume",), ("--overwrite", "--resume"))


def write_raw(folder):
    """Write a night of three inputs, one of them in a folder of the folder."""
    rng = np.random.default_rng(5)
    (folder / "raw" / "deep").mkdir(parents=True)
    for name in ("a.fits", "b.fits", "deep/c.fits"):
        content = as_bytes([fits.PrimaryHDU(pixels(rng))])
        (folder / "raw" / name).write_bytes(content)


def link(where, target):
    """Return what makes a symbolic link in the folder of a trial."""

    def make(folder):
        (folder / where).parent.mkdir(parents=True, exist_ok=True)
        (folder / where).symlink_to(folder / target)

    return make


def second(where, target):
    """Return what makes a second name of a file."""

    def make(folder):
        (folder / where).parent.mkdir(parents=True, exist_ok=True)
        os.link(folder / target, folder / where)

    return make


def nothing(_folder):
    """Make nothing."""


#: What is there before, what is cleaned, and where to.
PLACES = {
    "the folder itself": (nothing, ["raw"], "raw"),
    "its files, to it": (nothing, ["raw/a.fits", "raw/b.fits"], "raw"),
    "a pattern, to it": (nothing, ["raw/*.fits"], "raw"),
    "by way of ..": (nothing, ["raw"], "raw/deep/.."),
    "by way of a folder that is not there": (nothing, ["raw"], "raw/new/.."),
    "folders of folders, to the same": (nothing, ["raw", "--recursive"], "raw"),
    "a folder of it, to it": (nothing, ["raw/deep"], "raw/deep"),
    "a link to it": (link("out", "raw"), ["raw"], "out"),
    "by way of a link": (link("way", "raw"), ["way"], "raw"),
    "a link to a link": (
        lambda folder: (link("one", "raw")(folder), link("out", "one")(folder)),
        ["raw"],
        "out",
    ),
    "a link to an input": (link("out/a.fits", "raw/a.fits"), ["raw"], "out"),
    "a link to another input": (link("out/a.fits", "raw/b.fits"), ["raw"], "out"),
    "a second name of an input": (
        second("out/a.fits", "raw/a.fits"),
        ["raw"],
        "out",
    ),
    "a second name of another": (second("out/b.fits", "raw/a.fits"), ["raw"], "out"),
    "an input that is a link": (
        link("night/a.fits", "raw/a.fits"),
        ["night"],
        "raw",
    ),
    "into a folder of it": (nothing, ["raw"], "raw/out"),
    "into a folder of it, and all below": (nothing, ["raw", "--recursive"], "raw/out"),
    "into one that holds an input": (nothing, ["raw", "--recursive"], "raw/deep"),
    "masks": (nothing, ["raw"], "raw"),
    "one file twice": (nothing, ["raw/a.fits", "raw/../raw/a.fits"], "raw"),
}

#: Places where results are right.
RESULTS = {
    "into a folder of it": ("raw/out/a.fits", "raw/out/b.fits"),
    "into a folder of it, and all below": ("raw/out/a.fits", "raw/out/deep/c.fits"),
}


def command(words):
    """Run the command twice, as users do; what it says is of no interest here."""
    for _ in range(2):
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()) as errors,
            contextlib.suppress(SystemExit),
        ):
            main(words)
    return errors.getvalue()


def originals(_options):
    """Clean files to places where inputs, or files of others, are."""
    start, wrong, tried = time.perf_counter(), [], 0
    for name, (prepare, files, out) in PLACES.items():
        for mode in MODES:
            with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
                write_raw(Path())
                prepare(Path.cwd())
                before = digests(Path("raw"))
                verb = "mask" if name == "masks" else "clean"
                errors = command([verb, *files, "-o", out, *mode, "--quiet"])
                after = digests(Path("raw"))
                tried += 1
                changed = [key for key in before if after.get(key) != before[key]]
                if changed:
                    wrong.append(f"{name} {' '.join(mode)}: {changed} changed")
                elif not all(map(os.path.exists, RESULTS.get(name, ()))):
                    wrong.append(f"{name} {' '.join(mode)}: nothing is done")
                elif "Traceback" in errors:
                    wrong.append(f"{name} {' '.join(mode)}: {errors[-300:]}")
    notes = f"{len(PLACES)} places, {len(MODES)} modes, each twice; by SHA-256"
    yield row("originals: inputs", wrong, tried, start, notes)
    yield others()


def others():
    """Clean files to places where files of others are; return a row of the table."""
    start, wrong = time.perf_counter(), []
    frame = as_bytes([fits.PrimaryHDU(pixels(np.random.default_rng(6)))])
    marked = fits.PrimaryHDU(pixels(np.random.default_rng(7)))
    marked.header["CRMODEL"] = "universal"
    contents = {
        "notes": b"notes",
        "empty": b"",
        "a raw frame": frame,
        "half a frame": frame[:5000],
        "a frame with CRMODEL": as_bytes([marked]),
    }
    modes = [mode for mode in MODES if mode != ("--overwrite", "--resume")]
    tried = 0
    for name, content in contents.items():
        for mode in modes:
            for linked in (False, True):
                with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
                    write_raw(Path())
                    place = Path("other.fits" if linked else "out/a.fits")
                    Path("out").mkdir()
                    place.write_bytes(content)
                    if linked:
                        Path("out/a.fits").symlink_to(place.absolute())
                    command(["clean", "raw", "-o", "out", *mode, "--quiet"])
                    # --overwrite may replace what is in the folder, nothing elsewhere.
                    allowed = mode == ("--overwrite",) and not linked
                    tried += 1
                    if not allowed and place.read_bytes() != content:
                        wrong.append(f"{name} {mode} {linked=}: replaced")
                    elif mode == ("--resume",) and not Path("out/b.fits").exists():
                        wrong.append(f"{name} {mode} {linked=}: others are not done")
    notes = "files that are no results, and links to them"
    return row("originals: files of others", wrong, tried, start, notes)
