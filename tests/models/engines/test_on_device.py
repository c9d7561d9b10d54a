"""Masks and probabilities of frames that are prepared on the device of the network.

Without a GPU, the device is torch's CPU.
"""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from astropy.utils.exceptions import AstropyUserWarning
from conftest import random_model

from deepcr_ccd import cosmicray_deepcr, cosmicray_probability, load_model
from deepcr_ccd.models.engines import on_device
from deepcr_ccd.models.engines.on_device import use_device
from deepcr_ccd.preprocess.network_input import NetworkInput
from deepcr_ccd.preprocess.on_device.frame import DeviceFrame
from deepcr_ccd.segmentation.hysteresis import Thresholds

HOW = {"engine": "torch", "precision": "float32"}
HOW["device"] = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture
def prepared_on_device(monkeypatch):
    """Return a function that turns it on and off, and tells how often it was used."""
    used = []
    right = on_device.copy_to_device

    def copy(*args):
        used.append(args)
        return right(*args)

    def turn(on):
        monkeypatch.setattr(on_device, "DEVICE_TYPES", {HOW["device"]} if on else set())
        return used

    monkeypatch.setattr(on_device, "copy_to_device", copy)
    monkeypatch.setattr(on_device, "_WORKS", {})
    return turn


def field(rng, shape=(200, 180)):
    frame = rng.normal(50, 5, shape).astype(np.float32)
    for row, column in rng.integers(10, 170, (40, 2)):
        frame[row, column : column + 5] += rng.uniform(20, 1000, 5).astype(np.float32)
    return frame


@pytest.mark.parametrize(
    ("name", "tile_size"),
    [("universal", None), ("universal", 96), ("universal-thorough", None)],
)
def test_results_are_the_same(name, tile_size, prepared_on_device, rng):
    model = load_model(name, **HOW)
    frame = field(rng)
    frame[40:44, 100:140] = np.nan
    options = {"model": model, "tile_size": tile_size}
    results = []
    for on in (False, True):
        used = prepared_on_device(on)
        probability = cosmicray_probability(frame, **options)
        crmask = cosmicray_deepcr(frame, inpaint=None, **options)[1]
        results.append((probability, crmask))
        assert len(used) == (2 if on else 0)
    (expected, expected_mask), (got, mask) = results
    assert expected_mask.sum() > 100
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert np.count_nonzero(mask != expected_mask) <= 2


def test_regions_and_levels(prepared_on_device, rng):
    model = load_model("universal", **HOW)
    frame = field(rng)
    region = (37, 181), (20, 171)
    cuts = Thresholds(0.5, 0.2)
    results = []
    for on in (False, True):
        prepared_on_device(on)
        results.append(
            [
                model.probability(frame, region=region, thresholds=thresholds)
                for thresholds in (None, cuts, Thresholds(0.5, 0.5))
            ]
        )
    for expected, got in zip(*results, strict=True):
        assert got.shape == (144, 151)
        assert got.dtype == expected.dtype
    assert set(np.unique(results[1][1])) == {0, 1, 2, 3}
    assert set(np.unique(results[1][2])) == {0, 3}
    np.testing.assert_allclose(results[1][0], results[0][0], atol=1e-4)
    for k in (1, 2):
        assert np.count_nonzero(results[0][k] != results[1][k]) <= 2


def test_models_on_electrons(prepared_on_device, rng):
    model = random_model(transform="scaled").to(**HOW)
    frame = field(rng)
    expected = model.probability(frame)
    used = prepared_on_device(True)
    np.testing.assert_allclose(model.probability(frame), expected, atol=1e-5)
    assert len(used) == 1


def test_frames_that_are_prepared_in_memory(prepared_on_device, rng):
    used = prepared_on_device(True)
    model = random_model(transform="noise").to(**HOW)
    thin = field(rng)[:9]
    assert np.isfinite(model.probability(thin)).all()
    assert not used
    # As measured in the memory of the machine alone.
    frame, level = field(rng), np.full((200, 180), 20, dtype=np.float32)
    got = model.probability(frame, background=level)
    assert len(used) == 1
    prepared_on_device(False)
    np.testing.assert_array_equal(got, model.probability(frame, background=level))


def test_a_device_with_other_numbers_is_not_used(prepared_on_device, monkeypatch, rng):
    used = prepared_on_device(True)
    monkeypatch.setattr(on_device, "is_as_in_memory", lambda _: False)
    frame = NetworkInput(field(rng))
    device = torch.device(HOW["device"])
    with pytest.warns(AstropyUserWarning, match="prepared on the processor, as "):
        use_device(frame, None, device)
    # Once is enough.
    use_device(frame, None, device)
    assert frame.device_frame is None
    assert not used


def test_a_device_whose_memory_runs_out(prepared_on_device, monkeypatch, rng):
    model = random_model(transform="noise").to(**HOW)
    frame = field(rng)
    prepared_on_device(False)
    expected = model.probability(frame)

    def fail(*_):
        raise torch.OutOfMemoryError

    used = prepared_on_device(True)
    monkeypatch.setattr(on_device, "is_as_in_memory", lambda _: True)
    monkeypatch.setattr(DeviceFrame, "measure_cells", fail)
    np.testing.assert_array_equal(model.probability(frame), expected)
    assert len(used) == 1


class FakeStream:
    """A stream of a GPU, which counts how many use it."""

    def __init__(self):
        self.lock, self.waited, self.error = threading.Lock(), 0, None

    def synchronize(self):
        self.waited += 1
        if self.error:
            raise self.error

    @contextlib.contextmanager
    def use(self):
        assert self.lock.acquire(blocking=False), "used by two threads at once"
        try:
            yield
        finally:
            self.lock.release()


def test_threads_share_two_streams(monkeypatch):
    engine = random_model().to(engine="torch").engine_for()
    streams = [FakeStream(), FakeStream()]
    monkeypatch.setattr(engine, "device", SimpleNamespace(type="cuda"))
    monkeypatch.setattr(torch.cuda, "stream", FakeStream.use)
    for stream in streams:
        engine._idle.put(stream)

    def work(_):
        with engine.stream():
            time.sleep(0.001)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert sum(stream.waited for stream in streams) == 40
    # Also of a GPU that failed: the next thread gets the error, and does not wait.
    for stream in streams:
        stream.error = RuntimeError("device-side assert")
    for _ in range(4):
        with pytest.raises(RuntimeError, match="device-side"):
            work(None)
