"""Which process made a file: names that tell those of dead processes."""

from __future__ import annotations

import os
import platform

__all__ = ["is_left_over", "mark"]


def mark() -> str:
    """Return what goes into the name of a file that this process will remove."""
    return f"{_host()}-{os.getpid()}."


def is_left_over(rest: str) -> bool:
    """Tell whether a name is that of a process of this machine which has ended.

    Parameters
    ----------
    rest : str
        The name from `mark` on.
    """
    host = f"{_host()}-"
    number = rest[len(host) :].partition(".")[0]
    ours = rest.startswith(host) and number.isdecimal()
    return ours and not _runs(int(number))


def _host() -> str:
    return platform.node().replace("/", "_") or "host"


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True
