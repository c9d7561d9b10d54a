"""Where results go: never over an input, nor over files of other programs."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..io.compression import open_packed
from ..io.fits_layout import open_fits, read_layout
from ..io.header_checks import scan_hdus
from ..io.stream import LARGEST_IN_MEMORY, Source, open_regular

__all__ = [
    "DIGEST",
    "check_folder",
    "check_outputs",
    "finished_headers",
    "is_result",
    "state_of",
]

#: Header keyword by which a second run knows the work of a first one. Its value ends
#: with the number of header and data units of the result.
DIGEST = "CRDIGEST"
COUNTS = ("CRNPIX", "CRNOBJ")


def state_of(path: Path, *, follow: bool = False) -> tuple[int, int] | None:
    """Return size and time of change of a file, or None if there is none.

    Parameters
    ----------
    path : path
        The file.
    follow : bool
        Whether to take those of the file that a link leads to.
    """
    try:
        status = os.stat(path, follow_symlinks=follow)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def check_folder(folder: Path) -> None:
    """Check that a folder for results is there, or can be made; it is not made.

    Parameters
    ----------
    folder : path
        The folder.

    Raises
    ------
    NotADirectoryError
        If it, or a folder that it would be in, is a file.
    PermissionError
        If it must not be written to, or made.
    """
    # A link that leads nowhere is in the way, too.
    there = next(p for p in (folder, *folder.absolute().parents) if os.path.lexists(p))
    what = f"output={str(folder)!r}"
    if not there.is_dir():
        inside = "is" if there == folder else f"is inside of {there}, which is"
        raise NotADirectoryError(f"{what} {inside} a file, and no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{what}: no right to write there")


def check_outputs(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Check where results would go, before any work is done.

    Parameters
    ----------
    pairs : sequence of (path, path)
        Inputs and their outputs.

    Raises
    ------
    ValueError
        If an output is an input, also by another name, or two would be one file.
    IsADirectoryError
        If an output is a folder.
    """
    inputs = {}
    for path, _ in pairs:
        with contextlib.suppress(OSError):
            inputs[_identity(path)] = path
    places: dict[str, list[Path]] = {}
    for _, output in pairs:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            same = inputs.get(_identity(output))
            if same is not None:
                raise ValueError(
                    f"output {output} is the input {same}, and inputs are never "
                    "replaced: choose another output folder"
                )
            if output.is_dir():
                raise IsADirectoryError(f"output {output} is a folder")
        place = os.path.join(os.path.realpath(output.parent), output.name)
        folded = unicodedata.normalize("NFC", place).casefold()
        others = places.setdefault(folded, [])
        if others:
            first = os.path.join(os.path.realpath(others[0].parent), others[0].name)
            if first == place or _ignores_case(output.parent):
                raise ValueError(
                    f"two inputs would both be written to {output}, or {others[0]}"
                )
        others.append(output)


def _identity(path: Path) -> tuple[int, int]:
    # Folders on the way that are made later, and left again by "..", do not matter.
    status = os.stat(os.path.realpath(path))
    return status.st_dev, status.st_ino


def _ignores_case(folder: Path) -> bool:
    """Tell whether names that differ only by case are one in a folder to be made."""
    path = Path(os.path.realpath(folder))
    while not path.exists():
        path = path.parent
    for part in (path, *path.parents):
        other = part.with_name(part.name.swapcase()) if part.name else part
        if other != part:
            return other.exists() and other.samefile(part)
    return sys.platform in ("darwin", "win32")


def is_result(path: Path) -> bool:
    """Tell whether a file is a result of this package, complete or not.

    Parameters
    ----------
    path : path
        The file.
    """
    return any(True for _ in _digests(path))


def _digests(path: Path) -> Iterator[str]:
    """Yield digests in headers of a file, as far as it can be read."""
    with contextlib.suppress(OSError):
        with open_regular(path) as file:
            for unit in scan_hdus(_unpack(file)):
                if DIGEST in unit.cards:
                    yield str(unit.cards[DIGEST])


def _unpack(file: BinaryIO) -> BinaryIO:
    packed = open_packed(file)
    if packed is None:
        return file
    stream: Any
    stream, damage = packed
    content = io.BytesIO()
    with contextlib.suppress(*damage):
        while content.tell() < LARGEST_IN_MEMORY and (piece := stream.read1(1 << 16)):
            content.write(piece)
    return content


def finished_headers(path: Path, digest: str) -> list:
    """Return the headers of a complete result with this digest.

    Parameters
    ----------
    path : path
        The result.
    digest : str
        Of input, model and options.

    Returns
    -------
    list of `~astropy.io.fits.Header`
        Those of its images; empty if there is no such result, or it is not complete.
    """
    found = {value.rpartition("-")[::2] for value in _digests(path)}
    if len(found) != 1:
        return []
    ((known, number),) = found
    if known != digest or not number.isdecimal():
        return []
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        with (
            Source(path).open() as stream,
            open_fits(stream, disable_image_compression=True) as hdus,
        ):
            read_layout(stream, hdus)
            headers = [hdu.header for hdu in hdus if DIGEST in hdu.header]
            if len(hdus) >= int(number) and _are_counted(headers):
                return headers
    return []


def _are_counted(headers: Iterable) -> bool:
    return all(isinstance(header[key], int) for header in headers for key in COUNTS)
