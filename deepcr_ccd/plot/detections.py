"""A frame with the outlines of its cosmic rays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..nddata.frame import as_mask
from ..nddata.typing import CCDLike, MaskLike
from ..notices import counted
from .images import draw_image, make_stretch, new_figure, read_image
from .outlines import (
    BLUE,
    LINEWIDTH,
    RED,
    YELLOW,
    compare_groups,
    count_groups,
    draw_legend,
    draw_outlines,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_detections"]


def plot_detections(
    ccd: CCDLike,
    crmask: MaskLike | None = None,
    truth: MaskLike | None = None,
    *,
    ax: Axes | None = None,
    bad: MaskLike | None = None,
    margin: int | None = None,
    linewidth: float = LINEWIDTH,
) -> Axes:
    """Draw a frame with the outlines of flagged groups.

    The outlines keep their width at any scale, so that cosmic rays of a single pixel
    are seen on a whole frame, too.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData` or array-like
        ``(ny, nx)``, a frame before or after cleaning; only in one from before are
        cosmic rays seen inside their outlines.
    crmask : array-like, optional
        bool, ``(ny, nx)``, flagged pixels. By default the mask of ``ccd``, which is the
        cleaned frame then. Pixels that the mask of ``ccd`` marks otherwise are not
        shown as cosmic rays, and not counted as such.
    truth : array-like, optional
        bool, ``(ny, nx)``, CR-affected pixels. The outlines are then blue for found,
        yellow for missed and red for false groups: a cosmic ray is found if one of its
        pixels is flagged, and a flagged group is false if none of its pixels is
        CR-affected.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw. By default in a new figure of pyplot.
    bad : array-like, optional
        bool, ``(ny, nx)``, pixels that were masked before cleaning, for a frame that
        was cleaned: its mask marks them as well as the cosmic rays.
    margin : int, optional
        Distance in px between a group and its outline. By default 1 px for each 300 px
        of the longer side of the frame. Groups are counted before; the outlines of
        close ones may run together.
    linewidth : float
        Of the outlines, in points.

    Returns
    -------
    `~matplotlib.axes.Axes`
        The axes, with the numbers of groups in its legend, or in its title without
        ``truth``.

    Raises
    ------
    TypeError
        If ``ccd`` is no frame, or a mask holds no truth values.
    ValueError
        If shapes differ, ``margin`` or ``linewidth`` are out of range, or there is no
        mask.
    ImportError
        If there are no axes and matplotlib is not installed.

    Examples
    --------
    .. plot::

        from deepcr_ccd.demo import simulate
        from deepcr_ccd import cosmicray_deepcr
        from deepcr_ccd.plot import plot_detections

        flagged = cosmicray_deepcr(simulate(), inpaint=None)
        plot_detections(flagged)
    """
    image = read_image(ccd, "ccd")
    if crmask is None:
        if image.mask is None:
            raise ValueError(
                "crmask=None takes the mask of ccd, which has none: give crmask=, or "
                "the frame that cosmicray_deepcr returns"
            )
        crmask = image.mask
    shape = image.data.shape
    flags = image.crmask(crmask)
    if bad is not None:
        flags = flags & ~as_mask(bad, shape, "bad")
    drawn: list[tuple[np.ndarray, str, str | None]] = [(flags, BLUE, None)]
    title = (
        f"{counted(count_groups(flags), 'cosmic ray')}, {np.count_nonzero(flags)} px"
    )
    if truth is not None:
        affected = as_mask(truth, shape, "truth")
        real, flagged = compare_groups(affected, flags), compare_groups(flags, affected)
        number = counted(real.number, "cosmic ray")
        title = f"{number}, {counted(flagged.number, 'flagged group')}"
        drawn = [
            (flagged.shared, BLUE, f"found: {real.n_shared}"),
            (real.alone, YELLOW, f"missed: {real.n_alone}"),
            (flagged.alone, RED, f"false: {flagged.n_alone}"),
        ]
    if ax is None:
        ax = new_figure(7.5, 7.5 if truth is None else 8.1).subplots()
        ax.set_anchor("N")  # leaves the room below, where the legend is
    draw_image(ax, image.data, norm=make_stretch(image.data, bad=flags))
    for mask, color, label in drawn:
        draw_outlines(ax, mask, color, label=label, margin=margin, linewidth=linewidth)
    ax.set_title(title)
    if truth is not None:
        draw_legend(ax)
    return ax
