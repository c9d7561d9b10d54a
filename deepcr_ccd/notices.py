"""Warnings: their category, arguments without effect, and records for each file."""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from astropy.utils.exceptions import AstropyUserWarning

from .tiling.forking import ChildSafeLock

__all__ = [
    "DeepCRWarning",
    "collected_warnings",
    "counted",
    "ignored",
    "names_its_arguments",
    "refuse_arguments",
    "suggestion",
    "warn_unused",
    "warn_user",
    "warnings_by_thread",
]

NOTHING_TO_TUNE = (
    "there is nothing to tune; threshold= and extend_threshold= say how much is flagged"
)
OF_THE_PSF = f"no point spread function is needed; {NOTHING_TO_TUNE}"
#: What to do in place of arguments of `ccdproc.cosmicray_lacosmic`.
INSTEAD_OF_LACOSMIC = {
    **dict.fromkeys(("sigclip", "sigfrac", "objlim", "sepmed"), NOTHING_TO_TUNE),
    **dict.fromkeys(("fsmode", "psfmodel"), OF_THE_PSF),
    **dict.fromkeys(("psfsize", "psfk", "psfbeta"), OF_THE_PSF),
    "niter": "one pass does, leave it out",
    "gain_apply": "the unit stays, leave it out; to multiply by the gain, use "
    "ccd.multiply(gain) or ccdproc.gain_correct before",
    "pssl": "the background is measured, leave it out",
    "cleantype": "use inpaint=, such as inpaint='median'",
    "verbose": "use progress=",
    "inmask": "give a CCDData with its mask, or a masked array",
    "mask": "give a CCDData with its mask, or a masked array",
    "inbkg": "use deepcr_ccd.detect_cosmics",
    "invar": "use deepcr_ccd.detect_cosmics",
}


class DeepCRWarning(AstropyUserWarning):
    """An argument was given that has no effect."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one.

    Parameters
    ----------
    number : int
        How many there are.
    noun : str
        In the singular.

    Examples
    --------
    >>> counted(1, "cosmic ray"), counted(0, "cosmic ray")
    ('1 cosmic ray', '0 cosmic rays')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def warn_user(message: str, category: type[Warning] = AstropyUserWarning) -> None:
    """Warn, and name the line outside of this package that called it.

    Parameters
    ----------
    message : str
        What is said.
    category : type
        Of the warning.
    """
    frame, stacklevel = inspect.currentframe(), 0
    while frame and _is_ours(frame.f_globals.get("__name__", "")):
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, category, stacklevel=stacklevel + 1)


def _is_ours(module: str) -> bool:
    package = __name__.partition(".")[0]
    # A decorator of ours stands between a function and its caller.
    return module.partition(".")[0] == package or module == "astropy.utils.decorators"


def warn_unused(parameter: str, why: str) -> None:
    """Warn that an argument has no effect.

    Parameters
    ----------
    parameter, why : str
        Its name, and the reason.
    """
    warn_user(f"{parameter}= has no effect: {why}", DeepCRWarning)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a question about the nearest name, or nothing if none is near.

    Parameters
    ----------
    name : str
        What was given.
    known : iterable of str
        What there is.
    """
    by_case = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=0.6)
    return f"did you mean {by_case[near[0]]!r}? " if near else ""


def refuse_arguments(function: str, given: dict, known: Iterable[str]) -> None:
    """Raise a TypeError if arguments were given that a function does not have.

    Parameters
    ----------
    function : str
        Its name.
    given : dict
        Arguments that it does not have.
    known : iterable of str
        Those that it has.
    """
    for name in given:
        if name in INSTEAD_OF_LACOSMIC:
            raise TypeError(
                f"{function} has no argument {name}=: {INSTEAD_OF_LACOSMIC[name]}"
            )
        known = list(known)
        near = suggestion(name, known)
        raise TypeError(
            f"{function} has no argument {name}=: {near}{'It' if near else 'it'} has "
            f"{', '.join(known)}"
        )


_Function = TypeVar("_Function", bound=Callable[..., Any])


def names_its_arguments(function: _Function) -> _Function:
    """Decorate a function: of an unknown argument, it says what is near it.

    Parameters
    ----------
    function : callable
        Of named arguments alone.
    """
    known = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*positional: Any, **named: Any) -> Any:
        unknown = {name: named[name] for name in named if name not in known}
        refuse_arguments(function.__name__, unknown, known)
        return function(*positional, **named)

    return checked  # type: ignore[return-value]


#: Locked while Python's warnings change, which all threads share.
_CHANGING = ChildSafeLock()


class _Record(threading.local):
    """Warnings of the file that this thread cleans; None if it cleans none."""

    def __init__(self) -> None:
        self.messages: list[str] | None = None


_RECORD = _Record()


class _Hook:
    """Takes the warnings of this process while any batch is running."""

    def __init__(self) -> None:
        self.users = 0
        self.stack = contextlib.ExitStack()
        self.filters: list[tuple] = []
        self.show = warnings.showwarning

    def start(self) -> None:
        """Receive warnings, if no other batch has begun to."""
        with _CHANGING:
            if self.users == 0:
                self.filters, self.show = list(warnings.filters), warnings.showwarning
                self.stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("always")
                warnings.simplefilter("ignore", DeprecationWarning)
                warnings.showwarning = self
            self.users += 1

    def stop(self) -> None:
        """Give them back to Python, if no other batch runs."""
        with _CHANGING:
            self.users -= 1
            if self.users == 0:
                self.stack.close()

    def __call__(
        self, message: Any, category: type[Warning], *args: Any, **kwargs: Any
    ) -> None:
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
def warnings_by_thread() -> Iterator[None]:
    """Keep warnings with the file they are about, on whatever thread it is.

    Python's filters are those of before when the last one that is in force ends.

    Yields
    ------
    None
        While it is in force, `collected_warnings` collects those of its thread.
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
def collected_warnings() -> Iterator[list[str]]:
    """Collect the warnings of this thread, where `warnings_by_thread` is in force.

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
