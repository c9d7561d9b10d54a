"""Where networks run, and in what precision."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from ...choices import PRECISIONS, PrecisionName

__all__ = [
    "TORCH_DTYPES",
    "resolve_device",
    "resolve_precision",
]

#: Types of PyTorch, by precision.
TORCH_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def resolve_device(device: str | torch.device | None) -> torch.device:
    """Return the torch device of a name.

    Parameters
    ----------
    device : str, torch.device or None
        Such as ``"cpu"`` or ``"cuda:1"``; None takes CUDA, then MPS, then the CPU.

    Raises
    ------
    ValueError
        If the device is unknown or absent.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is unknown; use 'cpu', 'cuda', 'cuda:N' or 'mps'"
        ) from error
    present: dict[str, Callable[[], bool]] = {
        "cpu": lambda: True,
        "cuda": lambda: (resolved.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available,
    }
    if resolved.type not in present:
        raise ValueError(
            f"device={device!r} is not supported; use 'cpu', 'cuda', 'cuda:N' or 'mps'"
        )
    if not present[resolved.type]():
        raise ValueError(f"device={device!r} is absent on this machine")
    return resolved


def resolve_precision(precision: str | None, device: torch.device) -> PrecisionName:
    """Return the precision that a network runs in.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "int8"} or None
        With "auto" or None, bfloat16 where the processor computes in it, that is on
        CPUs with AMX or AVX512-BF16 and on GPUs since Ampere, and float32 elsewhere.
    device : torch.device
        Where the network runs.

    Raises
    ------
    ValueError
        If the precision is unknown.
    """
    if precision in (None, "auto"):
        return "bfloat16" if _has_bfloat16(device) else "float32"
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision={precision!r} is unknown; allowed are "
            + ", ".join(map(repr, PRECISIONS))
        )
    return precision


@functools.cache
def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu":
        return False
    # Elsewhere bfloat16 is emulated, which is slower than float32.
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    checks = (getattr(torch.cpu, name, None) for name in names)
    return any(check is not None and check() for check in checks)
