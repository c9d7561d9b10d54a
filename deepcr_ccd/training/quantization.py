"""Activation ranges of a network, which int8 must span."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

from ..models.networks.unet import UNet
from ..tiling.torch_settings import neutral_torch_state

__all__ = ["measure_activation_ranges"]

#: Fraction of the activations of a frame beyond each limit.
OUTSIDE = 1e-4


@neutral_torch_state()
@torch.inference_mode()
def measure_activation_ranges(
    network: UNet, frames: Iterable[torch.Tensor], codes: Iterable[torch.Tensor] = ()
) -> list[tuple[float, float]]:
    """Measure the range of the activations that each inner layer takes.

    In every frame a fraction `OUTSIDE` of them is below the range, and one above it.

    Parameters
    ----------
    network : UNet
        For inference, on the CPU, in float32.
    frames : iterable of `torch.Tensor`
        Input of the network, ``(in_channels, ny, nx)`` each, such as the ``"frame"`` of
        items of `~deepcr_ccd.training.datasets.SimulatedFrames`; some dozens, of all
        kinds of scenes.
    codes : iterable of `torch.Tensor`, optional
        ``(known,)`` each: how wide stars are, for a network that is told, such as the
        ``"code"`` of items.

    Returns
    -------
    list of (float, float)
        One for each layer of ``network.inner_layers()``: ``ranges`` of the card.
    """
    layers = network.inner_layers()
    limits = [(0.0, 0.0)] * len(layers)

    def record(number: int) -> Callable[[nn.Module, tuple, torch.Tensor], None]:
        def hook(_layer: nn.Module, inputs: tuple, _output: torch.Tensor) -> None:
            ends = np.quantile(inputs[0].numpy(), (OUTSIDE, 1 - OUTSIDE))
            low, high = limits[number]
            limits[number] = min(low, float(ends[0])), max(high, float(ends[1]))

        return hook

    hooks = [
        layer.register_forward_hook(record(number))
        for number, layer in enumerate(layers)
    ]
    try:
        for frame, code in itertools.zip_longest(frames, codes):
            network(frame[None], *(() if code is None else (code[None],)))
    finally:
        for hook in hooks:
            hook.remove()
    return limits
