import numpy as np
import pytest
from test_batch import contents, write_night

from deepcr_ccd import clean_files, load_model

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
        dashboard_address=None,
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
