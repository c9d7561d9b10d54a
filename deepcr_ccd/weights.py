"""Files of weights: safetensors, with the card in the metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from .atomic import atomic_path
from .card import ModelCard

__all__ = ["read_weights", "write_weights"]


def write_weights(
    path: str | os.PathLike, state: Mapping[str, torch.Tensor], card: ModelCard
) -> None:
    """Write tensors and a card to one file, which appears whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Where to; it is replaced if it is there.
    state : mapping
        Tensors by name.
    card : ModelCard
        The card.
    """
    tensors = {key: value.contiguous().cpu() for key, value in state.items()}
    content = safetensors.torch.save(tensors, {"card": card.to_json()})
    with atomic_path(Path(path), overwrite=True) as partial:
        partial.write_bytes(content)


def read_weights(path: str | os.PathLike) -> tuple[ModelCard, dict[str, torch.Tensor]]:
    """Read what `write_weights` wrote.

    Parameters
    ----------
    path : str or path-like
        A safetensors file with a card.

    Returns
    -------
    card, tensors
        The card, and tensors by name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, or has no card.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"model file {str(path)!r} does not exist")
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"model file {str(path)!r} is not a whole safetensors file: {error}"
        ) from error
    if "card" not in metadata:
        raise ValueError(f"model file {str(path)!r} has no model card in it")
    return ModelCard.from_json(metadata["card"]), tensors
