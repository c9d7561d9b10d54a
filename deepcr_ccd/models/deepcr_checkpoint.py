"""Read deepCR checkpoints (``.pth``) into plain networks.

The names and shapes of the layers tell the size of the U-Net. BatchNorm and weight_norm
are folded into the convolutions, which saves time and leaves the result unchanged.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch

from ..choices import EngineName, PrecisionName
from ..tiling.torch_settings import neutral_torch_state
from .model import Model, ModelCard
from .network_checks import check_output
from .networks.build import plan_network, restore_network
from .networks.unet import UNet
from .verification import digest_of

__all__ = ["load_checkpoint"]

#: The default of BatchNorm2d, which deepCR uses.
EPSILON = 1e-5
#: Allowed dtypes of tensors.
DTYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32),
)


@neutral_torch_state()
def load_checkpoint(
    path: Path,
    card: dict | None = None,
    *,
    device: str | torch.device | None = None,
    precision: PrecisionName | None = None,
    engine: EngineName | None = None,
    default_name: str = "",
    known: Mapping[str, dict | Path] | None = None,
) -> Model:
    """Load a deepCR checkpoint.

    Parameters
    ----------
    path : path
        A ``.pth`` file with a state dictionary of deepCR's U-Net; read with
        ``weights_only=True``, so it cannot run code.
    card : dict, optional
        Fields of its card. Without it the card is made from the tensors, for input
        that is the frame as it is, as in deepCR's training.
    device : str or torch.device, optional
        Where the model runs.
    precision : {"auto", "float32", "bfloat16", "int8"}, optional
        Precision of the computation.
    engine : {"auto", "torch", "openvino"}, optional
        The engine that runs it.
    default_name : str
        Name of the model where the card has none.
    known : mapping, optional
        Fields of cards, or model files of this package, by the sha256 of the tensors of
        checkpoints: without ``card``, a checkpoint with such tensors gets that card, or
        is that model, for any name of the file.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        If the file is truncated or is no deepCR checkpoint.
    """
    tensors = _read_tensors(path)
    try:
        arguments = _read_architecture(tensors)
        state = _rename(tensors, cast(UNet, plan_network("unet", arguments)))
        network = restore_network("unet", arguments, state)
        check_output(network, "mask" if arguments["in_channels"] == 1 else "inpaint")
    except (KeyError, RuntimeError, IndexError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"model file {str(path)!r} is not one of deepCR's U-Nets: {reason}"
        ) from error
    fields = card or (known or {}).get(digest_of(tensors))
    if isinstance(fields, Path):
        return Model.load(fields, device=device, precision=precision, engine=engine)
    fields = fields or {
        "name": default_name or path.stem,
        "task": "mask" if arguments["in_channels"] == 1 else "inpaint",
        "unit": None,
        "description": f"deepCR checkpoint {path.name}",
    }
    return Model(
        ModelCard(architecture="unet", arguments=arguments, **fields),
        network,
        device=device,
        precision=precision,
        engine=engine,
    )


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a dictionary of tensors that are no larger than their file."""
    what = f"model file {str(path)!r}"
    try:
        _check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        # Arbitrary bytes may raise any error.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{what} is no checkpoint of plain tensors: {reason}"
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor)
        for key, value in content.items()
    ):
        raise ValueError(f"{what} is not a dictionary of tensors")
    tensors = {key.removeprefix("module."): value for key, value in content.items()}
    for key, value in tensors.items():
        dense = value.layout == torch.strided and value.device.type == "cpu"
        if not dense or value.dtype not in DTYPES:
            raise ValueError(f"{what}: {key!r} is not a plain tensor of real numbers")
    size = sum(value.numel() * value.element_size() for value in tensors.values())
    if size > path.stat().st_size:
        raise ValueError(f"{what} holds tensors of {size} bytes, more than it has")
    return tensors


def _check_archive(path: Path) -> None:
    """Raise a ValueError if a file is an archive that unpacks to more than its size."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > path.stat().st_size:
        raise ValueError(f"it unpacks to {size} bytes, more than it has")


def _read_architecture(tensors: dict[str, torch.Tensor]) -> dict:
    first = _weight(tensors, "inc.conv.conv.0")
    depth = [re.match(r"down(\d+)\.", key) for key in tensors]
    return {
        "in_channels": first.shape[1],
        "out_channels": tensors["outc.conv.weight"].shape[0],
        "width": first.shape[0],
        "levels": 1 + max((int(found[1]) for found in depth if found), default=0),
    }


def _weight(tensors: dict[str, torch.Tensor], layer: str) -> torch.Tensor:
    """Return the weight of a convolution, with weight_norm folded in."""
    for length, direction in (
        ("weight_g", "weight_v"),
        ("parametrizations.weight.original0", "parametrizations.weight.original1"),
    ):
        if f"{layer}.{length}" in tensors:
            v = tensors[f"{layer}.{direction}"]
            norm = v.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            return v * (tensors[f"{layer}.{length}"] / norm)
    return tensors[f"{layer}.weight"]


def _rename(tensors: dict[str, torch.Tensor], network: UNet) -> dict[str, torch.Tensor]:
    """Return the state dictionary of the same network without normalisation."""
    last = network.levels - 1
    blocks = {"down.0": "inc.conv.conv"}
    # deepCR counts the way up from the bottom, in names that end at up8.
    for level in range(1, network.levels):
        blocks[f"down.{level}"] = f"down{level}.mpconv.1.conv"
    for level in range(last):
        blocks[f"merge.{level}"] = f"up{8 - level}.conv.conv"
    state = {}
    for ours, theirs in blocks.items():
        normalised = f"{theirs}.1.running_mean" in tensors
        for mine, conv in ((0, 0), (2, 3 if normalised else 2)):
            norm = f"{theirs}.{conv + 1}" if normalised else None
            weight, bias = _fold(tensors, f"{theirs}.{conv}", norm)
            state[f"{ours}.{mine}.weight"] = weight
            state[f"{ours}.{mine}.bias"] = bias
    plain = {f"up.{level}": f"up{8 - level}.up" for level in range(last)}
    for ours, theirs in {**plain, "out": "outc.conv"}.items():
        state[f"{ours}.weight"] = tensors[f"{theirs}.weight"]
        state[f"{ours}.bias"] = tensors[f"{theirs}.bias"]
    return state


def _fold(
    tensors: dict[str, torch.Tensor], conv: str, norm: str | None
) -> tuple[torch.Tensor, torch.Tensor]:
    weight, bias = _weight(tensors, conv).double(), tensors[f"{conv}.bias"].double()
    if norm is not None:
        mean, variance, gamma, beta = (
            tensors[f"{norm}.{key}"].double()
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        factor = gamma / torch.sqrt(variance + EPSILON)
        weight = weight * factor.view(-1, 1, 1, 1)
        bias = (bias - mean) * factor + beta
    return weight.float(), bias.float()
