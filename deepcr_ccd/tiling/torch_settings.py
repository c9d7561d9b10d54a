"""PyTorch settings of the caller: they have no effect here and are left unchanged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

__all__ = ["neutral_torch_state", "training_state"]


@contextlib.contextmanager
def neutral_torch_state() -> Iterator[None]:
    """Compute without the caller's autocast, inference mode and default device.

    Also a decorator. The default dtype of tensors is one for all threads and stays, so
    that code within names its dtypes.
    """
    with contextlib.ExitStack() as stack:
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextlib.contextmanager
def training_state() -> Iterator[None]:
    """Train with gradients, in float32, and leave the caller's random state alone.

    Also a decorator.
    """
    dtype = torch.get_default_dtype()
    devices = range(torch.cuda.device_count())
    with neutral_torch_state(), torch.enable_grad(), torch.random.fork_rng(devices):
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
