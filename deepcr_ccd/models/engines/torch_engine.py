"""Networks run by PyTorch."""

from __future__ import annotations

import contextlib
import copy
import queue
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from ...tiling.workers import gpu_tile
from ..networks.build import Network
from ..networks.unet import UNet
from .batching import DynamicBatcher
from .devices import TORCH_DTYPES
from .precision import reduce_precision

__all__ = ["TorchEngine"]


class TorchEngine:
    """A network run by PyTorch.

    On a GPU, calls of several threads are computed in batches, and data are copied
    while others are computed.

    Parameters
    ----------
    network, device, precision, task, wide_input
        As for `~deepcr_ccd.models.engines.build.build_engine`.
    """

    def __init__(
        self,
        network: Network,
        device: torch.device,
        precision: str,
        task: str,
        *,
        wide_input: bool,
    ):
        self.device = device
        self.takes_cutouts = network.takes_cutouts
        wide = wide_input or self.takes_cutouts
        self.dtype = torch.float32 if wide else TORCH_DTYPES[precision]
        self.probability = task == "mask"
        if precision != "float32":
            network = reduce_precision(
                network,
                TORCH_DTYPES[precision],
                wide_input=wide_input,
                wide_output=task == "inpaint",
            )
        self.network: nn.Module = network
        if device.type == "cpu" and isinstance(network, UNet):
            self.network = fuse(network, self.dtype)
        self._batcher = None
        #: Streams that compute tiles of frames that are on the device.
        self._idle: queue.SimpleQueue = queue.SimpleQueue()
        if device.type == "cuda":
            for _ in range(2):
                self._idle.put(torch.cuda.Stream(device))
            # While one stream computes, the other copies the next input.
            streams = [torch.cuda.Stream(device) for _ in range(2)]
            max_size = gpu_tile(device) ** 2
            self._batcher = DynamicBatcher(self.compute, streams, max_size)

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        """Run the network on an array."""
        if self._batcher is not None:
            return self._batcher(numbers)
        return self.compute(numbers[np.newaxis])[0]

    @torch.inference_mode()
    def compute(
        self, numbers: np.ndarray, stream: torch.cuda.Stream | None = None
    ) -> np.ndarray:
        """Run the network on several arrays at a time.

        Parameters
        ----------
        numbers : `~numpy.ndarray`
            float32, ``(n, channels, ny, nx)``; for networks of cutouts,
            ``(n, m, features)``.
        stream : torch.cuda.Stream, optional
            A stream of the network's GPU.

        Returns
        -------
        `~numpy.ndarray`
            float32, ``(n, ny, nx)``; for networks of cutouts, ``(n, m, 3)``.
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

    @contextlib.contextmanager
    def stream(self) -> Iterator[torch.cuda.Stream | None]:
        """Compute on one of two streams of a GPU, and wait until one is idle.

        Yields
        ------
        torch.cuda.Stream or None
            None on other devices.
        """
        if self.device.type != "cuda":
            yield None
            return
        stream = self._idle.get()
        try:
            with torch.cuda.stream(stream):
                yield stream
        finally:
            try:
                # What was allocated here may be freed when nothing uses it.
                stream.synchronize()
            finally:
                self._idle.put(stream)

    def on_device(self, numbers: torch.Tensor) -> torch.Tensor:
        """Run the network on a tensor on its device, and leave the result there.

        Parameters
        ----------
        numbers : torch.Tensor
            float32, ``(channels, ny, nx)``.

        Returns
        -------
        torch.Tensor
            float32, ``(ny, nx)``.
        """
        return self._forward(numbers[None])[0]

    def _forward(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.takes_cutouts:
            features = tensor.flatten(0, 1).to(self.device, self.dtype)
            result = self.network(features).unflatten(0, tensor.shape[:2])
        else:
            result = self.network(
                tensor.to(self.device, self.dtype, memory_format=torch.channels_last)
            )[:, 0]
        result = result.float()
        return result.sigmoid() if self.probability else result


class FusedConvolution(nn.Module):
    """A convolution and its ReLU, if any, with weights in the order of oneDNN."""

    def __init__(self, convolution: nn.Conv2d, relu: bool):
        super().__init__()
        self.geometry = (
            list(convolution.padding),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        )
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(  # noqa: SLF001
            convolution.weight.detach(), *self.geometry, None
        )
        bias = convolution.bias
        self.bias = None if bias is None else bias.detach()
        self.relu = "relu" if relu else "none"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the convolution's output, after the ReLU."""
        return torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001
            x, self.weight, self.bias, *self.geometry, self.relu, [], ""
        )


@torch.inference_mode()
def fuse(network: UNet, dtype: torch.dtype) -> nn.Module:
    """Return a network that gives the same output in fewer passes over memory.

    A convolution and its ReLU become one operator of oneDNN. PyTorch's compiler uses
    the same operators, but needs a C++ compiler on the user's machine, and minutes. On
    one thread of a CPU the U-Nets take 2 % to 10 % longer without.

    Parameters
    ----------
    network : UNet
        On a CPU, for inference.
    dtype : torch.dtype
        Of its input.

    Returns
    -------
    torch.nn.Module
        ``network`` itself where this torch has no such operators, or their output is
        not the same.
    """
    try:
        fused = _fuse_layers(copy.deepcopy(network))
        trial = torch.linspace(
            -1, 5, network.in_channels * 32 * 32, dtype=torch.float32, device="cpu"
        )
        trial = trial.reshape(1, network.in_channels, 32, 32).to(
            dtype, memory_format=torch.channels_last
        )
        expected, got = (net(trial).float() for net in (network, fused))
    except (AttributeError, RuntimeError, NotImplementedError, TypeError):
        return network
    close = torch.allclose(got, expected, rtol=0.02, atol=0.02 * expected.abs().max())
    return fused if close else network


def _fuse_layers(module: nn.Module) -> nn.Module:
    """Replace convolutions, and the ReLU after them, in a module and its submodules."""
    if isinstance(module, nn.Sequential):
        layers: list[nn.Module] = []
        for layer in module:
            if isinstance(layer, nn.ReLU) and isinstance(layers[-1], nn.Conv2d):
                layers[-1] = FusedConvolution(layers[-1], relu=True)
            else:
                layers.append(layer)
        return nn.Sequential(*layers)
    for name, child in module.named_children():
        if type(child) is nn.Conv2d:
            setattr(module, name, FusedConvolution(child, relu=False))
        else:
            setattr(module, name, _fuse_layers(child))
    return module
