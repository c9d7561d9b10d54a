"""Dither for coarsely quantized frames, computed on a device."""

from __future__ import annotations

import torch

__all__ = ["dither_pixels"]

#: The hash of `~deepcr_ccd.preprocess.synthetic_noise.dither`, whose numbers have 32
#: bits; torch multiplies in 64.
BITS = (1 << 32) - 1
ROWS, COLUMNS = 0x9E3779B1, 0x85EBCA77
STEPS = ((15, 0x2C1B3C6D), (12, 0x297A2D39))


def dither_pixels(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Return what `~deepcr_ccd.preprocess.synthetic_noise.dither` does, for pixels.

    Parameters
    ----------
    rows, columns : torch.Tensor
        int64, rows ``(n,)`` and columns ``(m,)`` of pixels of a frame.

    Returns
    -------
    torch.Tensor
        float32, ``(n, m)``, in (-0.5, 0.5).
    """
    bits = ((rows * ROWS) & BITS)[:, None] ^ ((columns * COLUMNS) & BITS)
    for shift, factor in STEPS:
        bits ^= bits >> shift
        bits = (bits * factor) & BITS
    bits ^= bits >> 15
    return ((bits.to(torch.float64) + 0.5) / 2.0**32 - 0.5).to(torch.float32)
