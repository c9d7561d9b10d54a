"""One file: read it, clean it, write it, and say what happened."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import math
import os
import threading
import time
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from astropy import units as u

from .cleaning import find, make_plan
from .files import FitsFile
from .frame import read_frame
from .images import Cleaned, Image
from .keywords import version
from .layout import check_whole, open_fits
from .mask_extensions import write_masks
from .model import Model
from .planes import read_choice
from .rewriting import PIECE
from .zoo import DEFAULT_MODEL, load_model

__all__ = [
    "Job",
    "Options",
    "blank_row",
    "failure",
    "file_size",
    "recorded_warnings",
    "run_job",
]

logger = logging.getLogger(__name__)

#: Header keyword by which a second run knows the work of a first one.
DIGEST = "CRDIGEST"


@dataclasses.dataclass(frozen=True)
class Options:
    """What to do with each file; the fields are options of the ``clean`` command."""

    model: str | os.PathLike | Model = DEFAULT_MODEL
    gain: float | str | None = None
    readnoise: float | str | None = None
    threshold: float | None = None
    target_fpr: float | None = None
    grow: float = 0
    inpaint: str | None = "auto"
    satlevel: float | str | None = None
    unit: str | None = None
    bad_bits: int | None = None
    dq_bit: int | None = None
    ext: str | int | Sequence[str | int] | None = None
    device: str | None = None
    precision: str | None = None
    engine: str | None = None
    tile_size: int | None = None
    masks_only: bool = False

    def __post_init__(self):
        # One form for all ways to say the same, which the digest holds.
        object.__setattr__(self, "ext", read_choice(self.ext))

    def load_model(self) -> Model:
        """Load the model that finds cosmic rays.

        Raises
        ------
        ValueError, FileNotFoundError, ImportError
            As `deepcr_ccd.load_model`.
        """
        return load_model(
            self.model,
            device=self.device,
            task="mask",
            precision=self.precision,
            engine=self.engine,
        )


@dataclasses.dataclass(frozen=True)
class Job:
    """A file to clean, and where the result goes."""

    path: Path
    output: Path


def file_size(path: Path) -> float:
    """Return the bytes of a file; infinite where it is not seen from here.

    Parameters
    ----------
    path : path
        The file.
    """
    try:
        return path.stat().st_size
    except OSError:
        return math.inf


class _Recorder(threading.local):
    """Warnings of the file that this thread is at work on."""

    def __init__(self):
        self.messages: list[str] = []


_RECORDER = _Recorder()


@contextlib.contextmanager
def recorded_warnings() -> Iterator[None]:
    """Keep warnings with the file they are about, on whatever thread it is.

    Yields
    ------
    None
        While it is in force, `run_job` puts warnings into its row.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", DeprecationWarning)

        def record(message, *_args, **_kwargs) -> None:
            _RECORDER.messages.append(" ".join(str(message).split()))

        warnings.showwarning = record
        yield


def blank_row(job: Job) -> dict:
    """Return the row of a job of which nothing is known yet.

    Parameters
    ----------
    job : Job
        The file.
    """
    return {
        "file": str(job.path),
        "output": str(job.output),
        "images": 0,
        "images_total": 0,
        "images_left": "",
        "pixels": 0,
        "objects": 0,
        "seconds": 0.0,
    }


