"""Warnings of many threads: kept with the file that each is about."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

from .forking import ChildSafeLock

__all__ = ["ignored", "record", "recorded_warnings"]

#: Held by whoever changes Python's warnings, which all threads share.
_CHANGING = ChildSafeLock()


class _Record(threading.local):
    """Warnings of the file that this thread is at work on; None if on none."""

    def __init__(self):
        self.messages: list[str] | None = None


_RECORD = _Record()


class _Hook:
    """Takes the warnings of this process, while one batch or more is at work."""

    def __init__(self):
        self.users = 0
        self.stack = contextlib.ExitStack()
        self.filters: list[tuple] = []
        self.show = warnings.showwarning

    def start(self) -> None:
        with _CHANGING:
            if self.users == 0:
                self.filters, self.show = list(warnings.filters), warnings.showwarning
                self.stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("always")
                warnings.simplefilter("ignore", DeprecationWarning)
                warnings.showwarning = self
            self.users += 1

    def stop(self) -> None:
        with _CHANGING:
            self.users -= 1
            if self.users == 0:
                self.stack.close()

    def __call__(self, message, category, *args, **kwargs) -> None:
        if _RECORD.messages is not None:
            _RECORD.messages.append(" ".join(str(message).split()))
            return
        # It is of another thread: as if nothing had changed.
        for action, pattern, kind, module, line in self.filters:
            if module is None and line == 0 and issubclass(category, kind):
                if pattern is None or pattern.match(str(message)):
                    if action == "error":
                        raise message
                    if action == "ignore":
                        return
                    break
        self.show(message, category, *args, **kwargs)


_HOOK = _Hook()


@contextlib.contextmanager
def recorded_warnings() -> Iterator[None]:
    """Keep warnings with the file they are about, on whatever thread it is.

    Python's filters are those of before when the last one that is in force ends.

    Yields
    ------
    None
        While it is in force, `record` collects those of its thread.
    """
    _HOOK.start()
    try:
        yield
    finally:
        _HOOK.stop()


@contextlib.contextmanager
def ignored(message: str) -> Iterator[None]:
    """Ignore some warnings for a moment, in which no other thread does so.

    Parameters
    ----------
    message : str
        A regular expression for how they begin.
    """
    with _CHANGING, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message)
        yield


@contextlib.contextmanager
def record() -> Iterator[list[str]]:
    """Collect the warnings of this thread, where `recorded_warnings` is in force.

    Yields
    ------
    list of str
        To which they are added, each on one line.
    """
    before, _RECORD.messages = _RECORD.messages, []
    try:
        yield _RECORD.messages
    finally:
        _RECORD.messages = before
