"""The cosmic rays of this package beside those of other methods."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from astropy.nddata import NDData

from ..nddata.typing import CCDLike, MaskLike, ParameterLike
from ..notices import counted
from .baselines import BASELINES, BaselineName, baseline_crmask
from .images import Image, draw_image, make_stretch, new_figure, read_image
from .outlines import (
    BLUE,
    LINEWIDTH,
    RED,
    YELLOW,
    compare_groups,
    draw_legend,
    draw_outlines,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_comparison"]

#: Another method: its mask, what makes it of a frame, or the name of a baseline.
Other: TypeAlias = MaskLike | Callable[[Any], Any] | BaselineName
#: Of a panel, in inches; and panels in a row.
PANEL, COLUMNS = 6.2, 3


def plot_comparison(
    ccd: CCDLike,
    crmask: MaskLike,
    others: Mapping[str, Other] | Sequence[BaselineName] | BaselineName,
    *,
    axes: Axes | Sequence[Axes] | None = None,
    name: str = "deepcr_ccd",
    gain: ParameterLike | None = None,
    readnoise: ParameterLike | None = None,
    margin: int | None = None,
    linewidth: float = LINEWIDTH,
) -> Figure:
    """Draw which groups of pixels only one of two methods flags.

    There is one panel for each other method, with the frame and outlines: blue for
    groups that both flag, yellow for those that only this package flags, and red for
    those that only the other flags.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData` or array-like
        ``(ny, nx)``, the frame before cleaning.
    crmask : array-like
        bool, ``(ny, nx)``, flagged pixels, such as the mask of the cleaned frame.
        Pixels that the mask of ``ccd`` marks are left out, in all masks.
    others : dict, sequence of str, or str
        Other methods by name. Each is a mask, bool ``(ny, nx)``; or a function that
        takes ``ccd`` and returns a mask or a CCDData with one, such as
        ``lambda ccd: cosmicray_deepcr(ccd, model="ACS-WFC")``; or ``"astroscrappy"`` or
        ``"ccdproc"``, which are L.A.Cosmic (van Dokkum 2001, PASP 113, 1420) with the
        defaults of ``astroscrappy.detect_cosmics`` and ``ccdproc.cosmicray_lacosmic``.
        The names of these packages alone will do.
    axes : `~matplotlib.axes.Axes` or sequence of these, optional
        Where to draw, one for each other method. By default in a new figure of pyplot.
    name : str
        What ``crmask`` is called.
    gain : float, `~astropy.units.Quantity` or str, optional
        In electron/adu, or the header keyword that holds it: ``"astroscrappy"`` and
        ``"ccdproc"`` need it for a frame in adu. One without a unit is taken to be in
        electron, or in adu if ``gain`` is given.
    readnoise : float, `~astropy.units.Quantity` or str, optional
        In electron, or the header keyword that holds it, for the same two. By default
        theirs, 6.5.
    margin : int, optional
        Distance in px between a group and its outline, as in `plot_detections`.
    linewidth : float
        Of the outlines, in points.

    Returns
    -------
    `~matplotlib.figure.Figure`
        The figure with these axes.

    Raises
    ------
    TypeError
        If ``ccd`` is no frame, or a mask holds no truth values.
    ValueError
        If shapes differ, a name is unknown, there is no other method, the number of
        axes is another, or the frame cannot be converted to electron for a baseline.
    ImportError
        If a baseline, or matplotlib where there are no axes, is not installed.

    Examples
    --------
    .. plot::

        from deepcr_ccd.demo import simulate
        from deepcr_ccd import cosmicray_deepcr
        from deepcr_ccd.plot import plot_comparison

        ccd = simulate()
        cleaned = cosmicray_deepcr(ccd, inpaint=None)
        lower = cosmicray_deepcr(ccd, inpaint=None, threshold=0.05)
        plot_comparison(ccd, cleaned.mask, {"threshold=0.05": lower.mask})
    """
    image = read_image(ccd, "ccd")
    flags = image.crmask(crmask)
    methods = _read_others(others)
    masks = {
        other: _read_other(ccd, image, other, method, gain, readnoise)
        for other, method in methods.items()
    }
    if axes is None:
        columns = min(len(masks), COLUMNS)
        rows = -(-len(masks) // columns)
        figure = new_figure(PANEL * columns, (PANEL + 0.7) * rows)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in panels:
            ax.set_anchor("N")  # leaves the room below, where the legend is
        for ax in panels[len(masks) :]:
            ax.set_axis_off()
        panels = panels[: len(masks)]
    else:
        panels = np.ravel(np.asarray(axes, dtype=object))
    if panels.size != len(masks):
        raise ValueError(
            f"axes must be {len(masks)}, one for each of others, not {panels.size}"
        )
    norm = make_stretch(image.data, bad=flags)
    for ax, (other, mask) in zip(panels, masks.items(), strict=True):
        draw_image(ax, image.data, norm=norm)
        ours, theirs = compare_groups(flags, mask), compare_groups(mask, flags)
        for which, color, label in (
            (ours.shared | theirs.shared, BLUE, f"both: {ours.n_shared}"),
            (ours.alone, YELLOW, f"only {name}: {ours.n_alone}"),
            (theirs.alone, RED, f"only {other}: {theirs.n_alone}"),
        ):
            draw_outlines(
                ax, which, color, label=label, margin=margin, linewidth=linewidth
            )
        ax.set_title(
            f"{name}: {counted(ours.number, 'group')}, {other}: {theirs.number}"
        )
        draw_legend(ax)
    return panels[0].get_figure()


def _read_others(others: Any) -> dict[str, Any]:
    """Return the other methods by name, with names of baselines checked."""
    if isinstance(others, str):
        others = [others]
    if not isinstance(others, Mapping):
        if not all(isinstance(other, str) for other in others):
            raise TypeError(
                "others holds something that has no name: give a dict, as "
                "{'other method': mask}"
            )
        others = {other: other for other in others}
    if not others:
        raise ValueError("others is empty; give one method at least")
    for method in others.values():
        if isinstance(method, str) and method not in BASELINES:
            near = difflib.get_close_matches(method, BASELINES, n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            names = ", ".join(map(repr, BASELINES))
            raise ValueError(
                f"others has {method!r}; allowed are {names}, a mask or a function"
                + hint
            )
    return dict(others)


def _read_other(
    ccd: Any,
    image: Image,
    name: str,
    method: Any,
    gain: ParameterLike | None,
    readnoise: ParameterLike | None,
) -> np.ndarray:
    """Return the mask of another method."""
    if isinstance(method, str):
        method = baseline_crmask(ccd, method, gain=gain, readnoise=readnoise)
    elif callable(method):
        method = method(ccd)
    if isinstance(method, NDData):
        if method.mask is None:
            raise ValueError(f"others[{name!r}] gives a frame without a mask")
        method = method.mask
    return image.crmask(method, f"others[{name!r}]")
