"""Calls of several threads are computed in batches; each gets its own result."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from deepcr_ccd.models.engines.batching import DynamicBatcher


class Doubler:
    """A function that remembers its calls, and can be held up."""

    def __init__(self):
        self.calls = []
        self.open = threading.Event()
        self.started = threading.Event()

    def __call__(self, numbers, slot):
        self.calls.append((len(numbers), slot))
        self.started.set()
        assert self.open.wait(30)
        if (numbers < 0).any():
            raise ValueError("negative")
        return 2 * numbers


def ask_while_busy(function, batcher, arrays):
    """Send arrays, the first of them ahead, while the function is held up."""
    pool = ThreadPoolExecutor(len(arrays))
    futures = [pool.submit(batcher, arrays[0])]
    assert function.started.wait(30)
    for number, array in enumerate(arrays[1:], start=1):
        futures.append(pool.submit(batcher, array))
        while len(batcher._waiting) < number:
            pass
    function.open.set()
    pool.shutdown()
    return futures


def test_arrays_that_wait_are_one_batch():
    function = Doubler()
    batcher = DynamicBatcher(function, ["slot"], max_size=400)
    arrays = [np.full((10, 10), i) for i in range(8)]
    futures = ask_while_busy(function, batcher, arrays)
    for array, future in zip(arrays, futures, strict=True):
        np.testing.assert_array_equal(future.result(), 2 * array)
    assert function.calls == [(1, "slot"), (4, "slot"), (3, "slot")]


def test_only_what_has_the_same_shape():
    function = Doubler()
    batcher = DynamicBatcher(function, ["slot"], max_size=10_000)
    shapes = [(4, 4), (4, 4), (5, 3), (4, 4), (5, 3)]
    arrays = [np.full(shape, i) for i, shape in enumerate(shapes)]
    futures = ask_while_busy(function, batcher, arrays)
    for array, future in zip(arrays, futures, strict=True):
        np.testing.assert_array_equal(future.result(), 2 * array)
    assert sorted(number for number, _ in function.calls) == [1, 2, 2]


def test_arrays_larger_than_a_call_go_alone():
    function = Doubler()
    batcher = DynamicBatcher(function, ["slot"], max_size=1)
    arrays = [np.full((3, 3), i) for i in range(4)]
    futures = ask_while_busy(function, batcher, arrays)
    assert [future.result()[0, 0] for future in futures] == [0, 2, 4, 6]
    assert [number for number, _ in function.calls] == [1] * 4


def test_errors_reach_all_of_a_call_and_no_other():
    function = Doubler()
    batcher = DynamicBatcher(function, ["slot"], max_size=200)
    # The last has another shape, and goes alone whichever thread comes first.
    arrays = [np.full((10, 10), i) for i in (1, 2, -3)] + [np.full((5, 5), 4)]
    futures = ask_while_busy(function, batcher, arrays)
    wrong = [future.exception() is not None for future in futures]
    assert wrong == [False, True, True, False]
    np.testing.assert_array_equal(batcher(arrays[0]), 2 * arrays[0])


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_many_threads(slots):
    rng = np.random.default_rng(0)
    arrays = [
        rng.normal(size=(rng.integers(1, 3), 4)).astype(np.float32) for _ in range(500)
    ]
    busy, most = [], []
    lock = threading.Lock()

    def function(numbers, slot):
        with lock:
            busy.append(slot)
            most.append(len(busy))
            assert busy.count(slot) == 1
        result = numbers + 1
        with lock:
            busy.remove(slot)
        return result

    batcher = DynamicBatcher(function, range(slots), max_size=40)
    with ThreadPoolExecutor(8) as pool:
        for array, result in zip(arrays, pool.map(batcher, arrays), strict=True):
            np.testing.assert_array_equal(result, array + 1)
    assert max(most) <= slots
