import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from sample_files import contents, write_night

from deepcr_ccd import clean_files, load_model
from deepcr_ccd.batch import distributed as cluster_module
from deepcr_ccd.batch import job as jobs
from deepcr_ccd.batch.job import Job
from deepcr_ccd.batch.options import FileOptions

distributed = pytest.importorskip("distributed")

# Dask's own event loops leave sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        dashboard_address=":0",
    ) as cluster:
        yield cluster


@pytest.fixture
def night(tmp_path):
    return write_night(tmp_path / "night", 4)


def test_files_on_workers_are_those_done_here(night, tmp_path, cluster):
    night[2].write_text("no FITS")
    here = clean_files(night, tmp_path / "here")
    rows = []
    there = clean_files(
        night,
        tmp_path / "there",
        scheduler=cluster.scheduler_address,
        report=rows.append,
    )
    assert there["status"].tolist() == ["done", "done", "failed", "done"]
    assert there["pixels"].tolist() == here["pixels"].tolist()
    assert len(rows) == 4
    one, other = contents(tmp_path / "here"), contents(tmp_path / "there")
    assert one.keys() == other.keys()


def test_client_and_model_object(night, tmp_path, cluster):
    model = load_model("universal", device="cpu")
    with distributed.Client(cluster, set_as_default=False) as client:
        table = clean_files(night, tmp_path / "out", scheduler=client, model=model)
        assert set(table["status"]) == {"done"}
        again = clean_files(
            night, tmp_path / "out", scheduler=client, model=model, resume=True
        )
        assert set(again["status"]) == {"skipped"}
        np.testing.assert_array_equal(again["pixels"], table["pixels"])


def test_outputs_are_not_replaced_unasked(night, tmp_path, cluster):
    clean_files(night[:1], tmp_path / "out")
    with pytest.raises(FileExistsError):
        clean_files(night, tmp_path / "out", scheduler=cluster.scheduler_address)


def test_workers_share_out_gpus(monkeypatch):
    ranks = cluster_module._ranks(
        ["tcp://a:4", "tcp://a:2", "tcp://b:9", "tcp://a:3", "tcp://[::1]:5"]
    )
    assert ranks == {
        "tcp://a:2": 0, "tcp://a:3": 1, "tcp://a:4": 2, "tcp://b:9": 0,
        "tcp://[::1]:5": 0,
    }  # fmt: skip
    monkeypatch.setattr(cluster_module.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        cluster_module, "run_job", lambda _, options, *_args, **_how: options
    )

    def device(address, model=None, **options):
        worker = SimpleNamespace(address=address)
        monkeypatch.setattr(distributed, "get_worker", lambda: worker)
        (options,) = cluster_module._run_on_worker(
            [None], FileOptions(**options), model, ranks
        )
        return options.device

    assert device("tcp://a:2") == "cuda:0"
    assert device("tcp://a:3") == "cuda:1"
    assert device("tcp://a:4") == "cuda:0"
    assert device("tcp://late:1") in ("cuda:0", "cuda:1")
    assert device("tcp://a:3", device="cpu") == "cpu"
    assert device("tcp://a:3", model="a model's own device is kept") is None
    monkeypatch.setattr(cluster_module.torch.cuda, "device_count", lambda: 1)
    assert device("tcp://a:3") is None


def test_small_files_go_together_and_large_ones_alone(tmp_path):
    def sizes(lengths, threads):
        jobs = []
        for number, length in enumerate(lengths):
            path = tmp_path / f"{number}.fits"
            with open(path, "wb") as file:
                file.truncate(length)
            jobs.append(Job(path, path))
        groups = list(cluster_module._group_jobs(jobs, threads))
        assert [job for group in groups for job in group] == jobs
        return [len(group) for group in groups]

    small, large = 2880, 20 * 2**20
    assert sizes([small] * 24, 1) == [6, 4, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1]
    assert sizes([small] * 24, 2) == [3, 2, 2, 2, 1] + [1] * 14
    assert sizes([small] * 24, 0) == sizes([small] * 24, 1)
    assert sizes([large] * 24, 1) == [1] * 24
    assert sizes([large, small, small, large] * 6, 1)[0] == 3
    nowhere = Job(tmp_path / "only on the workers", tmp_path)
    assert [len(p) for p in cluster_module._group_jobs([nowhere] * 24, 1)] == [1] * 24


def test_a_worker_computes_one_file_while_it_writes_another(
    tmp_path, cluster, monkeypatch
):
    night = write_night(tmp_path / "night", 16)
    assert len(next(cluster_module._group_jobs([Job(p, p) for p in night], 2))) == 2
    clean_image, write = jobs.clean_image, jobs.FitsFile.write
    at_work, most, seen = [], [], {path: threading.Event() for path in night}

    def slow_clean(image, options, model, path):
        seen[path].set()
        at_work.append(path)
        most.append(sum(p in night[:2] for p in at_work))
        result = clean_image(image, options, model, path)
        at_work.remove(path)
        return result

    def slow_write(file, *args, **kwargs):
        if file.path == night[0]:
            assert seen[night[1]].wait(30), "the next one waits for the disk"
        return write(file, *args, **kwargs)

    monkeypatch.setattr(jobs, "clean_image", slow_clean)
    monkeypatch.setattr(jobs.FitsFile, "write", slow_write)
    table = clean_files(night, tmp_path / "out", scheduler=cluster.scheduler_address)
    assert set(table["status"]) == {"done"}
    assert max(most) == 1


def test_a_file_that_no_worker_can_bear_takes_no_other_with_it(
    tmp_path, cluster, monkeypatch
):
    night = write_night(tmp_path / "night", 20)
    assert len(list(cluster_module._group_jobs([Job(p, p) for p in night], 2))) < 20
    run_job = cluster_module.run_job

    def fragile(job, *args, **kwargs):
        if job.path == night[1]:
            raise MemoryError("no room")
        return run_job(job, *args, **kwargs)

    # Its workers are threads of this process.
    monkeypatch.setattr(cluster_module, "run_job", fragile)
    rows = []
    table = clean_files(
        night,
        tmp_path / "out",
        scheduler=cluster.scheduler_address,
        report=rows.append,
    )
    assert len(rows) == len(table) == 20
    assert table["status"].tolist() == ["done", "failed"] + 18 * ["done"]
    assert table["message"][1] == "no room"


def test_files_of_a_lost_worker_are_done_again(tmp_path):
    night = write_night(tmp_path / "night", 30)
    killed = []
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):

        def report(_):
            if not killed:
                killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        table = clean_files(night, tmp_path / "out", scheduler=client, report=report)
        assert killed[0] not in client.run(os.getpid).values()
    assert set(table["status"]) == {"done"}
    assert sorted(contents(tmp_path / "out")) == [path.name for path in night]


def test_no_such_scheduler_is_an_error_and_the_end(night, tmp_path):
    words = ["clean", night[0], "-o", tmp_path / "out", "--scheduler", "nope"]
    done = subprocess.run(
        [sys.executable, "-m", "deepcr_ccd", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 1
    said = "deepcr-ccd: error: missing port number in address 'nope'\n"
    assert done.stderr == said
