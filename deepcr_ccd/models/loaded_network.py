"""A network with its card, on a device, in a precision, run by an engine."""

from __future__ import annotations

import copy
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Self

import numpy as np
import torch

from ..choices import EngineName, PrecisionName
from ..html_table import html_table
from ..preprocess.star_width import UNKNOWN, StarWidth, cautious, width_code
from ..tiling.forking import ChildSafeLock
from ..tiling.torch_settings import neutral_torch_state
from .card import ModelCard
from .engines.build import (
    build_engine,
    keep_engine,
    resolve_engine,
    usable_engine,
)
from .engines.devices import resolve_device, resolve_precision
from .networks.build import Network, restore_network
from .networks.unet import UNet
from .verification import ModelTest
from .weights import read_network, read_test

__all__ = ["LoadedNetwork"]

#: While an engine is built, so that threads that need it do not all build it. Children
#: that are forked meanwhile must not wait for it.
_BUILDING = ChildSafeLock()
#: How many engines a model keeps, each with memory for tiles. A network that is
#: told the width of a frame's stars has one for each width.
MAX_ENGINES = 3


class LoadedNetwork:
    """A network and its card, ready to run.

    It does not change once made, so one may be shared by threads.

    Parameters
    ----------
    card : ModelCard
        What the network needs.
    network : torch.nn.Module
        The network, with the attributes ``radius``, ``halo`` and ``stride``.
    device : str or torch.device, optional
        Where it runs; None takes CUDA, then MPS, then the CPU.
    precision : {"auto", "float32", "bfloat16", "int8"}, optional
        Precision of the computation; by default bfloat16 where the processor supports
        it.
    engine : {"auto", "torch", "openvino"}, optional
        The engine that runs it; by default OpenVINO where that is installed, for
        detection models on the CPU, and PyTorch elsewhere.
    test : ModelTest, optional
        A test input, with the output for it; see `Model.with_test`.

    Raises
    ------
    TypeError
        If ``test`` is something else.
    ValueError
        If the device is absent, the engine does not run such a network there, or
        ``precision="int8"`` is not possible.
    ImportError
        If OpenVINO is asked for and not installed; when it is first used.
    """

    @neutral_torch_state()
    def __init__(
        self,
        card: ModelCard,
        network: Network,
        *,
        device: str | torch.device | None = None,
        precision: PrecisionName | None = None,
        engine: EngineName | None = None,
        test: ModelTest | None = None,
    ):
        if network.takes_cutouts != card.transform_info.for_cutouts:
            raise ValueError(
                f"card of {card.name!r}: transform={card.transform!r} is not for "
                f"architecture={card.architecture!r}"
            )
        if test is not None and not isinstance(test, ModelTest):
            raise TypeError(
                f"test={test!r} must be a ModelTest or None; Model.with_test makes one"
            )
        self.card = card
        self.test = test
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        self.engine = resolve_engine(engine, network, self.device, card.task)
        #: The user's choice, kept by `to` and pickling; None is the default.
        self._chosen_engine: EngineName | None = None if engine == "auto" else engine
        self._built: OrderedDict[tuple, Callable] = OrderedDict()
        self._fingerprint: str | None = None
        if self.precision == "int8" and not (self.engine == "openvino" and card.ranges):
            raise ValueError(
                "precision='int8' needs OpenVINO, the CPU, and a model whose card has "
                f"ranges, as that of 'universal' has; not {card.name!r} run by "
                f"{self.engine} on {self.device}"
            )
        network.eval().requires_grad_(False)
        # The hints of torch lack this argument.
        network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network

    def engine_for(self, star_width: StarWidth = UNKNOWN) -> Callable:
        """Return what runs the network on arrays, see `build_engine`.

        It is built when it is first needed, and kept.

        Parameters
        ----------
        star_width : StarWidth
            How wide the stars of the frame are, for networks that are told.
        """
        engine = usable_engine(self.engine)
        widths = getattr(self.network, "star_widths", ())
        code = width_code(cautious(star_width), widths) if widths else ()
        key = engine, code
        with _BUILDING:
            if key not in self._built:
                self._built[key] = self._build(*key)
                while len(self._built) > MAX_ENGINES:
                    self._built.popitem(last=False)
            self._built.move_to_end(key)
            return self._built[key]

    @neutral_torch_state()
    def _build(
        self, engine: str, code: tuple[float, ...]
    ) -> Callable[[np.ndarray], np.ndarray]:
        network = self.network
        return build_engine(
            engine,
            network.of_frame(code) if isinstance(network, UNet) else network,
            self.device,
            self.precision,
            self.card.task,
            wide_input=self.card.transform_info.wide_range,
            activation_ranges=self.card.ranges,
            rotations=self.card.turns,
        )

    @neutral_torch_state()
    def __reduce__(self) -> tuple:
        network = copy.deepcopy(self.network).cpu()
        # Where it arrives there may be no OpenVINO, or one.
        how = self.device, self.precision, self._chosen_engine, self.test
        return _rebuild, (type(self), self.card, network, *how)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.card.name} ({self.card.task}) on "
            f"{self.device}, {self.precision}, {usable_engine(self.engine)}>"
        )

    def _repr_html_(self) -> str:
        """Return a table for notebooks: how it runs, and its card."""
        how = f"{self.device}, {self.precision}, {usable_engine(self.engine)}"
        rows = {"runs on": how, **self.card.facts()}
        return html_table(f"Model {self.card.name}", rows)

    @property
    def fingerprint(self) -> str:
        """A digest of the weights."""
        if self._fingerprint is None:
            digest = hashlib.blake2b(digest_size=12)
            for key, value in sorted(self.network.state_dict().items()):
                digest.update(key.encode())
                digest.update(value.cpu().contiguous().numpy().tobytes())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    def require(self, task: str) -> None:
        """Raise a ValueError if the model is for another task.

        Parameters
        ----------
        task : {"mask", "inpaint"}
            The task.
        """
        if self.card.task != task:
            raise ValueError(
                f"model={self.card.name!r} is for task {self.card.task!r}, "
                f"not for {task!r}"
            )

    @neutral_torch_state()
    def to(
        self,
        device: str | torch.device | None = None,
        precision: PrecisionName | None = None,
        engine: EngineName | None = None,
    ) -> Self:
        """Return this model on another device, in another precision or engine.

        Parameters
        ----------
        device : str, torch.device or None
            None leaves it where it is.
        precision : {"auto", "float32", "bfloat16", "int8"}, optional
            Precision of the computation; "auto" is bfloat16 where the processor
            supports it. None leaves it as it is.
        engine : {"auto", "torch", "openvino"}, optional
            The engine that runs it. None keeps the one that was chosen before, where
            it runs the network on that device, and otherwise takes the default.

        Returns
        -------
        Model
            The same one if nothing changes.
        """
        target = self.device if device is None else resolve_device(device)
        moved = target != self.device
        new_precision = self.precision
        if moved or precision is not None:
            new_precision = resolve_precision(precision, target)
        where = self.network, target, self.card.task
        wanted = engine or keep_engine(self._chosen_engine, *where)
        new_engine = resolve_engine(wanted, *where)
        if not moved and (new_precision, new_engine) == (self.precision, self.engine):
            return self
        network = restore_network(
            self.card.architecture, self.card.arguments, self.network.state_dict()
        )
        return type(self)(
            self.card,
            network,
            device=target,
            precision=new_precision,
            engine=wanted,
            test=self.test,
        )

    @classmethod
    @neutral_torch_state()
    def load(
        cls,
        path: str | os.PathLike,
        *,
        device: str | torch.device | None = None,
        precision: PrecisionName | None = None,
        engine: EngineName | None = None,
    ) -> Self:
        """Read a model file.

        Parameters
        ----------
        path : str or path-like
            A safetensors file with a card.
        device : str or torch.device, optional
            Where the model runs.
        precision : {"auto", "float32", "bfloat16", "int8"}, optional
            Precision of the computation.
        engine : {"auto", "torch", "openvino"}, optional
            The engine that runs it.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is truncated, has no card, or its tensors do not fit it.
        """
        card, network = read_network(path)
        return cls(
            card,
            network,
            device=device,
            precision=precision,
            engine=engine,
            test=read_test(path, card.task),
        )


def _rebuild(
    cls: type[LoadedNetwork],
    card: ModelCard,
    network: Network,
    device: torch.device,
    precision: PrecisionName,
    engine: EngineName | None,
    test: ModelTest | None = None,
) -> LoadedNetwork:
    engine = keep_engine(engine, network, device, card.task)
    return cls(
        card, network, device=device, precision=precision, engine=engine, test=test
    )
