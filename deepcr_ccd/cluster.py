"""Dask: files on the workers of a cluster."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import torch

from .chunks import one_thread
from .jobs import Job, Options, run_job
from .model import Model

__all__ = ["run_jobs"]

#: Times that a file is done again after its worker was lost.
RETRIES = 3


def run_jobs(
    jobs: Sequence[Job], options: Options, scheduler, *, resume: bool, replace: bool
) -> Iterator[dict]:
    """Clean files on the workers of a Dask cluster; yield rows as they come.

    Workers read and write the files themselves. The model is sent by name or path, and
    each worker loads it once; a model object is sent to each worker as it is. Files of
    workers that are lost are done again by others.

    Parameters
    ----------
    jobs : sequence of Job
        The files, at paths that hold on the workers too.
    options : Options
        What to do with each.
    scheduler : str or `distributed.Client`
        Address of the scheduler, or a client of it.
    resume, replace : bool
        As for `~deepcr_ccd.jobs.run_job`.

    Yields
    ------
    dict
        A row a file.

    Raises
    ------
    ImportError
        If ``distributed`` is not installed.
    """
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise ImportError(
            'scheduler= needs distributed: pip install "deepcr_ccd[dask]"'
        ) from error
    with contextlib.ExitStack() as stack:
        if isinstance(scheduler, Client):
            client = scheduler
        else:
            client = stack.enter_context(Client(scheduler, set_as_default=False))
        model = None
        if isinstance(options.model, Model):
            model = client.scatter(options.model, broadcast=True)
        futures = {
            client.submit(
                _run_on_worker,
                job,
                options if model is None else dataclasses.replace(options, model=""),
                model,
                # A worker that was lost may have finished its file before.
                resume=True,
                replace=replace,
                pure=False,
                retries=RETRIES,
            ): job
            for job in jobs
        }
        for future in as_completed(futures, loop=client.loop):
            job = futures[future]
            try:
                row = future.result()
            except Exception as error:  # noqa: BLE001 - it is reported with the file
                row = {
                    "file": str(job.path), "output": str(job.output), "pixels": 0,
                    "objects": 0, "status": "failed", "seconds": 0.0,
                    "message": " ".join(str(error).split()),
                }  # fmt: skip
            future.release()
            if row["status"] == "skipped" and not resume:
                row["status"] = "done"
            yield row


def _run_on_worker(*args, **kwargs) -> dict:
    """Run a job on one core: a worker has as many threads as it shall use cores."""
    with one_thread(torch.get_num_threads()):
        return run_job(*args, **kwargs)
