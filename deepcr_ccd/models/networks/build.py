"""Networks that a card can name: planned, built, and restored from weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch

from ..card_fields import LATER, check_architecture_arguments
from ..network_checks import check_shapes, check_weights
from .cutout_network import CutoutNetwork
from .unet import UNet

__all__ = [
    "ARCHITECTURES",
    "MAX_STRIDE",
    "Network",
    "build_network",
    "plan_network",
    "restore_network",
]

#: What can be built.
Network: TypeAlias = UNet | CutoutNetwork
#: Largest stride of a network in px; frames are padded to its multiples.
MAX_STRIDE = 256
#: Networks a model card can name. "window" is the name in files of the network that
#: takes cutouts.
ARCHITECTURES: dict[str, type[UNet] | type[CutoutNetwork]] = {
    "unet": UNet,
    "window": CutoutNetwork,
}


def build_network(architecture: str, arguments: Mapping[str, Any]) -> Network:
    """Build the network that a card names, with untrained weights.

    Parameters
    ----------
    architecture : str
        A key of `ARCHITECTURES`.
    arguments : dict
        Keyword arguments of its constructor.

    Returns
    -------
    torch.nn.Module
        A network with the attributes ``radius``, ``stride``, ``takes_cutouts`` and
        ``ends``, and ``halo`` if it works on tiles.

    Raises
    ------
    ValueError
        If the architecture is unknown or the arguments do not fit it.
    """
    network = plan_network(architecture, arguments).to_empty(device="cpu")
    for layer in network.modules():
        reset = getattr(layer, "reset_parameters", None)
        if callable(reset):
            reset()
    return network


def plan_network(architecture: str, arguments: Mapping[str, Any]) -> Network:
    """Build a network that takes no memory, on PyTorch's device "meta", in float32.

    Parameters
    ----------
    architecture, arguments
        As for `build_network`.

    Raises
    ------
    ValueError
        Likewise.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ValueError(
            f"architecture {architecture!r} is unknown; known: {known}{LATER}"
        )
    check_architecture_arguments(architecture, arguments)
    try:
        with torch.device("meta"):
            network = ARCHITECTURES[architecture](**arguments).float()
    except TypeError as error:
        raise ValueError(
            f"arguments {arguments!r} do not fit architecture {architecture!r}: {error}"
        ) from error
    if network.stride > MAX_STRIDE:
        raise ValueError(
            f"arguments {arguments!r}: a stride of {network.stride} px is more than "
            f"{MAX_STRIDE} px"
        )
    return network


def restore_network(
    architecture: str, arguments: Mapping[str, Any], state: Mapping[str, torch.Tensor]
) -> Network:
    """Build a network with weights that are there, and leave random numbers alone.

    Parameters
    ----------
    architecture, arguments
        As for `build_network`.
    state : mapping
        Tensors by name, as of ``state_dict``.

    Raises
    ------
    ValueError
        If the tensors do not fit, or are not what a network can have for weights.
    """
    network = plan_network(architecture, arguments)
    check_shapes(network, {key: value.shape for key, value in state.items()})
    for key, value in state.items():
        check_weights(key, value)
    # Not copied into an empty network: for to_empty() torch imports SymPy, which takes
    # longer than all else that is done to load a model.
    own = {
        key: state[key].to(device="cpu", dtype=planned.dtype, copy=True)
        for key, planned in network.state_dict().items()
    }
    network.load_state_dict(own, assign=True)
    return network
