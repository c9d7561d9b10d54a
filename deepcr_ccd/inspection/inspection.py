"""A source that is being inspected: its images, the state of the page, and the mask."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np

from ..options import CleanOptions
from ..segmentation.hysteresis import Thresholds
from .codes import threshold_grid
from .display import Display
from .images import InspectedImage, Source
from .planes import InspectedPlane, Settings
from .state import State

__all__ = ["Inspection"]

#: Images with their probability, and filled planes, that are kept in memory.
KEPT_IMAGES, KEPT_FILLS = 4, 2


class Inspection:
    """A source, and what a person has set and changed.

    Parameters
    ----------
    source : `~deepcr_ccd.inspection.images.Source`
        What is inspected.
    options : CleanOptions
        How it is cleaned.
    defaults : `~deepcr_ccd.segmentation.hysteresis.Thresholds`
        Those of the model.
    output : path, optional
        Folder for the results of a file.
    overwrite : bool
        Whether these may replace files.
    """

    def __init__(
        self,
        source: Source,
        options: CleanOptions,
        defaults: Thresholds,
        *,
        output: Path | None = None,
        overwrite: bool = False,
    ):
        self.source, self.options = source, options
        self.output, self.overwrite = output, overwrite
        self.grid = threshold_grid(*defaults, *source.thresholds)
        settings = Settings(source.thresholds, float(options.grow))
        sizes = [tab.shape[0] * tab.shape[1] for tab in source.tabs]
        self.state = State(self.grid, settings, sizes)
        self._images: OrderedDict[int, InspectedImage] = OrderedDict()
        self._fills: OrderedDict[str, Display] = OrderedDict()
        self._lock = threading.Lock()

    def snapshot(self) -> Inspection:
        """Return a copy whose masks stay as they are when pages change the state."""
        taken = copy.copy(self)
        taken.state = self.state.snapshot()
        return taken

    def image(self, number: int) -> InspectedImage:
        """Return an image, which is read when it is asked for.

        Parameters
        ----------
        number : int
            Its number in the source.
        """
        with self._lock:
            if number not in self._images:
                opened = self.source.open(number)
                self._images[number] = InspectedImage(opened, self.grid)
            self._images.move_to_end(number)
            while len(self._images) > KEPT_IMAGES:
                self._images.popitem(last=False)
            return self._images[number]

    def is_searched(self, number: int) -> bool:
        """Tell whether the probability of an image is computed, and kept.

        Parameters
        ----------
        number : int
            Its number in the source.
        """
        image = self._images.get(number)
        return image is not None and image.is_detected

    def image_of(self, tab: int) -> InspectedImage:
        """Return the image that a tab shows.

        Parameters
        ----------
        tab : int
            Its number.
        """
        return self.image(self.source.tabs[tab].image)

    def plane(self, tab: int) -> InspectedPlane:
        """Return the plane that a tab shows; its probability is computed, if need be.

        Parameters
        ----------
        tab : int
            Its number.
        """
        return self.image_of(tab).planes()[self.source.tabs[tab].plane]

    def mask(self, tab: int) -> np.ndarray:
        """Return the mask of a tab, with edits.

        Parameters
        ----------
        tab : int
            Its number.

        Returns
        -------
        `~numpy.ndarray`
            bool, ``(ny, nx)``.
        """
        return self.plane(tab).mask(self.state.settings, self.state.edits(tab))

    def image_mask(self, number: int) -> np.ndarray:
        """Return the mask of an image, of its shape.

        Parameters
        ----------
        number : int
            Its number in the source.
        """
        tabs = [n for n, tab in enumerate(self.source.tabs) if tab.image == number]
        masks = [self.mask(tab) for tab in tabs]
        stacked = self.image(number).frame.data.ndim == 3
        return np.stack(masks) if stacked else masks[0]

    def display(self, tab: int) -> Display:
        """Return the plane of a tab as the page draws it.

        Parameters
        ----------
        tab : int
            Its number.
        """
        return self.image_of(tab).display(self.source.tabs[tab].plane)[0]

    def fill(self, tab: int) -> str:
        """Fill the flagged pixels of a tab; return a name for the result.

        Parameters
        ----------
        tab : int
            Its number.
        """
        name = f"{tab}-{self.state.revision}"
        if name not in self._fills:
            plane, crmask = self.plane(tab), self.mask(tab)
            values, _ = plane.fills(crmask)
            filled = np.array(plane.data, dtype=plane.plan.dtype)
            if values is not None:
                filled[crmask] = values
            self._fills[name] = Display(filled, self.display(tab).encoding)
            while len(self._fills) > KEPT_FILLS:
                self._fills.popitem(last=False)
        return name

    def filled(self, name: str) -> Display:
        """Return a plane that `fill` has made.

        Parameters
        ----------
        name : str
            What it returned.

        Raises
        ------
        ValueError
            If it is not kept any more.
        """
        if name not in self._fills:
            raise ValueError("the filled frame is not kept any more")
        return self._fills[name]
