"""Weights files: safetensors, with the card in the metadata."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from ..io.atomic import atomic_path
from ..io.given_paths import given_path
from .card import ModelCard
from .network_checks import check_output, check_shapes
from .networks.build import Network, plan_network, restore_network
from .networks.unet import UNet
from .verification import RESERVED, ModelTest, check_test_shapes, digest_of

__all__ = [
    "change_file",
    "read_card",
    "read_network",
    "read_test",
    "read_weights",
    "write_test",
    "write_weights",
]

#: Longest header that is read, in bytes; those of the shipped models have 6,000.
MAX_HEADER = 2_000_000
#: Headers of safetensors files are a multiple of this long, in bytes.
ALIGNMENT = 8


def write_weights(
    path: str | os.PathLike,
    state: Mapping[str, torch.Tensor],
    card: ModelCard,
    test: ModelTest | None = None,
) -> None:
    """Write tensors and a card to one file, which appears whole or not at all.

    The card in the file has the digest of the tensors.

    Parameters
    ----------
    path : str or path-like
        Where to; it is replaced if it is there.
    state : mapping
        Tensors by name.
    card : ModelCard
        The card.
    test : ModelTest, optional
        A test input, with the output for it.

    Raises
    ------
    ValueError
        If the path is empty or that of a folder.
    """
    if not os.fspath(path) or Path(path).is_dir():
        raise ValueError(f"path={os.fspath(path)!r} must be the path of a file")
    tensors = {key: value.contiguous().cpu() for key, value in state.items()}
    card = dataclasses.replace(card, sha256=digest_of(tensors))
    if test is None:
        card = dataclasses.replace(card, test_origin="", test_tolerance=None)
    else:
        tensors |= test.tensors()
    content = safetensors.torch.save(tensors, {"card": card.to_json()})
    with atomic_path(Path(path), overwrite=True) as partial:
        partial.write_bytes(content)


def change_file(
    path: str | os.PathLike,
    change: Callable[[dict[str, Any]], None],
    test: ModelTest | None = None,
) -> None:
    """Change the card of a model file, and perhaps its test input, in place.

    All else stays as it is: fields of the card that this version does not know, other
    metadata, the weights byte for byte, the mode; and a link stays one. The file is
    replaced whole or not at all.

    Parameters
    ----------
    path : str or path-like
        The model file.
    change : callable
        Takes the fields of the card, by name, and changes them.
    test : ModelTest, optional
        Replaces the test input.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no model file, or the changed card is a wrong one.
    OSError
        If something else changes the file meanwhile.
    """
    # A link stays one.
    path = Path(path).resolve()
    read_card(path)
    before = path.read_bytes()
    end = 8 + int.from_bytes(before[:8], "little")
    header = json.loads(before[8:end])
    # As it was written, with fields that this version may not know.
    fields = json.loads(header["__metadata__"]["card"])
    change(fields)
    text = json.dumps(fields, sort_keys=True)
    ModelCard.from_json(text)
    header["__metadata__"]["card"] = text
    if test is None:
        content = json.dumps(header, separators=(",", ":")).encode()
        content += b" " * (-len(content) % ALIGNMENT)
        content = len(content).to_bytes(8, "little") + content + before[end:]
    else:
        tensors = {
            key: value
            for key, value in safetensors.torch.load(before).items()
            if not key.startswith(RESERVED)
        }
        content = safetensors.torch.save(
            tensors | test.tensors(), header["__metadata__"]
        )

    def check() -> None:
        if path.read_bytes() != before:
            raise OSError(f"{path} changed meanwhile")

    with atomic_path(path, overwrite=True, like=path, check=check) as partial:
        partial.write_bytes(content)


def write_test(path: str | os.PathLike, model: Any) -> None:
    """Write a model's test input, and the digest of its weights, into its file.

    All else in the file stays as it is, see `change_file`.

    Parameters
    ----------
    path : str or path-like
        The file that the model was loaded from.
    model : Model
        The model, with a test.
    """
    found = digest_of(model.network.state_dict())

    def change(fields: dict[str, Any]) -> None:
        fields["test_origin"] = model.card.test_origin
        fields["test_tolerance"] = model.card.test_tolerance
        fields["sha256"] = found

    change_file(path, change, model.test)


def read_weights(path: str | os.PathLike) -> tuple[ModelCard, dict[str, torch.Tensor]]:
    """Read the card and the weights that `write_weights` wrote, without the test.

    The card, and the shapes of the tensors, are checked before these take memory.

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
        If the file is truncated, has no card or a wrong one, or its tensors are not
        those of the network that the card names.
    """
    path = given_path(path, "path")
    card = read_card(path)
    with _opened(path) as file:
        plan = plan_network(card.architecture, card.arguments)
        names = [key for key in file.keys() if not key.startswith(RESERVED)]
        check_shapes(plan, {key: file.get_slice(key).get_shape() for key in names})
        tensors = {key: file.get_tensor(key) for key in names}
    return card, tensors


def read_test(path: str | os.PathLike, task: str) -> ModelTest | None:
    """Read the test input of a model, and the output for it.

    Parameters
    ----------
    path : str or path-like
        A safetensors file with a card.
    task : {"mask", "inpaint"}
        Task of the model.

    Returns
    -------
    ModelTest or None
        None if the file has none, as those of earlier versions.

    Raises
    ------
    ValueError
        If the file is truncated, or its test does not fit the task or is not finite.
    """
    with _opened(given_path(path, "path")) as file:
        names = [key for key in file.keys() if key.startswith(RESERVED)]
        slices = {key: file.get_slice(key) for key in names}
        check_test_shapes(
            {key: (one.get_dtype(), one.get_shape()) for key, one in slices.items()}
        )
        return ModelTest.from_tensors({k: file.get_tensor(k) for k in names}, task)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file; errors of what is done with it name the file."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            yield file
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"model file {str(path)!r} is not a whole safetensors file: {error}"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"model file {str(path)!r}: its tensors do not fit its card: {error}"
        ) from error


def read_network(path: str | os.PathLike) -> tuple[ModelCard, Network]:
    """Read a card and build its network, with the weights that `write_weights` wrote.

    Parameters
    ----------
    path : str or path-like
        A safetensors file with a card.

    Returns
    -------
    card, network
        The network is on the CPU, in float32.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        As from `read_weights`, or if the output of the network is of no use.
    """
    card, tensors = read_weights(path)
    try:
        network = restore_network(card.architecture, card.arguments, tensors)
        check_output(network, card.task)
        layers = len(network.inner_layers()) if isinstance(network, UNet) else 0
        if len(card.ranges) not in (0, layers):
            raise ValueError(f"{len(card.ranges)} ranges for {layers} layers")
    except ValueError as error:
        raise ValueError(
            f"model file {os.fspath(path)!r}: its tensors do not fit its card: {error}"
        ) from error
    return card, network


def read_card(path: str | os.PathLike) -> ModelCard:
    """Read the card of a safetensors file, and no tensors.

    Parameters
    ----------
    path : str or path-like
        The file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no safetensors file, or has no card or a wrong one.
    """
    path = given_path(path, "path")
    what = f"model file {str(path)!r}"
    if not path.exists():
        raise FileNotFoundError(f"{what} does not exist")
    if not path.is_file():
        raise ValueError(f"{what} is not a regular file")
    with path.open("rb") as file:
        # Eight bytes hold the length of the header, which is JSON.
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= MAX_HEADER:
            raise ValueError(
                f"{what} is not a whole safetensors file, or its header of {length} "
                f"bytes is longer than {MAX_HEADER}"
            )
        content = file.read(length)
    try:
        header = json.loads(content)
        card = header.get("__metadata__", {}).get("card")
    except (ValueError, RecursionError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{what} is not a whole safetensors file: {reason}") from error
    if not isinstance(card, str):
        raise ValueError(f"{what} has no model card in it")
    try:
        return ModelCard.from_json(card)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
