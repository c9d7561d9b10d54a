"""Attacks of ``reliability.py`` by files: damaged ones, and bad neighbours.

Each yields rows of its table: what was tried, how many came out right, how many wrong.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from astropy.io import fits
from attack_files import as_bytes, fuzzed_files, good_files, neighbours, pixels

from deepcr_ccd.io.fits_layout import check_whole

COLUMNS = ("attack", "tried", "right", "wrong", "seconds", "notes")
CLEAN = (sys.executable, "-m", "deepcr_ccd", "clean")
#: Files that are damaged, in one batch.
AT_ONCE = 50


def row(attack, wrong, tried, start, notes=""):
    """Return a row of the table, and print what went wrong.

    Parameters
    ----------
    attack : str
        Its name.
    wrong : list of str
        What went wrong, one for each of those tried at most.
    tried : int
        How many were.
    start : float
        Of `time.perf_counter`, when it began.
    notes : str
        What else to say.
    """
    for complaint in wrong:
        print(f"  {attack}: {complaint}", flush=True)
    seconds = round(time.perf_counter() - start, 1)
    right = max(0, tried - len(wrong))
    values = attack, tried, right, len(wrong), seconds, notes
    return dict(zip(COLUMNS, values, strict=True))


def run(words, limit, command=CLEAN):
    """Run the command; return its exit status (None: too slow), rows and errors."""
    try:
        done = subprocess.run(
            [*command, *map(str, words), "--json"],
            capture_output=True,
            text=True,
            timeout=limit,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        status, said, errors = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as error:
        status = None
        said, errors = (
            (text or b"").decode(errors="replace")
            for text in (error.stdout, error.stderr)
        )
    rows = {}
    for line in said.splitlines():
        if line.startswith("{") and line.endswith("}"):
            found = json.loads(line)
            rows[found["file"]] = found
    return status, rows, errors


def write_good(folder, number):
    """Write good files; return what becomes of each, cleaned without bad ones."""
    folder.mkdir()
    rng = np.random.default_rng(4)
    for index in range(number):
        hdus = [fits.PrimaryHDU(pixels(rng))]
        (folder / f"good{index}.fits").write_bytes(as_bytes(hdus))
    out = folder.with_name(f"{folder.name} alone")
    run([folder, "-o", out], 300)
    return {path: (out / path.name).read_bytes() for path in sorted(folder.iterdir())}


def judge(path, found, output, limit, errors):
    """Return what is wrong with what became of a bad file, or None.

    Parameters
    ----------
    path : `pathlib.Path`
        The bad file.
    found : dict or None
        Its row.
    output : `pathlib.Path`
        Its result, if there is one.
    limit : float
        Seconds that it may take.
    errors : str
        What the command wrote to standard error.
    """
    if found is None:
        return "not reported"
    if found["seconds"] > limit:
        return f"took {found['seconds']} s"
    if found["status"] == "failed":
        message = found["message"]
        if not message or "\n" in message or len(message) > 1000:
            return f"the message is {message[:80]!r}"
        if path.name not in errors:
            return "standard error does not name it"
        return "failed, and left a result" if os.path.lexists(output) else None
    if found["status"] != "done":
        return f"status {found['status']!r}"
    try:
        with warnings.catch_warnings(action="ignore"):
            check_whole(output)
    except OSError as error:
        return f"its result: {error}"
    return None


def judge_batch(status, rows, errors, good, out):
    """Return what is wrong with a batch besides its bad files, as a list."""
    wrong = []
    if status is None:
        wrong.append("the batch never ended")
    elif status not in (0, 1):
        wrong.append(f"the batch ended with status {status}: {errors[-300:]}")
    if "Traceback" in errors:
        wrong.append(f"a traceback: {errors[-300:]}")
    for path, content in good.items():
        result = out / path.name
        if not result.exists() or result.read_bytes() != content:
            wrong.append(f"{path.name} is not cleaned as it is alone")
    expected = {Path(found["output"]).name for found in rows.values()}
    left = {path.name for path in out.iterdir()} - expected if out.exists() else ()
    wrong.extend(f"{name} is left over" for name in left)
    return wrong


def digests(folder):
    """Return what a folder holds: SHA-256 of files, targets of links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {os.readlink(path)}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def fuzz(options):
    """Clean damaged files beside good ones."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = write_good(folder / "good", 5)
        bad = options.keep or folder / "bad"
        bad.mkdir(parents=True, exist_ok=True)
        kinds = fuzzed_files(bad, options.number or 400, options.seed)
        before = digests(bad)
        begin = time.perf_counter()
        wrong = {kind: [] for kind in kinds.values()}
        counts, slowest = Counter(), Counter()
        complaints, paths = [], list(kinds)
        batches = [paths[i : i + AT_ONCE] for i in range(0, len(paths), AT_ONCE)]
        for turn, some in enumerate(batches):
            out = folder / f"out{turn}"
            limit = options.limit * len(some)
            status, rows, errors = run([*some, *good, "-o", out], limit)
            complaints += judge_batch(status, rows, errors, good, out)
            for path in some:
                kind, found = kinds[path], rows.get(str(path))
                output = out / path.name
                fault = judge(path, found, output, options.limit, errors)
                if fault:
                    wrong[kind].append(f"{path.name}: {fault}")
                if found:
                    counts[kind, found["status"]] += 1
                    slowest[kind] = max(slowest[kind], found["seconds"])
        if digests(bad) != before:
            complaints.append("an input is not what it was")
        seconds = time.perf_counter() - begin
        totals = Counter(kinds.values())
        for kind, total in totals.items():
            start = time.perf_counter() - seconds * total / len(kinds)
            notes = (
                f"{counts[kind, 'failed']} refused, {counts[kind, 'done']} cleaned, "
                f"the slowest in {slowest[kind]:.1f} s"
            )
            yield row(f"fuzz: {kind}", wrong[kind], total, start, notes)
        tried = len(batches) * len(good)
        notes = f"in {len(batches)} batches; each result as that without bad files"
        yield row("fuzz: good files among them", complaints, tried, begin, notes)


CHANGING = """
import os, sys
import deepcr_ccd.batch.image as jobs
from deepcr_ccd.cli import main

