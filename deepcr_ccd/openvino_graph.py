"""A U-Net as an OpenVINO graph; OpenVINO itself is imported when it is used."""

from __future__ import annotations

import importlib.util
import os
import queue

import numpy as np
import torch
from torch import nn

from .networks import UNet

__all__ = ["OpenVINOEngine", "has_openvino"]

#: Names of the precisions at OpenVINO.
HINTS = {"float32": "f32", "bfloat16": "bf16"}


def has_openvino() -> bool:
    """Tell whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


class OpenVINOEngine:
    """A network that finds cosmic rays, run by OpenVINO on the CPU.

    A call takes one core, so tiles are to be given from as many threads as there are
    cores. Engines may be shared by threads.

    Parameters
    ----------
    network : UNet
        For inference, on the CPU, in float32.
    precision : {"float32", "bfloat16"}
        What to compute in.
    wide_input : bool
        Whether the input spans more than bfloat16 resolves. Input and weights of the
        first layer are then given as sums of two such numbers each.

    Raises
    ------
    ImportError
        If OpenVINO is not installed.
    """

    def __init__(self, network: UNet, precision: str, *, wide_input: bool):
        try:
            import openvino
        except ImportError as error:
            raise ImportError(
                'engine="openvino" needs OpenVINO: pip install "deepcr_ccd[openvino]"'
            ) from error
        self._split = wide_input and precision == "bfloat16"
        cores = _cores()
        options = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "NUM_STREAMS": cores,
            "INFERENCE_NUM_THREADS": cores,
            "ENABLE_CPU_PINNING": False,
        }
        graph = _graph(network, self._split)
        self._compiled = openvino.Core().compile_model(graph, "CPU", options)
        # A request holds memory of its own, and serves one thread at a time.
        self._idle: queue.SimpleQueue = queue.SimpleQueue()

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


def _graph(network: UNet, split: bool):
    """Return what ``UNet.forward`` does, and a sigmoid, as an OpenVINO model."""
    import openvino
    from openvino import opset13 as ops

    def convolve(x, layer: nn.Conv2d, weight: torch.Tensor):
        pads = list(layer.padding)
        x = ops.convolution(
            x, weight.numpy(), list(layer.stride), pads, pads, list(layer.dilation)
        )
        return ops.add(x, layer.bias.numpy().reshape(1, -1, 1, 1))

    def convolutions(x, block: nn.Sequential):
        for layer in block:
            if isinstance(layer, nn.ReLU):
                x = ops.relu(x)
            else:
                x = convolve(x, layer, weights.get(layer, layer.weight))
        return x

    weights = {}
    if split:
        first = network.down[0][0]
        high, low = _halves(first.weight)
        weights[first] = torch.cat([high, high, low], dim=1)
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
        x = convolutions(x, block)
        skips.append(x)
    skips.pop()
    for level in reversed(range(network.levels - 1)):
        up = network.up[level]
        below = ops.convolution_backprop_data(x, up.weight.numpy(), list(up.stride))
        below = ops.add(below, up.bias.numpy().reshape(1, -1, 1, 1))
        above = skips.pop()
        joined = (
            ops.add(above, below) if network.adds else ops.concat([above, below], 1)
        )
        x = convolutions(joined, network.merge[level])
    x = convolve(x, network.out, network.out.weight)
    if network.stem > 1:
        x = ops.depth_to_space(x, "depth_first", network.stem)
    return openvino.Model([ops.sigmoid(x)], [parameter])
