"""A U-Net as an OpenVINO graph. OpenVINO is imported when it is used."""

from __future__ import annotations

import functools
import os
import queue
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ...tiling.forking import (
    ChildSafeLock,
    keep_in_children,
    openvino_is_inherited,
    record_openvino_import,
    record_openvino_use,
)
from ..networks.unet import UNet

__all__ = ["OpenVINOEngine", "has_openvino"]

#: Names of the precisions at OpenVINO.
HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "bf16"}
#: Two threads must not give OpenVINO the first arrays of a process at once: one would
#: have acquired the interpreter's lock, the other a lock of the binding, and each would
#: wait for the other for ever.
_FIRST = ChildSafeLock()
#: OpenVINO's core of each process, by the process's number.
_CORES: dict[int, Any] = {}


def _core() -> Any:
    """Return this process's OpenVINO core, which must live as long as the process.

    OpenVINO's CPU plugin replaces the signal stack of the thread that loads it, and
    frees it in the thread that unloads it. If these were two threads, the first would
    keep a stack that is freed, and the next signal, such as a child's end or Ctrl-C,
    would crash the process or overwrite other memory.
    """
    import openvino

    process = os.getpid()
    if process not in _CORES:
        keep_in_children(_CORES.setdefault(process, openvino.Core()))
    return _CORES[process]


@functools.cache
def has_openvino() -> bool:
    """Tell whether OpenVINO is installed, works, and is new enough."""
    if openvino_is_inherited():
        return True
    try:
        with record_openvino_import():
            from openvino import opset13  # noqa: F401

            return "CPU" in _core().available_devices
    except (ImportError, OSError, RuntimeError):
        return False


class OpenVINOEngine:
    """A detection network run by OpenVINO on the CPU.

    A call uses one core, so that calls should come from as many threads as there are
    cores. Threads may share an engine.

    Parameters
    ----------
    network : UNet
        For inference, on the CPU, in float32.
    precision : {"float32", "bfloat16", "int8"}
        Precision of the computation. With "int8" the inner layers are in int8, and the
        activations between them in bfloat16.
    wide_input : bool
        Whether the input spans more than bfloat16 resolves. Input and weights of the
        first layer are then sums of two bfloat16 numbers each.
    activation_ranges : sequence of (float, float)
        Lowest and highest activations that go into each inner layer, for int8.

    Raises
    ------
    ImportError
        If OpenVINO is not installed.
    """

    def __init__(
        self,
        network: UNet,
        precision: str,
        *,
        wide_input: bool,
        activation_ranges: Sequence[tuple[float, float]] = (),
    ):
        try:
            _core()
        except ImportError as error:
            raise ImportError(
                'engine="openvino" needs OpenVINO: pip install "deepcr_ccd[openvino]"'
            ) from error
        self._network = network
        self._split = wide_input and precision != "float32"
        self._ranges = activation_ranges if precision == "int8" else ()
        cores = _cores()
        self._options = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "NUM_STREAMS": cores,
            "INFERENCE_NUM_THREADS": cores,
            "ENABLE_CPU_PINNING": False,
            # The cache takes 1 MB for each shape of a tile, and saves no time.
            "CPU_RUNTIME_CACHE_CAPACITY": 0,
        }
        keep_in_children(self)
        self._make()

    def _make(self) -> None:
        record_openvino_use()
        with _FIRST:
            graph = _graph(self._network, self._split, self._ranges)
            compiled = _core().compile_model(graph, "CPU", self._options)
            request = compiled.create_infer_request()
            channels = compiled.input(0).partial_shape[1].get_length()
            smallest = (1, channels, self._network.stride, self._network.stride)
            request.infer({0: np.zeros(smallest, dtype=np.float32)})
            # A request has memory of its own, and serves one thread at a time.
            self._compiled = compiled
            self._idle: queue.SimpleQueue = queue.SimpleQueue()
            self._idle.put(request)

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Return probabilities, float32 ``(ny, nx)``, for ``(channels, ny, nx)``."""
        planes = np.ascontiguousarray(numbers, dtype=np.float32)
        if self._split:
            high, low = _halves(torch.from_numpy(planes))
            planes = torch.cat([high, low, high]).numpy()
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        try:
            return request.infer({0: planes[np.newaxis]}, share_inputs=True)[0][0, 0]
        finally:
            self._idle.put(request)


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _halves(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Split float32 into two bfloat16 numbers whose sum approximates it."""
    high = values.bfloat16().float()
    return high, (values - high).bfloat16().float()