find, change = jobs.clean_frame, sys.argv.pop(1)

def changed(*arguments, **how):
    path = next(word for word in sys.argv if word.endswith("bad.fits"))
    if change == "shrinks":
        os.truncate(path, 6000)
    elif change == "grows":
        os.truncate(path, 10**7)
    elif os.path.exists(path):
        os.remove(path)
    return find(*arguments, **how)

jobs.clean_frame = changed
sys.exit(main(sys.argv[1:]))
"""


def bad_neighbours(options):
    """Clean good files beside one bad file of each kind, and beside all at once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = write_good(folder / "good", 3)
        whole = good_files()["float"]
        kinds = neighbours()
        changes = ("shrinks", "grows", "goes")
        start, wrong, slowest = time.perf_counter(), [], 0
        for number, kind in enumerate([*kinds, *changes]):
            path = folder / str(number) / "bad.fits"
            path.parent.mkdir()
            out, command = folder / f"out{number}", CLEAN
            if kind in kinds:
                kinds[kind](path)
            else:
                path.write_bytes(whole)
                command = (sys.executable, "-c", CHANGING, kind, "clean")
            words = [path, *good, "-o", out, "--workers", "2"]
            if kind == "folder":  # one that a folder holds
                words[0] = path.parent
                (path.parent / "other.fits").write_bytes(whole)
            begin = time.perf_counter()
            status, rows, errors = run(words, 60 + options.limit, command)
            slowest = max(slowest, time.perf_counter() - begin)
            faults = judge_batch(status, rows, errors, good, out)
            if kind != "folder":
                found, result = rows.get(str(path)), out / path.name
                faults.append(judge(path, found, result, options.limit, errors))
                if found and found["status"] != "failed" and kind not in changes:
                    faults.append("is no error")
            faults = [fault for fault in faults if fault]
            if faults:
                wrong.append(f"{kind}: {'; '.join(faults)}")
        notes = f"three good files beside each; the slowest batch took {slowest:.0f} s"
        yield row("bad neighbours: one", wrong, len(kinds) + len(changes), start, notes)

        start, bad = time.perf_counter(), []
        (folder / "all").mkdir()
        for number, make in enumerate(kinds.values()):
            bad.append(folder / "all" / f"bad{number}.fits")
            make(bad[-1])
        out = folder / "out of all"
        words = [folder / "all", folder / "good", "-o", out]
        status, rows, errors = run(words, 60 + options.limit * len(bad))
        wrong = judge_batch(status, rows, errors, good, out)
        notes = f"beside {len(bad)} bad ones"
        yield row("bad neighbours: all at once", wrong, len(good), start, notes)
