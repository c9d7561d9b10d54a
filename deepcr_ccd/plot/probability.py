"""The probability of a cosmic ray in each pixel, as a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..nddata.typing import CCDLike
from ..notices import counted
from .images import draw_image, new_figure, read_image
from .outlines import LINEWIDTH, count_groups, draw_outlines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_probability"]

#: The smallest probability that differs from 0 in the map, and the colours of the
#: threshold and of excluded pixels.
SMALLEST = 1e-4
THRESHOLD_COLOR, EXCLUDED_COLOR = "#00E5FF", "0.6"


def plot_probability(
    probability: CCDLike,
    threshold: float | None = None,
    *,
    ax: Axes | None = None,
    margin: int | None = None,
    linewidth: float = LINEWIDTH,
) -> Axes:
    """Draw the probability of a cosmic ray, on a logarithmic scale.

    Parameters
    ----------
    probability : array-like
        ``(ny, nx)``, in [0, 1], such as the result of
        `~deepcr_ccd.cosmicray_probability`. Pixels that are NaN, which are excluded,
        are grey. Probabilities below 1e-4 are drawn as 1e-4.
    threshold : float, optional
        In [0, 1): pixels with a higher probability are outlined, and it is marked in
        the colour bar.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw. By default in a new figure of pyplot.
    margin : int, optional
        Distance in px between a group and its outline, as in `plot_detections`; with 0
        the outline is the contour of the threshold.
    linewidth : float
        Of the outlines, in points.

    Returns
    -------
    `~matplotlib.axes.Axes`
        The axes; its figure has a further one, the colour bar.

    Raises
    ------
    TypeError
        If ``probability`` is no array of numbers.
    ValueError
        If the shape is not ``(ny, nx)``, or probabilities, the threshold or an option
        are out of range.
    ImportError
        If there are no axes and matplotlib is not installed.

    Examples
    --------
    .. plot::

        from deepcr_ccd.demo import simulate
        from deepcr_ccd import cosmicray_probability, load_model
        from deepcr_ccd.plot import plot_probability

        threshold = load_model("universal").card.threshold
        plot_probability(cosmicray_probability(simulate()), threshold)
    """
    image = read_image(probability, "probability")
    values = np.where(image.bad, np.nan, image.data)
    finite = values[np.isfinite(values)]
    if finite.size and (finite.min() < 0 or finite.max() > 1):
        raise ValueError(
            f"probability is from {finite.min():g} to {finite.max():g}; allowed are "
            "values in [0, 1], or NaN: cosmicray_probability returns them"
        )
    if threshold is not None and not 0 <= threshold < 1:
        raise ValueError(f"threshold={threshold!r}; allowed are numbers in [0, 1)")
    if ax is None:
        ax = new_figure(8.2, 7).subplots()
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    cmap = colormaps["inferno"].with_extremes(bad=EXCLUDED_COLOR)
    shown = draw_image(
        ax,
        np.maximum(values, SMALLEST),
        cmap=cmap,
        norm=LogNorm(vmin=SMALLEST, vmax=1),
    )
    figure = ax.get_figure()
    if figure is None:
        raise ValueError("ax belongs to no figure; give the axes of one")
    bar = figure.colorbar(
        shown, ax=ax, extend="min", label="probability of a cosmic ray", shrink=0.85
    )
    title = "probability of a cosmic ray"
    if threshold is not None:
        flags = values > threshold
        draw_outlines(ax, flags, THRESHOLD_COLOR, margin=margin, linewidth=linewidth)
        if threshold > SMALLEST:
            bar.ax.axhline(threshold, color=THRESHOLD_COLOR, linewidth=2.5)
        title = f"above {threshold:g}: {counted(count_groups(flags), 'group')}"
        title += f", {np.count_nonzero(flags)} px"
    ax.set_title(title)
    return ax
