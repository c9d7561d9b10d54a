"""What goes into the layers of a network: what int8 must span."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from ..models.networks.unet import UNet
from ..tiling.torch_settings import neutral_torch_state

__all__ = ["measure_activation_ranges"]

#: The share of a frame's numbers beyond each limit.
LEFT_OUT = 1e-4


@neutral_torch_state()
@torch.inference_mode()
def measure_activation_ranges(
    network: UNet, frames: Iterable[torch.Tensor]
) -> list[tuple[float, float]]:
    """Measure between what limits the numbers are that go into each inner layer.

    Within them are, in any of the frames, all but the extreme `LEFT_OUT`.

    Parameters
    ----------
    network : UNet
        For inference, on the CPU, in float32.
    frames : iterable of `torch.Tensor`
        Input of the network, ``(in_channels, ny, nx)`` each, such as the ``"frame"`` of
        items of `~deepcr_ccd.training.datasets.SimulatedFrames`; some dozens, of all
        kinds.

    Returns
    -------
    list of (float, float)
        One a layer of ``network.inner_layers()``, as cards have them: ``ranges``.
    """
    layers = network.inner_layers()
    limits = [(0.0, 0.0)] * len(layers)

    def watch(number: int):
        def hook(_layer, given: tuple, _made) -> None:
            numbers = np.quantile(given[0].numpy(), (LEFT_OUT, 1 - LEFT_OUT))
            low, high = limits[number]
            limits[number] = min(low, float(numbers[0])), max(high, float(numbers[1]))

        return hook

    hooks = [
        layer.register_forward_hook(watch(number))
        for number, layer in enumerate(layers)
    ]
    try:
        for frame in frames:
            network(frame[None])
    finally:
        for hook in hooks:
            hook.remove()
    return limits
