"""A sheet of cosmic rays: before, outlined, after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from scipy import ndimage

from ..nddata.typing import CCDLike, MaskLike
from ..notices import counted
from ..segmentation.connected import EIGHT_CONNECTED
from .images import Image, draw_image, make_stretch, new_figure, read_image
from .outlines import BLUE, draw_outlines

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

__all__ = ["plot_cutouts"]

#: Cosmic rays in a row of the sheet; smallest width of a cutout in px, and the margin
#: around a cosmic ray; width of a panel in inches.
COLUMNS, SMALLEST, MARGIN, PANEL = 3, 21, 6, 1.5


class CosmicRay(NamedTuple):
    """A flagged group: its label, the slices of its rows and columns, size, charge."""

    label: int
    where: tuple[slice, slice]
    size: int
    charge: float


def plot_cutouts(
    before: CCDLike,
    after: CCDLike,
    crmask: MaskLike | None = None,
    *,
    number: int = 12,
    order: Literal["brightest", "largest"] = "brightest",
    size: int | None = None,
    fig: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Draw a sheet of cosmic rays: before, with their outline, and after cleaning.

    Parameters
    ----------
    before, after : `~astropy.nddata.CCDData` or array-like
        ``(ny, nx)``, in one unit. The three panels of a cosmic ray have the same
        stretch.
    crmask : array-like, optional
        bool, ``(ny, nx)``, flagged pixels; by default the mask of ``after``. Pixels
        that the mask of ``before`` marks are no cosmic rays.
    number : int
        How many cosmic rays are drawn, at most.
    order : {"brightest", "largest"}
        Whether those of the most charge come first, or those of the most pixels. The
        charge is the sum of ``before`` minus ``after`` over the flagged pixels; where
        nothing was filled, of ``before`` minus the median of the frame.
    size : int, optional
        Width of the cutouts in px. By default as large as each cosmic ray needs, and 21
        at least. They are smaller only if the frame is.
    fig : `~matplotlib.figure.Figure` or `~matplotlib.figure.SubFigure`, optional
        Where to draw. By default in a new figure of pyplot.

    Returns
    -------
    `~matplotlib.figure.Figure` or `~matplotlib.figure.SubFigure`
        The figure: three axes for each cosmic ray, in order. Their title gives the
        pixel in its middle (from 0), its size, and its charge.

    Raises
    ------
    TypeError
        If ``before`` or ``after`` are no frames, or ``crmask`` holds no truth values.
    ValueError
        If shapes differ, an option is out of range, or there is no mask.
    ImportError
        If there is no figure and matplotlib is not installed.

    Examples
    --------
    .. plot::

        from deepcr_ccd.demo import simulate
        from deepcr_ccd import cosmicray_deepcr
        from deepcr_ccd.plot import plot_cutouts

        ccd = simulate()
        plot_cutouts(ccd, cosmicray_deepcr(ccd), number=6)
    """
    _check_options(number, order, size)
    first, second = read_image(before, "before"), read_image(after, "after")
    if first.data.shape != second.data.shape:
        raise ValueError(
            f"after has shape {second.data.shape}; allowed is that of before, "
            f"{first.data.shape}"
        )
    if crmask is None:
        if second.mask is None:
            raise ValueError(
                "crmask=None takes the mask of after, which has none: give crmask=, or "
                "the frame that cosmicray_deepcr returns"
            )
        crmask = second.mask
    flags = first.crmask(crmask)
    groups, total = ndimage.label(flags, EIGHT_CONNECTED)
    chosen = _choose(first.data, second.data, groups, order)[:number]
    columns = min(max(len(chosen), 1), COLUMNS)
    rows = -(-max(len(chosen), 1) // columns)
    if fig is None:
        width = columns * (3 * PANEL + 0.3)
        fig = new_figure(max(width, 5), rows * (PANEL + 0.35) + 0.6)
    unit = f" {first.unit}" if first.unit is not None else ""
    of = f"{len(chosen)} {order} of " if len(chosen) < total else ""
    fig.suptitle(f"{of}{counted(total, 'cosmic ray')}: before, flagged, after")
    # A column between cosmic rays keeps their panels apart.
    grid = fig.add_gridspec(
        rows, 4 * columns - 1, width_ratios=([1, 1, 1, 0.12] * columns)[:-1]
    )
    for place, cosmic_ray in enumerate(chosen):
        row, column = divmod(place, columns)
        axes = [fig.add_subplot(grid[row, 4 * column + i]) for i in range(3)]
        _draw(axes, first, second, groups, cosmic_ray, size)
        axes[1].set_title(
            f"x={_middle(cosmic_ray.where[1])}, y={_middle(cosmic_ray.where[0])}: "
            f"{cosmic_ray.size} px, {_number(cosmic_ray.charge)}{unit}",
            fontsize="small",
        )
    return fig


def _check_options(number: Any, order: Any, size: Any) -> None:
    """Raise an error if an option of the sheet is out of range."""
    if not (number == int(number) and number >= 1):
        raise ValueError(f"number={number!r}; allowed are whole numbers from 1 on")
    if order not in ("brightest", "largest"):
        raise ValueError(f"order={order!r}; allowed are 'brightest', 'largest'")
    if size is not None and not (size == int(size) and size >= 3):
        raise ValueError(f"size={size!r}; allowed are whole numbers from 3 on, in px")


def _choose(
    before: np.ndarray, after: np.ndarray, groups: np.ndarray, order: str
) -> list[CosmicRay]:
    """Return all cosmic rays, in order."""
    where = np.nonzero(groups)
    labels, values = groups[where], before[where].astype(float)
    excess = values - after[where]
    if not np.any(excess):
        good = before[np.isfinite(before) & (groups == 0)]
        excess = values - (np.median(good) if good.size else 0)
    sizes = np.bincount(labels)
    charges = np.bincount(labels, np.nan_to_num(excess, posinf=0, neginf=0))
    found = [
        CosmicRay(label, place, int(sizes[label]), float(charges[label]))
        for label, place in enumerate(ndimage.find_objects(groups), 1)
    ]
    largest = order == "largest"
    key = (lambda c: (-c.size, -c.charge)) if largest else (lambda c: -c.charge)
    return sorted(found, key=key)


def _draw(
    axes: list,
    before: Image,
    after: Image,
    groups: np.ndarray,
    cosmic_ray: CosmicRay,
    size: int | None,
) -> None:
    """Draw the three panels of a cosmic ray."""
    if size is None:
        longest = max(place.stop - place.start for place in cosmic_ray.where)
        size = max(SMALLEST, longest + 2 * MARGIN)
    cut = tuple(
        _cut(place, size, length)
        for place, length in zip(cosmic_ray.where, groups.shape, strict=True)
    )
    flags = groups[cut] > 0
    origin = cut[0].start, cut[1].start
    old, new = before.data[cut], after.data[cut]
    finite = old[np.isfinite(old)]
    peak = finite.max() if finite.size else None
    norm = make_stretch(old, bad=flags | before.bad[cut], top=peak)
    extent = (
        cut[1].start - 0.5,
        cut[1].stop - 0.5,
        cut[0].start - 0.5,
        cut[0].stop - 0.5,
    )
    for ax, image in zip(axes, (old, old, new), strict=True):
        draw_image(ax, image, norm=norm, extent=extent)
        ax.set(xticks=[], yticks=[])
    draw_outlines(axes[1], flags, BLUE, margin=0, linewidth=1.3, origin=origin)


def _cut(place: slice, size: int, length: int) -> slice:
    """Return the slice of a cutout around a place, within the frame."""
    size = min(size, length)
    start = min(max((place.start + place.stop - size) // 2, 0), length - size)
    return slice(start, start + size)


def _middle(place: slice) -> int:
    return (place.start + place.stop - 1) // 2


def _number(value: float) -> str:
    """Return three digits of a number, or all before the point."""
    return f"{value:.0f}" if abs(value) >= 999 else f"{value:.3g}"
