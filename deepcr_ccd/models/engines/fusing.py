"""A network for a CPU: each convolution in one pass with what follows it.

PyTorch's compiler does the same with the operators that are used here; but it needs a
C++ compiler on the user's machine, and minutes.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

__all__ = ["fuse"]


class FusedConvolution(nn.Module):
    """A convolution and its ReLU, if it has one, with weights in oneDNN's own order."""

    def __init__(self, convolution: nn.Conv2d, relu: bool):
        super().__init__()
        self.geometry = (
            list(convolution.padding),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        )
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(  # noqa: SLF001
            convolution.weight.detach(), *self.geometry, None
        )
        self.bias = convolution.bias.detach()
        self.relu = "relu" if relu else "none"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the convolution's output, after the ReLU."""
        return torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001
            x, self.weight, self.bias, *self.geometry, self.relu, [], ""
        )


@torch.inference_mode()
def fuse(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a network that gives the same in fewer passes over memory.

    Parameters
    ----------
    network : torch.nn.Module
        On a CPU, for inference.
    dtype : torch.dtype
        Of its input.

    Returns
    -------
    torch.nn.Module
        ``network`` itself where this torch has no such operators, or they do not give
        the same.
    """
    try:
        fused = _replaced(copy.deepcopy(network))
        trial = torch.linspace(
            -1, 5, network.in_channels * 32 * 32, dtype=torch.float32, device="cpu"
        )
        trial = trial.reshape(1, network.in_channels, 32, 32).to(
            dtype, memory_format=torch.channels_last
        )
        expected, got = (net(trial).float() for net in (network, fused))
    except (AttributeError, RuntimeError, NotImplementedError, TypeError):
        return network
    close = torch.allclose(got, expected, rtol=0.02, atol=0.02 * expected.abs().max())
    return fused if close else network


def _replaced(module: nn.Module) -> nn.Module:
    """Replace convolutions, and the ReLU after them, in a module and those within."""
    if isinstance(module, nn.Sequential):
        layers = []
        for layer in module:
            if isinstance(layer, nn.ReLU) and isinstance(layers[-1], nn.Conv2d):
                layers[-1] = FusedConvolution(layers[-1], relu=True)
            else:
                layers.append(layer)
        return nn.Sequential(*layers)
    for name, child in module.named_children():
        if type(child) is nn.Conv2d:
            setattr(module, name, FusedConvolution(child, relu=False))
        else:
            setattr(module, name, _replaced(child))
    return module
