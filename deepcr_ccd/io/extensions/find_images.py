"""Which images of a file are frames, and which planes of flags and noise are theirs."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .hdu_info import HduInfo
from .pairing import pair_planes, referred_to

__all__ = ["Found", "find_images", "fits_into", "read_choice"]

#: Images narrower than this are no frames where there are wider ones, in px.
LEAST_WIDTH = 16


@dataclasses.dataclass(frozen=True)
class Found:
    """What is in a file.

    ``images`` are the places of the frames that were chosen, and ``frames`` those of
    others as well; ``planes`` are the places of what belongs to each of the former, by
    kind ("DQ", "MASK", "BPM", "ERR", "VAR", ...); ``left`` has the places of images
    that are left as they are, and why, where neither name nor choice says it.
    """

    images: list[int]
    frames: list[int]
    planes: dict[int, dict[str, int]]
    left: dict[int, str]


def read_choice(ext: Any) -> tuple[str, ...]:
    """Return what a user chose, one text an item; nothing stands for all images.

    Parameters
    ----------
    ext : str, int, sequence of these, or None
        Names, numbers or patterns; ("SCI", 2) is the extension of this name and EXTVER.

    Raises
    ------
    TypeError, ValueError
        If it is something else, or empty.
    """
    # An empty tuple is what this function returns for all images.
    if ext is None or (isinstance(ext, tuple) and not ext):
        return ()
    if isinstance(ext, bytes | bytearray | Mapping):
        raise TypeError(f"ext={ext!r} must be a name, a number or a list of these")
    one = isinstance(ext, str) or not isinstance(ext, Iterable) or _is_pair(ext)
    chosen = []
    for item in [ext] if one else ext:
        if _is_pair(item):
            item = f"{item[0]},{item[1]}"  # noqa: PLW2901 - it is the same item
        if isinstance(item, bool) or not isinstance(item, str | int | np.integer):
            raise TypeError(f"ext={ext!r} must hold names, numbers or patterns")
        text = str(item).strip()
        if not text or text.startswith("-"):
            raise ValueError(
                f"ext={ext!r} must hold names, patterns, or numbers from 0"
            )
        chosen.append(text)
    if not chosen:
        raise ValueError(f"ext={ext!r} must hold at least one name, pattern or number")
    return tuple(chosen)


def _is_pair(item: object) -> bool:
    """Tell whether it is a name and EXTVER, as astropy has them."""
    return (
        isinstance(item, tuple)
        and len(item) == 2
        and isinstance(item[0], str)
        and isinstance(item[1], int | np.integer)
        and not isinstance(item[1], bool)
    )


def fits_into(plane: tuple[int, ...], image: tuple[int, ...]) -> bool:
    """Tell whether a plane of flags has a pixel for each of an image.

    Parameters
    ----------
    plane, image : tuple of int
        Their shapes. Axes of one pixel do not count; and one plane of flags may serve
        all planes of a stack.
    """
    plane, image = _trim(plane), _trim(image)
    return plane in (image, image[1:] if len(image) == 3 else image)


def _trim(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def find_images(extensions: Sequence[HduInfo], chosen: Sequence = ()) -> Found:
    """Find the frames of a file, and what belongs to them.

    Parameters
    ----------
    extensions : sequence of HduInfo
        All of the file, in order.
    chosen : sequence of str or int
        Frames to take: by number, by name ("SCI" or "SCI,2") or by a pattern of names
        ("N*"), in which what is known to be no frame is left out. By default all
        extensions named SCI, or else all whose name is not known to be of something
        else.

    Returns
    -------
    Found

    Raises
    ------
    ValueError
        If there is none, if a SCI has not two or three dimensions, if nothing is what
        was chosen, or if it is not clear which image a plane belongs to.
    """
    images: list[int] = []
    left: dict[int, str] = {}
    problem = _wrong_science(extensions)
    if problem is None:
        images, left = _default_images(extensions)
        if not images:
            problem = _nothing_found(extensions, left)
    if chosen:
        wanted = _choose(extensions, chosen)
    elif problem is not None:
        raise ValueError(problem)
    else:
        wanted = images
    # Those that were not chosen have their planes too.
    known = [e for e in extensions if e.index in {*images, *wanted}]
    planes, others = pair_planes(known, extensions)
    used = {place for own in planes.values() for place in own.values()}
    left = {**left, **others}
    for item in extensions:
        if item.index in {*wanted, *used} or not _is_picture(item):
            left.pop(item.index, None)
        elif item.index in images or item.index not in left:
            left[item.index] = ""
    planes = {place: planes[place] for place in wanted}
    frames = [item.index for item in known]
    return Found(wanted, frames, planes, dict(sorted(left.items())))


def _is_picture(item: HduInfo) -> bool:
    """Tell whether it looks like a frame, whatever it is."""
    return item.is_frame and item.label.kind != "table"


def _wrong_science(extensions: Sequence[HduInfo]) -> str | None:
    """Say what is wrong if an extension SCI is no frame, or none of them has pixels."""
    named = [
        item
        for item in extensions
        if item.is_image and item.label.kind == "science" and item.label.is_plain
    ]
    for item in named:
        if item.shape and not item.is_frame:
            return (
                f"{item.title} has shape {item.shape}; allowed are (ny, nx) and "
                "(n, ny, nx)"
            )
    if named and not any(item.shape for item in named):
        return f"{named[0].title} holds no pixels"
    return None


def _default_images(
    extensions: Sequence[HduInfo],
) -> tuple[list[int], dict[int, str]]:
    """Return the frames that a file has, and what other images are left, and why."""
    frames = [item for item in extensions if _is_picture(item)]
    kinds = {item.index: item.label.kind for item in frames}
    kinds |= dict.fromkeys(referred_to(extensions), "other")
    left: dict[int, str] = {}
    if "science" in kinds.values():
        images = [item for item in frames if kinds[item.index] == "science"]
    else:
        images = [item for item in frames if kinds[item.index] == "unknown"]
        if not images:
            images = [item for item in frames if kinds[item.index] == "weak"]
            images = [item for item in images if not item.label.plane] or images
        images = _without(images, _looks_narrow, "narrow", left)
        images = _without(images, _looks_like_flags, "looks like flags", left)
    found = [item.index for item in images]
    for item in frames:
        if item.index not in found:
            left.setdefault(item.index, "")
    return found, left


def _without(
    images: Sequence[HduInfo],
    looks_wrong: Callable[[HduInfo, Sequence[HduInfo]], bool],
    reason: str,
    left: dict[int, str],
) -> list[HduInfo]:
    wrong = [item.index for item in images if looks_wrong(item, images)]
    left |= dict.fromkeys(wrong, reason)
    return [item for item in images if item.index not in wrong]


def _looks_narrow(item: HduInfo, images: Sequence[HduInfo]) -> bool:
    """Tell whether it is a spectrum or a stand-in, beside frames."""
    return item.width < LEAST_WIDTH and any(
        other.width >= LEAST_WIDTH for other in images
    )


def _looks_like_flags(item: HduInfo, images: Sequence[HduInfo]) -> bool:
    """Tell whether integers stand beside a frame of other numbers, of their shape.

    Chips with a common name, such as CHIP1 and CHIP2, may be in different formats.
    """
    words = set(item.label.stem) - set(item.label.numbers)
    for other in images:
        if _trim(other.shape) != _trim(item.shape) or not item.is_integer:
            continue
        if words & set(other.label.stem):
            continue
        if not other.is_integer or (item.is_byte and not other.is_byte):
            return True
    return False


def _nothing_found(extensions: Sequence[HduInfo], left: dict[int, str]) -> str:
    text = "holds no image of two or three dimensions"
    if left:
        names = ", ".join(e.title for e in extensions if e.index in left)
        text += f" but {names}, which by name are no frames; ext= chooses one of them"
    return text


def _choose(extensions: Sequence[HduInfo], chosen: Sequence) -> list[int]:
    """Return the places of the images that a user chose, in their order in the file."""
    wanted: set[int] = set()
    for item in chosen:
        found, exact = _matches(extensions, item)
        frames = [e for e in found if e.is_frame]
        if not exact:
            kinds = ("science", "unknown", "weak")
            frames = [e for e in frames if e.label.kind in kinds]
        if not frames or (exact and len(frames) < len(found)):
            raise ValueError(_not_there(extensions, item, found, exact))
        wanted |= {e.index for e in frames}
    return sorted(wanted)


def _matches(
    extensions: Sequence[HduInfo], item: str | int
) -> tuple[list[HduInfo], bool]:
    """Return what an item stands for, and whether it is no pattern."""
    text = str(item).strip().upper()
    if text.isdigit():
        return [e for e in extensions if e.index == int(text)], True
    name, comma, ver = text.rpartition(",")
    if comma and ver.strip().isdigit():
        number = int(ver)
        found = [
            e for e in extensions if e.name.upper() == name.strip() and e.ver == number
        ]
        return found, True
    found = [e for e in extensions if e.name.upper() == text]
    if found:
        return found, True
    return [
        e for e in extensions if e.name and fnmatch.fnmatchcase(e.name.upper(), text)
    ], False


def _not_there(
    extensions: Sequence[HduInfo],
    item: str | int,
    found: Sequence[HduInfo],
    exact: bool,
) -> str:
    there = ", ".join(f"{e.index} ({e.title})" for e in extensions if e.is_frame)
    what = "is no extension of the file"
    if found and exact:
        wrong = next(e for e in found if not e.is_frame)
        shape = f"has shape {wrong.shape}" if wrong.is_image else "is no image"
        what = f"{shape}; allowed are images of shape (ny, nx) and (n, ny, nx)"
    elif found:
        what = "matches only what is no frame; name such an extension in full"
    return f"ext={item!r} {what}; its images: {there or 'none'}"
