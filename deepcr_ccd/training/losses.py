"""Losses of detection and inpainting networks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ..models.networks.cutout_network import CutoutNetwork
from ..models.networks.mixture import negative_log_likelihood

__all__ = ["detection_loss", "forward", "inpainting_loss"]


def forward(
    network: nn.Module, frame: torch.Tensor, code: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the output of a network in training, computed in bfloat16.

    Parameters
    ----------
    network : `torch.nn.Module`
        The network.
    frame : `torch.Tensor`
        ``(n, channels, ny, nx)``, or ``(n, number, features)`` of a cutout network.
    code : `torch.Tensor`, optional
        ``(n, known)``: how wide stars are, for a network that is told.

    Returns
    -------
    `torch.Tensor`
        float32, ``(n, ny, nx)``, or the parameters of the mixtures.
    """
    # Within an autocast of the caller, cast weights would be kept from step to step.
    with torch.autocast(frame.device.type, torch.bfloat16, cache_enabled=False):
        if isinstance(network, CutoutNetwork):
            return network.mixture(frame).float()
        told = () if code is None or not network.star_widths else (code,)
        output = network(frame.to(memory_format=torch.channels_last), *told)
        return output[:, 0].float()


def detection_loss(
    output: torch.Tensor,
    batch: Mapping[str, torch.Tensor],
    reference: torch.Tensor | None = None,
    reference_weight: float = 0.0,
    ignored_weight: float = 1.0,
) -> torch.Tensor:
    """Return the mean binary cross-entropy of pixels that are not ignored.

    Parameters
    ----------
    output : `torch.Tensor`
        ``(n, ny, nx)``, before the sigmoid.
    batch : mapping
        ``truth`` and ``ignore``, bool, ``(n, ny, nx)``; perhaps ``dropped``, pixels
        that do not count, with a reference either.
    reference : `torch.Tensor`, optional
        ``(n, ny, nx)``, probabilities of another network. They are the target of
        pixels that are ignored.
    reference_weight : float
        Weight of these in the target of all other pixels, from 0 to 1.
    ignored_weight : float
        Weight of ignored pixels in the mean, where there is a reference.
    """
    target = batch["truth"].float()
    kept = ~batch["ignore"]
    if reference is not None:
        mixed = target.lerp(reference, reference_weight)
        target = torch.where(kept, mixed, reference)
        weight = torch.where(kept, 1.0, ignored_weight)
    else:
        weight = kept.float()
    if "dropped" in batch:
        weight = weight * ~batch["dropped"]
    loss = nn.functional.binary_cross_entropy_with_logits(
        output, target, reduction="none"
    )
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def inpainting_loss(
    output: torch.Tensor, batch: Mapping[str, torch.Tensor], delta: float
) -> torch.Tensor:
    """Return the mean error of the masked pixels.

    Parameters
    ----------
    output : `torch.Tensor`
        ``(n, ny, nx)``, or with one dimension more the parameters of mixtures.
    batch : mapping
        ``target``, of the shape of ``mask``, which is bool, True where pixels count.
    delta : float
        Of the Huber loss. A mixture has its negative log-likelihood in its place.
    """
    target, kept = batch["target"], batch["mask"]
    if output.ndim > target.ndim:
        loss = negative_log_likelihood(output, target.where(kept, 0))
    else:
        loss = nn.functional.huber_loss(output, target, reduction="none", delta=delta)
    return (loss * kept).sum() / kept.sum().clamp(min=1)
