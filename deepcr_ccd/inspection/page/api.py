"""What the page asks for: named calls with JSON in, and JSON or bytes out.

It is the same for the server and for a notebook. All that comes from the page is
checked here. No call takes a path.
"""

from __future__ import annotations

import inspect
import threading
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ...batch.options import FileOptions
from ...version import __version__
from ..display import TILE
from ..edits import apply_edits, count_changes, reject_groups
from ..inspection import Inspection
from ..objects import list_objects
from ..recipe import command_line, python_call
from ..saving import KINDS, output_path, save
from ..state import Conflict

__all__ = ["Api", "Changed"]

#: How long a call waits for a probability, in s; the page asks again.
PATIENCE = 2.0


class Changed(Exception):
    """A call came too late; ``state`` is that of now."""

    def __init__(self, message: str, state: dict):
        super().__init__(message)
        self.state = state


class Api:
    """The calls of a page.

    Parameters
    ----------
    inspection : `~deepcr_ccd.inspection.inspection.Inspection`
        What is inspected.
    """

    def __init__(self, inspection: Inspection):
        self.inspection = inspection
        self._threads: dict[int, threading.Thread] = {}
        self._errors: dict[int, BaseException] = {}
        self._starting = threading.Lock()
        self._calls: dict[str, Callable[..., dict | bytes]] = {
            "info": self.info,
            "view": self.view,
            "tile": self.tile,
            "codes": self.codes,
            "change": self.change,
            "objects": self.objects,
            "pixel": self.pixel,
            "fill": self.fill,
            "save": self.save,
        }

    def call(self, name: str, params: Any) -> dict | bytes:
        """Answer a call.

        Parameters
        ----------
        name : str
            Of the call.
        params : dict
            Its arguments, from JSON.

        Raises
        ------
        LookupError
            If there is no such call.
        ValueError
            If arguments are not what is allowed.
        Changed
            If the page's state is not that of now.
        """
        if name not in self._calls:
            raise LookupError(f"there is no call {name!r}")
        if not isinstance(params, dict):
            raise ValueError("arguments must be an object")
        answer = self._calls[name]
        try:
            inspect.signature(answer).bind(**params)
        except TypeError as error:
            raise ValueError(f"{name} does not take these arguments") from error
        try:
            return answer(**params)
        except Conflict as error:
            now = self.inspection.state.describe(params["tab"])
            raise Changed(str(error), now) from error

    def _tab(self, tab: Any) -> int:
        if type(tab) is not int or not 0 <= tab < len(self.inspection.source.tabs):
            raise ValueError("tab must be the number of a tab")
        return tab

    def info(self) -> dict:
        """Return what the page needs to begin."""
        inspection = self.inspection
        output = output_path(inspection)
        return {
            "name": inspection.source.name,
            "tabs": [
                {
                    "title": tab.title,
                    "shape": tab.shape,
                    "image": tab.image,
                    "searched": inspection.is_searched(tab.image),
                }
                for tab in inspection.source.tabs
            ],
            "grid": inspection.grid,
            "start": inspection.state.start,
            "largest_growth": inspection.state.largest_growth,
            "tile": TILE,
            "saves": [] if output is None else list(KINDS),
            "output": "" if output is None else str(output),
            "version": __version__,
        }

    def view(self, tab: Any) -> dict:
        """Return how a tab is drawn, and the state of now.

        Parameters
        ----------
        tab : int
            Its number.
        """
        number, image = self._tab(tab), self.inspection.image_of(self._tab(tab))
        display, limits = image.display(self.inspection.source.tabs[number].plane)
        return {
            "shape": self.inspection.source.tabs[number].shape,
            "levels": display.n_levels,
            "encoding": display.encoding._asdict(),
            "limits": limits,
            "step": 2 if image.plan.bayer else 1,
            "unit": str(image.frame.unit or ""),
            "fill": image.plan.fill.method,
            "state": self.inspection.state.describe(number),
        }

    def tile(
        self, tab: Any, level: Any, row: Any, column: Any, filled: Any = None
    ) -> bytes:
        """Return a tile: uint16, little-endian.

        Parameters
        ----------
        tab, level, row, column : int
            Which one.
        filled : str, optional
            Name from `fill`.
        """
        number = self._tab(tab)
        if any(type(value) is not int for value in (level, row, column)):
            raise ValueError("level, row and column must be whole numbers")
        if filled is None:
            display = self.inspection.display(number)
        else:
            display = self.inspection.filled(str(filled))
        return display.tile(level, row, column).astype("<u2").tobytes()

    def codes(self, tab: Any) -> dict | bytes:
        """Return the codes of a tab, compressed by zlib, when they are computed.

        Parameters
        ----------
        tab : int
            Its number.

        Returns
        -------
        bytes or dict
            A dictionary if they are not ready yet.
        """
        number = self._tab(tab)
        image = self.inspection.source.tabs[number].image
        if not self.inspection.image(image).is_detected:
            with self._starting:
                if image not in self._threads:
                    self._errors.pop(image, None)
                    self._threads[image] = threading.Thread(
                        target=self._detect, args=(image,), daemon=True
                    )
                    self._threads[image].start()
                thread = self._threads[image]
            thread.join(PATIENCE)
            if thread.is_alive():
                return {"ready": False}
            self._threads.pop(image, None)
            if image in self._errors:
                raise self._errors[image]
        return zlib.compress(self.inspection.plane(number).codes.tobytes(), 1)

    def _detect(self, image: int) -> None:
        try:
            self.inspection.image(image).planes()
        except Exception as error:  # noqa: BLE001 - it is raised where it is asked for
            self._errors[image] = error

    def change(
        self, tab: Any, revision: Any, seed: Any, extend: Any, grow: Any, edits: Any
    ) -> dict:
        """Take the state of the page; return leaks of charge at its thresholds.

        Parameters
        ----------
        tab, revision, seed, extend, grow, edits
            As for `~deepcr_ccd.inspection.state.State.change`.
        """
        number, state = self._tab(tab), self.inspection.state
        state.change(number, revision, seed, extend, grow, edits)
        settings, options = state.settings, self.inspection.options
        path = self.inspection.source.path
        answer = {
            "revision": state.revision,
            "dropped": self.inspection.plane(number)
            .dropped(settings.thresholds)
            .tolist(),
            "call": python_call(settings, options),
            "unsaved": state.has_unsaved_changes,
        }
        if path is not None and isinstance(options, FileOptions):
            answer["command"] = command_line(path, settings, options)
        return answer

    def objects(self, tab: Any) -> dict:
        """Return the list of cosmic rays, and counts.

        Parameters
        ----------
        tab : int
            Its number.
        """
        number, state = self._tab(tab), self.inspection.state.snapshot()
        settings, edits = state.settings, state.edits(number)
        plane = self.inspection.plane(number)
        automatic = plane.automatic_mask(settings)
        crmask = apply_edits(automatic, plane.bad, edits)
        rejected = np.zeros_like(crmask)
        rejected.reshape(-1)[reject_groups(automatic, edits)] = True
        rejected &= ~crmask
        lists = {}
        seed = settings.thresholds.seed
        for name, mask in (("flagged", crmask), ("rejected", rejected)):
            columns = list_objects(mask, plane.data, plane.probability, seed)
            lists[name] = {
                key: [None if not np.isfinite(x) else float(f"{x:.6g}") for x in values]
                if values.dtype.kind == "f"
                else values.tolist()
                for key, values in columns.items()
            }
        return {
            "revision": state.revision,
            "pixels": int(np.count_nonzero(crmask)),
            # Exact in JavaScript too, for frames of up to 100 megapixels.
            "checksum": int(np.flatnonzero(crmask).sum(dtype=np.int64)),
            "excluded": 0 if plane.bad is None else int(np.count_nonzero(plane.bad)),
            "edited": count_changes(automatic, crmask),
            "messages": self.inspection.image_of(number).messages,
            **lists,
        }

    def pixel(self, tab: Any, x: Any, y: Any) -> dict:
        """Return what is known of a pixel.

        Parameters
        ----------
        tab, x, y : int
            Which one, from 0.
        """
        number = self._tab(tab)
        ny, nx = self.inspection.source.tabs[number].shape
        if (
            type(x) is not int
            or type(y) is not int
            or not (0 <= x < nx and 0 <= y < ny)
        ):
            raise ValueError("x and y must be a pixel of the frame")
        image = self.inspection.image_of(number)
        plane = self.inspection.source.tabs[number].plane
        value = image.data(plane)[y, x]
        probability = None
        if image.is_detected:
            found = float(image.planes()[plane].probability[y, x])
            probability = "excluded" if np.isnan(found) else f"{found:.4f}"
        return {
            "value": str(value),
            "probability": probability,
            "world": image.world(plane, x, y),
        }

    def fill(self, tab: Any) -> dict:
        """Fill the flagged pixels of a tab.

        Parameters
        ----------
        tab : int
            Its number.
        """
        return {"filled": self.inspection.fill(self._tab(tab))}

    def save(
        self,
        tab: Any,
        revision: Any,
        kind: Any,
        replace: Any,
        pixels: Any,
        checksum: Any,
    ) -> dict:
        """Write a file, if the page shows what is written.

        Parameters
        ----------
        tab, revision : int
            What the page shows.
        kind : str
            As for `~deepcr_ccd.inspection.saving.save`.
        replace : bool
            Whether the result may replace a file.
        pixels, checksum : int
            Number of flagged pixels of the tab, and the sum of their flat indices.
        """
        number, inspection = self._tab(tab), self.inspection.snapshot()
        if type(replace) is not bool:
            raise ValueError("replace must be true or false")
        if revision != inspection.state.revision:
            raise Conflict("another page has changed the mask meanwhile")
        places = np.flatnonzero(inspection.mask(number))
        if (pixels, checksum) != (places.size, int(places.sum(dtype=np.int64))):
            raise ValueError("the page shows another mask than Python's: reload it")
        path = save(inspection, str(kind), replace=replace)
        state = self.inspection.state
        state.mark_saved(inspection.state)
        return {"path": str(path), "unsaved": state.has_unsaved_changes}
