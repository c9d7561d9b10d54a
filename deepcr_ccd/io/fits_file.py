"""FITS files: find the science images, and write results without touching the rest.

A file is taken apart into its header and data units. Those that do not change are
copied byte for byte; of an image that changes, only the flagged pixels are written
anew, in the number format of the file. Images are read one at a time, as they are asked
for, so that a mosaic of many chips needs the memory of one.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from astropy import units as u
from astropy.io import fits

from ..nddata.data_quality import DQLike
from ..nddata.units import choose_unit, parse_unit
from ..notices import warn_unused, warn_user
from .atomic import atomic_path
from .extensions.find_images import find_images, read_choice
from .extensions.flag_planes import FLAG_KINDS
from .extensions.hdu_info import HduInfo, read_hdu_info
from .extensions.image_flags import FlagReader
from .extensions.mask_extensions import mask_header, mask_names
from .extensions.noise_planes import noise_planes, unpaired_noise
from .file_changes import image_changes, stale_noise
from .fits_image import CleanedImage, Image
from .fits_layout import open_fits, read_layout
from .given_paths import FITS_FILE, given_path
from .rewriting.change import Change
from .rewriting.number_format import blank_value
from .rewriting.rewrite import rewrite
from .stream import Source

__all__ = ["FitsFile", "matching_images"]

#: Images of more bytes are copied, and mapped into memory; others are read.
LARGEST_READ = 1 << 30


class FitsFile:
    """A FITS file whose science images can be read, and written back cleaned.

    Parameters
    ----------
    path : str or path-like
        The file; it may be gzipped, and its images tile-compressed.
    unit : str, optional
        Unit of its images, whatever BUNIT says.
    dq : str or mapping, optional
        What the first of DQ, MASK and BPM means, as for
        `~deepcr_ccd.nddata.data_quality.read_convention`. By default what the header
        says: planes that are named by MP_* (LSST), or the telescope; else 4096 is a
        cosmic ray in DQ, 8 in BPM and 1 in MASK, and all other bits are bad.
    bad_bits : int, optional
        Bits of pixels that are excluded, in DQ, MASK or BPM, in place of those.
    dq_bit : int, optional
        The cosmic-ray bit, a power of two, in place of that.
    ext : str, int or sequence of these, optional
        Which images to take: extensions by name ("SCI" or "SCI,2"), by number, or by a
        pattern of names ("N*"). By default all that are named SCI; if none is, all
        whose name is not known to be that of something else.

    Attributes
    ----------
    images : list of Image
        What is cleaned.
    left : list of str
        Titles of other images of two or three dimensions, which stay as they are and
        belong to none of those; with the reason, where it is not the name.

    Raises
    ------
    FileNotFoundError, OSError
        If there is no such file, or it is not a whole FITS file.
    TypeError, ValueError
        If ``unit``, ``dq``, ``bad_bits`` or ``dq_bit`` is not what is allowed; if there
        is no image in it, or none that ``ext`` says; if an image has neither two nor
        three dimensions; or if it is not clear which flags or errors belong to an
        image, or flags have another shape.

    Warns
    -----
    AstropyUserWarning
        If BUNIT is unknown, or is not what ``unit`` says.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        unit: str | None = None,
        dq: DQLike | None = None,
        bad_bits: int | None = None,
        dq_bit: int | None = None,
        ext: str | int | Sequence[str | int] | None = None,
    ):
        self.path = given_path(path, "path", FITS_FILE)
        self._flags = FlagReader(dq, bad_bits, dq_bit)
        self._chosen = read_choice(ext)
        self._source = Source(self.path)
        self._unit = None if unit is None else parse_unit(unit)
        self._odd_units: dict[str, list[str]] = {}
        try:
            with (
                self._source.open() as stream,
                open_fits(stream, disable_image_compression=True) as hdus,
            ):
                self._layout = read_layout(stream, hdus)
                largest = max(s.end - s.data_offset for s in self._layout)
                packed = any(segment.compressed for segment in self._layout)
                if not packed:
                    self.images = self._find_images(hdus)
        except OSError as error:
            raise OSError(f"{self.path}: {error}") from error
        if largest > LARGEST_READ:
            self._source.make_private()
        if packed:
            with _open(self._source) as hdus:
                self.images = self._find_images(hdus)
        self._warn_of_units()
        if dq is not None and not any(image.flags for image in self.images):
            reason = f"{self.path.name} has no flags, named DQ, MASK or BPM"
            warn_unused("dq", reason)

    def _find_images(self, hdus: fits.HDUList) -> list[Image]:
        known = [read_hdu_info(hdu, index) for index, hdu in enumerate(hdus)]
        with _naming(self.path):
            found = find_images(known, self._chosen)
        self.left = [
            known[index].title + (f" ({reason})" if reason else "")
            for index, reason in found.left.items()
        ]
        taken = set(found.frames).union(*(p.values() for p in found.planes.values()))
        self._unpaired = unpaired_noise(hdus, known, taken, found.left)
        # Masks that are added are named with a view to all images of the file.
        frames = [(known[index].name, known[index].ver) for index in found.frames]
        names = mask_names(frames, "MASK")
        self._mask_names = dict(zip(found.frames, names, strict=True))
        return [
            self._describe(hdus, known, index, found.planes[index])
            for index in found.images
        ]

    def _describe(
        self,
        hdus: fits.HDUList,
        known: list[HduInfo],
        index: int,
        planes: dict[str, int],
    ) -> Image:
        hdu, item = hdus[index], known[index]
        header = hdu.header.copy(strip=True)
        # By a set: Header.extend would look for each keyword anew.
        keywords = {"", "COMMENT", "HISTORY", *header}
        general = hdus[0].header.copy(strip=True).cards
        header.extend(
            [card for card in general if card.keyword not in keywords], end=True
        )
        with _naming(f"{self.path.name}[{item.title}]"):
            flags = self._flags.planes(hdus, known, planes, item.shape, header)
        noise = [
            known[place] for kind, place in planes.items() if kind not in FLAG_KINDS
        ]
        own = item.ver, item.shape
        unpaired = [one for one in self._unpaired if (one.ver, one.shape) == own]
        noise += unpaired
        # It knows the source and not this object, which would keep both alive.
        opened = functools.partial(_open, self._source)
        return Image(
            opened,
            item.name,
            item.ver,
            item.shape,
            self._unit_of(header, item.title),
            header,
            index,
            flags=flags,
            noise=noise_planes(
                hdus, noise, item.shape, header, {other.index for other in unpaired}
            ),
            blank=blank_value(hdu.header, self._layout[index].header),
        )

    def count_units(self, masks_only: bool = False, probability: bool = False) -> int:
        """Return how many header and data units a result has.

        Parameters
        ----------
        masks_only, probability : bool
            Whether it holds masks only, and whether probabilities with them.
        """
        if masks_only:
            return 1 + len(self.images) * (2 if probability else 1)
        return len(self._layout) + sum(not image.flags for image in self.images)

    def _unit_of(self, header: fits.Header, title: str) -> u.UnitBase:
        unit, odd = choose_unit(header, self._unit)
        if odd:
            self._odd_units.setdefault(odd, []).append(title)
        return unit

    def _warn_of_units(self) -> None:
        for odd, titles in self._odd_units.items():
            warn_user(f"{self.path.name}[{_shortened(titles)}]: {odd}")

    def check_flags(self) -> None:
        """Raise an error if the cosmic-ray bit cannot be set in some plane of flags.

        Raises
        ------
        ValueError
            If a header names all bits and none for cosmic rays, or the number format
            has no room for the bit.
        """
        for image in self.images:
            for plane in image.flags[:1]:
                with _naming(f"{self.path.name}[{image.title}]"):
                    plane.check_bit()

    def write(
        self,
        path: str | os.PathLike,
        results: list[CleanedImage],
        *,
        overwrite: bool = False,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Write the file with cleaned images, whole or not at all.

        Values of flagged pixels are replaced, and so is their noise (ERR,
        VAR, IVAR, UNCERT and the like); the cosmic-ray bit is set in DQ, MASK or BPM,
        whichever is there first; where there is none, a MASK extension is added. The
        keywords are put into the image's header. All else stays as it is, byte for
        byte.

        Parameters
        ----------
        path : str or path-like
            Where to; gzipped if the name ends in ``.gz``.
        results : list of CleanedImage
            One an image.
        overwrite : bool
            Replace a file that is there.
        check : callable, optional
            Called before it is replaced; an error that it raises keeps it.

        Raises
        ------
        FileExistsError
            If the file is there and must not be replaced.
        ValueError
            As `check_flags`.

        Warns
        -----
        AstropyUserWarning
            If an extension of noise cannot be updated at filled pixels.
        """
        target = given_path(path, "path")
        self.check_flags()
        changes: dict[int, Change] = {}
        masks = []
        for image, result in zip(self.images, results, strict=True):
            changes |= image_changes(image, result)
            if not image.flags:
                header = mask_header(image, *self._mask_names[image.index])
                masks.append((header, Change(result.flagged, bit=1)))
        with atomic_path(
            target, overwrite=overwrite, like=self.path, check=check
        ) as partial:
            rewrite(self._source.open, partial, self._layout, changes, masks)
        for problem, titles in stale_noise(self.images, results).items():
            warn_user(
                f"{self.path.name}[{_shortened(titles)}] stays as it is where pixels "
                f"were filled: {problem}"
            )


@contextlib.contextmanager
def _open(source: Source) -> Iterator[fits.HDUList]:
    """Open a file, to be read; data that were read stay readable afterwards."""
    # A file that is mapped, and cut short, would end the process. By default astropy
    # maps what it can; asked for it, it would refuse scaled integers.
    memmap = None if source.private else False
    with open_fits(source.path or source.open(), memmap=memmap) as hdus:
        yield hdus


@contextlib.contextmanager
def _naming(where: str | Path) -> Iterator[None]:
    """Name the file, and perhaps its image, in a ValueError."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _shortened(titles: list[str]) -> str:
    more = len(titles) - 1
    return f"{titles[0]} and {more} more" if more else titles[0]


def matching_images(files: Sequence[FitsFile]) -> list[tuple[Image, ...]]:
    """Return the images of repeated exposures, those of one chip together.

    Parameters
    ----------
    files : sequence of FitsFile
        The exposures.

    Raises
    ------
    ValueError
        If they have not as many images each.
    """
    numbers = [len(file.images) for file in files]
    if len(set(numbers)) > 1:
        counts = ", ".join(f"{f.path.name}: {len(f.images)}" for f in files)
        raise ValueError(f"exposures must have as many images each, not {counts}")
    return list(zip(*(file.images for file in files), strict=True))
