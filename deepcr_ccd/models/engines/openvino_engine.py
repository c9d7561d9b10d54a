"""A U-Net as an OpenVINO graph; OpenVINO itself is imported when it is used."""

from __future__ import annotations

import functools
import os
import queue
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ...tiling.forking import (
    ChildSafeLock,
    keep_in_children,
    openvino_is_inherited,
    openvino_is_starting,
    openvino_is_used,
)
from ..networks.unet import UNet

__all__ = ["OpenVINOEngine", "has_openvino"]

#: Names of the precisions at OpenVINO.
HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "bf16"}
#: The first array that OpenVINO is given in a process must not be two threads' at once:
#: one would hold the interpreter's lock, the other a lock of the binding's own, and
#: each wait for the other for ever.
_FIRST = ChildSafeLock()
#: What a process has of OpenVINO, by its number.
_CORES: dict = {}


def _core():
    """Return a process's one way in to OpenVINO, which must last as long as it does.

    Its CPU plugin gives the thread that loads it another stack for signals, and takes
    that back from the thread that unloads it. Were these two threads, the first would
    be left with a stack that is no longer its own, and the next signal, be it only a
    child's end or Ctrl-C, would crash the process or write over what is there now.
    """
    import openvino

    process = os.getpid()
    if process not in _CORES:
        keep_in_children(_CORES.setdefault(process, openvino.Core()))
    return _CORES[process]


@functools.cache
def has_openvino() -> bool:
    """Tell whether OpenVINO is installed, and works, and is not too old."""
    if openvino_is_inherited():
        return True
    try:
        with openvino_is_starting():
            from openvino import opset13  # noqa: F401

            return "CPU" in _core().available_devices
    except (ImportError, OSError, RuntimeError):
        return False


class OpenVINOEngine:
    """A network that finds cosmic rays, run by OpenVINO on the CPU.

    A call takes one core, so tiles are to be given from as many threads as there are
    cores. Engines may be shared by threads.

    Parameters
    ----------
    network : UNet
        For inference, on the CPU, in float32.
    precision : {"float32", "bfloat16", "int8"}
        What to compute in. In int8 are the inner layers, what is between them in
        bfloat16.
    wide_input : bool
        Whether the input spans more than bfloat16 resolves. Input and weights of the
        first layer are then given as sums of two such numbers each.
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
            # What is kept for each shape of a tile takes 1 MB, and saves no time.
            "CPU_RUNTIME_CACHE_CAPACITY": 0,
        }
        keep_in_children(self)
        self._make()

    def _make(self) -> None:
        openvino_is_used()
        with _FIRST:
            graph = _graph(self._network, self._split, self._ranges)
            compiled = _core().compile_model(graph, "CPU", self._options)
            request = compiled.create_infer_request()
            channels = compiled.input(0).partial_shape[1].get_length()
            smallest = (1, channels, self._network.stride, self._network.stride)
            request.infer({0: np.zeros(smallest, dtype=np.float32)})
            # A request holds memory of its own, and serves one thread at a time.
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
    """Split float32 into two numbers that bfloat16 holds, whose sum is near to it."""
    high = values.bfloat16().float()
    return high, (values - high).bfloat16().float()


class _Builder:
    """Layers of a network as operations of OpenVINO."""

    def __init__(self, network: UNet, split: bool, ranges: Sequence):
        from openvino import opset13

        self.ops = opset13
        self.split = network.down[0][0] if split else None
        pairs = zip(network.inner_layers(), ranges, strict=True) if ranges else ()
        self.ranges = dict(pairs)

    def convolve(self, x, layer: nn.Conv2d | nn.ConvTranspose2d):
        """Return a convolution, plain or transposed, and its bias."""
        weight = layer.weight
        if layer is self.split:
            high, low = _halves(weight)
            weight = torch.cat([high, high, low], dim=1)
        weight = weight.numpy()
        up = isinstance(layer, nn.ConvTranspose2d)
        if layer in self.ranges:
            x, weight = self._quantize(x, weight, *self.ranges[layer], int(up))
        if up:
            x = self.ops.convolution_backprop_data(x, weight, list(layer.stride))
        else:
            pads = list(layer.padding)
            x = self.ops.convolution(
                x, weight, list(layer.stride), pads, pads, list(layer.dilation)
            )
        return self.ops.add(x, layer.bias.numpy().reshape(1, -1, 1, 1))

    def _quantize(self, x, weight: np.ndarray, low: float, high: float, axis: int):
        """Return input and weights in steps; those of each output channel its own."""
        ends = np.float32(low), np.float32(high)
        x = self.ops.fake_quantize(x, *ends, *ends, 256)
        others = tuple(i for i in range(4) if i != axis)
        most = np.abs(weight).max(axis=others, keepdims=True)
        most = np.maximum(most, np.finfo(np.float32).tiny)
        weight = self.ops.constant(weight)
        return x, self.ops.fake_quantize(weight, -most, most, -most, most, 255)

    def layers(self, x, block: nn.Sequential):
        """Return convolutions and ReLUs, one after the other."""
        for layer in block:
            x = (
                self.ops.relu(x)
                if isinstance(layer, nn.ReLU)
                else self.convolve(x, layer)
            )
        return x


def _graph(network: UNet, split: bool, ranges: Sequence):
    """Return what ``UNet.forward`` does, and a sigmoid, as an OpenVINO model."""
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
