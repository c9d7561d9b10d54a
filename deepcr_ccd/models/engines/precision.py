"""Networks in bfloat16, with input or output in float32 where that matters."""

from __future__ import annotations

import copy

import torch
from torch import nn

__all__ = ["Wide", "reduce_precision"]


class Wide(nn.Module):
    """A layer in float32, between layers that have fewer bits."""

    def __init__(self, layer: nn.Module, after: torch.dtype):
        super().__init__()
        self.layer = layer.float()
        self.after = after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output in the type of what comes after."""
        return self.layer(x.float()).to(self.after)


def reduce_precision(
    network: nn.Module, dtype: torch.dtype, *, wide_input: bool, wide_output: bool
) -> nn.Module:
    """Return a copy of a network that computes with fewer bits.

    Parameters
    ----------
    network : torch.nn.Module
        Of `ARCHITECTURES`, float32, without BatchNorm of its own to be trained.
    dtype : torch.dtype
        Such as ``torch.bfloat16``.
    wide_input, wide_output : bool
        Whether the first and the last layer stay as they are: the first for
        input that spans more than the type resolves, such as electrons on a bright
        sky; the last for output that is more than a yes or no.
    """
    reduced = copy.deepcopy(network).to(dtype)
    wide = zip(
        network.ends, (wide_input, wide_output), (dtype, torch.float32), strict=True
    )
    for path, wanted, after in wide:
        if wanted:
            parent, _, name = path.rpartition(".")
            layer = copy.deepcopy(network.get_submodule(path))
            setattr(reduced.get_submodule(parent), name, Wide(layer, after))
    return reduced
