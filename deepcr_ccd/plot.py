"""Figures of frames before and after cleaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from astropy.visualization import AsinhStretch, ImageNormalize

from .nddata.typing import CCDLike, MaskLike

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
    known = getattr(before, "mask", None)
    before, after = (np.asarray(getattr(x, "data", x)) for x in (before, after))
    crmask = np.asarray(crmask)
    if before.ndim != 2 or not before.shape == crmask.shape == after.shape:
        raise ValueError(
            f"before, crmask and after have shapes {before.shape}, {crmask.shape} and "
            f"{after.shape}; allowed is one shape (ny, nx)"
        )
    if known is not None:
        crmask = crmask.astype(bool) & ~np.asarray(known, dtype=bool)
    panels = _new_axes() if axes is None else np.ravel(np.asarray(axes, dtype=object))
    if panels.size != 3:
        raise ValueError(f"axes must be 3 of them, not {panels.size}")
    finite = before[np.isfinite(before)]
    low, background, high = (
        np.percentile(finite, [16, 50, 99.8]) if finite.size else (0, 0, 1)
    )
    sigma = max(background - low, 1e-6 * max(abs(background), 1))
    norm = ImageNormalize(
        vmin=background - 3 * sigma,
        vmax=max(high, background + 10 * sigma),
        stretch=AsinhStretch(0.05),
    )
    count = int(np.count_nonzero(crmask))
    titles = (
        f"before{f' ({unit})' if unit else ''}",
        f"cosmic rays: {count} px",
        "after",
    )
    images = (before, crmask, after)
    for ax, image, title in zip(panels, images, titles, strict=True):
        options = {"cmap": "gray_r"} if image is crmask else {"norm": norm}
        ax.imshow(
            image,
            origin="lower",
            interpolation="nearest",
            **{"cmap": "gray", **options},
        )
        ax.set_title(title)
    return panels[0].get_figure()


def _new_axes() -> np.ndarray:
    """Make a figure of pyplot with three axes in a row."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'figures need matplotlib: pip install "deepcr_ccd[plot]"'
        ) from error
    _, axes = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
    return axes
