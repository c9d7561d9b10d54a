"""Dynamic batching: calls from several threads are computed in one."""

from __future__ import annotations

import collections
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

__all__ = ["DynamicBatcher"]


class _Request:
    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = numbers
        self.done = threading.Event()
        self.result: np.ndarray | None = None
        self.error: BaseException | None = None


class DynamicBatcher:
    """A function of many arrays, called with one array at a time by many threads.

    Arrays that arrive while the function runs go into its next call, if they have the
    same shape. So small arrays do not go to a GPU one by one, and none waits for others
    to arrive.

    Parameters
    ----------
    function : callable
        Takes arrays ``(n, ...)`` and one of the slots, returns ``(n, ...)``.
    slots : sequence
        Resources that one call at a time may use, such as streams of a GPU: as many
        calls run in parallel as there are slots.
    max_size : int
        Largest number of elements in a call, unless one array has more.
    """

    def __init__(self, function: Callable, slots: Sequence, max_size: int):
        self._function = function
        self._max_size = max_size
        self._slots: queue.SimpleQueue = queue.SimpleQueue()
        for slot in slots:
            self._slots.put(slot)
        self._waiting: collections.deque[_Request] = collections.deque()
        self._lock = threading.Lock()

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Return the function of an array.

        Parameters
        ----------
        numbers : `~numpy.ndarray`
            Of any shape.

        Raises
        ------
        Exception
            The error of the function, for every array of the call.
        """
        request = _Request(numbers)
        with self._lock:
            self._waiting.append(request)
        slot = self._slots.get()
        try:
            batch = self._take(request)
            if batch:
                self._serve(batch, slot)
        finally:
            self._slots.put(slot)
        # Another thread may have taken it into its batch.
        request.done.wait()
        if request.error is not None:
            raise request.error
        return cast(np.ndarray, request.result)

    def _take(self, request: _Request) -> list[_Request]:
        """Return a request and those that fit into its batch; none if it was taken."""
        with self._lock:
            if request not in self._waiting:
                return []
            self._waiting.remove(request)
            batch = [request]
            size = request.numbers.size
            for other in list(self._waiting):
                if size * (len(batch) + 1) > self._max_size:
                    break
                if other.numbers.shape == request.numbers.shape:
                    self._waiting.remove(other)
                    batch.append(other)
        return batch

    def _serve(self, batch: list[_Request], slot: Any) -> None:
        try:
            results = self._function(np.stack([r.numbers for r in batch]), slot)
            for request, result in zip(batch, results, strict=True):
                request.result = result
        except BaseException as error:
            for request in batch:
                request.error = error
            raise
        finally:
            for request in batch:
                request.done.set()
