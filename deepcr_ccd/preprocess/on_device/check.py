"""Whether a device prepares frames as the processor does: a trial on a small one."""

from __future__ import annotations

import numpy as np
import torch

from ...tiling.tiles import plan_tiles
from ...tiling.torch_settings import neutral_torch_state
from ..background import measure_background
from ..network_input import NetworkInput
from ..normalize import NoiseUnits
from .frame import copy_to_device
from .normalize import normalization_on_device

__all__ = ["is_as_in_memory"]

#: By how much numbers may differ, as a fraction of the noise or of the number.
TOLERANCE = 1e-4


@neutral_torch_state()
def is_as_in_memory(device: torch.device) -> bool:
    """Tell whether a small frame is prepared on a device as in memory.

    Parameters
    ----------
    device : torch.device
        The device.

    Returns
    -------
    bool
        Also False if the device cannot do it at all.
    """
    rng = np.random.default_rng(5)
    frame = rng.normal(100, 5, (150, 133)).astype(np.float32)
    frame[rng.random(frame.shape) < 0.02] += 1000
    bad = rng.random(frame.shape) < 0.02
    source = NetworkInput(frame, 1.0, bad)
    expected = measure_background(source, bad)
    units = NoiseUnits(expected, None, None, 0.0, digit=0.5)
    try:
        source.device_frame = copy_to_device(source, device)
        prepare = normalization_on_device(units, device)
        if source.device_frame is None or prepare is None:
            return True
        measured = measure_background(source, bad)
        pairs = [
            (measured.background, expected.background),
            (measured.rms, expected.rms),
        ]
        for tile in plan_tiles(frame.shape, 64, halo=20, stride=8):
            found = prepare(source.device_frame.pixels(tile), tile)
            pairs.append((found.cpu().numpy(), units(source.read(tile), tile)))
    except (RuntimeError, NotImplementedError, TypeError):
        return False
    return all(
        np.allclose(got, wanted, rtol=TOLERANCE, atol=TOLERANCE)
        for got, wanted in pairs
    )
