"""How frames are cleaned: every option, checked once."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Literal

import numpy as np
import torch
from astropy import units as u

from .choices import DEFAULT_MODEL, FILL_METHODS, EngineName, PrecisionName
from .models.model import Model
from .models.zoo import load_model
from .nddata.data_quality import DQLike, read_convention
from .nddata.gain import number_from, resolve_gain, resolve_readnoise
from .nddata.typing import ParameterLike
from .segmentation.hysteresis import Thresholds
from .tiling.run import check_tile_size

__all__ = [
    "CleanOptions",
    "check_fill_method",
    "check_fwhm",
]


@dataclasses.dataclass(frozen=True)
class CleanOptions:
    """How frames are cleaned. What can be checked without a frame is checked here.

    The fields are the parameters of `~deepcr_ccd.cosmicray_deepcr`.

    Raises
    ------
    TypeError, ValueError
        If an option is not of an allowed kind or value.
    """

    model: str | os.PathLike | Model = DEFAULT_MODEL
    gain: ParameterLike | None = None
    readnoise: ParameterLike | None = None
    threshold: float | None = None
    extend_threshold: float | None = None
    target_fpr: float | None = None
    grow: float = 0
    inpaint: str | Literal[False] | None = "auto"
    satlevel: ParameterLike | None = None
    psffwhm: float | None = None
    dq: DQLike | None = None
    device: str | torch.device | None = None
    precision: PrecisionName | None = None
    engine: EngineName | None = None
    tile_size: int | None = None

    def __post_init__(self) -> None:
        if not np.isscalar(self.grow) or not _is_radius(self.grow):
            raise ValueError(f"grow={self.grow!r} must be a radius >= 0 in px")
        if self.psffwhm is not None:
            check_fwhm(self.psffwhm)
        read_convention(self.dq)
        if self.tile_size is not None:
            check_tile_size(self.tile_size)
        if not self._keeps_pixels():
            check_fill_method(self.inpaint, "inpaint")
        self._check_camera()

    def _check_camera(self) -> None:
        """Check numbers; header keywords are looked up in each frame's header."""
        for name in ("gain", "readnoise", "satlevel"):
            value = getattr(self, name)
            no_level = name == "satlevel" and np.isscalar(value) and value == np.inf
            if value is not None and not isinstance(value, str) and not no_level:
                number_from(value, name, None)
        if not isinstance(self.gain, str):
            resolve_gain(self.gain)
        # A Quantity may be in adu where the gain is known.
        if not isinstance(self.readnoise, str | u.Quantity):
            resolve_readnoise(self.readnoise)

    def _keeps_pixels(self) -> bool:
        return self.inpaint is None or self.inpaint is False

    @property
    def fill_method(self) -> str | None:
        """The method that fills CR-affected pixels, or None if they stay."""
        return None if self._keeps_pixels() else str(self.inpaint)

    def load_model(self) -> Model:
        """Load the model that finds cosmic rays.

        Raises
        ------
        ValueError, FileNotFoundError, ImportError
            As `deepcr_ccd.load_model`.
        """
        return load_model(
            self.model,
            device=self.device,
            task="mask",
            precision=self.precision,
            engine=self.engine,
        )

    def thresholds(self, model: Model) -> Thresholds:
        """Return the probabilities above which pixels are flagged.

        Parameters
        ----------
        model : Model
            For task "mask"; its card has the defaults.

        Raises
        ------
        TypeError, ValueError
            If they are no probabilities, or the model has no calibration for
            ``target_fpr``.
        """
        return model.card.thresholds(
            self.threshold, self.extend_threshold, self.target_fpr
        )


def _is_radius(value: Any) -> bool:
    return not isinstance(value, str) and 0 <= value < np.inf


def check_fwhm(psffwhm: Any) -> None:
    """Check the FWHM of stars that a user gives.

    Parameters
    ----------
    psffwhm : float
        In px.

    Raises
    ------
    ValueError
        If it is no positive, finite number.
    """
    number = np.isscalar(psffwhm) and not isinstance(psffwhm, str | bool | np.bool_)
    if not number or not 0 < psffwhm < np.inf:
        raise ValueError(f"psffwhm={psffwhm!r} must be a FWHM in px, above 0")


def check_fill_method(method: Any, parameter: str) -> None:
    """Check the name of a method that fills.

    Parameters
    ----------
    method : str
        What the user asked for.
    parameter : str
        Name of the argument, for messages.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    if not isinstance(method, str) or method not in FILL_METHODS:
        raise ValueError(
            f"{parameter}={method!r} is unknown; allowed are "
            f"{', '.join(FILL_METHODS)}, or None for no filling"
        )
