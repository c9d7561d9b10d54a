"""Fill pixels of a frame, by the method that suits the user, model and frame."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from ..inpainting.local import fill_pixels, limit_to_neighbours, limit_to_pixel_value
from ..inpainting.pixel_flags import good_pixels
from ..models.model import Model
from ..models.zoo import load_model
from ..nddata.frame import Frame
from ..nddata.gain import unit_factor
from ..options import check_fill_method
from ..preprocess.network_input import NetworkInput
from ..preprocess.scaled_frame import ScaledFrame, find_scale_factor, unscale

__all__ = ["Fill", "choose_fill", "fill_frame", "load_fill"]


class Fill(NamedTuple):
    """How to fill: a method, and for ``"network"`` the model and its unit factor."""

    method: str
    model: Model | None = None
    factor: float = 1.0


def choose_fill(
    method: str | Literal[False] | None,
    model: Model | None,
    frame: Frame,
    gain: float | None = None,
    parameter: str = "inpaint",
) -> Fill:
    """Decide how to fill, before any work is done.

    Parameters
    ----------
    method : str, None or False
        What the user asked for; None and False mean not to fill.
    model : Model or None
        An inpainting model, or a mask model whose card may name one.
    frame : Frame
        Its header decides ``"auto"``: the network if it was trained on such frames.
    gain : float or None
        In electron/adu.
    parameter : str
        Name of the argument, for messages.

    Returns
    -------
    Fill
        With the method "none", one of `LOCAL_METHODS`, or "network".

    Raises
    ------
    ValueError
        If the method is unknown, there is no network for it, or the frame's unit
        cannot be taken to the network's.
    """
    if method is None or method is False:
        return Fill("none")
    check_fill_method(method, parameter)
    if method not in ("auto", "network"):
        return Fill(method)
    if model is not None and model.card.task != "inpaint":
        model = load_fill(model, method, parameter)
    if method == "auto" and (model is None or not model.card.covers(frame.header)):
        return Fill("median")
    if model is None:
        raise ValueError(
            f"{parameter}='network' needs an inpainting network, and there is no model"
        )
    factor, _ = unit_factor(frame.unit, model.card.unit, gain, model.card.name)
    return Fill("network", model, factor)


def load_fill(model: Model, method: str, parameter: str = "inpaint") -> Model | None:
    """Load the inpainting network that a mask model names.

    Parameters
    ----------
    model : Model
        For task "mask".
    method : {"auto", "network"}
        With "auto", None is returned where there is none.
    parameter : str
        Name of the argument, for messages.

    Raises
    ------
    ValueError
        If the model names none.
    ImportError
        If it needs a package that is not installed.
    """
    if not model.card.fill:
        if method == "auto":
            return None
        raise ValueError(
            f"{parameter}='network' needs an inpainting network, and {model!r} names "
            "none"
        )
    try:
        return load_model(
            model.card.fill,
            device=model.device,
            task="inpaint",
            precision=None if model.precision == "int8" else model.precision,
        )
    except ImportError:
        if method == "network":
            raise
        return None


def fill_frame(
    plane: np.ndarray,
    targets: np.ndarray,
    bad: np.ndarray | None,
    fill: Fill,
    *,
    cr_affected: np.ndarray | None = None,
    origin: tuple[int, int] = (0, 0),
    tile_size: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute fills for the targets of a frame.

    Parameters
    ----------
    plane : `~numpy.ndarray`
        ``(ny, nx)``, any real dtype.
    targets : `~numpy.ndarray`
        bool, ``(ny, nx)``, the pixels to fill.
    bad : `~numpy.ndarray` or None
        Pixels whose data must not be used.
    fill : Fill
        From `choose_fill`.
    cr_affected : `~numpy.ndarray`, optional
        bool, ``(ny, nx)``, True where a cosmic ray added to what was there: networks
        on cutouts take these values as features, and fills by networks are kept below
        them.
    origin : tuple of int, optional
        If the plane is a piece of a frame: where in it the piece begins. It holds
        whole the blocks in which its targets are, which are
        `~deepcr_ccd.inpainting.network.BLOCK_SIZE` px wide.
    tile_size : int, optional
        Core of a tile, in px.

    Returns
    -------
    value, sigma : `~numpy.ndarray`
        One a target, in the order of ``plane[targets]``, in the plane's unit. If
        there is no good pixel to fill from, the old value, and a sigma of 0.
    """
    if not good_pixels(targets, bad).any():
        values = plane[targets].astype(np.float64)
        return values, np.zeros_like(values)
    scale = find_scale_factor(plane, targets, bad)
    scaled = plane if scale == 1 else ScaledFrame(plane, scale)
    if fill.model is None:
        value, sigma = fill_pixels(scaled, targets, bad, fill.method)
    else:
        # A network that knows no unit sees the scaled frame, others that in their unit.
        scale_free = fill.model.card.scale_free
        value, lower_limit = fill.model.fill(
            NetworkInput(
                plane, fill.factor * scale if scale_free else fill.factor, finite=False
            ),
            targets,
            bad=bad,
            cr_affected=cr_affected,
            origin=origin,
            tile_size=tile_size,
        )
        value, lower_limit = value / fill.factor, lower_limit / fill.factor
        if scale != 1 and not scale_free:
            value, lower_limit = (
                value.astype(np.float64) * scale,
                lower_limit.astype(np.float64) * scale,
            )
        if cr_affected is not None:
            value = limit_to_pixel_value(scaled, targets, bad, value, cr_affected)
        value, sigma = limit_to_neighbours(scaled, targets, bad, value, lower_limit)
    return unscale(value, scale, plane.dtype), unscale(sigma, scale, plane.dtype)
