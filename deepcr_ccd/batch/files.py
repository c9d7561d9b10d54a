"""Many files: cleaned in parallel; those that fail do not stop the others."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch
from astropy.table import Table

from ..io.atomic import remove_stale
from ..io.given_paths import FITS_FILE, FOLDER, given_path
from ..models.model import Model
from ..notices import refuse_arguments, warnings_by_thread
from ..tiling.run import track
from .distributed import run_jobs
from .job import Job, file_size, run_job
from .listing import find_files
from .options import FileOptions
from .outputs import check_folder, check_outputs, state_of

__all__ = ["clean_files"]

#: The most bytes of small files, of which one more may be in memory.
SMALL_FILE = 16 * 2**20
#: Columns of the table that is returned, and their types.
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


def clean_files(
    files: Any,
    output: str | os.PathLike,
    *,
    recursive: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    workers: int | None = None,
    scheduler: Any = None,
    progress: bool = False,
    report: Callable[[dict], None] | None = None,
    **options: Any,
) -> Table:
    """Clean many FITS files in parallel; those that fail do not stop the others.

    Each file is written again under its own name: see Notes for what is in it.

    Parameters
    ----------
    files : str, path-like, sequence of these, or `~ccdproc.ImageFileCollection`
        Files; patterns such as ``"night/*.fits"``; folders, of which all FITS files are
        taken; and ``"@list"``, a text file with one of these on each line. Or a
        collection, of which all files are taken; or a mapping from files to the paths
        of their results in ``output``.
    output : str or path-like
        Folder for the results; it is made if it is not there. Where it is inside of a
        folder of inputs, its files are not taken for inputs.
    recursive : bool
        Whether to take files from folders inside of folders too.
    overwrite : bool
        Whether results may replace files; an input is never replaced.
    resume : bool
        Skip files whose results are there and were made from the same input with the
        same models, options and version; replace other results. A file that is no
        result of this package stays, and its row is "failed".
    workers : int, optional
        Files that are cleaned in parallel; by default one more than torch has threads,
        or two more if none has over 16 MB.
    scheduler : str or `distributed.Client`, optional
        Address of a Dask scheduler, or a client: its workers clean the files, on the
        same file system. Needs the extra ``dask``.
    progress : bool
        Show a progress bar.
    report : callable, optional
        Takes the row of each file as a dictionary, as soon as it is done.
    **options
        ``model``, ``gain``, ``readnoise``, ``threshold``, ``extend_threshold``,
        ``target_fpr``, ``grow``, ``inpaint``, ``satlevel``, ``psffwhm``, ``device``,
        ``precision``, ``engine`` and ``tile_size``, as for
        `~deepcr_ccd.cosmicray_deepcr`; and those of files, in the next section.

    Returns
    -------
    `~astropy.table.Table`
        A row for each file, in order. ``file`` and ``output`` are paths; ``status`` is
        "done", "skipped" or "failed"; ``images`` of ``images_total`` images were
        cleaned, and ``images_left`` names the others; ``pixels`` is the number of
        flagged pixels, and ``objects`` the number of cosmic rays; ``seconds`` is the
        time; ``message`` has the error or the warnings.

    Other Parameters
    ----------------
    unit : str, optional
        Unit of the images, such as "adu" or "electron", in place of BUNIT.
    ext : str, int, tuple or list of these, optional
        Images to clean: a name (``"SCI"``), a number (0 is the first), a name with
        EXTVER (``("SCI", 2)``), or a pattern (``"N*"``). By default those named SCI,
        and without these all images that are no flags, errors or the like.
    dq : str or dict, optional
        What the first of DQ, MASK and BPM means: "hst", "jwst", "gemini", "noirlab",
        "des", "eso", "lsst" or a dictionary, see :doc:`/data_quality`. By default as
        the table in :doc:`/files` says.
    bad_bits : int, optional
        Bits of pixels to exclude in DQ, BPM or MASK, in place of the convention's.
    dq_bit : int, optional
        Bit that is set at cosmic rays, a power of two, in place of the convention's.
    masks_only : bool
        Write files of masks, as ``deepcr-ccd mask`` does, in place of cleaned images.
    probability : bool
        With ``masks_only``, write the probability as well.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError, ImportError
        If files, options or model are not what is allowed, or an output is an input; or
        if a package is missing, such as tqdm for ``progress``. It is raised before any
        work is done.
    FileExistsError
        If a result is there and must not be replaced; also before any work is done.
    NotADirectoryError, PermissionError
        If ``output`` is a file, or must not be written to.

    Notes
    -----
    A result has all extensions of its input. Flagged pixels are filled in the images
    (not with ``inpaint=None``), and their noise in ERR, VAR, IVAR and the like becomes
    that of the fill. The bit of cosmic rays is set in DQ, MASK or BPM, the first of
    these in the file; where there is none, an extension MASK is added. Headers of
    images get the keywords of `~deepcr_ccd.cosmicray_deepcr`. All else stays as it is,
    byte for byte. Integer images stay integer, with rounded fills, and compressed
    images stay compressed.

    With ``masks_only``, a result has an extension CRMASK for each image, 1 at cosmic
    rays and 0 elsewhere, and with ``probability`` an extension CRPROB, float32, NaN at
    excluded pixels. A result appears whole or not at all. Details are in :doc:`/files`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from astropy.io import fits
    >>> from deepcr_ccd import clean_files
    >>> from deepcr_ccd.demo import simulate
    >>> temporary = tempfile.TemporaryDirectory()
    >>> folder = Path(temporary.name)
    >>> simulate((64, 64)).write(folder / "a.fits")
    >>> table = clean_files(folder / "a.fits", folder / "cleaned", device="cpu")
    >>> print(*table["status"], *table["images"])
    done 1
    >>> with fits.open(folder / "cleaned" / "a.fits") as result:
    ...     print([hdu.name for hdu in result])
    ['PRIMARY', 'MASK']
    >>> temporary.cleanup()
    """
    known = [field.name for field in dataclasses.fields(FileOptions)]
    unknown = {name: options[name] for name in options if name not in known}
    refuse_arguments("clean_files", unknown, known)
    chosen = FileOptions(**options)
    if workers is not None:
        is_number = isinstance(workers, int | float) and not isinstance(workers, bool)
        if not is_number or workers % 1 != 0 or workers < 1:
            raise ValueError(f"workers={workers!r} must be a number of at least 1")
        workers = int(workers)
    folder = given_path(output, "output", FOLDER)
    model = chosen.load_model()
    chosen.check_model(model)
    jobs = _plan(files, folder, recursive)
    if not (overwrite or resume):
        for job in jobs:
            if job.output_state is not None:
                raise FileExistsError(
                    f"{job.output} exists; overwrite=True replaces it"
                )
    for each in dict.fromkeys((folder, *(job.output.parent for job in jobs))):
        _make_folder(each)
    remove_stale(job.output for job in jobs)
    how = {"resume": resume, "replace": overwrite}
    rows: Generator[dict, None, None]
    if scheduler is not None:
        rows = run_jobs(jobs, chosen, scheduler, **how)
    else:
        most = workers or max(1, min(_most_workers(jobs), len(jobs)))
        rows = _run_here(jobs, chosen, model, most, how)
    done = {}
    with contextlib.closing(rows):
        for row in track(rows, "clean_files", progress, len(jobs)):
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


def _plan(files: Any, output: Path, recursive: bool) -> list[Job]:
    if hasattr(files, "files_filtered"):
        files = list(files.files_filtered(include_path=True))
    elif isinstance(files, str | os.PathLike):
        files = [files]
    if isinstance(files, Mapping):
        pairs = [
            (given_path(path, "files", FITS_FILE), _inside(place))
            for path, place in files.items()
        ]
    else:
        files = list(files)
        for one in files:
            if not isinstance(one, str | os.PathLike):
                raise TypeError(
                    f"files holds a {type(one).__name__}, and no path; for frames in "
                    "memory use cosmicray_deepcr"
                )
        pairs = find_files(files, recursive=recursive, output=output)
    pairs = [(path, output / place) for path, place in pairs]
    check_outputs(pairs)
    return [Job(path, place, state_of(place)) for path, place in pairs]


def _inside(place: str | os.PathLike) -> Path:
    """Return the place of a result in the folder for them, if it is inside."""
    path = Path(place)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(
            f"files: {os.fspath(place)!r} must be a place in the folder of output=, "
            "such as 'night1/frame.fits'"
        )
    return path


def _make_folder(folder: Path) -> None:
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _most_workers(jobs: Sequence[Job]) -> int:
    """Return how many files to clean in parallel: more than threads, for slow disks."""
    small = all(file_size(job.path) <= SMALL_FILE for job in jobs)
    return torch.get_num_threads() + (2 if small else 1)


def _run_here(
    jobs: Sequence[Job], options: FileOptions, model: Model, workers: int, how: dict
) -> Generator[dict, None, None]:
    """Run jobs on threads of this process; yield rows as they are done."""
    before = torch.get_num_threads()
    threads = max(1, before // workers)
    pool = ThreadPoolExecutor(
        workers, initializer=torch.set_num_threads, initargs=(threads,)
    )
    stop = threading.Event()
    try:
        with warnings_by_thread(), pool, contextlib.ExitStack() as ending:
            # However it ends, no more files are begun or written.
            ending.callback(stop.set)
            waiting = set()
            left = iter(jobs)
            while True:
                # Only as many as there are workers, so that an interrupt takes effect
                # at once.
                for job in left:
                    waiting.add(
                        pool.submit(run_job, job, options, model, stop=stop, **how)
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
