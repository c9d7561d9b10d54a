"""What the command prints while it cleans files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable
from typing import Literal, TextIO

__all__ = ["Reporter", "complain", "finish", "say"]

#: The most names of images that were left out, on a line.
MOST_NAMES = 8


def say(line: str = "") -> None:
    """Write a line to standard output.

    Parameters
    ----------
    line : str
        The line.
    """
    _write(sys.stdout, line + "\n")


def complain(kind: Literal["error", "warning"], message: object) -> None:
    """Write an error or a warning to standard error, on one line.

    Parameters
    ----------
    kind : {"error", "warning"}
        What it is.
    message : object
        What it says.
    """
    text = _on_one_line(" ".join(str(message).split()))
    _write(sys.stderr, f"deepcr-ccd: {kind}: {text}\n")


def finish() -> None:
    """Flush both streams, if anybody reads them."""
    for stream in (sys.stdout, sys.stderr):
        _write(stream, "")


def _write(stream: TextIO | None, text: str) -> None:
    """Write text, escaped where the terminal needs it; a closed pipe is no error."""
    if stream is None:
        return
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        _silence(stream)
    except OSError:
        _silence(stream)
        raise


def _silence(stream: TextIO) -> None:
    """Discard what is still to be written, so that Python ends without an error."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class Reporter:
    """Prints what became of each file, in the way that the options ask for.

    Parameters
    ----------
    total : int
        Number of files.
    quiet, as_json : bool
        Whether to show errors only, or a line of JSON for each file.
    reword : callable, optional
        Takes a message, and ``names=`` of files that stay as they are in it; returns
        the message in the words of the command.
    """

    def __init__(
        self,
        total: int,
        *,
        quiet: bool = False,
        as_json: bool = False,
        reword: Callable[..., str] = lambda text, **_: text,
    ):
        self.reword = reword
        self.quiet = quiet
        self.as_json = as_json
        self.failed = 0
        self.bar = None
        plain = quiet or as_json or sys.stderr is None or not sys.stderr.isatty()
        if total > 1 and not plain:
            with contextlib.suppress(ImportError):
                from tqdm.auto import tqdm

                self.bar = tqdm(total=total, unit="file", desc="deepcr-ccd")

    def __call__(self, row: dict) -> None:
        """Report a file.

        Parameters
        ----------
        row : dict
            From `~deepcr_ccd.batch.files.clean_files`.
        """
        from ..notices import counted

        if self.bar is not None:
            self.bar.update()
        if row["status"] == "failed":
            self.failed += 1
            complain("error", self._message(row))
        elif row["message"] and not self.quiet:
            complain("warning", self._message(row))
        if self.as_json:
            say(json.dumps(row | {"message": self._reworded(row)}))
        elif not self.quiet and self.bar is None and row["status"] != "failed":
            say(
                f"{_on_one_line(row['output'])}: "
                f"{counted(row['objects'], 'cosmic ray')}, {row['pixels']} px, "
                + _images_of(row)
                + ("skipped" if row["status"] == "skipped" else f"{row['seconds']} s")
            )

    def _reworded(self, row: dict) -> str:
        names = sorted({row["file"], row["output"]}, key=len, reverse=True)
        return self.reword(row["message"], names=names)

    def _message(self, row: dict) -> str:
        """Return the message of a row, with the name of its file."""
        text = self._reworded(row)
        named = rf"(?<![\w./-]){re.escape(row['file'])}(?![\w/-])"
        return text if re.search(named, text) else f"{row['file']}: {text}"

    def close(self) -> None:
        """End the progress bar."""
        if self.bar is not None:
            self.bar.close()


def _on_one_line(text: object) -> str:
    """Return text with control characters, such as ends of lines, escaped."""
    return re.sub(
        r"[\x00-\x1f\x7f-\x9f\u2028\u2029]",
        lambda match: match.group().encode("unicode_escape").decode(),
        str(text),
    )


def _images_of(row: dict) -> str:
    """Return how many images were cleaned, and which not, if there are several."""
    if row["images_total"] < 2:
        return ""
    left = row["images_left"].split("; ") if row["images_left"] else []
    names = "; ".join(left[:MOST_NAMES]) + ("; ..." if len(left) > MOST_NAMES else "")
    names = _on_one_line(names)
    count = f"{row['images']} of {row['images_total']} images"
    return count + (f" (left: {names}), " if left else ", ")
