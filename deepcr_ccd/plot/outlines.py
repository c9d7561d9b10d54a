"""Outlines of groups of pixels, and which groups two masks share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage

from ..segmentation.connected import EIGHT_CONNECTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "BLUE",
    "LINEWIDTH",
    "RED",
    "YELLOW",
    "Groups",
    "compare_groups",
    "count_groups",
    "draw_legend",
    "draw_outlines",
    "outline_segments",
]

#: Colours of Okabe & Ito (2008), which colour-blind people can tell apart: they
#: differ in lightness, too.
BLUE, YELLOW, RED = "#56B4E9", "#F0E442", "#D55E00"
#: Outlines are a pixel of the frame away from their group for so many pixels of its
#: longer side: so what they enclose is seen.
PIXELS_PER_MARGIN = 300
#: Of outlines, in points.
LINEWIDTH = 1.5


class Groups(NamedTuple):
    """Groups of one mask, compared with those of another.

    ``shared`` and ``alone`` are bool, ``(ny, nx)``: the pixels of groups that have a
    pixel of the other mask, and of those that have none. ``n_shared`` and ``n_alone``
    are the numbers of these groups.
    """

    shared: np.ndarray
    alone: np.ndarray
    n_shared: int
    n_alone: int

    @property
    def number(self) -> int:
        """Number of all groups."""
        return self.n_shared + self.n_alone


def count_groups(mask: np.ndarray) -> int:
    """Return the number of groups of pixels, which are connected at corners.

    Parameters
    ----------
    mask : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    """
    return ndimage.label(mask, EIGHT_CONNECTED)[1]


def compare_groups(mask: np.ndarray, other: np.ndarray) -> Groups:
    """Return which groups of a mask have a pixel of another mask.

    Parameters
    ----------
    mask, other : `~numpy.ndarray`
        bool, ``(ny, nx)``.

    Returns
    -------
    Groups
        Those of ``mask``.
    """
    groups, number = ndimage.label(mask, EIGHT_CONNECTED)
    touches = np.zeros(number + 1, dtype=bool)
    touches[groups[other]] = True
    touches[0] = False
    shared = touches[groups]
    n_shared = int(np.count_nonzero(touches))
    return Groups(shared, mask & ~shared, n_shared, number - n_shared)


def outline_segments(
    mask: np.ndarray, *, margin: int = 0, origin: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """Return the outline of a mask, along the sides of its pixels.

    Parameters
    ----------
    mask : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    margin : int
        Distance in px between the mask and its outline.
    origin : tuple of int
        ``(y, x)`` of the first pixel.

    Returns
    -------
    `~numpy.ndarray`
        float64, ``(n, 2, 2)``: the ends ``(x, y)`` of straight lines. Pixel ``(y, x)``
        has its sides at ``x - 0.5`` and ``x + 0.5``.
    """
    wide = np.pad(mask, margin + 1)
    if margin:
        size = 2 * margin + 1
        wide = ndimage.maximum_filter(wide.view(np.uint8), size).view(bool)
    ends_y, ends_x = _runs(wide)
    upright_x, upright_y = _runs(wide.T)
    across = np.stack([ends_x, ends_y], axis=-1)
    upright = np.stack([upright_x, upright_y], axis=-1)
    y, x = origin
    corner = np.array([x, y]) - margin - 1.5
    return np.concatenate([across, upright]) + corner


def _runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and ends of the lines between rows where a mask changes."""
    edges = mask[1:] != mask[:-1]
    # A corner at which two pixels touch ends a line as well.
    change = np.diff(edges.astype(np.int8), axis=1, prepend=0, append=0)
    rows, starts = np.nonzero(change == 1)
    _, stops = np.nonzero(change == -1)
    rows = rows + 1
    return np.stack([rows, rows], axis=1), np.stack([starts, stops], axis=1)


def draw_outlines(
    ax: Axes,
    mask: np.ndarray,
    color: str,
    *,
    label: str | None = None,
    margin: int | None = None,
    linewidth: float = LINEWIDTH,
    origin: tuple[int, int] = (0, 0),
) -> Any:
    """Draw the outlines of the groups of a mask.

    Parameters
    ----------
    ax : `~matplotlib.axes.Axes`
        Where to draw.
    mask : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    color : str
        Colour of the lines.
    label : str, optional
        What the legend says.
    margin : int, optional
        Distance in px between group and outline; by default one that is seen at the
        scale of the whole frame.
    linewidth : float
        In points.
    origin : tuple of int
        ``(y, x)`` of the first pixel.

    Returns
    -------
    `~matplotlib.collections.LineCollection`

    Raises
    ------
    ValueError
        If ``margin`` or ``linewidth`` are out of range.
    """
    from matplotlib.collections import LineCollection

    if margin is not None and not (margin == int(margin) and margin >= 0):
        raise ValueError(f"margin={margin!r}; allowed are whole numbers >= 0, in px")
    if not 0 < linewidth < np.inf:
        raise ValueError(f"linewidth={linewidth!r}; allowed is a positive number")
    if margin is None:
        margin = -(-max(mask.shape) // PIXELS_PER_MARGIN)
    lines = LineCollection(
        list(outline_segments(mask, margin=int(margin), origin=origin)),
        colors=color,
        linewidths=linewidth,
        capstyle="projecting",
        label=label,
    )
    return ax.add_collection(lines, autolim=False)


def draw_legend(ax: Axes) -> None:
    """Draw the legend of the outlines below the frame, where it hides nothing.

    Parameters
    ----------
    ax : `~matplotlib.axes.Axes`
        With outlines that have labels.
    """
    number = len(ax.get_legend_handles_labels()[1])
    legend = ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=number,
        facecolor="0.25",
        labelcolor="white",
        framealpha=1,
        borderaxespad=2.6,
    )
    for line in legend.get_lines():
        line.set_linewidth(3)
