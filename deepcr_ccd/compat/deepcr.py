"""The interface of the original deepCR package: its class."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ..models.zoo import load_model
from ..nddata.frame import as_mask, read_frame
from ..nddata.typing import CCDLike, MaskLike
from ..pipeline import detect as detection
from ..pipeline.fill import Fill, fill_frame
from ..tiling.forking import set_threads

__all__ = ["deepCR"]

#: Default width of the original; here the width is read from the weights.
HIDDEN = 32


class _Probability(torch.nn.Module):
    """A detection network that ends in a sigmoid, as the original's does."""

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the probability of a cosmic ray in each pixel."""
        return self.network(x).sigmoid()


class deepCR:  # noqa: N801
    """The original deepCR class, on the networks and tiles of this package.

    Code written for ``from deepCR import deepCR`` runs unchanged; in place of tiles
    that end at their edges, tiles here overlap, so that ``segment`` and ``patch``
    change memory and speed but not the result.

    Parameters
    ----------
    mask : str
        Name of a mask model, or path of a model file.
    inpaint : str, optional
        Name of an inpainting model, or path of one. Without it, the median of good
        neighbours fills.
    device : {"CPU", "GPU"}
        Where to run.
    hidden : int
        Width of the network; it is read from the weights, and another value than
        theirs raises an error.

    Attributes
    ----------
    maskNet, inpaintNet : torch.nn.Module
        The networks; the latter is None without an inpainting model.
    scale, norm : float, bool
        What an image is divided by, and whether it is standardised, before it goes into
        ``maskNet``.

    Raises
    ------
    ValueError
        If a model or the device is unknown or absent, or ``hidden`` does not fit.
    FileNotFoundError
        If a model is the path of a file that does not exist.

    References
    ----------
    Zhang, K. & Bloom, J. S. 2020, ApJ 889, 24.

    Examples
    --------
    >>> import numpy as np
    >>> from deepcr_ccd import deepCR
    >>> image = np.random.default_rng(1).normal(60, 8, (64, 64))
    >>> image[20, 20:26] += 900
    >>> mdl = deepCR(mask="universal", device="CPU")
    >>> mask = mdl.clean(image, threshold=0.5)
    >>> int(mask[20, 20:26].sum())
    6
    """

    def __init__(
        self,
        mask: str = "ACS-WFC",
        inpaint: str | None = None,
        device: str = "CPU",
        hidden: int = HIDDEN,
    ):
        devices = {"CPU": "cpu", "GPU": "cuda"}
        if device not in devices:
            raise ValueError(f"device={device!r} is unknown; allowed are 'CPU', 'GPU'")
        if device == "GPU" and not torch.cuda.is_available():
            raise ValueError("device='GPU' is absent: no CUDA device was found")
        # As the original does: for its numbers, not for speed.
        load = functools.partial(
            load_model, device=devices[device], precision="float32"
        )
        self.mask_model = load(mask, task="mask")
        width = self.mask_model.card.arguments.get("width", hidden)
        if hidden not in (HIDDEN, width):
            raise ValueError(f"hidden={hidden!r} does not fit {mask!r}: it has {width}")
        self.inpaint_model = None
        if inpaint is not None:
            self.inpaint_model = load(inpaint, task="inpaint")
        # Attributes of the original that scripts read; nothing here depends on them.
        card = self.mask_model.card
        self.maskNet = _Probability(self.mask_model.network).eval()
        self.inpaintNet = self.inpaint_model and self.inpaint_model.network
        self.scale = card.transform_arguments.get("scale", 1)
        self.norm = card.transform == "standardized"
        self.percentile = self.median = self.std = None

    def clean(
        self,
        img0: CCDLike,
        threshold: float = 0.5,
        inpaint: bool = False,
        binary: bool = True,
        segment: bool = True,
        patch: int = 1024,
        n_jobs: int = 1,
    ) -> Any:
        """Detect cosmic rays in an image and, if asked for, fill them.

        Parameters
        ----------
        img0 : array-like
            ``(ny, nx)``, in the unit the model works in. Not modified. Pixels that a
            masked array masks are excluded.
        threshold : float
            Probability in [0, 1] above which a pixel is flagged.
        inpaint : bool
            Whether to return the filled image as well.
        binary : bool
            Return a mask of zeros and ones; else the probability.
        segment : bool
            Work on tiles of ``patch`` px; else tiles of the default size.
        patch : int
            Width of a tile in px.
        n_jobs : int
            Number of threads, -1 for all processors; 1 leaves the setting of torch as
            it is, as the original does.

        Returns
        -------
        mask : `~numpy.ndarray`
            float32, ``(ny, nx)``; a probability is NaN where the image is masked or
            not finite.
        cleaned : `~numpy.ndarray`
            float32, ``(ny, nx)``; only if filled.

        Raises
        ------
        TypeError, ValueError
            If an argument is not of an allowed kind or value.
        """
        image, input_mask = _read_image(img0)
        # One threshold, as the original has.
        thresholds = self.mask_model.card.thresholds(threshold, 1)
        tile_size = patch if segment else None
        bad = detection.excluded_pixels(image, input_mask, runs=False)
        with _threads(n_jobs):
            probability = detection.cosmic_ray_probability(
                image, bad, self.mask_model, tile_size=tile_size
            )
            crmask = detection.threshold_mask(probability, thresholds)
            mask = crmask.astype(np.float32) if binary else probability
            if not inpaint:
                return mask
            return mask, self._fill(image, crmask, bad, tile_size)

    def inpaint(self, img0: CCDLike, mask: MaskLike) -> np.ndarray:
        """Fill an image under a mask.

        Parameters
        ----------
        img0 : array-like
            ``(ny, nx)``, in the unit the model works in. Not modified.
        mask : array-like
            ``(ny, nx)``, not zero where to fill.

        Returns
        -------
        `~numpy.ndarray`
            float32, ``(ny, nx)``.

        Raises
        ------
        TypeError, ValueError
            If an argument is not of an allowed kind or shape.
        """
        image, input_mask = _read_image(img0)
        targets = as_mask(mask, image.shape, "mask", unknown=False)
        bad = detection.excluded_pixels(image, input_mask, runs=False)
        return self._fill(image, targets, bad, None)

    def _fill(
        self,
        image: np.ndarray,
        targets: np.ndarray,
        bad: np.ndarray | None,
        tile_size: int | None,
    ) -> np.ndarray:
        fill = Fill("median")
        if self.inpaint_model is not None:
            fill = Fill("network", self.inpaint_model)
        cleaned = image.astype(np.float32, order="C")
        values, _ = fill_frame(image, targets, bad, fill, tile_size=tile_size)
        cleaned[targets] = values
        return cleaned


def _read_image(img0: CCDLike) -> tuple[np.ndarray, np.ndarray | None]:
    """Return an image and its own mask."""
    frame = read_frame(img0, "img0")
    if frame.data.ndim != 2:
        raise ValueError(f"img0 has shape {frame.data.shape}; allowed is (ny, nx)")
    return frame.data, frame.mask


@contextlib.contextmanager
def _threads(n_jobs: int) -> Iterator[None]:
    """Run torch on a number of threads for a while."""
    if n_jobs == 0 or n_jobs < -1 or int(n_jobs) != n_jobs:
        raise ValueError(f"n_jobs={n_jobs!r} must be a number of threads, or -1")
    before = torch.get_num_threads()
    if n_jobs != 1:
        set_threads(os.cpu_count() or 1 if n_jobs == -1 else int(n_jobs))
    try:
        yield
    finally:
        torch.set_num_threads(before)
