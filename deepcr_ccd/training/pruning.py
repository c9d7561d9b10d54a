"""A smaller network out of a larger one, without the channels that matter least."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn

from ..models.model import Model
from ..models.networks.build import restore_network
from ..models.networks.unet import UNet
from ..tiling.torch_settings import neutral_torch_state

__all__ = ["prune_channels"]


class Use(NamedTuple):
    """A layer that takes in some channels, as its own from ``first`` on."""

    layer: nn.Module
    first: int = 0


class Channels(NamedTuple):
    """Channels that stand or fall together: layers that make them and that use them."""

    level: int
    number: int
    makers: list[nn.Module]
    users: list[Use]


@neutral_torch_state()
def prune_channels(
    model: Model, width: list[int], frames: Iterable[torch.Tensor]
) -> Model:
    """Return a model whose network has fewer channels.

    Of each set of channels those are kept that say most to the layers after them: the
    root mean square of a channel, times the norm of the weights that take it in (after
    Li et al. 2017, arXiv:1608.08710, who go by the weights alone). The model must be
    trained before use: see ``start`` and ``teacher`` of
    `~deepcr_ccd.training.fit.train_model`.

    Parameters
    ----------
    model : Model
        With a U-Net.
    width : list of int
        Channels of each level, at most as many as the model has.
    frames : iterable of `torch.Tensor`
        ``(channels, ny, nx)``: frames as the network sees them, to measure its
        channels on; sides are multiples of its stride.

    Returns
    -------
    Model
        On the CPU, with the model's card but for what was measured on its network.

    Raises
    ------
    ValueError
        If the model has no U-Net, or it is not as wide as that; or without frames.
    """
    network = model.network
    if not isinstance(network, UNet):
        raise ValueError(f"model={model.card.name!r} must have a U-Net to narrow")
    present = [block[0].out_channels for block in network.down]
    fits = len(width) == len(present)
    if not fits or any(not 1 <= w <= p for w, p in zip(width, present, strict=True)):
        raise ValueError(
            f"width={width!r} must have a number for each level, of 1 to {present}"
        )
    network = copy.deepcopy(network).cpu().float().eval()
    every = _channels(network)
    loudness = _loudness(network, frames)
    kept = []
    for channels in every:
        weight = sum(_word(use, channels.number, loudness) for use in channels.users)
        kept.append(weight.topk(width[channels.level]).indices.sort().values)
    for channels, these in zip(every, kept, strict=True):
        for maker in channels.makers:
            axis = 1 if isinstance(maker, nn.ConvTranspose2d) else 0
            maker.weight = nn.Parameter(maker.weight.index_select(axis, these))
            maker.bias = nn.Parameter(maker.bias[these])
        for layer, first in channels.users:
            others = torch.arange(layer.weight.shape[_taking(layer)])
            before, after = others[:first], others[first + channels.number :]
            stay = torch.cat([before, first + these, after])
            layer.weight = nn.Parameter(layer.weight.index_select(_taking(layer), stay))
    arguments = {**model.card.arguments, "width": list(width)}
    card = dataclasses.replace(
        model.card, arguments=arguments, ranges=[], calibration={}, scores={}
    )
    smaller = restore_network("unet", arguments, network.state_dict())
    return Model(card, smaller, device="cpu")


def _channels(network: UNet) -> list[Channels]:
    """Return the sets of channels of a U-Net; of two that a layer takes, the later."""
    downs = [[block[0], block[2]] for block in network.down]
    merges = [list(block)[::2] for block in network.merge]
    found = []
    for level, (first, second) in enumerate(downs):
        number = second.out_channels
        found.append(Channels(level, number, [first], [Use(second)]))
        makers, users = [second], []
        if level == len(merges):
            users.append(Use(network.up[-1] if merges else network.out))
        else:
            users += [Use(downs[level + 1][0]), Use(merges[level][0])]
            up = network.up[level]
            if network.adds:
                makers.append(up)
            else:
                later = [Use(merges[level][0], number)]
                found.append(Channels(level, number, [up], later))
        found.append(Channels(level, number, makers, users))
    for level, layers in enumerate(merges):
        after = network.up[level - 1] if level else network.out
        for layer, user in zip(layers, [*layers[1:], after], strict=True):
            found.append(Channels(level, layer.out_channels, [layer], [Use(user)]))
    return found


def _taking(layer: nn.Module) -> int:
    """Return the axis of a layer's weights that counts the channels that go in."""
    return 0 if isinstance(layer, nn.ConvTranspose2d) else 1


@torch.inference_mode()
def _loudness(network: UNet, frames: Iterable[torch.Tensor]) -> dict:
    """Return the root mean square of each channel that a layer takes in, by layer."""
    squares: dict[nn.Module, torch.Tensor] = {}

    def look(layer: nn.Module, inputs: tuple) -> None:
        square = inputs[0].square().mean(dim=(0, 2, 3))
        squares[layer] = squares.get(layer, 0) + square

    layers = [network.out, *network.inner_layers()]
    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    number = 0
    for frame in frames:
        network(frame[None].float())
        number += 1
    for hook in hooks:
        hook.remove()
    if not number:
        raise ValueError("frames must hold one frame or more")
    return {layer: (square / number).sqrt() for layer, square in squares.items()}


def _word(use: Use, number: int, loudness: dict) -> torch.Tensor:
    """Return how much each of some channels says to a layer that takes them in."""
    these = slice(use.first, use.first + number)
    taken = use.layer.weight.detach().movedim(_taking(use.layer), 0)[these]
    return taken.flatten(1).norm(dim=1) * loudness[use.layer][these]
