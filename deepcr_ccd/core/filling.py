"""Fill the masked pixels of a frame: ``inpaint``."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
import torch
from astropy import units as u
from astropy.utils.decorators import deprecated_renamed_argument

from ..choices import DEFAULT_MODEL, FILL_METHODS, FillMethod
from ..models.model import Model
from ..models.zoo import load_model
from ..nddata.bayer import colours_of, is_bayer
from ..nddata.frame import Frame, as_mask, read_frame, read_frames
from ..nddata.gain import resolve_gain
from ..nddata.typing import CCDLike, MaskLike, ParameterLike
from ..notices import names_its_arguments
from ..pipeline import detect as detection
from ..pipeline.fill import Fill, choose_fill, fill_frame
from ..tiling.run import check_tile_size

__all__ = ["inpaint"]


@deprecated_renamed_argument("struck", "cr_affected", "0.1")
@names_its_arguments
def inpaint(
    data: CCDLike,
    mask: MaskLike,
    *,
    method: FillMethod = "auto",
    model: str | os.PathLike | Model | None = None,
    gain: ParameterLike | None = None,
    cr_affected: bool = False,
    device: str | torch.device | None = None,
    precision: Literal["auto", "float32", "bfloat16"] | None = None,
    tile_size: int | None = None,
) -> Any:
    """Fill masked pixels of a frame from what surrounds them.

    Parameters
    ----------
    data : `~astropy.nddata.CCDData`, other NDData, Quantity or array-like
        Frame of shape ``(ny, nx)``, or a stack ``(n, ny, nx)``, or a list of CCDData.
        It is not modified. Pixels that its own mask marks bad, and pixels that are not
        finite, are not used; genuine zeros are data.
    mask : array-like
        bool, of the same shape, True where to fill. For a list of CCDData, one mask
        for all or a list of masks.
    method : {"auto", "median", "mean", "idw", "interpolate", "network"}
        ``"median"`` and ``"mean"`` of the good pixels in a cutout of 5x5 px, which
        grows until it has 8 of them; ``"idw"``, their mean weighted by one over
        the distance; ``"interpolate"``, a plane fitted to them with Gaussian
        weights; ``"network"``, the inpainting network of ``model``; ``"auto"``,
        the network if ``model`` has one and was trained on frames like this, as
        the header tells, and the median elsewhere.
    model : str, path-like or Model, optional
        An inpainting model, or a detection model whose description
        (``load_model(...).card``) names one. By default that of the default model,
        ``universal-inpaint``, which takes any frame.
    gain : float, `~astropy.units.Quantity` or str, optional
        In electron/adu, or the header keyword that holds it; for networks that work in
        a unit which is not the frame's.
    cr_affected : bool
        Whether masked pixels are affected by cosmic rays, which only add charge to
        what was there. Then a network's fill does not rise above the value of the
        pixel by more than the noise. Leave it False for dead or hot pixels. Its name
        was ``struck``, which still works, with a warning.
    device : str or torch.device, optional
        Where the network runs. By default CUDA, then MPS, then the CPU.
    precision : {"auto", "float32", "bfloat16"}, optional
        What the network computes in, see `load_model`.
    tile_size : int, optional
        Width in px of the tiles in which networks that work on whole frames do so. It
        changes memory and speed, not the result.

    Returns
    -------
    `~astropy.nddata.CCDData` or other NDData
        If ``data`` is one: the same type. float64 data stay float64, and all others,
        integers too, become float32. The uncertainty, if any, becomes the one-sigma of
        the fill at filled pixels; it stays where it was 0 or not finite, or where the
        neighbours are all equal. The mask stays as it was. A list gives a list.
    filled, sigma : `~numpy.ndarray` or `~astropy.units.Quantity`
        Otherwise: the filled frame, and the one-sigma of each filled pixel, 0
        where nothing was filled; both of the shape and in the unit of the frame.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of an allowed kind or value, or the mask leaves no
        good pixel to fill from.
    FileNotFoundError
        If ``model`` is the path of a file that does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> from deepcr_ccd import inpaint
    >>> frame = np.full((20, 20), 5.0)
    >>> frame[8, 8:11] = 1000
    >>> filled, sigma = inpaint(frame, frame > 100, method="median")
    >>> float(filled.max())
    5.0
    """
    if method in (None, False):
        raise ValueError(
            f"method={method!r} is unknown; allowed are {', '.join(FILL_METHODS)}"
        )
    if precision == "int8":
        raise ValueError(
            "precision='int8' is for detection models; allowed are auto, float32 "
            "and bfloat16"
        )
    if tile_size is not None:
        check_tile_size(tile_size)
    frames = read_frames(data, "data")
    several = frames or [read_frame(data, "data")]
    if model is None and method in ("auto", "network"):
        model = DEFAULT_MODEL
    if model is not None:
        model = load_model(model, device=device, precision=precision)
    targets = _read_targets(mask, several, bool(frames))
    fills = []
    for frame in several:
        electrons = resolve_gain(gain, frame.header)
        fills.append(choose_fill(method, model, frame, electrons, "method"))
    results: list = []
    for frame, where, fill in zip(several, targets, fills, strict=True):
        filled, sigma = _fill(frame, where, fill, cr_affected, tile_size)
        # Here, not in a function: what it warns of is said of the caller's line.
        if frame.header is not None:
            results.append(frame.rebuild(filled, sigma[where], filled=where))
        else:
            results.append(_wrap(frame, filled, sigma))
    return results if frames else results[0]


def _read_targets(mask: Any, frames: list[Frame], listed: bool) -> list[np.ndarray]:
    """Return which pixels of each frame are to be filled."""
    shapes = [frame.data.shape for frame in frames]
    each = [mask] * len(frames)
    if listed and (isinstance(mask, list | tuple) or np.ndim(mask) > len(shapes[0])):
        if len(mask) != len(frames):
            raise ValueError(f"mask has {len(mask)} masks for {len(frames)} frames")
        each = list(mask)
    names = [f"mask[{place}]" if listed else "mask" for place in range(len(frames))]
    return [
        as_mask(one, shape, name, unknown=False)
        for one, shape, name in zip(each, shapes, names, strict=True)
    ]


def _fill(
    frame: Frame,
    targets: np.ndarray,
    fill: Fill,
    cr_affected: bool,
    tile_size: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a copy of the data with its targets filled, and the sigma of the fills."""
    filled = frame.copy_data()
    spread = np.zeros_like(filled)
    shape = (-1, *filled.shape[-2:])
    for (plane, input_mask), target, out, sigma in zip(
        frame.planes(),
        targets.reshape(shape),
        filled.reshape(shape),
        spread.reshape(shape),
        strict=True,
    ):
        excluded = detection.excluded_pixels(plane, input_mask)
        for part in colours_of(plane) if is_bayer(frame.data, frame.header) else [...]:
            here = target[part]
            bad = None if excluded is None else excluded[part]
            if here.any() and (here if bad is None else here | bad).all():
                raise ValueError("mask leaves no good pixel to fill from")
            affected = here if cr_affected else None
            out[part][here], sigma[part][here] = fill_frame(
                plane[part],
                here,
                bad,
                fill,
                cr_affected=affected,
                tile_size=tile_size,
            )
    return filled, spread


def _wrap(frame: Frame, filled: np.ndarray, spread: np.ndarray) -> tuple:
    """Return what a user of arrays or quantities gets for one frame."""
    if frame.unit is not None:
        spread = u.Quantity(spread, frame.unit, copy=False)
    mask = np.zeros(filled.shape, bool) if frame.mask is None else frame.mask.copy()
    return frame.wrap(filled, mask), spread
