"""BatchNorm, which networks have in training alone: added before, and folded after."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ..models.networks.build import build_network, restore_network
from ..models.networks.unet import UNet

__all__ = ["add_norm", "fold_norm"]


def fold_norm(network: UNet, arguments: dict) -> UNet:
    """Return the same network without BatchNorm, folded into the convolutions.

    Parameters
    ----------
    network : UNet
        A trained network, built with ``norm=True``.
    arguments : dict
        The arguments it was built with.

    Returns
    -------
    UNet
        For inference.
    """
    state = _joining_weights(network)
    for path, layers in _blocks(network).items():
        # Convolution, BatchNorm, ReLU, and again.
        for number, (conv, norm) in enumerate(
            zip(layers[::3], layers[1::3], strict=True)
        ):
            weight, bias = fuse_conv_bn_weights(
                conv.weight,
                conv.bias,
                norm.running_mean,
                norm.running_var,
                norm.eps,
                norm.weight,
                norm.bias,
            )
            state[f"{path}.{2 * number}.weight"] = weight
            state[f"{path}.{2 * number}.bias"] = bias
    arguments = {**arguments, "norm": False}
    return cast(UNet, restore_network("unet", arguments, state).eval())


@torch.no_grad()
def add_norm(network: UNet, arguments: dict, frames: Iterable[torch.Tensor]) -> UNet:
    """Return the same network with BatchNorm, to be trained: `fold_norm` backwards.

    Parameters
    ----------
    network : UNet
        A network without BatchNorm, in float32.
    arguments : dict
        The arguments it was built with.
    frames : iterable of `torch.Tensor`
        ``(channels, ny, nx)``: one preprocessed frame or more, on which the mean and
        variance of each channel are measured.

    Returns
    -------
    UNet
        For training.
    """
    moments = _channel_moments(network, frames)
    normed = cast(UNet, build_network("unet", {**arguments, "norm": True}))
    state = _joining_weights(network)
    eps = next(m.eps for m in normed.modules() if isinstance(m, nn.BatchNorm2d))
    for path, layers in _blocks(network).items():
        for number, layer in enumerate(layers[::2]):
            mean, square, count = moments[layer]
            mean, variance = mean / count, (square / count - (mean / count) ** 2)
            key = f"{path}.{3 * number}"
            state[f"{key}.weight"] = layer.weight
            key = f"{path}.{3 * number + 1}"
            state[f"{key}.running_mean"] = mean
            state[f"{key}.running_var"] = variance.clamp(min=0)
            state[f"{key}.weight"] = torch.sqrt(variance.clamp(min=0) + eps)
            state[f"{key}.bias"] = layer.bias + mean
            state[f"{key}.num_batches_tracked"] = torch.tensor(count, device="cpu")
    normed.load_state_dict(state)
    return normed


def _blocks(network: UNet) -> dict[str, list[Any]]:
    """Return the layers of each block of 3x3 convolutions, by the block's name."""
    return {
        f"{name}.{level}": list(block)
        for name in ("down", "merge")
        for level, block in enumerate(getattr(network, name))
    }


def _joining_weights(network: UNet) -> dict[str, torch.Tensor]:
    """Return the weights without BatchNorm: up, output, what star widths change."""
    return {
        name: value
        for name, value in network.state_dict().items()
        if name.split(".")[0] in ("up", "out", "gains", "shifts")
    }


def _channel_moments(
    network: UNet, frames: Iterable[torch.Tensor]
) -> dict[nn.Module, list[Any]]:
    """Return by layer the sums of mean and mean square of its channels, and a count.

    Of what a layer gives before its bias is added.
    """
    moments: dict[nn.Module, list[Any]] = {}

    def measure(layer: nn.Module, _inputs: tuple, output: torch.Tensor) -> None:
        values = output - layer.get_parameter("bias").view(-1, 1, 1)
        new = [values.mean(dim=(0, 2, 3)), values.square().mean(dim=(0, 2, 3)), 1]
        old = moments.get(layer, [0, 0, 0])
        moments[layer] = [a + b for a, b in zip(old, new, strict=True)]

    layers = [layer for block in _blocks(network).values() for layer in block[::2]]
    hooks = [layer.register_forward_hook(measure) for layer in layers]
    for frame in frames:
        network(frame[None].float())
    for hook in hooks:
        hook.remove()
    return moments