def failure(error: Exception) -> dict:
    """Return what the row of a job says that ended in an error.

    Parameters
    ----------
    error : Exception
        The error; its message goes on one line.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return {"status": "failed", "message": text}


def run_job(
    job: Job,
    options: Options,
    model: Model | None = None,
    resume: bool = False,
    replace: bool = False,
    turn: contextlib.AbstractContextManager | None = None,
) -> dict:
    """Clean one file, and say what happened.

    Parameters
    ----------
    job : Job
        The file.
    options : Options
        What to do with it.
    model : Model, optional
        Loaded as the options say, if not given.
    resume, replace : bool
        Whether to leave out results that are complete, and to replace others.
    turn : context manager, optional
        Held while it computes, and not while it reads and writes: with a lock, of jobs
        side by side one computes at a time.

    Returns
    -------
    dict
        A row of `clean_files`. Errors are in it, and not raised.
    """
    start = time.perf_counter()
    _RECORDER.messages = []
    row = blank_row(job)
    try:
        if model is None:
            model = options.load_model()
        turn = turn or contextlib.nullcontext()
        status, results, left = _clean(job, options, model, resume, replace, turn)
        row |= {"status": status, "message": "; ".join(_RECORDER.messages)}
        row["images"] = len(results)
        row["images_total"] = len(results) + len(left)
        row["images_left"] = "; ".join(left)
        row["pixels"] = sum(told["CRNPIX"] for told in results)
        row["objects"] = sum(told["CRNOBJ"] for told in results)
    except Exception as error:  # noqa: BLE001 - whatever a file does, others go on
        logger.debug("%s failed", job.path, exc_info=True)
        row |= failure(error)
    row["seconds"] = round(time.perf_counter() - start, 3)
    return row


def _clean(
    job: Job,
    options: Options,
    model: Model,
    resume: bool,
    replace: bool,
    turn: contextlib.AbstractContextManager,
) -> tuple[str, list, list[str]]:
    """Clean a file; return a status, keywords of each image, and which were left."""
    digest = _digest(job.path, options, model)
    finished = _finished(job.output, digest) if resume else []
    file = FitsFile(
        job.path,
        unit=options.unit,
        bad_bits=options.bad_bits,
        dq_bit=options.dq_bit,
        ext=options.ext,
    )
    if finished:
        return "skipped", finished, file.left
    if not options.masks_only:
        file.check_flags()
    results, counts = [], []
    for image in file.images:
        with turn:
            result = clean_image(image, options, model, file.path)
        result.cards.append((DIGEST, digest, "digest of input, model and options"))
        counts.append({key: value for key, value, _ in result.cards})
        results.append(result)
    if options.masks_only:
        write_masks(job.output, file.images, results, overwrite=replace)
    else:
        file.write(job.output, results, overwrite=replace)
    return "done", counts, file.left


def clean_image(image: Image, options: Options, model: Model, path: Path) -> Cleaned:
    """Clean one image of a file as the options say.

    What is large is gone when it returns: so a mosaic is cleaned in the memory of one
    chip.

    Parameters
    ----------
    image : Image
        The image.
    options : Options
        What to do.
    model : Model
        For task "mask".
    path : path
        The file, for messages.

    Returns
    -------
    Cleaned
        What is new about it.

    Raises
    ------
    TypeError, ValueError, ImportError
        If the image or the options are not what is allowed.
    """
    where = f"{path}[{image.title}]"
    ccd = image.read(noise=False)
    if ccd.unit == u.dimensionless_unscaled and model.card.unit is not None:
        if options.gain is None:
            raise ValueError(
                f"{where} has no BUNIT that is a known unit, and model "
                f"{model.card.name!r} works in {model.card.unit}: "
                "give unit='electron', or unit='adu' and gain="
            )
        ccd.unit = u.adu
    fill = None if options.masks_only else options.inpaint
    try:
        frame = read_frame(ccd)
        plan = make_plan(
            frame,
            model,
            gain=options.gain,
            readnoise=options.readnoise,
            threshold=options.threshold,
            target_fpr=options.target_fpr,
            grow=options.grow,
            inpaint=None if fill == "none" else fill,
            satlevel=options.satlevel,
            tile_size=options.tile_size,
        )
        found = find(frame, plan)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    struck = np.unravel_index(np.flatnonzero(found.crmask), found.crmask.shape)
    keywords, history = found.describe(plan)
    cards = [(key, *told) for key, told in keywords.items()]
    cards.append(("HISTORY", history, ""))
    return Cleaned(struck, found.values, found.sigma, cards)


def _digest(path: Path, options: Options, model: Model) -> str:
    """Return what tells results of other inputs, models, options or versions apart."""
    told = dataclasses.asdict(
        dataclasses.replace(options, model=model.card.to_json(), device=None)
    )
    told |= {
        "precision": model.precision,
        "engine": model.engine,
        "version": version(),
        "weights": model.fingerprint,
    }
    # A changed file is to be noticed, not a forged one: this takes a fifth of the time
    # of a cryptographic digest.
    told["size"], told["sum"] = 0, 0
    piece = memoryview(bytearray(PIECE))
    with open(path, "rb", buffering=0) as file:
        while length := file.readinto(piece):
            told["size"] += length
            told["sum"] = zlib.crc32(piece[:length], told["sum"])
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _finished(output: Path, digest: str) -> list:
    """Return the headers of a result with this digest; none if there is no such."""
    if not output.exists():
        return []
    with contextlib.suppress(OSError, ValueError, KeyError):
        with open_fits(output) as hdus:
            headers = [hdu.header for hdu in hdus if DIGEST in hdu.header]
            if headers and all(header[DIGEST] == digest for header in headers):
                check_whole(output)
                return headers
    return []
