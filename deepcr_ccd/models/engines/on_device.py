"""Tiles of a frame that is in a device's memory, from its pixels to the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ...notices import warn_user
from ...preprocess.network_input import NetworkInput
from ...preprocess.normalize import Normalization
from ...preprocess.on_device.check import is_as_in_memory
from ...preprocess.on_device.frame import DeviceFrame, copy_to_device
from ...preprocess.on_device.normalize import normalization_on_device
from ...preprocess.synthetic_noise import MIN_WIDTH
from ...tiling.forking import ChildSafeLock
from ...tiling.tiles import Tile
from ..recalibration import Points

__all__ = ["DeviceTiles", "measure_with_device", "tiles_on_device", "use_device"]

#: Types of devices on which frames are prepared, rather than in the machine's memory.
DEVICE_TYPES = {"cuda"}
#: Whether a device gave the right numbers, by device.
_WORKS: dict[torch.device, bool] = {}
_CHECKING = ChildSafeLock()


def use_device(frame: Any, bad: Any, device: torch.device) -> None:
    """Copy a frame to the device that its network runs on, if it can be used there.

    Parameters
    ----------
    frame : NetworkInput or other FrameLike
        The frame. The copy becomes its ``device_frame``.
    bad : `~numpy.ndarray` or other FrameLike or None
        bool, ``(ny, nx)``, pixels that are left out of what is measured.
    device : torch.device
        The device.

    Warns
    -----
    AstropyUserWarning
        If a frame on this device is not as in the machine's memory, so that it is not
        used.
    """
    if device.type not in DEVICE_TYPES or not isinstance(frame, NetworkInput):
        return
    thin = min(frame.shape) < MIN_WIDTH
    if thin or not (bad is None or isinstance(bad, np.ndarray)):
        return
    if frame.device_frame is None and _works(device):
        frame.device_frame = copy_to_device(frame, device)


def _works(device: torch.device) -> bool:
    """Tell whether a small frame is prepared there as it is here; tried once."""
    with _CHECKING:
        if device not in _WORKS:
            _WORKS[device] = is_as_in_memory(device)
            if not _WORKS[device]:
                warn_user(
                    f"frames are prepared on the processor, as {device} does not give "
                    "the same numbers"
                )
        return _WORKS[device]


def measure_with_device(
    transform: Callable[..., Normalization], frame: Any, bad: Any
) -> Normalization:
    """Measure a frame, on a device if it was copied there and memory suffices.

    Parameters
    ----------
    transform : callable
        A transform of `~deepcr_ccd.preprocess.normalize`.
    frame, bad
        As for `use_device`. The copy is given up if memory runs out.
    """
    try:
        return transform(frame, bad)
    except torch.OutOfMemoryError:
        if getattr(frame, "device_frame", None) is None:
            raise
    frame.device_frame = None
    return transform(frame, bad)


class DeviceTiles:
    """A function of tiles, for `~deepcr_ccd.tiling.run.run_over_tiles`.

    Parameters
    ----------
    frame : DeviceFrame
        The frame.
    prepare : callable
        From `~deepcr_ccd.preprocess.on_device.normalize.normalization_on_device`.
    run : TorchEngine or MeanOverRotations
        Runs the network.
    points : tuple of (float, float)
        The recalibration curve of the model.
    cuts : tuple of float
        Thresholds of the network's output; none to return probabilities.
    """

    def __init__(
        self,
        frame: DeviceFrame,
        prepare: Callable[[torch.Tensor, Tile], torch.Tensor],
        run: Any,
        points: Points,
        cuts: tuple[float, ...],
    ):
        self.frame = frame
        self.prepare = prepare
        self.run = run
        self.points = points
        self.cuts = tuple(float(np.float32(cut)) for cut in cuts)

    @torch.inference_mode()
    def __call__(self, tile: Tile, frame: DeviceFrame) -> np.ndarray:
        """Return probabilities or levels of the pixels of a tile's read.

        Parameters
        ----------
        tile : Tile
            The tile.
        frame : DeviceFrame
            The frame.
        """
        with self.run.stream() as stream:
            return to_memory(self.compute(tile, frame), stream)

    def compute(self, tile: Tile, frame: DeviceFrame) -> torch.Tensor:
        """Return probabilities or levels, on the device.

        Parameters
        ----------
        tile, frame
            As for a call.
        """
        numbers = self.prepare(frame.pixels(tile), tile)
        found = self.run.on_device(numbers[None])
        if self.cuts:
            levels = (found > self.cuts[0]).view(torch.uint8)
            for cut in self.cuts[1:]:
                levels = levels.add_((found > cut).view(torch.uint8))
            return levels
        return _recalibrate(found, self.points)


def tiles_on_device(
    frame: NetworkInput,
    normalization: Normalization,
    run: Any,
    points: Points,
    cuts: tuple[float, ...],
) -> DeviceTiles | None:
    """Return a function of tiles of a frame that is on the device of its network.

    Parameters
    ----------
    frame : NetworkInput
        After `use_device`.
    normalization : Normalization
        From a transform of `~deepcr_ccd.preprocess.normalize`.
    run : callable
        From `~deepcr_ccd.models.engines.build.build_engine`.
    points, cuts
        As for `DeviceTiles`.

    Returns
    -------
    DeviceTiles or None
        None if the frame is not there, or cannot be prepared there.
    """
    there = frame.device_frame
    if there is None or not hasattr(run, "on_device"):
        return None
    prepare = normalization_on_device(normalization, there.device)
    if prepare is None:
        return None
    return DeviceTiles(there, prepare, run, points, cuts)


def to_memory(result: torch.Tensor, stream: torch.cuda.Stream | None) -> np.ndarray:
    """Return a tensor as an array, after the stream that computes it.

    Parameters
    ----------
    result : torch.Tensor
        On a device.
    stream : torch.cuda.Stream or None
        A stream of that device; None on the CPU.
    """
    if stream is None:
        return result.numpy(force=True)
    back = torch.empty(result.shape, dtype=result.dtype, device="cpu", pin_memory=True)
    back.copy_(result, non_blocking=True)
    stream.synchronize()
    return back.numpy()


def _recalibrate(found: torch.Tensor, points: Points) -> torch.Tensor:
    """Do as `~deepcr_ccd.models.recalibration.recalibrate`, on a device."""
    if not points:
        return found
    outputs, true = (
        torch.tensor(axis, dtype=torch.float32, device=found.device)
        for axis in zip(*points, strict=True)
    )
    after = torch.bucketize(found, outputs).clamp_(1, len(points) - 1)
    x0, x1, y0, y1 = (
        values[index] for values in (outputs, true) for index in (after - 1, after)
    )
    curve = y0 + (y1 - y0) * ((found - x0) / (x1 - x0))
    return torch.where(found > outputs[0], curve, found)
