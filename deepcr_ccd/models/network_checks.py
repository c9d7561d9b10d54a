"""Checks that tensors can be the weights of a network, and that its output is sane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from .networks.unet import UNet

__all__ = ["check_output", "check_shapes", "check_weights"]

#: Limits of weights and of statistics of BatchNorm. Beyond them the output of a network
#: is useless, and soon not finite.
MAX_WEIGHT = 1e4
MAX_STATISTIC = 1e12
#: Limit of the memory of all weights, in bytes. Those of shipped models take a
#: megabyte; a sparse file may promise terabytes.
MAX_BYTES = 2_000_000_000
#: Limit of the output for input of usual size; shipped networks give up to 200.
MAX_OUTPUT = 1e5
#: If the lowest logit is above this, all pixels are flagged in every frame.
SATURATED_LOGIT = 15


def check_shapes(network: nn.Module, shapes: Mapping[str, Sequence[int]]) -> None:
    """Raise a ValueError if tensors are not those of a network.

    Parameters
    ----------
    network : torch.nn.Module
        From `plan_network`.
    shapes : mapping
        Shapes of tensors by name.
    """
    state = network.state_dict()
    size = sum(value.numel() * value.element_size() for value in state.values())
    if size > MAX_BYTES:
        raise ValueError(
            f"its weights would take {size / 1e9:.3g} GB, not {MAX_BYTES / 1e9:g} GB "
            "at most"
        )
    wanted = {key: tuple(value.shape) for key, value in state.items()}
    for what, names in (
        ("missing", wanted.keys() - shapes.keys()),
        ("unexpected", shapes.keys() - wanted.keys()),
    ):
        if names:
            first = sorted(map(repr, names))[:3]
            raise ValueError(f"{len(names)} tensors are {what}: {', '.join(first)}")
    for key, shape in wanted.items():
        if tuple(shapes[key]) != shape:
            raise ValueError(f"{key!r} has shape {tuple(shapes[key])}, not {shape}")


def check_weights(key: str, value: torch.Tensor) -> None:
    """Raise a ValueError if tensors cannot be weights of a network.

    Parameters
    ----------
    key : str
        Their name.
    value : `torch.Tensor`
        The weights.
    """
    if not value.numel():
        return
    value = value.detach()
    if not value.is_floating_point():
        if key.endswith("num_batches_tracked"):
            return
        raise ValueError(f"{key!r} holds {value.dtype}, not floating-point numbers")
    low, high = (float(number) for number in value.float().aminmax())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{key!r} holds values that are not finite")
    most = MAX_STATISTIC if "running" in key else MAX_WEIGHT
    if max(-low, high) > most:
        raise ValueError(
            f"{key!r} holds {max(-low, high):.3g}; weights are up to {most:g}"
        )


@torch.no_grad()
def check_output(network: nn.Module, task: str) -> None:
    """Raise a ValueError if the output of a network for a trial input is of no use.

    Parameters
    ----------
    network : torch.nn.Module
        On the CPU, in float32. Networks of cutouts are not checked.
    task : {"mask", "inpaint"}
        Task of the model.
    """
    if not isinstance(network, UNet):
        return
    size = max(32, network.stride)
    trial = torch.linspace(
        -1, 5, network.in_channels * size**2, dtype=torch.float32, device="cpu"
    )
    output = network.eval()(trial.reshape(1, network.in_channels, size, size))
    most = float(output.abs().max())
    if not most <= MAX_OUTPUT:
        raise ValueError(
            f"for numbers from -1 to 5 the network gives up to {most:.3g}, not "
            f"{MAX_OUTPUT:g} at most"
        )
    if task == "mask" and output.min() > SATURATED_LOGIT:
        raise ValueError("the network flags all pixels, whatever they hold")
