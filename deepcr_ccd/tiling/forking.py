"""Children that are forked: what they do without, so that they never wait for ever.

A child has a copy of its parent's memory, and none of its threads. What waits for such
a thread waits for ever: the pool that PyTorch shares a computation with, the threads
that OpenVINO keeps for the next model, and locks that another thread held.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import weakref
from collections.abc import Iterator

import torch

__all__ = [
    "ChildSafeLock",
    "is_forked",
    "keep_in_children",
    "openvino_is_inherited",
    "openvino_is_starting",
    "openvino_is_used",
    "set_threads",
]

_KEPT: weakref.WeakSet = weakref.WeakSet()
_LOCKS: weakref.WeakSet = weakref.WeakSet()
#: Threads that are importing OpenVINO.
_STARTING: set[int] = set()
_STATE = {"forked": False, "openvino used": False, "openvino inherited": False}


class ChildSafeLock:
    """A lock that is open in a child, whoever held it when the child was forked."""

    def __init__(self):
        self._lock = threading.RLock()
        _LOCKS.add(self)

    def __enter__(self):
        self._lock.acquire()
        return self

    def __exit__(self, *error):
        try:
            self._lock.release()
        except RuntimeError:
            # Held when this child was forked, and open since.
            if not is_forked():
                raise

    def open(self) -> None:
        """Make it a lock that no one holds."""
        self._lock = threading.RLock()


def is_forked() -> bool:
    """Tell whether this process was forked from one that had loaded this package."""
    return _STATE["forked"]


def keep_in_children(thing: object) -> None:
    """Never take an object down in a child, which has not got the threads it waits for.

    Parameters
    ----------
    thing : object
        It can be referred to weakly.
    """
    _KEPT.add(thing)


def openvino_is_used() -> None:
    """Take note that OpenVINO has threads from now on, which children will not have."""
    _STATE["openvino used"] = True


def openvino_is_inherited() -> bool:
    """Tell whether OpenVINO's threads have stayed behind in the parent.

    OpenVINO would give them the next model to compile, and wait for ever.
    """
    return _STATE["openvino inherited"]


@contextlib.contextmanager
def openvino_is_starting() -> Iterator[None]:
    """Take note that a thread imports OpenVINO, whose locks children find closed."""
    _STARTING.add(threading.get_ident())
    try:
        yield
    finally:
        _STARTING.discard(threading.get_ident())


def set_threads(number: int) -> None:
    """Set how many threads PyTorch computes with; in a forked child, always one.

    Parameters
    ----------
    number : int
        At least 1.
    """
    torch.set_num_threads(1 if is_forked() else number)


def _begin_anew() -> None:
    """Prepare a child that has just been forked."""
    _STATE["forked"] = True
    _STATE["openvino inherited"] |= _STATE["openvino used"] or bool(_STARTING)
    for lock in _LOCKS:
        lock.open()
    for thing in _KEPT:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    # As PyTorch's own DataLoader does in its workers.
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
