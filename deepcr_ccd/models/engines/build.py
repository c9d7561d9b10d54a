"""What runs a network: PyTorch, or OpenVINO where it is installed and is faster."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch

from ...tiling.forking import openvino_is_inherited
from ..networks.unet import UNet
from .devices import resolve_precision
from .openvino_engine import OpenVINOEngine, has_openvino
from .torch_engine import TorchEngine

__all__ = ["ENGINES", "build_engine", "engine_here", "resolve_engine"]

#: What can be asked for.
ENGINES = ("auto", "torch", "openvino")


def resolve_engine(
    engine: str | None, network: torch.nn.Module, device: torch.device, task: str
) -> str:
    """Return which engine runs a network.

    Parameters
    ----------
    engine : {"auto", "torch", "openvino"} or None
        With "auto" or None, OpenVINO where it is installed, for networks that find
        cosmic rays on the CPU; PyTorch elsewhere.
    network : torch.nn.Module
        The network.
    device : torch.device
        Where it runs.
    task : {"mask", "inpaint"}
        What it is for.

    Raises
    ------
    ValueError
        If the engine is unknown, or does not run such a network there.
    """
    if engine not in (None, *ENGINES):
        raise ValueError(
            f"engine={engine!r} is unknown; allowed are {', '.join(map(repr, ENGINES))}"
        )
    fits = device.type == "cpu" and task == "mask" and isinstance(network, UNet)
    if engine == "openvino" and not fits:
        raise ValueError(
            "engine='openvino' runs networks that find cosmic rays, on the CPU; use "
            f"'torch' on {device.type!r} for the task {task!r}"
        )
    if engine in (None, "auto"):
        return "openvino" if fits and has_openvino() else "torch"
    return engine


def engine_here(engine: str) -> str:
    """Return what an engine is replaced by in this process.

    Parameters
    ----------
    engine : {"torch", "openvino"}
        From `resolve_engine`.

    Returns
    -------
    str
        "torch" in children that were forked after OpenVINO had been used, as it would
        wait there for threads of the parent's; else the same.
    """
    return "torch" if openvino_is_inherited() else engine


def build_engine(
    engine: str,
    network: torch.nn.Module,
    device: torch.device,
    precision: str,
    task: str,
    *,
    wide_input: bool,
    ranges: Sequence = (),
    turns: int = 1,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that runs a network on arrays.

    Parameters
    ----------
    engine : {"torch", "openvino"}
        From `engine_here`.
    network : torch.nn.Module
        For inference, on the device, in float32. It is not modified.
    device : torch.device
        Where it runs.
    precision : {"float32", "bfloat16", "int8"}
        What to compute in.
    task : {"mask", "inpaint"}
        What it is for. The output of "mask" is a probability.
    wide_input : bool
        Whether the input spans more than fewer bits resolve.
    ranges : sequence of (float, float)
        What goes into the inner layers, for int8.
    turns : int
        How many quarter turns of an array to take the mean of, for "mask".

    Returns
    -------
    callable
        Takes float32 ``(channels, ny, nx)`` and returns float32 ``(ny, nx)``; for
        networks of windows, ``(n, window)`` and ``(n, 2)``. Threads may share it.
    """
    run: Callable[[np.ndarray], np.ndarray]
    if engine == "openvino":
        run = OpenVINOEngine(network, precision, wide_input=wide_input, ranges=ranges)
    else:
        if precision == "int8":
            # In a child that has to do without OpenVINO.
            precision = resolve_precision("auto", device)
        run = TorchEngine(network, device, precision, task, wide_input=wide_input)
    return run if turns == 1 else functools.partial(_mean_of_turns, run, turns)


def _mean_of_turns(
    run: Callable[[np.ndarray], np.ndarray], turns: int, numbers: np.ndarray
) -> np.ndarray:
    """Return the mean of what a network says of an array and of quarter turns of it.

    Its errors depend on how the array lies, as cosmic rays and stars do not.
    """
    total = np.zeros(numbers.shape[1:], dtype=np.float32)
    for turn in range(turns):
        seen = np.ascontiguousarray(np.rot90(numbers, turn, axes=(1, 2)))
        total += np.rot90(run(seen), -turn)
    return total / turns
