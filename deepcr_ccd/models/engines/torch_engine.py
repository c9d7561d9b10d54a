"""PyTorch as what runs a network."""

from __future__ import annotations

import numpy as np
import torch

from ...tiling.workers import gpu_tile
from .batching import DynamicBatcher
from .devices import TORCH_DTYPES
from .fusing import fuse
from .precision import reduce_precision

__all__ = ["TorchEngine"]


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
        if device.type == "cpu" and not self.takes_cutouts:
            network = fuse(network, self.dtype)
        self.network = network
        self._together = None
        if device.type == "cuda":
            # While one stream computes, another takes in what comes next.
            streams = [torch.cuda.Stream(device) for _ in range(2)]
            most = gpu_tile(device) ** 2
            self._together = DynamicBatcher(self.compute, streams, most)

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
        if self.takes_cutouts:
            windows = tensor.flatten(0, 1).to(self.device, self.dtype)
            result = self.network(windows).unflatten(0, tensor.shape[:2])
        else:
            result = self.network(
                tensor.to(self.device, self.dtype, memory_format=torch.channels_last)
            )[:, 0]
        result = result.float()
        return result.sigmoid() if self.probability else result
