"""Frames as images: plain arrays, their stretch, and the axes they are drawn in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from astropy import units as u
from astropy.visualization import AsinhStretch, ImageNormalize

from ..nddata.frame import as_mask, read_frame
from ..nddata.typing import CCDLike, MaskLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Image", "draw_image", "make_stretch", "new_figure", "read_image"]

#: Of the asinh stretch: the fraction of the range in which it is linear.
LINEAR = 0.05
#: Values so many sigma above the background are drawn white: so stars leave room for
#: what is faint.
WHITE = 100


class Image(NamedTuple):
    """A frame to draw.

    ``data`` is ``(ny, nx)``, floating point in the byte order of the machine; ``mask``
    is bool, of that shape.
    """

    data: np.ndarray
    mask: np.ndarray | None
    unit: u.UnitBase | None

    @property
    def bad(self) -> np.ndarray:
        """The mask; False everywhere if there is none."""
        return np.zeros(self.data.shape, bool) if self.mask is None else self.mask

    def crmask(self, crmask: MaskLike, name: str = "crmask") -> np.ndarray:
        """Return a mask of cosmic rays, without the pixels that were masked before.

        Parameters
        ----------
        crmask : array-like
            bool, ``(ny, nx)``. If it equals the mask of this frame, it is returned
            whole: the frame is a cleaned one then.
        name : str
            Name of the argument, for messages.

        Returns
        -------
        `~numpy.ndarray`
            bool, ``(ny, nx)``.
        """
        flags = as_mask(crmask, self.data.shape, name)
        return flags if np.array_equal(flags, self.bad) else flags & ~self.bad


def read_image(ccd: CCDLike, name: str) -> Image:
    """Return a user's frame as something to draw.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData` or array-like
        ``(ny, nx)``, not modified.
    name : str
        Name of the argument, for messages.

    Returns
    -------
    Image

    Raises
    ------
    TypeError
        If it is no frame.
    ValueError
        If its shape is not ``(ny, nx)``.
    """
    frame = read_frame(ccd, name)
    if frame.data.ndim != 2:
        raise ValueError(
            f"{name} has shape {frame.data.shape}; allowed is (ny, nx): draw the "
            "planes of a stack one by one"
        )
    kind = np.result_type(frame.data.dtype.newbyteorder("="), np.float32)
    return Image(np.asarray(frame.data, dtype=kind), frame.mask, frame.unit)


def make_stretch(
    data: np.ndarray, *, bad: np.ndarray | None = None, top: float | None = None
) -> ImageNormalize:
    """Return an asinh stretch from 3 sigma below the background.

    Parameters
    ----------
    data : `~numpy.ndarray`
        ``(ny, nx)``. Values that are not finite are left out.
    bad : `~numpy.ndarray`, optional
        bool, ``(ny, nx)``, pixels that are left out, too.
    top : float, optional
        The value that is drawn white, by default the 99.8th percentile; but it is from
        10 to 100 sigma above the background.

    Returns
    -------
    `~astropy.visualization.ImageNormalize`
    """
    good = np.isfinite(data)
    if bad is not None and (good & ~bad).any():
        good &= ~bad
    values = data[good]
    low, background, high = (
        np.percentile(values, [16, 50, 99.8]) if values.size else (0, 0, 1)
    )
    sigma = max(background - low, 1e-6 * max(abs(background), 1))
    above = (high if top is None else top) - background
    return ImageNormalize(
        vmin=background - 3 * sigma,
        vmax=background + np.clip(above, 10 * sigma, WHITE * sigma),
        stretch=AsinhStretch(LINEAR),
    )


def draw_image(ax: Axes, image: np.ndarray, **options: Any) -> Any:
    """Draw an array with its first row at the bottom, pixel by pixel.

    Parameters
    ----------
    ax : `~matplotlib.axes.Axes`
        Where to draw.
    image : `~numpy.ndarray`
        ``(ny, nx)``.
    **options
        Of ``Axes.imshow``.

    Returns
    -------
    `~matplotlib.image.AxesImage`
    """
    options = {"cmap": "gray", **options}
    return ax.imshow(image, origin="lower", interpolation="nearest", **options)


def new_figure(width: float, height: float) -> Figure:
    """Return a new figure of pyplot.

    Parameters
    ----------
    width, height : float
        In inches.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'figures need matplotlib: pip install "deepcr_ccd[plot]"'
        ) from error
    return plt.figure(figsize=(width, height), layout="constrained")
