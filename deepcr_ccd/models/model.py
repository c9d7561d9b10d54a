"""A model: a network and its card, applied to frames."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from ..inpainting.features import CUTOUT_TRANSFORMS
from ..inpainting.network import fill_cutouts
from ..inpainting.pixel_flags import flag_pixels
from ..notices import warn_user
from ..preprocess.cells import FrameLike
from ..preprocess.network_input import NetworkInput
from ..preprocess.normalize import TRANSFORMS, Normalization
from ..preprocess.star_width import UNKNOWN, StarWidth
from ..preprocess.synthetic_noise import pad_thin_frame
from ..segmentation.hysteresis import Thresholds, threshold_levels
from ..tiling.run import run_over_tiles
from ..tiling.tiles import Tile
from ..tiling.torch_settings import neutral_torch_state
from .card import ModelCard
from .card_rules import number
from .engines.build import usable_engine
from .engines.on_device import measure_with_device, tiles_on_device, use_device
from .loaded_network import LoadedNetwork
from .networks.unet import UNet
from .provenance import MAX_TOLERANCE
from .recalibration import network_threshold, recalibrate
from .verification import ORIGIN, TOLERANCE, Verification, make_test, verify
from .weights import write_weights

__all__ = ["Model", "ModelCard"]


class Model(LoadedNetwork):
    """A network and its card, applied to frames: see `LoadedNetwork` for how it runs.

    A detection model has `probability`, an inpainting model `fill`.
    """

    @neutral_torch_state()
    def probability(
        self,
        frame: np.ndarray | NetworkInput,
        *,
        bad: np.ndarray | None = None,
        tile_size: int | None = None,
        progress: bool = False,
        prepared: Normalization | None = None,
        region: tuple[tuple[int, int], tuple[int, int]] | None = None,
        thresholds: Thresholds | None = None,
        star_width: StarWidth | None = None,
        **noise_facts: Any,
    ) -> np.ndarray:
        """Return the probability that each pixel is affected by a cosmic ray.

        Parameters
        ----------
        frame : `~numpy.ndarray` or `~deepcr_ccd.preprocess.network_input.NetworkInput`
            ``(ny, nx)``, finite, in the card's unit; bad pixels already filled.
        bad : `~numpy.ndarray`, optional
            bool, ``(ny, nx)``, pixels left out of the statistics of the frame.
        tile_size : int, optional
            Core of a tile, in px. It changes memory and speed, not the result.
        progress : bool
            Show a progress bar.
        prepared : callable, optional
            The result of `prepare`, if it has been called already.
        region : tuple, optional
            Rows and columns to return, as ``(start, stop)``; by default all.
        thresholds : `~deepcr_ccd.segmentation.hysteresis.Thresholds`, optional
            Return levels of these in place of the probability, in a quarter of the
            memory.
        star_width : StarWidth, optional
            How wide the stars of the frame are, for networks that are told; by default
            it is measured on the frame.
        **noise_facts
            Known properties of the noise, for transforms that use them: see
            `~deepcr_ccd.preprocess.normalize.in_noise_units`.

        Returns
        -------
        `~numpy.ndarray`
            float32, ``(ny, nx)`` of the region, in [0, 1]; with thresholds, uint8, from
            `~deepcr_ccd.segmentation.hysteresis.threshold_levels`.
        """
        self.require("mask")
        plane = _as_network_input(frame)
        apply = prepared or self.prepare(
            plane, bad, star_width=star_width, **noise_facts
        )
        run = self.engine_for(getattr(apply, "star_width", None) or UNKNOWN)
        points = self.card.recalibration
        cuts: tuple[float, ...] = ()
        if thresholds is not None:
            cuts = tuple(network_threshold(cut, points) for cut in thresholds.cuts)
        stride = self.network.stride
        how: dict = {"region": region, "tile_size": tile_size, "progress": progress}
        how["dtype"] = np.float32 if thresholds is None else np.uint8
        there = tiles_on_device(plane, apply, run, points, cuts)
        if there is not None:
            return self._map(there, [there.frame], **how)

        def function(tile: Tile, values: np.ndarray) -> np.ndarray:
            numbers = apply(values, tile)
            if self.card.transform_info.reflect:
                found = run(numbers[np.newaxis])
            else:
                numbers, inside = pad_thin_frame(numbers, tile, plane.shape, stride)
                found = run(numbers[np.newaxis])[inside]
            if thresholds is None:
                return recalibrate(found, points)
            return threshold_levels(found, cuts)

        return self._map(function, [plane], **how)

    @neutral_torch_state()
    def fill(
        self,
        frame: np.ndarray | NetworkInput,
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
        frame : `~numpy.ndarray` or `~deepcr_ccd.preprocess.network_input.NetworkInput`
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
        fill, lower_limit : `~numpy.ndarray`
            float32, one value a masked pixel, in the order of ``frame[mask]``. Fills
            are NaN where a cutout has too few good pixels. The true value is at least
            ``lower_limit`` with a probability of 0.75; minus infinity where unknown.
        """
        self.require("inpaint")
        frame = _as_network_input(frame)
        if self.network.takes_cutouts:
            return fill_cutouts(
                frame,
                mask,
                flag_pixels(mask, bad, cr_affected),
                run=self.engine_for(),
                prepare=CUTOUT_TRANSFORMS[self.card.transform],
                radius=self.network.radius,
                device=self.device,
                origin=origin,
            )
        hidden = mask if bad is None else mask | bad
        apply, run = self.prepare(frame, hidden), self.engine_for()

        def function(
            tile: Tile, values: np.ndarray, targets: np.ndarray, hidden: np.ndarray
        ) -> np.ndarray:
            if not targets[tile.crop].any():
                return values
            planes = np.empty((2, *values.shape), dtype=np.float32)
            planes[0] = apply(values, tile)
            planes[0][hidden] = 0
            planes[1] = hidden
            filled = run(planes)
            filled[targets] = apply.invert(filled, tile, targets)
            return filled

        filled = self._map(
            function, [frame, mask, hidden], tile_size=tile_size, progress=progress
        )[mask]
        return filled, np.full_like(filled, -np.inf)

    @neutral_torch_state()
    def prepare(
        self,
        frame: FrameLike,
        bad: FrameLike | None = None,
        *,
        star_width: StarWidth | None = None,
        **noise_facts: Any,
    ) -> Normalization:
        """Measure a frame, and return what takes its pixels to the network's input.

        Parameters
        ----------
        frame, bad, star_width, **noise_facts
            As for `probability`; the frame needs only a shape and to be indexed.

        Returns
        -------
        callable
            See `~deepcr_ccd.preprocess.normalize.Normalization`.
        """
        used = self.card.uses_noise_facts
        facts = {key: fact for key, fact in noise_facts.items() if key in used}
        if self.card.uses_star_width:
            facts["star_width"] = star_width or "measure"
        if self.card.task == "mask":
            use_device(frame, bad, self.device)
        measure = functools.partial(
            TRANSFORMS[self.card.transform],
            **self.card.transform_arguments,
            **facts,
        )
        return measure_with_device(measure, frame, bad)

    def with_test(
        self,
        frame: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        *,
        origin: str | None = None,
        tolerance: float = TOLERANCE,
    ) -> Model:
        """Return this model with a test input, and with what it gives for that now.

        Both go into the file when the model is saved, for `verify`.

        Parameters
        ----------
        frame : `~numpy.ndarray`, optional
            ``(ny, nx)``, in the card's unit, 64 to 512 px a side; by default a
            simulated one of 128 px.
        mask : `~numpy.ndarray`, optional
            bool, ``(ny, nx)``, the CR mask, for inpainting models alone; by default
            that of the simulated frame.
        origin : str, optional
            What the frame is, in words; to be given with a frame.
        tolerance : float
            By how much the output may differ elsewhere: absolute for values up to 1,
            relative above. From 0 to 0.05.

        Raises
        ------
        TypeError
            If the frame holds no real numbers, or has a unit or a mask of its own; or
            the mask is not bool.
        ValueError
            If the tolerance or the frame is too large, or that is too small or not
            finite, the mask does not fit it or is empty, or the output is not finite.
        """
        if not number(0, MAX_TOLERANCE).allows(tolerance):
            raise ValueError(
                f"tolerance={tolerance!r} must be a number from 0 to {MAX_TOLERANCE:g}"
            )
        words = origin or (ORIGIN if frame is None else "")
        card = dataclasses.replace(
            self.card, test_origin=words, test_tolerance=tolerance
        )
        return type(self)(
            card,
            self.network,
            device=self.device,
            precision=self.precision,
            engine=self._chosen_engine,
            test=make_test(self, frame, mask),
        )

    def verify(self) -> Verification:
        """Check the weights against the digest in the card, and run the test input.

        Returns
        -------
        Verification
            Its ``passed`` is True if both checks were made and passed; printed, it
            tells what was found. The model runs where it is, by its engine, in float32.

        Examples
        --------
        >>> from deepcr_ccd import load_model
        >>> load_model("universal", device="cpu").verify().passed
        True
        """
        return verify(self)

    @neutral_torch_state()
    def save(self, path: str | os.PathLike) -> None:
        """Write network, card and test input to one safetensors file.

        The file appears whole or not at all. A model without a test input gets the one
        of `with_test`, and the card in the file gets the digest of the weights.

        Parameters
        ----------
        path : str or path-like
            Where to; by custom it ends in ``.safetensors``.

        Raises
        ------
        ValueError
            If the path is empty or that of a folder.
        """
        model = self
        if self.test is None:
            try:
                model = self.with_test()
            except ValueError as error:
                warn_user(f"{self.card.name!r} is saved without a test input: {error}")
        write_weights(path, model.network.state_dict(), model.card, model.test)

    def _map(self, function: Callable, frames: list, **options: Any) -> np.ndarray:
        return run_over_tiles(
            function,
            frames,
            cast(UNet, self.network),
            self.device,
            engine=usable_engine(self.engine),
            description=self.card.name,
            reflect=self.card.transform_info.reflect,
            **options,
        )


def _as_network_input(frame: np.ndarray | NetworkInput) -> NetworkInput:
    return frame if isinstance(frame, NetworkInput) else NetworkInput(frame)
