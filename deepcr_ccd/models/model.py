"""A model: a network plus a card that says what goes in and what it is good for."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable

import numpy as np
import torch

from ..inpainting.features import CUTOUT_TRANSFORMS
from ..inpainting.network import fill_cutouts
from ..inpainting.pixel_flags import flag_pixels
from ..preprocess.network_input import Plane
from ..preprocess.normalize import TRANSFORMS
from ..preprocess.synthetic_noise import pad_thin_frame
from ..segmentation.hysteresis import Thresholds, threshold_levels
from ..tiling.forking import ChildSafeLock
from ..tiling.run import run_over_tiles
from ..tiling.tiles import Tile
from ..tiling.torch_settings import neutral_torch_state
from .card import ModelCard
from .engines.build import build_engine, engine_here, resolve_engine
from .engines.devices import resolve_device, resolve_precision
from .network_checks import check_output
from .networks.build import restore_network
from .recalibration import network_threshold, recalibrate
from .weights import read_weights, write_weights

__all__ = ["Model", "ModelCard"]

#: While an engine is built, so that threads that need it do not all build it.
_BUILDING = ChildSafeLock()


class _Engine:
    """The engine of a model, built when it is first asked for, and kept with it.

    ``functools.cached_property`` would do, but for a lock that stays locked in children
    that are forked while another thread builds, and for engines that do not work there.
    """

    def __get__(self, model: Model | None, owner=None):
        if model is None:
            return self
        engine = engine_here(model.engine)
        with _BUILDING:
            if model._built[0] != engine:  # noqa: SLF001
                model._built = engine, model._build(engine)  # noqa: SLF001
            return model._built[1]  # noqa: SLF001


class Model:
    """A network and its card.

    Models do not change once made, so one may be shared by threads.

    Parameters
    ----------
    card : ModelCard
        What the network needs.
    network : torch.nn.Module
        The network, with the attributes ``radius``, ``halo`` and ``stride``.
    device : str or torch.device, optional
        Where it runs; None takes CUDA, then MPS, then the CPU.
    precision : {"auto", "float32", "bfloat16", "int8"}, optional
        What it computes in; by default bfloat16 where the processor has it.
    engine : {"auto", "torch", "openvino"}, optional
        What runs it; by default OpenVINO where that is installed, for networks that
        find cosmic rays on the CPU, and PyTorch elsewhere.
    """

    @neutral_torch_state()
    def __init__(
        self,
        card: ModelCard,
        network: torch.nn.Module,
        *,
        device=None,
        precision: str | None = None,
        engine: str | None = None,
    ):
        if network.takes_cutouts != (card.transform in CUTOUT_TRANSFORMS):
            raise ValueError(
                f"card of {card.name!r}: transform={card.transform!r} is not for "
                f"architecture={card.architecture!r}"
            )
        self.card = card
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        self.engine = resolve_engine(engine, network, self.device, card.task)
        self._asked = "torch" if engine == "torch" else None
        self._built: tuple = None, None
        self._digest: str | None = None
        if self.precision == "int8" and not (self.engine == "openvino" and card.ranges):
            raise ValueError(
                "precision='int8' needs OpenVINO, the CPU, and a model whose card has "
                f"ranges, as that of 'universal' has; not {card.name!r} run by "
                f"{self.engine} on {self.device}"
            )
        self.network = (
            network.eval()
            .requires_grad_(False)
            .to(self.device, memory_format=torch.channels_last)
        )

    #: What runs the network; that itself stays whole, to be saved and moved.
    _run = _Engine()

    @neutral_torch_state()
    def _build(self, engine: str) -> Callable[[np.ndarray], np.ndarray]:
        return build_engine(
            engine,
            self.network,
            self.device,
            self.precision,
            self.card.task,
            wide_input=self.card.transform_info.wide_range,
            ranges=self.card.ranges,
            turns=self.card.turns,
        )

    @neutral_torch_state()
    def __reduce__(self):
        network = copy.deepcopy(self.network).cpu()
        # Where it arrives there may be no OpenVINO, or one.
        how = self.device, self.precision, self._asked
        return _rebuild, (self.card, network, *how)

    def __repr__(self):
        return (
            f"<Model {self.card.name} ({self.card.task}) on {self.device}, "
            f"{self.precision}, {engine_here(self.engine)}>"
        )

    @property
    def fingerprint(self) -> str:
        """A digest of the weights."""
        if self._digest is None:
            self._digest = self._digest_of_weights()
        return self._digest

    def _digest_of_weights(self) -> str:
        digest = hashlib.blake2b(digest_size=12)
        for key, value in sorted(self.network.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @neutral_torch_state()
    def to(
        self, device=None, precision: str | None = None, engine: str | None = None
    ) -> Model:
        """Return this model on another device, in another precision or engine.

        Parameters
        ----------
        device : str, torch.device or None
            None leaves it where it is.
        precision : {"auto", "float32", "bfloat16", "int8"}, optional
            What it computes in; "auto" is bfloat16 where the processor has it. None
            leaves it as it is.
        engine : {"auto", "torch", "openvino"}, optional
            What runs it. None leaves it as it is, if the device is the same.
        """
        target = self.device if device is None else resolve_device(device)
        moved = target != self.device
        wanted = (
            resolve_precision(precision, target)
            if moved or precision is not None
            else self.precision
        )
        asked = engine or self._asked
        engine = resolve_engine(asked, self.network, target, self.card.task)
        if not moved and (wanted, engine) == (self.precision, self.engine):
            return self
        network = restore_network(
            self.card.architecture, self.card.arguments, self.network.state_dict()
        )
        how = {"device": target, "precision": wanted, "engine": asked}
        return Model(self.card, network, **how)

    @neutral_torch_state()
    def probability(
        self,
        frame: np.ndarray,
        *,
        bad: np.ndarray | None = None,
        tile_size: int | None = None,
        progress: bool = False,
        prepared: Callable | None = None,
        region: tuple[tuple[int, int], tuple[int, int]] | None = None,
        thresholds: Thresholds | None = None,
        **facts,
    ) -> np.ndarray:
        """Return the probability that a cosmic ray struck each pixel.

        Parameters
        ----------
        frame : `~numpy.ndarray` or `~deepcr_ccd.preprocess.network_input.Plane`
            ``(ny, nx)``, finite, in the card's unit; bad pixels already filled.
        bad : `~numpy.ndarray`, optional
            Pixels that frame-wide statistics leave out.
        tile_size : int, optional
            Core of a tile, in px. It changes memory and speed, not the result.
        progress : bool
            Show a progress bar.
        prepared : callable, optional
            From `prepare`, where that is done already.
        region : tuple, optional
            Rows and columns that are wanted, as ``(start, stop)``; by default all.
        thresholds : `~deepcr_ccd.segmentation.hysteresis.Thresholds`, optional
            Tell which of them the probability is above, in a quarter of the memory.
        **facts
            What is known of the noise, for transforms that use it.

        Returns
        -------
        `~numpy.ndarray`
            float32, of the shape of the region, in [0, 1]; with thresholds,
            uint8, their levels.
        """
        self.require("mask")
        frame = _as_plane(frame)
        apply = prepared or self.prepare(frame, bad, **facts)
        run, points = self._run, self.card.recalibration
        cuts = thresholds and [
            network_threshold(cut, points) for cut in thresholds.cuts
        ]
        stride = self.network.stride

        def function(tile: Tile, values: np.ndarray) -> np.ndarray:
            numbers, inside = apply(values, tile), ...
            if not self.card.transform_info.reflect:
                numbers, inside = pad_thin_frame(numbers, tile, frame.shape, stride)
            found = run(numbers[np.newaxis])[inside]
            return threshold_levels(found, cuts) if cuts else recalibrate(found, points)

        return self._map(
            function,
            [frame],
            region=region,
            tile_size=tile_size,
            progress=progress,
            dtype=np.float32 if thresholds is None else np.uint8,
        )

    @neutral_torch_state()
    def fill(
        self,
        frame: np.ndarray,
        mask: np.ndarray,
        *,
        bad: np.ndarray | None = None,
        cr_affected: np.ndarray | None = None,
        origin: tuple[int, int] = (0, 0),
        tile_size: int | None = None,
        progress: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what the network predicts at masked pixels.

        Parameters
        ----------
        frame : `~numpy.ndarray` or `~deepcr_ccd.preprocess.network_input.Plane`
            ``(ny, nx)``, in the card's unit.
        mask : `~numpy.ndarray`
            bool, ``(ny, nx)``, True where to fill.
        bad : `~numpy.ndarray`, optional
            bool, ``(ny, nx)``, True where the frame is not to be used either; all
            pixels that are not finite must be in it, or in ``mask``.
        cr_affected : `~numpy.ndarray`, optional
            bool, ``(ny, nx)``, True where a cosmic ray added to what was there; for
            networks that work on cutouts.
        origin : tuple of int, optional
            Where in its frame this one begins, if it is a piece; for such networks.
        tile_size : int, optional
            Core of a tile, in px; for networks that work on tiles.
        progress : bool
            Show a progress bar; for networks that work on tiles.

        Returns
        -------
        fill, least : `~numpy.ndarray`
            float32, one value a masked pixel, in the order of ``frame[mask]``. Fills
            are NaN where a cutout has too few good pixels. The true value is at least
            ``least`` with a probability of 0.75; minus infinity where unknown.
        """
        self.require("inpaint")
        frame = _as_plane(frame)
        if self.network.takes_cutouts:
            return fill_cutouts(
                frame,
                mask,
                flag_pixels(mask, bad, cr_affected),
                run=self._run,
                prepare=CUTOUT_TRANSFORMS[self.card.transform],
                radius=self.network.radius,
                device=self.device,
                origin=origin,
            )
        hidden = mask if bad is None else mask | bad
        apply = self.prepare(frame, hidden)

        def function(
            tile: Tile, values: np.ndarray, targets: np.ndarray, hidden: np.ndarray
        ) -> np.ndarray:
            if not targets[tile.crop].any():
                return values
            planes = np.empty((2, *values.shape), dtype=np.float32)
            planes[0] = apply(values, tile)
            planes[0][hidden] = 0
            planes[1] = hidden
            filled = self._run(planes)
            filled[targets] = apply.invert(filled, tile, targets)
            return filled

        filled = self._map(
            function, [frame, mask, hidden], tile_size=tile_size, progress=progress
        )[mask]
        return filled, np.full_like(filled, -np.inf)

    @neutral_torch_state()
    def save(self, path: str | os.PathLike) -> None:
        """Write network and card to one safetensors file.

        The file appears whole or not at all.

        Parameters
        ----------
        path : str or path-like
            Where to; by custom it ends in ``.safetensors``.
        """
        write_weights(path, self.network.state_dict(), self.card)

    @classmethod
    @neutral_torch_state()
    def load(
        cls,
        path: str | os.PathLike,
        *,
        device=None,
        precision: str | None = None,
        engine: str | None = None,
    ) -> Model:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path-like
            A safetensors file with a card.
        device : str or torch.device, optional
            Where the model shall run.
        precision : {"auto", "float32", "bfloat16", "int8"}, optional
            What it shall compute in.
        engine : {"auto", "torch", "openvino"}, optional
            What shall run it.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is truncated, has no card, or its tensors do not fit it.
        """
        card, tensors = read_weights(path)
        try:
            network = restore_network(card.architecture, card.arguments, tensors)
            check_output(network, card.task)
            layers = 0 if network.takes_cutouts else len(network.inner_layers())
            if len(card.ranges) not in (0, layers):
                raise ValueError(f"{len(card.ranges)} ranges for {layers} layers")
        except ValueError as error:
            raise ValueError(
                f"model file {os.fspath(path)!r}: its tensors do not fit its card: "
                f"{error}"
            ) from error
        return cls(card, network, device=device, precision=precision, engine=engine)

    def require(self, task: str) -> None:
        """Raise a ValueError if the model is for another task.

        Parameters
        ----------
        task : {"mask", "inpaint"}
            What it shall be for.
        """
        if self.card.task != task:
            raise ValueError(
                f"model={self.card.name!r} is for task {self.card.task!r}, "
                f"not for {task!r}"
            )

    @neutral_torch_state()
    def prepare(
        self, frame: np.ndarray, bad: np.ndarray | None = None, **facts
    ) -> Callable:
        """Take the measure of a frame: what its pixels become for the network.

        Parameters
        ----------
        frame, bad, **facts
            As for `probability`; the frame needs no more than a shape and to be
            indexed.

        Returns
        -------
        callable
            See ``deepcr_ccd.preprocess.normalize``.
        """
        known = {key: facts[key] for key in self.card.uses if key in facts}
        prepare = TRANSFORMS[self.card.transform].prepare
        return prepare(frame, bad, **self.card.transform_arguments, **known)

    def _map(self, function: Callable, frames: list, **options) -> np.ndarray:
        return run_over_tiles(
            function,
            frames,
            self.network,
            self.device,
            engine=engine_here(self.engine),
            description=self.card.name,
            reflect=self.card.transform_info.reflect,
            **options,
        )


def _rebuild(card: ModelCard, network, device, precision: str, engine) -> Model:
    return Model(card, network, device=device, precision=precision, engine=engine)


def _as_plane(frame: np.ndarray | Plane) -> Plane:
    return frame if isinstance(frame, Plane) else Plane(frame)