class _Builder:
    """Layers of a network as operations of OpenVINO."""

    def __init__(self, network: UNet, split: bool, ranges: Sequence):
        from openvino import opset13

        self.ops = opset13
        first = network.get_submodule(network.ends[0])
        self.split = first if split else None
        self.ranges: dict[nn.Module, tuple[float, float]] = {}
        if ranges:
            self.ranges = dict(zip(network.inner_layers(), ranges, strict=True))

    def convolve(self, x: Any, layer: nn.Module) -> Any:
        """Return a convolution, plain or transposed, and its bias."""
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) or layer.bias is None:
            raise TypeError(f"{layer} is not a convolution with a bias")
        tensor: torch.Tensor = layer.weight
        if layer is self.split:
            high, low = _halves(tensor)
            tensor = torch.cat([high, high, low], dim=1)
        up = isinstance(layer, nn.ConvTranspose2d)
        weight: Any = tensor.numpy()
        if layer in self.ranges:
            low_end, high_end = self.ranges[layer]
            x, weight = self._quantize(x, weight, low_end, high_end, axis=int(up))
        if up:
            x = self.ops.convolution_backprop_data(x, weight, list(layer.stride))
        else:
            pads = list(layer.padding)
            x = self.ops.convolution(
                x, weight, list(layer.stride), pads, pads, list(layer.dilation)
            )
        return self.ops.add(x, layer.bias.numpy().reshape(1, -1, 1, 1))

    def _quantize(
        self, x: Any, weight: np.ndarray, low: float, high: float, axis: int
    ) -> tuple[Any, Any]:
        """Return quantized input and weights; each output channel has its own step."""
        ends = np.float32(low), np.float32(high)
        x = self.ops.fake_quantize(x, *ends, *ends, 256)
        others = tuple(i for i in range(4) if i != axis)
        most = np.abs(weight).max(axis=others, keepdims=True)
        most = np.maximum(most, np.finfo(np.float32).tiny)
        weight = self.ops.constant(weight)
        return x, self.ops.fake_quantize(weight, -most, most, -most, most, 255)

    def layers(self, x: Any, block: nn.Module) -> Any:
        """Return convolutions and ReLUs, one after the other."""
        for layer in block.children():
            x = (
                self.ops.relu(x)
                if isinstance(layer, nn.ReLU)
                else self.convolve(x, layer)
            )
        return x


def _graph(network: UNet, split: bool, ranges: Sequence) -> Any:
    """Return an OpenVINO model of ``UNet.forward`` and a sigmoid."""
    import openvino

    build = _Builder(network, split, ranges)
    ops = build.ops
    channels = network.in_channels * (3 if split else 1)
    shape = openvino.PartialShape([1, channels, -1, -1])
    parameter = ops.parameter(shape, np.float32)
    x = parameter
    if network.stem > 1:
        x = ops.space_to_depth(x, "depth_first", network.stem)
    skips = []
    for level, block in enumerate(network.down):
        if level:
            pool = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2])
            x = pool.output(0)
        x = build.layers(x, block)
        skips.append(x)
    skips.pop()
    for level in reversed(range(network.levels - 1)):
        above, below = skips.pop(), build.convolve(x, network.up[level])
        x = ops.add(above, below) if network.adds else ops.concat([above, below], 1)
        x = build.layers(x, network.merge[level])
    x = build.convolve(x, network.out)
    if network.stem > 1:
        x = ops.depth_to_space(x, "depth_first", network.stem)
    return openvino.Model([ops.sigmoid(x)], [parameter])
