"""What a person has set and changed; pages that show the same are kept in step."""

from __future__ import annotations

import copy
import threading
from typing import Any

from ..segmentation.hysteresis import Thresholds
from .edits import Edit, read_edits
from .planes import Settings

__all__ = ["LARGEST_GROWTH", "Conflict", "State"]

#: In px; a session may begin with more.
LARGEST_GROWTH = 20


class Conflict(Exception):
    """Another page has changed the state meanwhile."""


class State:
    """Thresholds, growth and edits of a session.

    Parameters
    ----------
    grid : list of float
        Thresholds that may be set.
    settings : Settings
        At the start.
    sizes : list of int
        Number of pixels of each tab.
    """

    def __init__(self, grid: list[float], settings: Settings, sizes: list[int]):
        self.grid, self.settings, self.sizes = grid, settings, sizes
        self.largest_growth = max(LARGEST_GROWTH, settings.grow)
        thresholds = settings.thresholds
        self.start = {
            "seed": grid.index(thresholds.seed),
            "extend": grid.index(thresholds.extend),
            "grow": settings.grow,
        }
        self.revision = 0
        self._edits: dict[int, list[Edit]] = {}
        self._sent: dict[int, list] = {}
        self._saved = self.changes()
        self._lock = threading.Lock()

    def edits(self, tab: int) -> list[Edit]:
        """Return the edits of a tab, in order.

        Parameters
        ----------
        tab : int
            Its number.
        """
        return self._edits.get(tab, [])

    def changes(self) -> tuple[Settings, dict[int, list]]:
        """Return thresholds and growth, and the edits of tabs that have any."""
        edits = {tab: edits for tab, edits in self._sent.items() if edits}
        return self.settings, edits

    @property
    def has_unsaved_changes(self) -> bool:
        """Whether thresholds, growth or edits differ from what was last saved."""
        return self.changes() != self._saved

    def snapshot(self) -> State:
        """Return a copy that pages do not change."""
        with self._lock:
            return copy.copy(self)

    def mark_saved(self, saved: State) -> None:
        """Take note that a mask has been saved.

        Parameters
        ----------
        saved : State
            Its state, from `snapshot`.
        """
        self._saved = saved.changes()

    def describe(self, tab: int) -> dict[str, Any]:
        """Return the state as a page takes it.

        Parameters
        ----------
        tab : int
            Whose edits are in it.
        """
        thresholds, grow = self.settings
        return {
            "revision": self.revision,
            "seed": self.grid.index(thresholds.seed),
            "extend": self.grid.index(thresholds.extend),
            "grow": grow,
            "edits": self._sent.get(tab, []),
            "unsaved": self.has_unsaved_changes,
        }

    def change(
        self, tab: int, revision: Any, seed: Any, extend: Any, grow: Any, edits: Any
    ) -> None:
        """Take the state of a page.

        Parameters
        ----------
        tab : int
            Which one the page shows.
        revision : int
            Of the state that the page knew.
        seed, extend : int
            Places in the grid.
        grow : float
            Radius in px.
        edits : list
            Of the tab, for `~deepcr_ccd.inspection.edits.read_edits`.

        Raises
        ------
        Conflict
            If the state has changed since.
        ValueError
            If something is not what is allowed.
        """
        for name, value in (("seed", seed), ("extend", extend)):
            if type(value) is not int or not 0 <= value < len(self.grid):
                raise ValueError(f"{name} must be a place in the grid of thresholds")
        largest = self.largest_growth
        if type(grow) not in (int, float) or not 0 <= grow <= largest:
            raise ValueError(f"grow must be a radius from 0 to {largest:g} px")
        read = read_edits(edits, self.sizes[tab])
        thresholds = Thresholds(self.grid[seed], self.grid[min(extend, seed)])
        settings = Settings(thresholds, float(grow))
        with self._lock:
            if revision != self.revision:
                raise Conflict("another page has changed the mask meanwhile")
            if settings == self.settings and edits == self._sent.get(tab, []):
                return
            self.settings = settings
            # Snapshots keep the dictionaries of before.
            self._edits = {**self._edits, tab: read}
            self._sent = {**self._sent, tab: edits}
            self.revision += 1
