"""Knowledge distillation: another network's probabilities in the target of training."""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import nn

from ..models.model import Model, ModelCard
from ..models.networks.build import build_network
from .losses import forward

__all__ = ["ReferenceNetwork", "reference_network"]


@dataclasses.dataclass(frozen=True)
class ReferenceNetwork:
    """A network whose probabilities are part of the target.

    Parameters
    ----------
    network : `torch.nn.Module`
        A detection network.
    weight : float
        Weight of its probabilities in the target, from 0 to 1. Where labels are
        ignored they are the target.
    rotations : int
        Test-time rotations of its model. One of them is used at each step.
    """

    network: nn.Module
    weight: float
    rotations: int = 1

    @torch.no_grad()
    def probability(
        self, frame: torch.Tensor, step: int, code: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the probabilities of cosmic rays.

        Parameters
        ----------
        frame : `torch.Tensor`
            ``(n, channels, ny, nx)``, preprocessed.
        step : int
            Number of the training step, which chooses the rotation.
        code : `torch.Tensor`, optional
            ``(n, known)``: how wide stars are, for a network that is told.

        Returns
        -------
        `torch.Tensor`
            float32, ``(n, ny, nx)``.
        """
        quarters = step % self.rotations
        rotated = torch.rot90(frame, quarters, dims=(-2, -1))
        output = forward(self.network, rotated, code)
        return torch.rot90(output.sigmoid(), -quarters, dims=(-2, -1))


def reference_network(
    card: ModelCard,
    network: nn.Module,
    start: Model | None,
    teacher: Model | None,
    weight: float,
) -> ReferenceNetwork | None:
    """Return the reference network of a training run, if there is any.

    Parameters
    ----------
    card : ModelCard
        Of the model to be trained.
    network : `torch.nn.Module`
        The network to be trained, at its start.
    start, teacher : Model or None
        See `~deepcr_ccd.training.fit.train_model`.
    weight : float
        Weight of the teacher's probabilities.

    Returns
    -------
    ReferenceNetwork or None
        The teacher's network; without a teacher a copy of the network to be trained,
        if it is for detection and starts from a model, with weight 0: labels that are
        ignored would otherwise make it forget.

    Raises
    ------
    ValueError
        If the teacher has another task or transform.
    """
    if teacher is None:
        if start is None or card.task != "mask":
            return None
        return ReferenceNetwork(copy.deepcopy(network).eval(), weight=0.0)
    own, other = (
        (one.task, one.transform, one.transform_arguments)
        for one in (card, teacher.card)
    )
    if card.task != "mask" or own != other:
        raise ValueError(
            f"teacher={teacher.card.name!r} must be a detection model with the "
            f"transform of the card of {card.name!r}"
        )
    copied = build_network(teacher.card.architecture, teacher.card.arguments)
    copied.load_state_dict(teacher.network.state_dict())
    copied = copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
    copied = copied.to(next(network.parameters()).device).eval()
    return ReferenceNetwork(copied, weight, teacher.card.turns)
