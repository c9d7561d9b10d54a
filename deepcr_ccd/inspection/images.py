"""Images that are inspected: where they come from, and what was found in them."""

from __future__ import annotations

import dataclasses
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.wcs import WCS

from ..batch.image import plan_image
from ..batch.options import FileOptions
from ..batch.outputs import state_of
from ..io.fits_file import FitsFile
from ..models.model import Model
from ..nddata.data_quality import read_convention
from ..nddata.frame import Frame, read_frame
from ..notices import collected_warnings, warnings_by_thread
from ..options import CleanOptions
from ..pipeline.clean import CleanedFrame, clean_frame
from ..pipeline.fill import Fill
from ..pipeline.plan import Plan, make_plan
from ..segmentation.hysteresis import Thresholds
from .display import Display, measure_encoding
from .planes import InspectedPlane

__all__ = ["InspectedImage", "Opened", "Source", "Tab", "file_source", "frame_source"]


class Tab(NamedTuple):
    """A plane of an image: what a tab of the page shows."""

    title: str
    image: int
    plane: int
    shape: tuple[int, int]


class Opened(NamedTuple):
    """An image that was read, how it is cleaned, and its world coordinates."""

    frame: Frame
    plan: Plan
    wcs: Any = None


class Source(NamedTuple):
    """What is inspected: tabs, and how the image of each is read.

    ``path`` is that of a file, None for a frame in memory; ``file`` the opened file,
    and ``state`` its size and time of change then.
    """

    name: str
    tabs: list[Tab]
    thresholds: Thresholds
    open: Callable[[int], Opened]
    path: Path | None = None
    file: FitsFile | None = None
    state: tuple[int, int] | None = None


def _tabs(titles: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> list[Tab]:
    tabs = []
    for image, (title, shape) in enumerate(zip(titles, shapes, strict=True)):
        number = shape[0] if len(shape) == 3 else 1
        for plane in range(number):
            name = f"{title} [{plane}]" if len(shape) == 3 else title
            tabs.append(Tab(name, image, plane, (int(shape[-2]), int(shape[-1]))))
    return tabs


def file_source(path: Path, options: FileOptions, model: Model) -> Source:
    """Return the images of a file.

    Parameters
    ----------
    path : path
        The file.
    options : FileOptions
        How it is cleaned.
    model : Model
        For task "mask".

    Raises
    ------
    OSError, TypeError, ValueError
        As `~deepcr_ccd.io.fits_file.FitsFile`.
    """
    state = state_of(path, follow=True)
    file = FitsFile(
        path,
        unit=options.unit,
        dq=options.dq,
        bad_bits=options.bad_bits,
        dq_bit=options.dq_bit,
        ext=options.ext,
    )

    def opened(number: int) -> Opened:
        image = file.images[number]
        frame, plan = plan_image(image, options, model, path)
        with image.opener() as hdus:
            wcs = _read_wcs(lambda: WCS(image.header, hdus))
        return Opened(frame, plan, wcs)

    shapes = [image.shape for image in file.images]
    names = [image.name for image in file.images]
    plain = all(names) and len(set(names)) == len(names)
    titles = names if plain else [image.title for image in file.images]
    tabs = _tabs(titles, shapes)
    thresholds = options.thresholds(model)
    return Source(path.name, tabs, thresholds, opened, path, file, state)


def frame_source(ccd: Any, options: CleanOptions, model: Model) -> Source:
    """Return a frame in memory as a source.

    Parameters
    ----------
    ccd : CCDData or array-like
        As for `~deepcr_ccd.cosmicray_deepcr`, not a list.
    options : CleanOptions
        How it is cleaned.
    model : Model
        For task "mask".

    Raises
    ------
    TypeError, ValueError
        As `~deepcr_ccd.cosmicray_deepcr`.
    """
    frame = read_frame(ccd, dq=read_convention(options.dq))
    plan = make_plan(frame, model, options)
    wcs = getattr(ccd, "wcs", None)
    name = str((frame.header or {}).get("OBJECT") or "frame")
    tabs = _tabs([name], [frame.data.shape])
    return Source(name, tabs, plan.thresholds, lambda _: Opened(frame, plan, wcs))


def _read_wcs(read: Callable[[], Any]) -> Any:
    """Return world coordinates, or None where a header has none that can be used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = read()
            return found if found.has_celestial or found.has_spectral else None
        except Exception:  # noqa: BLE001 - whatever is wrong with a header
            return None


class InspectedImage:
    """An image, its probability once it is computed, and what the page draws of it.

    Parameters
    ----------
    opened : Opened
        From a `Source`.
    grid : list of float
        From `~deepcr_ccd.inspection.codes.threshold_grid`.
    """

    def __init__(self, opened: Opened, grid: list[float]):
        self.frame, self.plan, self.wcs = opened
        self.grid = grid
        self.messages: list[str] = []
        self.cleaned: CleanedFrame | None = None
        self._planes: list[InspectedPlane] = []
        self._lock = threading.Lock()
        self._shown: dict[int, tuple[Display, dict]] = {}

    def data(self, plane: int) -> np.ndarray:
        """Return the pixels of a plane, ``(ny, nx)``.

        Parameters
        ----------
        plane : int
            Its number.
        """
        return self.frame.planes()[plane][0]

    def display(self, plane: int) -> tuple[Display, dict]:
        """Return a plane as it is drawn, and limits of its stretch.

        Parameters
        ----------
        plane : int
            Its number.
        """
        if plane not in self._shown:
            encoding, limits = measure_encoding(self.data(plane))
            self._shown[plane] = Display(self.data(plane), encoding), limits
        return self._shown[plane]

    @property
    def is_detected(self) -> bool:
        """Whether the probability is computed already."""
        return bool(self._planes)

    def planes(self) -> list[InspectedPlane]:
        """Return the planes with their probability, which is computed once."""
        with self._lock:
            if not self._planes:
                plan = dataclasses.replace(self.plan, fill=Fill("none"), grow=0)
                with warnings_by_thread(), collected_warnings() as messages:
                    cleaned = clean_frame(self.frame, plan, probability=True)
                self.messages = messages
                probability = cleaned.probability
                if probability is None:
                    raise RuntimeError("the probability was not computed")
                self.cleaned = cleaned._replace(probability=None)
                shape = self.frame.data.shape[-2:]
                self._planes = [
                    InspectedPlane(data, found, self.plan, self.grid)
                    for (data, _), found in zip(
                        self.frame.planes(),
                        probability.reshape(-1, *shape),
                        strict=True,
                    )
                ]
            return self._planes

    def world(self, plane: int, x: int, y: int) -> str:
        """Return the world coordinates of a pixel in words; "" where there are none.

        Parameters
        ----------
        plane, x, y : int
            The pixel.
        """
        if self.wcs is None:
            return ""
        place = (x, y, plane)[: self.wcs.pixel_n_dim]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = self.wcs.pixel_to_world(*place)
                first = found[0] if isinstance(found, list | tuple) else found
                if hasattr(first, "to_string") and hasattr(first, "frame"):
                    text = first.to_string("hmsdms", sep=":", precision=2)
                    return f"{text} ({first.frame.name})"
                several = found if isinstance(found, list | tuple) else [found]
                return "  ".join(f"{one:.6g}" for one in several)
            except Exception:  # noqa: BLE001 - whatever is wrong with a header
                return ""
