"""The training loop."""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
import os
import time
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any, cast

import torch
from astropy.table import Table
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..io.atomic import atomic_path
from ..io.given_paths import FOLDER, given_path
from ..models.engines.devices import resolve_device
from ..models.model import Model, ModelCard
from ..models.networks.build import Network
from ..models.networks.unet import UNet
from ..tiling.torch_settings import training_state
from .batch_norm import add_norm, fold_norm
from .beginning import descended_card, digests_of, initial_network, read_checkpoint
from .distillation import reference_network
from .losses import detection_loss, forward, inpainting_loss
from .preview import draw_items

__all__ = ["Recipe", "train_model"]

logger = logging.getLogger(__name__)

#: Items on which BatchNorm is measured where a trained network gets it again.
NORM_ITEMS = 64
#: The learning rate of what a network does with the width of stars, over that of its
#: weights: it moves the input of ReLUs, by several units, and starts at 0.
TOLD_RATE = 10.0


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Length and settings of a training run.

    Parameters
    ----------
    steps, batch : int
        Steps, and items of each.
    rate, warmup : float, int
        Peak learning rate, and steps of linear warm-up to it; from there it decays to 0
        along half a cosine (cosine annealing).
    decay : float
        Weight decay of AdamW.
    clip : float
        Largest norm of the gradient (gradient clipping).
    average : float
        Decay of the exponential moving average (EMA) of the weights; the trained model
        has the average.
    bend : float
        Huber ``delta``: where the loss of an inpainting network without mixture turns
        from squared to absolute residuals.
    teacher_weight : float
        Weight of a teacher's probabilities in the target, from 0 to 1.
    ignored_weight : float
        Weight in the loss of pixels whose label is ignored, and whose target is what
        the teacher or the first model gives.
    norm : bool
        Whether BatchNorm is added where a model is fine-tuned with a teacher.
    seed : int
        Of the first weights.
    workers : int
        Processes that make items; 0 for none.
    checkpoint_every : int
        Steps between checkpoints.
    """

    steps: int = 6000
    batch: int = 32
    rate: float = 2e-3
    warmup: int = 200
    decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.998
    bend: float = 0.5
    teacher_weight: float = 0.5
    ignored_weight: float = 1.0
    norm: bool = True
    seed: int = 0
    workers: int = 2
    checkpoint_every: int = 250


@training_state()
def train_model(
    dataset: torch.utils.data.Dataset,
    card: ModelCard,
    folder: str | os.PathLike,
    *,
    recipe: Recipe | None = None,
    start: Model | None = None,
    teacher: Model | None = None,
    device: str | torch.device | None = None,
    validate: Callable[[Model], dict[str, float]] | None = None,
    report: Callable[[str], None] = logger.info,
) -> Model:
    """Train a detection or an inpainting network.

    A run that was interrupted resumes from its last checkpoint: items depend on their
    number alone, so it sees what it would have seen. A warning tells if the checkpoint
    is of other data, or of other settings than the number of steps.

    Parameters
    ----------
    dataset : `torch.utils.data.Dataset`
        Of dictionaries, such as `~deepcr_ccd.training.datasets.SimulatedFrames` for a
        card of the task "mask", and
        `~deepcr_ccd.training.inpaint_datasets.InpaintCutouts` or
        `~deepcr_ccd.training.inpaint_datasets.InpaintFrames` for one of "inpaint"; at
        least as long as steps times batch.
    card : ModelCard
        The card of the model to be; its arguments describe the network. It gets today's
        date and, from ``start``, the name of its parent, and of the inpainting model
        if it has none.
    folder : path-like
        For checkpoint, history (ECSV), model, and, of a detection network and with
        matplotlib, a picture of the last items.
    recipe : Recipe, optional
        Length and settings.
    start : Model, optional
        A model of the same architecture to fine-tune; it may lack ``star_widths``.
        BatchNorm is added with a teacher only. Where labels are ignored, the target is
        what this model gives, or the teacher (learning without forgetting: Li & Hoiem
        2016, arXiv:1606.09282).
    teacher : Model, optional
        For the task "mask": a model, perhaps a slower one, with the card's transform.
        Its probabilities are mixed with the truth, and replace it where labels are
        ignored (knowledge distillation: Hinton, Vinyals & Dean 2015,
        arXiv:1503.02531). With test-time rotations, one of them is used at each step.
    device : str or torch.device, optional
        Device to train on.
    validate : callable, optional
        Takes the model at each checkpoint and returns scores for the history.
    report : callable
        Takes a line of text at each checkpoint; by default it is logged.

    Returns
    -------
    Model
        With the moving average of the weights, and BatchNorm folded away; also written
        to ``folder`` under its name.

    Raises
    ------
    ValueError
        If the dataset is too short, ``start`` or the checkpoint in ``folder`` has
        another network, or the teacher has another task or transform.
    """
    recipe = recipe or Recipe()
    length = len(cast(Sized, dataset))
    if length < recipe.steps * recipe.batch:
        raise ValueError(
            f"dataset has {length} items; {recipe.steps} steps of "
            f"{recipe.batch} need {recipe.steps * recipe.batch}"
        )
    folder = given_path(folder, "folder", FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    device = resolve_device(device)
    torch.manual_seed(recipe.seed)
    card = descended_card(card, start)
    network = initial_network(card, start)
    if start is not None and teacher is not None and recipe.norm:
        frames = (dataset[i]["frame"] for i in range(min(NORM_ITEMS, length)))
        network = add_norm(cast(UNet, network), card.arguments, frames)
    if not network.takes_cutouts:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub
    run = _Run(card, network.to(device), recipe)
    reference = reference_network(
        card, run.network, start, teacher, recipe.teacher_weight
    )
    checkpoint = folder / "checkpoint.pt"
    models = {"start": start, "teacher": teacher}
    run.digests = digests_of(recipe, card, dataset, models)
    if checkpoint.exists():
        run.load(checkpoint, device)
        report(f"resumed at step {run.step}")
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=recipe.batch,
        sampler=range(run.step * recipe.batch, recipe.steps * recipe.batch),
        num_workers=recipe.workers,
        persistent_workers=recipe.workers > 0,
    )
    run.network.train()
    total, since = 0.0, time.perf_counter()
    for batch in loader:
        batch = {key: value.to(device) for key, value in batch.items()}
        output = forward(run.network, batch["frame"], batch.get("code"))
        if card.task == "inpaint":
            loss = inpainting_loss(output, batch, recipe.bend)
        elif reference is None:
            loss = detection_loss(output, batch)
        else:
            expected = reference.probability(
                batch["frame"], run.step + 1, batch.get("code")
            )
            weights = reference.weight, recipe.ignored_weight
            loss = detection_loss(output, batch, expected, *weights)
        run.take_step(loss)
        total += loss.item()
        if run.step % recipe.checkpoint_every and run.step != recipe.steps:
            continue
        count = (run.step - 1) % recipe.checkpoint_every + 1
        seconds = time.perf_counter() - since
        entry = {"step": run.step, "loss": total / count, "seconds": seconds}
        if validate is not None:
            # Plain numbers: no others may be read back from a checkpoint.
            scores = validate(run.model())
            entry |= {name: float(score) for name, score in scores.items()}
        total, since = 0.0, time.perf_counter()
        run.history.append(entry)
        report("  ".join(f"{key} {value:.5g}" for key, value in entry.items()))
        run.save(checkpoint)
        with atomic_path(folder / "history.ecsv", overwrite=True) as partial:
            Table(run.history).write(partial, format="ascii.ecsv", overwrite=True)
        run.model().save(folder / f"{card.name}.safetensors")
        if card.task == "mask":
            draw_items(batch, output, folder / "items.png")
    return run.model()


class _Run:
    """The state of a training run, which checkpoints hold.

    Parameters
    ----------
    card : ModelCard
        Of the model to be.
    network : `torch.nn.Module`
        The network to train, on its device.
    recipe : Recipe
        Settings.
    """

    def __init__(self, card: ModelCard, network: Network, recipe: Recipe):
        self.card = card
        self.recipe = recipe
        self.network = network
        self.averaged = copy.deepcopy(network)
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(network, recipe.rate), weight_decay=recipe.decay
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: _rate_factor(step, recipe)
        )
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.digests: dict[str, str] = {}

    def _parts(self) -> dict[str, Any]:
        names = ("network", "averaged", "optimizer", "schedule")
        return {name: getattr(self, name) for name in names}

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        facts = {key: getattr(self, key) for key in ("step", "history", "digests")}
        with atomic_path(path, overwrite=True) as partial:
            torch.save({**state, **facts}, partial)

    def load(self, path: Path, device: torch.device) -> None:
        """Continue from a checkpoint."""
        state = read_checkpoint(path, self.network, self.digests, device)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step, self.history = state["step"], state["history"]

    def take_step(self, loss: torch.Tensor) -> None:
        """Change the weights along the gradient of a loss, and average them."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        # The average begins short, so that it soon forgets the first weights.
        decay = min(self.recipe.average, self.step / (self.step + 10))
        averaged, present = (_floats(net) for net in (self.averaged, self.network))
        get_ema_multi_avg_fn(decay)(averaged, present, self.step)

    def model(self) -> Model:
        """Return the averaged network as a model, with BatchNorm folded away."""
        network = self.averaged
        layers = network.modules()
        if any(isinstance(layer, nn.BatchNorm2d) for layer in layers):
            network = fold_norm(cast(UNet, network), self.card.arguments)
        else:
            network = copy.deepcopy(network)
        return Model(self.card, network, device="cpu")


def _parameter_groups(network: Network, rate: float) -> list[dict[str, Any]]:
    """Return the weights of a network, and the learning rate of each group of them."""
    told = [*network.gains, *network.shifts] if isinstance(network, UNet) else []
    known = {id(parameter) for parameter in told}
    weights = [one for one in network.parameters() if id(one) not in known]
    groups = [{"params": weights, "lr": rate}]
    return groups + ([{"params": told, "lr": TOLD_RATE * rate}] if told else [])


def _rate_factor(step: int, recipe: Recipe) -> float:
    """Return the factor of the learning rate: a warm-up, then half a cosine."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1)))


def _floats(network: nn.Module) -> list[torch.Tensor]:
    """Return the weights of a network, and the statistics of its BatchNorm."""
    state = network.state_dict().values()
    return [value for value in state if value.is_floating_point()]
