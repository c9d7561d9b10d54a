"""Figures, drawn into axes that the caller gives."""

from __future__ import annotations

import numpy as np
from astropy.visualization import AsinhStretch, ImageNormalize

__all__ = ["plot_before_after"]


def plot_before_after(before, crmask, after, axes, *, unit: str = "") -> None:
    """Draw a frame, its mask of cosmic rays, and the cleaned frame.

    Parameters
    ----------
    before, after : array-like
        ``(ny, nx)``, drawn with one stretch, from 3 sigma under the sky.
    crmask : array-like
        bool, ``(ny, nx)``.
    axes : sequence of 3 `~matplotlib.axes.Axes`
        Where to draw.
    unit : str
        Unit of the frames, for the title.

    Raises
    ------
    ValueError
        If there are not three axes.

    Examples
    --------
    .. plot::

        import matplotlib.pyplot as plt
        from deepcr_ccd.demo import simulate
        from deepcr_ccd import cosmicray_deepcr
        from deepcr_ccd.plot import plot_before_after

        ccd = simulate()
        cleaned = cosmicray_deepcr(ccd, model="ACS-WFC")
        fig, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
        plot_before_after(ccd, cleaned.mask, cleaned, axes, unit="electron")
    """
    axes = np.ravel(axes)
    if axes.size != 3:
        raise ValueError(f"axes must be 3 of them, not {axes.size}")
    before, after = (np.asarray(getattr(x, "data", x)) for x in (before, after))
    crmask = np.asarray(crmask)
    finite = before[np.isfinite(before)]
    low, sky, high = np.percentile(finite, [16, 50, 99.8]) if finite.size else (0, 0, 1)
    sigma = max(sky - low, 1e-6 * max(abs(sky), 1))
    norm = ImageNormalize(
        vmin=sky - 3 * sigma,
        vmax=max(high, sky + 10 * sigma),
        stretch=AsinhStretch(0.05),
    )
    count = int(np.count_nonzero(crmask))
    titles = (f"before{f' ({unit})' if unit else ''}", f"mask: {count} px", "after")
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
