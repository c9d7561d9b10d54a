"""Calls that come from several threads at once, served together."""

from __future__ import annotations

import collections
import queue
import threading
from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["DynamicBatcher"]


class _Request:
    def __init__(self, numbers: np.ndarray):
        self.numbers = numbers
        self.done = threading.Event()
        self.result: np.ndarray | None = None
        self.error: BaseException | None = None


class DynamicBatcher:
    """A function of many arrays, called with one array at a time by many threads.

    What waits while the function runs goes into its next call, if it has the same
    shape: so small arrays do not go to a GPU one by one, and none waits for others to
    come.

    Parameters
    ----------
    function : callable
        Takes arrays ``(n, ...)`` and one of the slots, returns ``(n, ...)``.
    slots : sequence
        What one call at a time may use, such as a stream of a GPU: there are as many
        calls side by side as there are slots.
    most : int
        Numbers that may go into a call, unless one array has more.
    """

    def __init__(self, function: Callable, slots: Sequence, most: int):
        self._function = function
        self._most = most
        self._slots: queue.SimpleQueue = queue.SimpleQueue()
        for slot in slots:
            self._slots.put(slot)
        self._waiting: collections.deque[_Request] = collections.deque()
        self._lock = threading.Lock()

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Return what the function makes of an array.

        Parameters
        ----------
        numbers : `~numpy.ndarray`
            Of any shape.

        Raises
        ------
        Exception
            What the function raises, for every array of the call.
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
        # Another thread may have taken it along.
        request.done.wait()
        if request.error is not None:
            raise request.error
        return request.result

    def _take(self, request: _Request) -> list[_Request]:
        """Return a request, and those that can go with it; none if it was taken."""
        with self._lock:
            if request not in self._waiting:
                return []
            self._waiting.remove(request)
            batch = [request]
            size = request.numbers.size
            for other in list(self._waiting):
                if size * (len(batch) + 1) > self._most:
                    break
                if other.numbers.shape == request.numbers.shape:
                    self._waiting.remove(other)
                    batch.append(other)
        return batch

    def _serve(self, batch: list[_Request], slot) -> None:
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
