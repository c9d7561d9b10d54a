"""``benchmarks/gpu.py`` runs, on the CPU, so that it needs no care where a GPU is."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from deepcr_ccd.models.engines import on_device


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("gpu")


def test_it_runs_without_a_gpu(gpu, tmp_path, capsys, monkeypatch):
    # Other packages are timed where these are installed.
    monkeypatch.setattr(gpu, "baselines", lambda *_: None)
    before = on_device.DEVICE_TYPES
    path = tmp_path / "gpu.ecsv"
    arguments = ["--device", "cpu", "--sizes", "128", "--quick", "--profile"]
    gpu.main([*arguments, "--models", "universal-fast", "--ecsv", str(path)])
    printed = capsys.readouterr().out
    assert "Error" not in printed
    assert "left out" not in printed
    assert ": 0 of " in printed.partition("device: ")[2]
    table = Table.read(path)
    assert len(table) > 12
    assert np.all(table["ms"] > 0)
    jobs = " ".join(table["job"])
    for what in ("network", "from device memory", "stage", "fill", "batch", "tiles"):
        assert what in jobs
    assert before is on_device.DEVICE_TYPES


def test_what_does_not_fit_into_the_budget_is_named(gpu, capsys):
    arguments = ["--device", "cpu", "--sizes", "128", "--quick", "--budget", "0"]
    arguments += ["--models", "universal-fast"]
    gpu.main(arguments)
    printed = capsys.readouterr().out.partition("left out, for want of time:")[2]
    assert "universal-fast, mask and fill, 128" in printed
    assert "batch, 4 of 256, threads: 1" in printed
