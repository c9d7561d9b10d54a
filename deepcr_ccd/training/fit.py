"""The training loop."""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from astropy.table import Table
from torch import nn

from ..io.atomic import atomic_path
from ..models.engines.devices import resolve_device
from ..models.model import Model, ModelCard
from ..models.networks.build import ARCHITECTURES, build_network
from ..models.networks.mixture import negative_log_likelihood
from ..tiling.torch_settings import training_state
from .batch_norm import add_norm, fold_norm
from .preview import draw_items

__all__ = ["Recipe", "train_model"]

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How long, how fast, and with what to train.

    ``bend`` is where the loss of a filling network goes over from the square of the
    error to the error itself, in the numbers that the network gives; ``taught`` is the
    share of a teacher's word in what a network is to say.
    """

    steps: int = 6000
    batch: int = 32
    rate: float = 2e-3
    warmup: int = 200
    decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.998
    bend: float = 0.5
    taught: float = 0.5
    seed: int = 0
    workers: int = 2
    checkpoint_every: int = 250


def _rate(step: int, recipe: Recipe) -> float:
    """Return the share of the full learning rate: a warm-up, then half a cosine."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1)))


def _mask_loss(output: torch.Tensor, batch: dict, recipe: Recipe) -> torch.Tensor:
    """Return the mean binary cross-entropy of pixels that are not ignored.

    Where another model was asked, ignored pixels shall be as they are to it; and if it
    is a teacher, its word counts everywhere.
    """
    target = batch["truth"].float()
    kept = ~batch["ignore"]
    if "told" in batch:
        mixed = target.lerp(batch["told"], recipe.taught) if batch["taught"] else target
        target = torch.where(kept, mixed, batch["told"])
        kept = torch.ones_like(kept)
    loss = nn.functional.binary_cross_entropy_with_logits(
        output, target, reduction="none"
    )
    return (loss * kept).sum() / kept.sum().clamp(min=1)


def _fill_loss(output: torch.Tensor, batch: dict, recipe: Recipe) -> torch.Tensor:
    """Return how far off masked pixels are.

    The mean error, squared where small, plain beyond; of a mixture, how unlikely they
    are.
    """
    target, kept = batch["target"], batch["mask"]
    if output.ndim > target.ndim:
        loss = negative_log_likelihood(output, target.where(kept, 0))
    else:
        loss = nn.functional.huber_loss(
            output, target, reduction="none", delta=recipe.bend
        )
    return (loss * kept).sum() / kept.sum().clamp(min=1)


LOSSES = {"mask": _mask_loss, "inpaint": _fill_loss}


def _run(network: nn.Module, frame: torch.Tensor) -> torch.Tensor:
    # Within an autocast of the caller, cast weights would be kept from step to step.
    with torch.autocast(frame.device.type, torch.bfloat16, cache_enabled=False):
        if network.takes_cutouts:
            return network.mixture(frame).float()
        return network(frame.to(memory_format=torch.channels_last))[:, 0].float()


@torch.no_grad()
def _ask(network: nn.Module, frame: torch.Tensor, turn: int) -> torch.Tensor:
    """Return the probabilities that a network sees in frames after quarter turns."""
    found = _run(network, torch.rot90(frame, turn, dims=(-2, -1)))
    return torch.rot90(found.sigmoid(), -turn, dims=(-2, -1))


