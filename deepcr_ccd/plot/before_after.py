"""A frame before and after cleaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..nddata.frame import as_mask
from ..nddata.typing import CCDLike, MaskLike
from .images import draw_image, make_stretch, new_figure, read_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_before_after"]


def plot_before_after(
    before: CCDLike,
    crmask: MaskLike,
    after: CCDLike,
    axes: Sequence[Axes] | None = None,
    *,
    unit: str = "",
) -> Figure:
    """Draw a frame, its cosmic rays, and the cleaned frame.

    Parameters
    ----------
    before, after : `~astropy.nddata.CCDData` or array-like
        ``(ny, nx)``, drawn with the same stretch, from 3 sigma below the background.
    crmask : array-like
        bool, ``(ny, nx)``, such as the mask of the cleaned frame. Pixels that the mask
        of ``before`` marks are not shown as cosmic rays, and not counted as such.
    axes : sequence of 3 `~matplotlib.axes.Axes`, optional
        Where to draw. By default in a new figure of pyplot, for
        ``matplotlib.pyplot.show()``.
    unit : str
        Unit of the frames, for the title.

    Returns
    -------
    `~matplotlib.figure.Figure`
        The figure with these axes; its method ``savefig`` writes it to a file.

    Raises
    ------
    TypeError
        If ``before`` or ``after`` are no frames, or ``crmask`` holds no truth values.
    ValueError
        If there are not three axes, or shapes differ.
    ImportError
        If there are no axes and matplotlib is not installed.

    Examples
    --------
    .. plot::

        from deepcr_ccd.demo import simulate
        from deepcr_ccd import cosmicray_deepcr
        from deepcr_ccd.plot import plot_before_after

        ccd = simulate()
        cleaned = cosmicray_deepcr(ccd)
        plot_before_after(ccd, cleaned.mask, cleaned, unit="electron")
    """
    images = [read_image(before, "before"), read_image(after, "after")]
    shapes = images[0].data.shape, np.shape(crmask), images[1].data.shape
    if len(set(shapes)) > 1:
        raise ValueError(
            f"before, crmask and after have shapes {shapes[0]}, {shapes[1]} and "
            f"{shapes[2]}; allowed is one shape (ny, nx)"
        )
    flags = as_mask(crmask, shapes[0], "crmask") & ~images[0].bad
    if axes is None:
        axes = new_figure(13, 4.6).subplots(1, 3)
    panels = np.ravel(np.asarray(axes, dtype=object))
    if panels.size != 3:
        raise ValueError(f"axes must be 3 of them, not {panels.size}")
    norm = make_stretch(images[0].data)
    count = int(np.count_nonzero(flags))
    titles = (
        f"before{f' ({unit})' if unit else ''}",
        f"cosmic rays: {count} px",
        "after",
    )
    draw_image(panels[0], images[0].data, norm=norm)
    draw_image(panels[1], flags, cmap="gray_r")
    draw_image(panels[2], images[1].data, norm=norm)
    for ax, title in zip(panels, titles, strict=True):
        ax.set_title(title)
    return panels[0].get_figure()
