"""A small frame of a fixed seed, on which models are tested."""

from __future__ import annotations

import numpy as np

from .camera import label_charge
from .cosmic_rays import add_deposits, simulate_deposit

__all__ = ["REFERENCE_SIZE", "make_reference_frame"]

#: Width of the frame in px.
REFERENCE_SIZE = 128
BACKGROUND, READNOISE = 60.0, 5.0
#: Stars: how many, their smallest flux in electron, and the core of their Moffat
#: profile in px, for a FWHM of 2.4 px.
STARS, FLUX, CORE, BETA = 14, 1500.0, 2.1, 2.5
COSMIC_RAYS = 16
#: A pixel of 15 micrometres and a thin detector.
PIXEL, THICKNESS = 15.0, 20.0


def make_reference_frame(seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Simulate a frame of stars and cosmic rays.

    Parameters
    ----------
    seed : int
        Of the random numbers.

    Returns
    -------
    frame : `~numpy.ndarray`
        float32, ``(128, 128)``, in electron, whole numbers below 2**15.
    truth : `~numpy.ndarray`
        bool, ``(128, 128)``, the CR mask.
    """
    rng = np.random.default_rng([seed, REFERENCE_SIZE])
    shape = (REFERENCE_SIZE, REFERENCE_SIZE)
    y, x = np.indices(shape)
    light = np.full(shape, BACKGROUND)
    for _ in range(STARS):
        y0, x0 = rng.uniform(0, REFERENCE_SIZE, 2)
        peak = FLUX * (1 + rng.pareto(1.2)) * (BETA - 1) / (np.pi * CORE**2)
        radius2 = (y - y0) ** 2 + (x - x0) ** 2
        light += min(peak, 2e4) * (1 + radius2 / CORE**2) ** -BETA
    deposits = [
        simulate_deposit(rng, pixel=PIXEL, thickness=THICKNESS)
        for _ in range(COSMIC_RAYS)
    ]
    charge = add_deposits(light, deposits, rng, COSMIC_RAYS)
    truth, _ = label_charge(charge, np.sqrt(light + READNOISE**2))
    frame = rng.poisson(light) + charge + rng.normal(0, READNOISE, shape)
    return np.clip(np.rint(frame), -(2**15), 2**15 - 1).astype(np.float32), truth
