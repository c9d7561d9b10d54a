"""BatchNorm, which networks have in training alone: put in, and folded away."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ..models.networks.build import build_network, restore_network
from ..models.networks.unet import UNet

__all__ = ["add_norm", "fold_norm"]


def fold_norm(network: UNet, arguments: dict) -> UNet:
    """Return the same network without BatchNorm, which goes into the convolutions.

    Parameters
    ----------
    network : UNet
        A trained network, built with ``norm=True``.
    arguments : dict
        The arguments it was built with.
    """
    state = {}
    for name, block in network.named_children():
        if name not in ("down", "merge"):
            state.update({f"{name}.{k}": v for k, v in block.state_dict().items()})
            continue
        for level, layers in enumerate(block):
            for number in range(len(layers) // 3):
                conv, norm = layers[3 * number], layers[3 * number + 1]
                factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                key = f"{name}.{level}.{2 * number}"
                state[f"{key}.weight"] = conv.weight * factor.view(-1, 1, 1, 1)
                state[f"{key}.bias"] = norm.bias - norm.running_mean * factor
    arguments = {**arguments, "norm": False}
    return restore_network("unet", arguments, state).eval()


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
        ``(channels, ny, nx)``: one frame or more as the network sees them, on which
        the mean and variance of its channels are measured.
    """
    sums: dict[nn.Module, list] = {}

    def look(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:  # noqa: ARG001
        values = output - layer.bias.view(-1, 1, 1)
        new = [values.mean(dim=(0, 2, 3)), values.square().mean(dim=(0, 2, 3)), 1]
        old = sums.get(layer, (0, 0, 0))
        sums[layer] = [a + b for a, b in zip(old, new, strict=True)]

    blocks = {
        f"{name}.{level}": layers
        for name in ("down", "merge")
        for level, layers in enumerate(getattr(network, name))
    }
    layers = [layer for block in blocks.values() for layer in list(block)[::2]]
    hooks = [layer.register_forward_hook(look) for layer in layers]
    for frame in frames:
        network(frame[None].float())
    for hook in hooks:
        hook.remove()
    normed = build_network("unet", {**arguments, "norm": True})
    others = {"up", "out"}
    state = {k: v for k, v in network.state_dict().items() if k.split(".")[0] in others}
    for path, block in blocks.items():
        for number, layer in enumerate(list(block)[::2]):
            mean, square, count = sums[layer]
            mean, variance = mean / count, (square / count - (mean / count) ** 2)
            key, eps = f"{path}.{3 * number}", normed.down[0][1].eps
            state[f"{key}.weight"] = layer.weight
            key = f"{path}.{3 * number + 1}"
            state[f"{key}.running_mean"] = mean
            state[f"{key}.running_var"] = variance.clamp(min=0)
            state[f"{key}.weight"] = torch.sqrt(variance.clamp(min=0) + eps)
            state[f"{key}.bias"] = layer.bias + mean
            state[f"{key}.num_batches_tracked"] = torch.tensor(count, device="cpu")
    normed.load_state_dict(state)
    return normed
