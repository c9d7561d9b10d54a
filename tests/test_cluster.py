import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from test_batch import contents, write_night

from deepcr_ccd import clean_files, load_model
from deepcr_ccd import cluster as cluster_module
from deepcr_ccd.jobs import Options

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
    monkeypatch.setattr(cluster_module, "run_job", lambda _, options, __: options)

    def device(address, model=None, **options):
        worker = SimpleNamespace(address=address)
        monkeypatch.setattr(distributed, "get_worker", lambda: worker)
        return cluster_module._run_on_worker(
            None, Options(**options), model, ranks
        ).device

    assert device("tcp://a:2") == "cuda:0"
    assert device("tcp://a:3") == "cuda:1"
    assert device("tcp://a:4") == "cuda:0"
    assert device("tcp://late:1") in ("cuda:0", "cuda:1")
    assert device("tcp://a:3", device="cpu") == "cpu"
    assert device("tcp://a:3", model="a model's own device is kept") is None
    monkeypatch.setattr(cluster_module.torch.cuda, "device_count", lambda: 1)
    assert device("tcp://a:3") is None


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