@training_state()
def train_model(
    dataset: torch.utils.data.Dataset,
    card: ModelCard,
    folder,
    *,
    recipe: Recipe | None = None,
    start: Model | None = None,
    teacher: Model | None = None,
    device=None,
    validate: Callable[[Model], dict[str, float]] | None = None,
    report: Callable[[str], None] = logger.info,
) -> Model:
    """Train a network to find cosmic rays, or to fill what they struck.

    A run that was ended goes on from its last checkpoint: items depend on their number
    alone, so it sees what it would have seen.

    Parameters
    ----------
    dataset : `torch.utils.data.Dataset`
        Of dictionaries, such as `~deepcr_ccd.training.datasets.SimulatedFrames` for a
        card of the task "mask", and
        `~deepcr_ccd.training.inpaint_datasets.InpaintCutouts` or
        `~deepcr_ccd.training.inpaint_datasets.InpaintFrames` for one of "inpaint"; at
        least as long as steps times batch.
    card : ModelCard
        The card of the model to be; its arguments say what network to build.
    folder : path-like
        Where checkpoint, history (ECSV), model, and a picture of the last items go
        (of a network that finds; where matplotlib is installed).
    recipe : Recipe, optional
        How long, how fast, and with what.
    start : Model, optional
        A model of the same architecture whose weights to start from. It has no
        BatchNorm, and gets none but with a teacher. Where items are ignored, the
        network is held to what this model says, or the teacher (as in learning without
        forgetting: Li & Hoiem 2016, arXiv:1606.09282).
    teacher : Model, optional
        For the task "mask": a model, perhaps a slower one, with the card's transform,
        whose probabilities are mixed with the truth, and stand for it where items are
        ignored (knowledge distillation: Hinton, Vinyals & Dean 2015,
        arXiv:1503.02531). One that looks at quarter turns is asked of one of them at
        each step.
    device : str or torch.device, optional
        Where to train.
    validate : callable, optional
        Takes the model at each checkpoint and returns scores for the history.
    report : callable
        Takes a line of text at each checkpoint; by default it is logged.

    Returns
    -------
    Model
        The average of the last weights, with BatchNorm folded away; also written to
        ``folder`` under its name.

    Raises
    ------
    ValueError
        If the dataset is too short, the model to start from is another network, or
        the teacher has another task or transform.
    """
    recipe = recipe or Recipe()
    if len(dataset) < recipe.steps * recipe.batch:
        raise ValueError(
            f"dataset has {len(dataset)} items; {recipe.steps} steps of "
            f"{recipe.batch} need {recipe.steps * recipe.batch}"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    device = resolve_device(device)
    torch.manual_seed(recipe.seed)
    network = _begin(card, start)
    if start is not None and teacher is not None:
        first = (dataset[number]["frame"] for number in range(min(64, len(dataset))))
        network = add_norm(network, card.arguments, first)
    if not network.takes_cutouts:
        network = network.to(memory_format=torch.channels_last)
    network = network.to(device)
    averaged = copy.deepcopy(network)
    # What nobody can label would be forgotten otherwise.
    other = _other(card, start, teacher, network)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.rate, weight_decay=recipe.decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate(step, recipe)
    )
    history: list[dict] = []
    done = 0
    checkpoint = folder / "checkpoint.pt"
    parts = {
        "network": network,
        "averaged": averaged,
        "optimizer": optimizer,
        "schedule": schedule,
    }
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        done, history = state["step"], state["history"]
        report(f"resumed at step {done}")
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=recipe.batch,
        sampler=range(done * recipe.batch, recipe.steps * recipe.batch),
        num_workers=recipe.workers,
        persistent_workers=recipe.workers > 0,
    )
    network.train()
    total, since = 0.0, time.perf_counter()
    for step, batch in enumerate(loader, start=done + 1):
        batch = {key: value.to(device) for key, value in batch.items()}
        output = _run(network, batch["frame"])
        if other is not None:
            turns = teacher.card.turns if teacher is not None else 1
            batch["told"] = _ask(other, batch["frame"], step % turns)
            batch["taught"] = teacher is not None
        loss = LOSSES[card.task](output, batch, recipe)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimizer.step()
        schedule.step()
        _average(averaged, network, min(recipe.average, step / (step + 10)))
        total += loss.item()
        if step % recipe.checkpoint_every and step != recipe.steps:
            continue
        count = (step - 1) % recipe.checkpoint_every + 1
        now = time.perf_counter()
        entry = {"step": step, "loss": total / count, "seconds": now - since}
        if validate is not None:
            # Plain numbers: no others may be read back from a checkpoint.
            scores = validate(_finish(averaged, card))
            entry |= {name: float(score) for name, score in scores.items()}
        total, since = 0.0, time.perf_counter()
        history.append(entry)
        report("  ".join(f"{key} {value:.5g}" for key, value in entry.items()))
        state = {name: part.state_dict() for name, part in parts.items()}
        with atomic_path(checkpoint, overwrite=True) as partial:
            torch.save({**state, "step": step, "history": history}, partial)
        with atomic_path(folder / "history.ecsv", overwrite=True) as partial:
            Table(history).write(partial, format="ascii.ecsv", overwrite=True)
        _finish(averaged, card).save(folder / f"{card.name}.safetensors")
        if card.task == "mask":
            draw_items(batch, output, folder / "items.png")
    return _finish(averaged, card)


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, keep: float) -> None:
    """Move averaged weights, and the statistics of BatchNorm, towards the present."""
    present = network.state_dict()
    for name, value in averaged.state_dict().items():
        if value.dtype.is_floating_point:
            value.lerp_(present[name], 1 - keep)
        else:
            value.copy_(present[name])


def _begin(card: ModelCard, start: Model | None) -> nn.Module:
    """Return the network to train: a new one with BatchNorm, or a model's."""
    if start is None:
        norm = {} if ARCHITECTURES[card.architecture].takes_cutouts else {"norm": True}
        return build_network(card.architecture, {**card.arguments, **norm})
    mine = (card.architecture, card.arguments, card.transform)
    if mine != (start.card.architecture, start.card.arguments, start.card.transform):
        raise ValueError(
            f"start={start.card.name!r} is another network than the card of "
            f"{card.name!r} says"
        )
    network = build_network(card.architecture, card.arguments)
    network.load_state_dict(start.network.state_dict())
    return network


def _other(
    card: ModelCard, start: Model | None, teacher: Model | None, network: nn.Module
) -> nn.Module | None:
    """Return the network that is asked too: the teacher's, or that started from."""
    if teacher is None:
        return copy.deepcopy(network).eval() if start and card.task == "mask" else None
    taught = (card.task, card.transform, card.transform_arguments)
    other = teacher.card
    if card.task != "mask" or taught != (
        other.task,
        other.transform,
        other.transform_arguments,
    ):
        raise ValueError(
            f"teacher={other.name!r} must find cosmic rays, with the transform of the "
            f"card of {card.name!r}"
        )
    asked = build_network(other.architecture, other.arguments)
    asked.load_state_dict(teacher.network.state_dict())
    device = next(network.parameters()).device
    return asked.to(device, memory_format=torch.channels_last).eval()


def _finish(averaged: nn.Module, card: ModelCard) -> Model:
    if any(isinstance(layer, nn.BatchNorm2d) for layer in averaged.modules()):
        return Model(card, fold_norm(averaged, card.arguments), device="cpu")
    return Model(card, copy.deepcopy(averaged), device="cpu")
