"""Networks in bfloat16, with the first or last layer in float32 where it matters."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ..networks.build import Network

__all__ = ["Float32Layer", "reduce_precision"]


class Float32Layer(nn.Module):
    """A layer in float32, between layers of lower precision."""

    def __init__(self, layer: nn.Module, after: torch.dtype):
        super().__init__()
        self.layer = layer.float()
        self.after = after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output in the dtype of the next layer."""
        return self.layer(x.float()).to(self.after)


def reduce_precision(
    network: Network,
    dtype: torch.dtype,
    *,
    wide_input: bool,
    wide_output: bool,
) -> Network:
    """Return a copy of a network in lower precision.

    Parameters
    ----------
    network : torch.nn.Module
        One of `ARCHITECTURES`, in float32, without BatchNorm.
    dtype : torch.dtype
        Such as ``torch.bfloat16``.
    wide_input, wide_output : bool
        Whether the first and the last layer stay in float32: the first for input that
        spans more than the dtype resolves, such as electrons on a bright background;
        the last for output that is a value and not a probability.
    """
    reduced = copy.deepcopy(network).to(dtype)
    wide = zip(
        network.ends, (wide_input, wide_output), (dtype, torch.float32), strict=True
    )
    for path, wanted, after in wide:
        if wanted:
            parent, _, name = path.rpartition(".")
            layer = copy.deepcopy(network.get_submodule(path))
            setattr(reduced.get_submodule(parent), name, Float32Layer(layer, after))
    return reduced
