"""One file: read it, clean it, write it, and report it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import math
import threading
import time
from pathlib import Path
from typing import Any

from ..io.extensions.mask_extensions import write_masks
from ..io.fits_file import FitsFile
from ..models.model import Model
from ..notices import collected_warnings
from .digest import file_digest
from .image import clean_image
from .options import FileOptions
from .outputs import DIGEST, finished_headers, is_result, state_of

__all__ = ["Interrupted", "Job", "blank_row", "failure", "file_size", "run_job"]

logger = logging.getLogger(__name__)


class Interrupted(Exception):
    """The batch was ended while a file was worked on."""


#: Errors whose messages can stand alone.
PLAIN = (OSError, ValueError, TypeError, ImportError, MemoryError, Interrupted)
#: The state of a file that is not known yet.
UNKNOWN = (-1, -1)


@dataclasses.dataclass(frozen=True)
class Job:
    """A file to clean, and where the result goes.

    ``output_state`` is that of the output when the batch was planned, from
    `~deepcr_ccd.batch.outputs.state_of`; a file that appears there later is not
    replaced.
    """

    path: Path
    output: Path
    output_state: tuple[int, int] | None = UNKNOWN


def file_size(path: Path) -> float:
    """Return the bytes of a file; infinite where they cannot be read.

    Parameters
    ----------
    path : path
        The file.
    """
    try:
        return path.stat().st_size
    except OSError:
        return math.inf


def blank_row(job: Job) -> dict:
    """Return the row of a job that has not begun.

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
    """Return status and message of a job that ended in an error.

    Parameters
    ----------
    error : Exception
        The error; its message goes on one line.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, PLAIN):
        text = text.removeprefix(type(error).__name__)
        text = f"{type(error).__name__}{': ' if text else ''}{text}"
    return {"status": "failed", "message": text}


def run_job(
    job: Job,
    options: FileOptions,
    model: Model | None = None,
    resume: bool = False,
    replace: bool = False,
    compute_lock: contextlib.AbstractContextManager | None = None,
    stop: threading.Event | None = None,
) -> dict:
    """Clean one file, and report it.

    Parameters
    ----------
    job : Job
        The file.
    options : FileOptions
        What to do with it.
    model : Model, optional
        Loaded as the options say, if not given.
    resume : bool
        Whether to skip results that are complete, and to replace others; not files
        that are no results.
    replace : bool
        Whether to replace any file, except inputs.
    compute_lock : context manager, optional
        A lock that is acquired while it computes, and not while it reads and writes, so
        that jobs in parallel compute one at a time.
    stop : `threading.Event`, optional
        Once it is set, nothing more is computed or written.

    Returns
    -------
    dict
        A row of `clean_files`. Errors are in it, and not raised.
    """
    start = time.perf_counter()
    row = blank_row(job)
    with collected_warnings() as messages:
        try:
            if model is None:
                model = options.load_model()
            work = _Work(job, options, model, stop or threading.Event())
            row["status"], headers = work.run(
                compute_lock or contextlib.nullcontext(), resume, replace
            )
            row["message"] = "; ".join(messages)
            row["images"] = len(headers)
            row["images_total"] = len(headers) + len(work.file.left)
            row["images_left"] = "; ".join(work.file.left)
            row["pixels"] = sum(keywords["CRNPIX"] for keywords in headers)
            row["objects"] = sum(keywords["CRNOBJ"] for keywords in headers)
        except Exception as error:  # noqa: BLE001 - whatever a file does, others go on
            logger.debug("%s failed", job.path, exc_info=True)
            row |= failure(error)
    row["seconds"] = round(time.perf_counter() - start, 3)
    return row


class _Work:
    """The work on one file, and the state of the file when it began."""

    def __init__(
        self, job: Job, options: FileOptions, model: Model, stop: threading.Event
    ):
        self.job, self.options, self.model, self.stop = job, options, model, stop
        self.before = state_of(job.path, follow=True)
        self.output_state = job.output_state
        if job.output_state == UNKNOWN:
            self.output_state = state_of(job.output)
        self.digest = file_digest(job.path, options, model)

    def run(
        self,
        compute_lock: contextlib.AbstractContextManager,
        resume: bool,
        replace: bool,
    ) -> tuple[str, list]:
        """Clean the file, if need be; return a status, and keywords of each image."""
        headers = self.finished() if resume else []
        if headers:
            return "skipped", headers
        self.check_place(resume, replace)
        try:
            return "done", self._run(compute_lock)
        except FileExistsError:
            # Another run of the same kind may have been faster.
            headers = self.finished() if resume else []
            if not headers:
                raise
            return "skipped", headers
        except (OSError, ValueError) as error:
            if state_of(self.job.path, follow=True) != self.before:
                raise OSError(f"{self.job.path} changed while it was read") from error
            raise

    def finished(self) -> list:
        """Return headers of the images of a result that is complete already."""
        return finished_headers(self.job.output, self.digest)

    def check_place(self, resume: bool, replace: bool) -> None:
        """Raise an error if there is a file that must not be replaced."""
        output = self.job.output
        self._check_input()
        if self.output_state is None or replace:
            return
        if not resume:
            raise FileExistsError(f"{output} exists; overwrite=True replaces it")
        if not is_result(output):
            raise FileExistsError(
                f"{output} exists and is no result of deepcr_ccd; overwrite=True "
                "replaces it"
            )

    def _check_input(self) -> None:
        path, output = self.job.path, self.job.output
        if output.exists() and path.exists() and path.samefile(output):
            raise ValueError(f"output {output} is the input, which is never replaced")

    def check_again(self) -> None:
        """Raise an error if the files have changed since the work began."""
        if self.stop.is_set():
            raise Interrupted
        if state_of(self.job.path, follow=True) != self.before:
            raise OSError(f"{self.job.path} changed while it was read")
        self._check_input()
        if state_of(self.job.output) != self.output_state and not self.finished():
            raise FileExistsError(
                f"{self.job.output} came there, or changed, meanwhile"
            )

    @functools.cached_property
    def file(self) -> FitsFile:
        """The file, with its images."""
        return FitsFile(
            self.job.path,
            unit=self.options.unit,
            dq=self.options.dq,
            bad_bits=self.options.bad_bits,
            dq_bit=self.options.dq_bit,
            ext=self.options.ext,
        )

    def _run(self, compute_lock: contextlib.AbstractContextManager) -> list[dict]:
        job, options, file = self.job, self.options, self.file
        if not options.masks_only:
            file.check_flags()
        units = file.count_units(options.masks_only, options.probability)
        results, counts = [], []
        for image in file.images:
            with compute_lock:
                if self.stop.is_set():
                    raise Interrupted
                result = clean_image(image, options, self.model, file.path)
            value = f"{self.digest}-{units}"
            result.cards.append((DIGEST, value, "digest of input, model and options"))
            counts.append({key: value for key, value, _ in result.cards})
            results.append(result)
        how: dict[str, Any] = {
            "overwrite": self.output_state is not None,
            "check": self.check_again,
        }
        if options.masks_only:
            write_masks(job.output, file.images, results, like=job.path, **how)
        else:
            file.write(job.output, results, **how)
        return counts
