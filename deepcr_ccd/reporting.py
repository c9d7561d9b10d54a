"""What the command says while it is at work on files."""

from __future__ import annotations

import contextlib
import json
import sys

__all__ = ["Reporter", "complain", "say"]

#: How many images that were left are named on a line.
MOST_NAMES = 8


def say(line: str = "") -> None:
    """Write a line to standard output.

    Parameters
    ----------
    line : str
        The line.
    """
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def complain(kind: str, message) -> None:
    """Write an error or a warning to standard error, on one line.

    Parameters
    ----------
    kind : {"error", "warning"}
        What it is.
    message : object
        What it says.
    """
    sys.stderr.write(f"deepcr-ccd: {kind}: {' '.join(str(message).split())}\n")


class Reporter:
    """Says what became of each file, in the way that the options ask for.

    Parameters
    ----------
    total : int
        Number of files.
    quiet, as_json : bool
        Whether to show errors only, or a line of JSON for each file.
    """

    def __init__(self, total: int, *, quiet: bool = False, as_json: bool = False):
        self.quiet = quiet
        self.as_json = as_json
        self.failed = 0
        self.bar = None
        plain = quiet or as_json or not sys.stderr.isatty()
        if total > 1 and not plain:
            with contextlib.suppress(ImportError):
                from tqdm import tqdm

                self.bar = tqdm(total=total, unit="file", desc="deepcr-ccd")

    def __call__(self, row: dict) -> None:
        """Report a file.

        Parameters
        ----------
        row : dict
            From `~deepcr_ccd.batch.clean_files`.
        """
        if self.bar is not None:
            self.bar.update()
        if row["status"] == "failed":
            self.failed += 1
            complain("error", row["message"])
        elif row["message"] and not self.quiet:
            complain("warning", row["message"])
        if self.as_json:
            say(json.dumps(row))
        elif not self.quiet and self.bar is None and row["status"] != "failed":
            say(
                f"{row['output']}: {row['objects']} cosmic rays, {row['pixels']} px, "
                + _images_of(row)
                + ("skipped" if row["status"] == "skipped" else f"{row['seconds']} s")
            )

    def close(self) -> None:
        """End the progress bar."""
        if self.bar is not None:
            self.bar.close()


def _images_of(row: dict) -> str:
    """Return how many images were cleaned, and which not, where there are several."""
    if row["images_total"] < 2:
        return ""
    left = row["images_left"].split("; ") if row["images_left"] else []
    names = "; ".join(left[:MOST_NAMES]) + ("; ..." if len(left) > MOST_NAMES else "")
    told = f"{row['images']} of {row['images_total']} images"
    return told + (f" (left: {names}), " if left else ", ")
