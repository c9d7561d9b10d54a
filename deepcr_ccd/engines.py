"""What runs a network: PyTorch, or OpenVINO where it is installed and is faster."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch

from .devices import PRECISIONS, gpu_tile, resolve_precision
from .forking import openvino_is_inherited
from .fusing import fuse
from .networks import UNet, reduce_precision
from .openvino_graph import OpenVINOEngine, has_openvino
from .together import Together

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


class TorchEngine:
    """A network run by PyTorch; see `build_engine`.

    On a GPU, what several threads ask for at once is computed together, and goes there
    and back while other work is done.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        device: torch.device,
        precision: str,
        task: str,
        *,
        wide_input: bool,
    ):
        self.device = device
        self.windowed = network.windowed
        wide = wide_input or self.windowed
        self.dtype = torch.float32 if wide else PRECISIONS[precision]
        self.probability = task == "mask"
        if precision != "float32":
            network = reduce_precision(
                network,
                PRECISIONS[precision],
                wide_input=wide_input,
                wide_output=task == "inpaint",
            )
        if device.type == "cpu" and not self.windowed:
            network = fuse(network, self.dtype)
        self.network = network
        self._together = None
        if device.type == "cuda":
            # While one stream computes, another takes in what comes next.
            streams = [torch.cuda.Stream(device) for _ in range(2)]
            most = gpu_tile(device) ** 2
            self._together = Together(self.compute, streams, most)

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Run the network on an array."""
        if self._together is not None:
            return self._together(numbers)
        return self.compute(numbers[np.newaxis])[0]

    @torch.inference_mode()
    def compute(
        self, numbers: np.ndarray, stream: torch.cuda.Stream | None = None
    ) -> np.ndarray:
        """Run the network on several arrays at a time.

        Parameters
        ----------
        numbers : `~numpy.ndarray`
            As for a call, with one axis more in front.
        stream : torch.cuda.Stream, optional
            Of the GPU that the network is on.
        """
        tensor = torch.from_numpy(np.ascontiguousarray(numbers))
        if stream is None:
            return self._forward(tensor).numpy(force=True)
        with torch.cuda.stream(stream):
            there = tensor.pin_memory().to(self.device, non_blocking=True)
            result = self._forward(there)
            back = torch.empty(
                result.shape, dtype=result.dtype, device="cpu", pin_memory=True
            )
            back.copy_(result, non_blocking=True)
        stream.synchronize()
        return back.numpy()

    def _forward(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.windowed:
            windows = tensor.flatten(0, 1).to(self.device, self.dtype)
            result = self.network(windows).unflatten(0, tensor.shape[:2])
        else:
            result = self.network(
                tensor.to(self.device, self.dtype, memory_format=torch.channels_last)
            )[:, 0]
        result = result.float()
        return result.sigmoid() if self.probability else result
