"""Forked child processes: how they avoid to wait for threads of the parent.

A child has a copy of its parent's memory, but none of its threads. Waiting for such a
thread never ends: for PyTorch's thread pool, the threads that OpenVINO keeps for the
next model, and locks that another thread had acquired.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Self

__all__ = [
    "ChildSafeLock",
    "is_forked",
    "keep_in_children",
    "openvino_is_inherited",
    "record_openvino_import",
    "record_openvino_use",
    "set_threads",
]

_KEPT: weakref.WeakSet = weakref.WeakSet()
_LOCKS: weakref.WeakSet = weakref.WeakSet()
#: Threads that are importing OpenVINO.
_STARTING: set[int] = set()
_STATE = {"forked": False, "openvino used": False, "openvino inherited": False}


class ChildSafeLock:
    """A lock that is free in a child, even if it was acquired during the fork."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _LOCKS.add(self)

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            # Acquired when this child was forked, and free since.
            if not is_forked():
                raise

    def reset(self) -> None:
        """Replace it by a free lock."""
        self._lock = threading.RLock()


def is_forked() -> bool:
    """Tell whether this process was forked from one that had loaded this package."""
    return _STATE["forked"]


def keep_in_children(thing: object) -> None:
    """Never delete an object in a child, where its destructor would wait for threads.

    Parameters
    ----------
    thing : object
        It must allow weak references.
    """
    _KEPT.add(thing)


def record_openvino_use() -> None:
    """Record that OpenVINO has threads from now on, which children will not have."""
    _STATE["openvino used"] = True


def openvino_is_inherited() -> bool:
    """Tell whether OpenVINO was in use in the parent, where its threads have stayed.

    In the child it would give them the next model to compile, and wait for ever.
    """
    return _STATE["openvino inherited"]


@contextlib.contextmanager
def record_openvino_import() -> Iterator[None]:
    """Record that a thread imports OpenVINO, whose locks stay acquired in children."""
    _STARTING.add(threading.get_ident())
    try:
        yield
    finally:
        _STARTING.discard(threading.get_ident())


def set_threads(number: int) -> None:
    """Set the number of PyTorch's threads; in a forked child, always one.

    Parameters
    ----------
    number : int
        At least 1.
    """
    import torch

    torch.set_num_threads(1 if is_forked() else number)


def _reset_child() -> None:
    """Prepare a child that has just been forked."""
    _STATE["forked"] = True
    _STATE["openvino inherited"] |= _STATE["openvino used"] or bool(_STARTING)
    for lock in _LOCKS:
        lock.reset()
    for thing in _KEPT:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        # As PyTorch's own DataLoader does in its workers.
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_child)
