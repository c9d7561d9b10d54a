"""Structured pruning: a smaller network, without the least important channels."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from ..models.model import Model
from ..models.networks.build import restore_network
from ..models.networks.unet import UNet
from ..tiling.torch_settings import neutral_torch_state

__all__ = ["prune_channels"]


class Consumer(NamedTuple):
    """A layer that takes some channels: its input channels from ``first`` on."""

    layer: Any
    first: int = 0


class Channels(NamedTuple):
    """Channels that are kept or left out together.

    ``producers`` are the layers whose output they are, ``consumers`` those that take
    them; ``number`` of them are at a ``level`` of the network.
    """

    level: int
    number: int
    producers: list[Any]
    consumers: list[Consumer]


@neutral_torch_state()
def prune_channels(
    model: Model, width: list[int], frames: Iterable[torch.Tensor]
) -> Model:
    """Return a model whose network has fewer channels.

    Of each set of channels the most important are kept: those with the largest product
    of their root mean square and the norm of the weights of the next layers (after Li
    et al. 2017, arXiv:1608.08710, who take the weights alone). The model must be
    trained before use: see ``start`` and ``teacher`` of
    `~deepcr_ccd.training.fit.train_model`.

    Parameters
    ----------
    model : Model
        With a U-Net.
    width : list of int
        Channels of each level, at most as many as the model has.
    frames : iterable of `torch.Tensor`
        ``(channels, ny, nx)``: preprocessed frames, on which channels are measured;
        sides are multiples of the stride.

    Returns
    -------
    Model
        On the CPU, with the card of the model, without what was measured on its
        network.

    Raises
    ------
    ValueError
        If the model has no U-Net or fewer channels than that, or there are no frames.
    """
    network = model.network
    if not isinstance(network, UNet):
        raise ValueError(f"model={model.card.name!r} must have a U-Net to prune")
    down: Any = network.down
    present = [block[0].out_channels for block in down]
    fits = len(width) == len(present)
    if not fits or any(not 1 <= w <= p for w, p in zip(width, present, strict=True)):
        raise ValueError(
            f"width={width!r} must have a number for each level, of 1 to {present}"
        )
    network = copy.deepcopy(network).cpu().float().eval()
    sets = _channel_sets(network)
    rms = _channel_rms(network, frames)
    kept = []
    for channels in sets:
        importance = torch.stack(
            [_importance(one, channels.number, rms) for one in channels.consumers]
        ).sum(dim=0)
        kept.append(importance.topk(width[channels.level]).indices.sort().values)
    told = dict(
        zip(
            network.told_layers(),
            zip(network.gains, network.shifts, strict=True),
            strict=False,
        )
    )
    for channels, indices in zip(sets, kept, strict=True):
        for layer in channels.producers:
            for parameter in told.get(cast(nn.Conv2d, layer), ()):
                parameter.data = parameter.data.index_select(1, indices)
        _keep_channels(channels, indices)
    arguments = {**model.card.arguments, "width": list(width)}
    card = dataclasses.replace(
        model.card, arguments=arguments, ranges=[], calibration={}, scores={}
    )
    smaller = restore_network("unet", arguments, network.state_dict())
    return Model(card, smaller, device="cpu")


def _keep_channels(channels: Channels, indices: torch.Tensor) -> None:
    """Leave out all channels of a set but those with these indices."""
    for layer in channels.producers:
        axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
        layer.weight = nn.Parameter(layer.weight.index_select(axis, indices))
        layer.bias = nn.Parameter(layer.bias[indices])
    for layer, first in channels.consumers:
        axis = _input_axis(layer)
        others = torch.arange(layer.weight.shape[axis])
        before, after = others[:first], others[first + channels.number :]
        stay = torch.cat([before, first + indices, after])
        layer.weight = nn.Parameter(layer.weight.index_select(axis, stay))


def _channel_sets(network: UNet) -> list[Channels]:
    """Return sets of channels; of two that a layer takes, the later one first."""
    downs, merges = (
        [list(block)[::2] for block in blocks]
        for blocks in cast("tuple[Any, Any]", (network.down, network.merge))
    )
    found = []
    for level, (first, second) in enumerate(downs):
        number = second.out_channels
        found.append(Channels(level, number, [first], [Consumer(second)]))
        producers: list[Any] = [second]
        consumers: list[Consumer] = []
        if level == len(merges):
            consumers.append(Consumer(network.up[-1] if merges else network.out))
        else:
            consumers += [Consumer(downs[level + 1][0]), Consumer(merges[level][0])]
            up = network.up[level]
            if network.adds:
                producers.append(up)
            else:
                later = [Consumer(merges[level][0], number)]
                found.append(Channels(level, number, [up], later))
        found.append(Channels(level, number, producers, consumers))
    for level, layers in enumerate(merges):
        after = network.up[level - 1] if level else network.out
        for layer, following in zip(layers, [*layers[1:], after], strict=True):
            number = layer.out_channels
            found.append(Channels(level, number, [layer], [Consumer(following)]))
    return found


def _input_axis(layer: nn.Module) -> int:
    """Return the axis of the input channels in a layer's weights."""
    return 0 if isinstance(layer, nn.ConvTranspose2d) else 1


@torch.inference_mode()
def _channel_rms(
    network: UNet, frames: Iterable[torch.Tensor]
) -> dict[nn.Module, torch.Tensor]:
    """Return the root mean square of the input channels of each layer."""
    squares: dict[nn.Module, torch.Tensor] = {}

    def measure(layer: nn.Module, inputs: tuple) -> None:
        square = inputs[0].square().mean(dim=(0, 2, 3))
        squares[layer] = squares.get(layer, 0) + square

    layers = [network.out, *network.inner_layers()]
    hooks = [layer.register_forward_pre_hook(measure) for layer in layers]
    number = 0
    for frame in frames:
        network(frame[None].float())
        number += 1
    for hook in hooks:
        hook.remove()
    if not number:
        raise ValueError("frames must hold one frame or more")
    return {layer: (square / number).sqrt() for layer, square in squares.items()}


def _importance(
    consumer: Consumer, number: int, rms: dict[nn.Module, torch.Tensor]
) -> torch.Tensor:
    """Return the importance of some channels to a layer that takes them."""
    layer = consumer.layer
    these = slice(consumer.first, consumer.first + number)
    weights = layer.weight.detach().movedim(_input_axis(layer), 0)[these]
    return weights.flatten(1).norm(dim=1) * rms[layer][these]
