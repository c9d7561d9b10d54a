"""Many files: clean them side by side, and survive the bad ones."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import torch
from astropy.table import Table

from .atomic import remove_stale
from .cluster import run_jobs
from .jobs import Job, Options, file_size, recorded_warnings, run_job
from .model import Model

__all__ = ["clean_files", "find_files"]

#: Names that are taken from a folder.
SUFFIXES = (".fits", ".fit", ".fts", ".fits.gz", ".fit.gz", ".fits.fz")
#: Bytes of files of which one more or less in memory does not matter.
SMALL = 16 * 2**20
COLUMNS = {
    "file": "U",
    "output": "U",
    "status": "U",
    "images": int,
    "images_total": int,
    "images_left": "U",
    "pixels": int,
    "objects": int,
    "seconds": float,
    "message": "U",
}


def find_files(
    items: Iterable[str | os.PathLike], *, recursive: bool = False
) -> list[tuple[Path, Path]]:
    """Return the files that items stand for, and their places in an output folder.

    Parameters
    ----------
    items : iterable of str or path-like
        Files; patterns such as ``"night/*.fits"``; folders, whose FITS files are
        taken; and ``"@list"``, a text file with an item a line.
    recursive : bool
        Whether to look into folders of folders.

    Returns
    -------
    list of (path, path)
        Each file once, in order, with a relative path: its name, and for those found
        in folders of a folder the way there.

    Raises
    ------
    ValueError
        If a pattern or folder holds no file, or two files would have one output.
    FileNotFoundError
        If a list is not there.
    """
    found: dict[Path, Path] = {}
    for item in items:
        text = os.fspath(item)
        path = Path(text)
        if text.startswith("@") and not path.exists():
            lines = Path(text[1:]).read_text(encoding="utf-8").splitlines()
            listed = [line.strip() for line in lines if line.strip()]
            found |= dict(find_files(listed, recursive=recursive))
        elif path.is_dir():
            inside = path.rglob("*") if recursive else path.glob("*")
            names = [p for p in sorted(inside) if p.name.lower().endswith(SUFFIXES)]
            names = [p for p in names if p.is_file() and not p.name.startswith(".")]
            if not names:
                raise ValueError(f"folder {text} holds no FITS file")
            found |= {p: p.relative_to(path) for p in names}
        elif glob.has_magic(text) and not path.exists():
            names = sorted(glob.glob(text, recursive=recursive))
            if not names:
                raise ValueError(f"pattern {text!r} matches no file")
            found |= {Path(name): Path(Path(name).name) for name in names}
        else:
            found[path] = Path(path.name)
    places = list(found.values())
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise ValueError(f"two inputs would both be written to {twice}")
    return list(found.items())


def clean_files(
    files,
    output: str | os.PathLike,
    *,
    recursive: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    workers: int | None = None,
    scheduler=None,
    report: Callable[[dict], None] | None = None,
    **options,
) -> Table:
    """Clean many FITS files; the bad ones do not keep the others from being cleaned.

    Parameters
    ----------
    files : sequence of str or path-like, or `~ccdproc.ImageFileCollection`
        Files, patterns, folders and lists, see `find_files`; or a collection, of
        which all files are taken; or a mapping from files to their places in the
        folder for results.
    output : str or path-like
        Folder for the results; it is made if it is not there.
    recursive : bool
        Whether to look into folders of folders.
    overwrite : bool
        Whether results may replace files.
    resume : bool
        Leave out results that are there and were made from the same input with the
        same model, options and version; do others again.
    workers : int, optional
        Files at work at a time; by default one more than torch has threads, or two
        more if none has over 16 MB.
    scheduler : str or `distributed.Client`, optional
        Address of a Dask scheduler, or a client: its workers do the work, and see the
        same file system. Needs the extra ``dask``.
    report : callable, optional
        Takes the row of each file as a dictionary, as soon as it is done.
    **options
        Fields of `Options`: ``model``, ``gain``, ``inpaint`` and so on, as for
        `~deepcr_ccd.cosmicray_deepcr`; ``unit``, ``bad_bits``, ``dq_bit``, ``ext``
        and ``masks_only``, as for the ``deepcr-ccd clean`` command.

    Returns
    -------
    `~astropy.table.Table`
        A row a file, in order: ``file``, ``output``, ``status`` ("done", "skipped" or
        "failed"), ``images`` that were cleaned of ``images_total``, ``images_left``
        (names of the others), ``pixels`` and ``objects`` struck, ``seconds``, and
        ``message``, which says what went wrong or what was warned of.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError, ImportError
        If files, options or model are not what is allowed: before any work is done.
    FileExistsError
        If a result is there and must not be replaced: likewise.
    """
    try:
        chosen = Options(**options)
    except TypeError as error:
        raise TypeError(f"clean_files: {error}") from None
    if workers is not None and (int(workers) != workers or workers < 1):
        raise ValueError(f"workers={workers!r} must be a number of at least 1")
    jobs = _plan(files, Path(output), recursive)
    if not (overwrite or resume):
        for job in jobs:
            if job.output.exists():
                raise FileExistsError(f"{job.output} exists; --overwrite replaces it")
    model = chosen.load_model()
    for job in jobs:
        job.output.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(job.output for job in jobs)
    replace = overwrite or resume
    if scheduler is not None:
        rows = run_jobs(jobs, chosen, scheduler, resume=resume, replace=replace)
    else:
        number = workers or max(1, min(_most_workers(jobs), len(jobs)))
        rows = _run_here(jobs, chosen, model, number, resume, replace)
    done = {}
    for row in rows:
        done[row["file"]] = row
        if report is not None:
            report(row)
    if scheduler is not None:
        # What workers that were lost left behind.
        remove_stale(job.output for job in jobs)
    ordered = [done[str(job.path)] for job in jobs]
    if not ordered:
        return Table(names=list(COLUMNS), dtype=list(COLUMNS.values()))
    return Table(
        rows=[tuple(row[c] for c in COLUMNS) for row in ordered], names=list(COLUMNS)
    )


def _plan(files, output: Path, recursive: bool) -> list[Job]:
    if hasattr(files, "files_filtered"):
        files = list(files.files_filtered(include_path=True))
    elif isinstance(files, str | os.PathLike):
        files = [files]
    if isinstance(files, Mapping):
        pairs = [(Path(path), Path(place)) for path, place in files.items()]
    else:
        pairs = find_files(files, recursive=recursive)
    return [Job(path, output / place) for path, place in pairs]


def _most_workers(jobs: Sequence[Job]) -> int:
    """Return how many files to work on: more than compute, as some wait for disks."""
    small = all(file_size(job.path) <= SMALL for job in jobs)
    return torch.get_num_threads() + (2 if small else 1)


def _run_here(
    jobs: Sequence[Job],
    options: Options,
    model: Model,
    workers: int,
    resume: bool,
    replace: bool,
) -> Iterator[dict]:
    """Run jobs on threads of this process; yield rows as they come."""
    before = torch.get_num_threads()
    share = max(1, before // workers)
    pool = ThreadPoolExecutor(
        workers, initializer=torch.set_num_threads, initargs=(share,)
    )
    try:
        with pool, recorded_warnings():
            waiting = set()
            left = iter(jobs)
            while True:
                # No more are handed out than are worked on, so that an interrupt
                # takes effect at once.
                for job in left:
                    waiting.add(
                        pool.submit(run_job, job, options, model, resume, replace)
                    )
                    if len(waiting) >= workers:
                        break
                if not waiting:
                    return
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
    finally:
        torch.set_num_threads(before)
