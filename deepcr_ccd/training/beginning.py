"""What a training run begins with: a card, a network, and perhaps a checkpoint."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..models.model import Model, ModelCard
from ..models.networks.build import Network, build_network
from ..models.verification import digest_of
from ..notices import warn_user

__all__ = ["descended_card", "digests_of", "initial_network", "read_checkpoint"]

#: Fields of the recipe that may change when a run goes on.
FREE = ("steps", "workers", "checkpoint_every")


def descended_card(card: ModelCard, start: Model | None) -> ModelCard:
    """Return a card with today's date, and with what follows from the first model.

    Parameters
    ----------
    card : ModelCard
        Of the model to be.
    start : Model or None
        The model that is fine-tuned: the card's parent. Its inpainting model is the
        card's too, if that names none.
    """
    # Days of UTC, as everywhere.
    known: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat()
    }
    if start is not None:
        if start.card.name != card.name:
            known["parent"] = start.card.name
        known["fill"] = card.fill or start.card.fill
    return dataclasses.replace(card, **known)


def initial_network(card: ModelCard, start: Model | None) -> Network:
    """Return the network to train: a new one, with BatchNorm if a U-Net, or a copy.

    Parameters
    ----------
    card : ModelCard
        Of the model to be.
    start : Model or None
        The model that is fine-tuned.

    Raises
    ------
    ValueError
        If that has another network or transform.
    """
    if start is None:
        norm = {"norm": True} if card.architecture == "unet" else {}
        return build_network(card.architecture, {**card.arguments, **norm})
    start = _told(start, card)
    own = (card.architecture, card.arguments, card.transform)
    if own != (start.card.architecture, start.card.arguments, start.card.transform):
        raise ValueError(
            f"start={start.card.name!r} has another network or transform than the card "
            f"of {card.name!r}"
        )
    network = build_network(card.architecture, card.arguments)
    network.load_state_dict(start.network.state_dict())
    return network


def _told(model: Model, card: ModelCard) -> Model:
    """Return a model, one that is told how wide stars are if the card has that."""
    widths = {
        key: value for key, value in card.arguments.items() if key == "star_widths"
    }
    if not widths or "star_widths" in model.card.arguments:
        return model
    arguments = {**model.card.arguments, **widths}
    network = build_network(model.card.architecture, arguments)
    # What is told changes nothing at first.
    network.load_state_dict(model.network.state_dict(), strict=False)
    return Model(
        dataclasses.replace(model.card, arguments=arguments), network, device="cpu"
    )


def digests_of(
    recipe: Any, card: ModelCard, dataset: Any, models: Mapping[str, Model | None]
) -> dict[str, str]:
    """Return digests of the data and of the settings of a run, but for its length.

    Parameters
    ----------
    recipe : Recipe
        Its settings.
    card : ModelCard
        Of the model to be.
    dataset : `torch.utils.data.Dataset`
        Of its data, plain attributes and the lengths of lists count.
    models : mapping
        The first model and the teacher, or None, by the names of the arguments.

    Returns
    -------
    dict
        By the words "data" and "settings".
    """
    settings: dict[str, Any] = {
        key: value
        for key, value in dataclasses.asdict(recipe).items()
        if key not in FREE
    }
    for name, model in models.items():
        settings[name] = model and digest_of(model.network.state_dict())
    own = dict(getattr(dataset, "__dict__", {}))
    data: dict[str, Any] = {
        key: len(value) if isinstance(value, list | tuple) else value
        for key, value in own.items()
        if isinstance(value, int | float | str | list | tuple)
    }
    # As long as the run is; datasets of another kind have a length of their own.
    if data.pop("length", None) is None:
        data["items"] = len(dataset)
    data |= {"kind": type(dataset).__name__, "words": card.training_data}
    return {"data": _digest(data), "settings": _digest(settings)}


def _digest(facts: dict[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_checkpoint(
    path: Path, network: Network, digests: Mapping[str, str], device: torch.device
) -> dict[str, Any]:
    """Read a checkpoint, and warn if it is of other data or settings.

    Parameters
    ----------
    path : path
        The file.
    network : `torch.nn.Module`
        The network that is trained.
    digests : mapping
        From `digests_of`; a checkpoint of an earlier version has none.
    device : torch.device
        Where its tensors go.

    Raises
    ------
    ValueError
        If it is of another network.
    """
    state = torch.load(path, map_location=device, weights_only=True)
    found, own = (
        {key: value.shape for key, value in tensors.items()}
        for tensors in (state["network"], network.state_dict())
    )
    if found != own:
        raise ValueError(
            f"the checkpoint in {path.parent} is of another network: use another folder"
        )
    known = state.get("digests", {})
    other = [key for key in digests if known.get(key, digests[key]) != digests[key]]
    if other:
        warn_user(
            f"the checkpoint in {path.parent} is of other {' and other '.join(other)}: "
            "the run goes on from it with those of now; use another folder to begin "
            "anew"
        )
    return state
