"""Files that are cleaned by the workers of a Dask cluster."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from ..models.model import Model
from ..notices import warnings_by_thread
from ..tiling.workers import one_torch_thread
from .job import Job, blank_row, failure, file_size, run_job
from .options import FileOptions

__all__ = ["run_jobs"]

#: How often files are cleaned again after their worker was lost.
RETRIES = 3
#: Seconds for closing a client that found no scheduler.
CLOSING_SECONDS = 2
#: Small files are sent to workers in groups, as each message costs some milliseconds:
#: the most bytes of a group, and the least number of groups left for each thread.
GROUP_BYTES = 32 * 2**20
GROUPS_PER_THREAD = 4


def run_jobs(
    jobs: Sequence[Job],
    options: FileOptions,
    scheduler: Any,
    *,
    resume: bool,
    replace: bool,
) -> Generator[dict, None, None]:
    """Clean files on the workers of a Dask cluster; yield rows as they are done.

    Workers read and write the files themselves. The model is sent by name or path, and
    each worker loads it once; a model object is sent to each worker as it is. Small
    files are sent in groups. Files of workers that are lost are cleaned again by
    others.

    Parameters
    ----------
    jobs : sequence of Job
        The files, at paths that hold on the workers too.
    options : FileOptions
        What to do with each.
    scheduler : str or `distributed.Client`
        Address of the scheduler, or a client of it.
    resume, replace : bool
        As for `~deepcr_ccd.batch.job.run_job`.

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
            client = stack.enter_context(_connect(scheduler))
        model = None
        if isinstance(options.model, Model):
            model = client.scatter(options.model, broadcast=True)
        threads = client.nthreads()
        ranks = _ranks(threads)
        sent = dataclasses.replace(options, model="") if model is not None else options

        def submit(group: Sequence[Job]) -> Any:
            return client.submit(
                _run_on_worker,
                group,
                sent,
                model,
                ranks,
                # A worker that was lost may have finished its files before.
                resume=True,
                replace=replace,
                pure=False,
                retries=RETRIES,
            )

        groups = _group_jobs(jobs, sum(threads.values()))
        futures = {submit(group): group for group in groups}
        completed = as_completed(futures, loop=client.loop)
        for future in completed:
            group = futures.pop(future)
            try:
                rows = future.result()
            except Exception as error:  # noqa: BLE001 - it is reported with the file
                if len(group) == 1:
                    rows = [blank_row(group[0]) | failure(error)]
                else:
                    # One of them may have taken the worker down.
                    alone = {submit([job]): [job] for job in group}
                    futures |= alone
                    completed.update(alone)
                    rows = []
            future.release()
            for row in rows:
                if row["status"] == "skipped" and not resume:
                    row["status"] = "done"
                yield row


def _connect(address: str) -> Any:
    """Return a client of a scheduler.

    A client that finds none is not closed by Dask: it would wait for itself for a
    minute before the process ends.
    """
    from distributed import Client

    client: Any = Client.__new__(Client)
    try:
        Client.__init__(client, address, set_as_default=False)
    except BaseException:
        with contextlib.suppress(Exception):
            client.close(timeout=CLOSING_SECONDS)
        client.status = "closed"
        raise
    return client


def _group_jobs(jobs: Sequence[Job], threads: int) -> Iterator[Sequence[Job]]:
    """Divide jobs into groups that are sent together; smaller ones towards the end."""
    start = 0
    while start < len(jobs):
        most = (len(jobs) - start) // (GROUPS_PER_THREAD * max(threads, 1))
        stop, room = start + 1, GROUP_BYTES - file_size(jobs[start].path)
        while stop < start + most and (room := room - file_size(jobs[stop].path)) >= 0:
            stop += 1
        yield jobs[start:stop]
        start = stop


def _ranks(addresses: Iterable[str]) -> dict[str, int]:
    """Give the workers of each machine numbers, by their addresses."""
    numbers: collections.Counter = collections.Counter()
    ranks = {}
    for address in sorted(addresses):
        host = address.rpartition(":")[0]
        ranks[address] = numbers[host]
        numbers[host] += 1
    return ranks


def _run_on_worker(
    jobs: Sequence[Job],
    options: FileOptions,
    model: Model | None,
    ranks: dict[str, int],
    **how: Any,
) -> list[dict]:
    """Run jobs on one core, and one GPU if there are any.

    A worker has one thread for each core that it may use; the workers of a machine
    divide its GPUs among them. While one file is written, the next is computed.
    """
    from distributed import get_worker

    gpus = torch.cuda.device_count()
    if model is None and options.device is None and gpus > 1:
        rank = ranks.get(get_worker().address, os.getpid())
        options = dataclasses.replace(options, device=f"cuda:{rank % gpus}")
    compute_lock, threads = threading.Lock(), torch.get_num_threads()

    def run(job: Job) -> dict:
        with one_torch_thread(threads):
            return run_job(job, options, model, compute_lock=compute_lock, **how)

    with warnings_by_thread(), ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, jobs))
