"""Choose and build the engine of a network: PyTorch, or OpenVINO where it is faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch

from ...choices import ENGINES, EngineName
from ...tiling.forking import openvino_is_inherited
from ..networks.build import Network
from ..networks.unet import UNet
from .devices import resolve_precision
from .openvino_engine import OpenVINOEngine, has_openvino
from .torch_engine import TorchEngine

__all__ = [
    "build_engine",
    "keep_engine",
    "resolve_engine",
    "usable_engine",
]


def resolve_engine(
    engine: str | None, network: torch.nn.Module, device: torch.device, task: str
) -> str:
    """Return which engine runs a network.

    Parameters
    ----------
    engine : {"auto", "torch", "openvino"} or None
        With "auto" or None, OpenVINO where it is installed, for detection models on the
        CPU; PyTorch elsewhere.
    network : torch.nn.Module
        The network.
    device : torch.device
        Where it runs.
    task : {"mask", "inpaint"}
        Task of the model.

    Returns
    -------
    {"torch", "openvino"}

    Raises
    ------
    ValueError
        If the engine is unknown, or does not run such a network there.
    """
    if engine not in (None, *ENGINES):
        raise ValueError(
            f"engine={engine!r} is unknown; allowed are {', '.join(map(repr, ENGINES))}"
        )
    fits = _fits_openvino(network, device, task)
    if engine == "openvino" and not fits:
        raise ValueError(
            "engine='openvino' runs detection models, on the CPU; use "
            f"'torch' on {device.type!r} for the task {task!r}"
        )
    if engine in (None, "auto"):
        return "openvino" if fits and has_openvino() else "torch"
    return engine


def keep_engine(
    engine: EngineName | None, network: Network, device: torch.device, task: str
) -> EngineName | None:
    """Return an engine that a user chose elsewhere, if it runs a network here.

    Parameters
    ----------
    engine : {"torch", "openvino"} or None
        What the user chose on another device or machine, if anything.
    network, device, task
        As for `resolve_engine`.

    Returns
    -------
    {"torch", "openvino"} or None
        None, which is the default engine, in place of OpenVINO where that does not run
        the network or is not installed.
    """
    if engine == "openvino" and not (
        _fits_openvino(network, device, task) and has_openvino()
    ):
        return None
    return engine


def _fits_openvino(network: torch.nn.Module, device: torch.device, task: str) -> bool:
    return device.type == "cpu" and task == "mask" and isinstance(network, UNet)


def usable_engine(engine: str) -> str:
    """Return the engine that can run in this process.

    Parameters
    ----------
    engine : {"torch", "openvino"}
        The engine of the model, from `resolve_engine`.

    Returns
    -------
    {"torch", "openvino"}
        "torch" in children that were forked after OpenVINO had been used, as it would
        wait there for threads of the parent; else the engine of the model.
    """
    return "torch" if openvino_is_inherited() else engine


def build_engine(
    engine: str,
    network: Network,
    device: torch.device,
    precision: str,
    task: str,
    *,
    wide_input: bool,
    activation_ranges: Sequence[tuple[float, float]] = (),
    rotations: int = 1,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that runs a network on arrays.

    Parameters
    ----------
    engine : {"torch", "openvino"}
        From `usable_engine`.
    network : torch.nn.Module
        For inference, on the device, in float32. It is not modified.
    device : torch.device
        Where it runs.
    precision : {"float32", "bfloat16", "int8"}
        Precision of the computation.
    task : {"mask", "inpaint"}
        Task of the model. The output of "mask" is a probability.
    wide_input : bool
        Whether the input spans more than bfloat16 resolves.
    activation_ranges : sequence of (float, float)
        Lowest and highest activations that go into each inner layer, for int8.
    rotations : {1, 2, 4}
        Number of test-time rotations, by quarter turns, whose mean is taken; for
        "mask".

    Returns
    -------
    callable
        Takes float32 ``(channels, ny, nx)`` and returns float32 ``(ny, nx)``; for
        networks of cutouts, ``(n, features)`` and ``(n, 3)``. Threads may share it.

    Raises
    ------
    ValueError
        If the engine is unknown.
    ImportError
        If it is OpenVINO, and that is not installed.
    """
    run: Callable[[np.ndarray], np.ndarray]
    if engine == "openvino":
        run = OpenVINOEngine(
            cast(UNet, network),
            precision,
            wide_input=wide_input,
            activation_ranges=activation_ranges,
        )
    elif engine == "torch":
        if precision == "int8":
            # In a forked child, which does without OpenVINO.
            precision = resolve_precision("auto", device)
        run = TorchEngine(network, device, precision, task, wide_input=wide_input)
    else:
        raise ValueError(
            f"engine={engine!r} is unknown; allowed are 'torch', 'openvino'"
        )
    if rotations == 1:
        return run
    if isinstance(run, TorchEngine):
        return MeanOverRotationsOnDevice(run, rotations)
    return MeanOverRotations(run, rotations)


class MeanOverRotations:
    """The mean probability over test-time rotations by quarter turns.

    The network's errors depend on the orientation; cosmic rays and stars do not.

    Parameters
    ----------
    run : callable
        Runs the network on arrays.
    rotations : int
        Their number.
    """

    def __init__(self, run: Callable[[np.ndarray], np.ndarray], rotations: int):
        self.run = run
        self.rotations = rotations

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Return the mean of float32 ``(ny, nx)``, for ``(channels, ny, nx)``."""
        total = np.zeros(numbers.shape[1:], dtype=np.float32)
        for turns in range(self.rotations):
            rotated = np.ascontiguousarray(np.rot90(numbers, turns, axes=(1, 2)))
            total += np.rot90(self.run(rotated), -turns)
        return total / self.rotations


class MeanOverRotationsOnDevice(MeanOverRotations):
    """The same, also for tensors on the device of the network.

    Parameters
    ----------
    run : TorchEngine
        Runs the network.
    rotations : int
        Their number.
    """

    def __init__(self, run: TorchEngine, rotations: int):
        super().__init__(run, rotations)
        self.stream = run.stream
        self._there = run.on_device

    def on_device(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return the mean, as `TorchEngine.on_device` does.

        Parameters
        ----------
        numbers : torch.Tensor
            float32, ``(channels, ny, nx)``.
        """
        total = torch.zeros_like(numbers[0])
        for turns in range(self.rotations):
            rotated = numbers.rot90(turns, (1, 2))
            total += self._there(rotated).rot90(-turns)
        return total / self.rotations
