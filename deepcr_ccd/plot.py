"""Figures of frames before and after cleaning."""

from __future__ import annotations

import numpy as np
from astropy.visualization import AsinhStretch, ImageNormalize

__all__ = ["plot_before_after"]


def plot_before_after(before, crmask, after, axes=None, *, unit: str = ""):
    """Draw a frame, its cosmic rays, and the cleaned frame.

    Parameters
    ----------
    before, after : `~astropy.nddata.CCDData` or array-like
        ``(ny, nx)``, drawn with one stretch, from 3 sigma under the sky.
    crmask : array-like
        bool, ``(ny, nx)``, such as the mask of the cleaned frame. Pixels that
        ``before`` masks are no cosmic rays: they are neither drawn nor counted.
    axes : sequence of 3 `~matplotlib.axes.Axes`, optional
        Where to draw. By default in a new figure of pyplot's, which
        ``matplotlib.pyplot.show()`` shows.
    unit : str
        Unit of the frames, for the title.

    Returns
    -------
    `~matplotlib.figure.Figure`
        The figure that was drawn in, such as for ``savefig``.

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
        cleaned = cosmicray_deepcr(ccd, model="ACS-WFC")
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
    axes = _new_axes() if axes is None else np.ravel(axes)
    if axes.size != 3:
        raise ValueError(f"axes must be 3 of them, not {axes.size}")
    finite = before[np.isfinite(before)]
    low, sky, high = np.percentile(finite, [16, 50, 99.8]) if finite.size else (0, 0, 1)
    sigma = max(sky - low, 1e-6 * max(abs(sky), 1))
    norm = ImageNormalize(
        vmin=sky - 3 * sigma,
        vmax=max(high, sky + 10 * sigma),
        stretch=AsinhStretch(0.05),
    )
    count = int(np.count_nonzero(crmask))
    titles = (
        f"before{f' ({unit})' if unit else ''}",
        f"cosmic rays: {count} px",
        "after",
    )
    images = (before, crmask, after)
    for ax, image, title in zip(axes, images, titles, strict=True):
        options = {"cmap": "gray_r"} if image is crmask else {"norm": norm}
        ax.imshow(
            image,
            origin="lower",
            interpolation="nearest",
            **{"cmap": "gray", **options},
        )
        ax.set_title(title)
    return axes[0].get_figure()


def _new_axes() -> np.ndarray:
    """Make a figure of pyplot's with three axes side by side."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'figures need matplotlib: pip install "deepcr_ccd[plot]"'
        ) from error
    _, axes = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
    return axes
