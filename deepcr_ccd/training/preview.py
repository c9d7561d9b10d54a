"""Pictures of items, and of the output of a network in training."""

from __future__ import annotations

import os

import numpy as np
import torch

from ..io.atomic import atomic_path
from ..io.given_paths import given_path

__all__ = ["draw_items"]

#: Items in a picture.
MAX_ITEMS = 4


def draw_items(
    batch: dict[str, torch.Tensor], output: torch.Tensor, path: str | os.PathLike
) -> bool:
    """Draw the first items of a batch: frame, truth, and probability.

    Ignored pixels are grey in the truth.

    Parameters
    ----------
    batch : dict
        ``frame`` ``(n, 1, ny, nx)``, ``truth`` and ``ignore`` ``(n, ny, nx)``.
    output : torch.Tensor
        ``(n, ny, nx)``, output of the network, before the sigmoid.
    path : path-like
        A PNG file; it is replaced if it exists.

    Returns
    -------
    bool
        Whether it was drawn: False if matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    frames, truth, ignore = (
        batch[key][:MAX_ITEMS].numpy(force=True) for key in ("frame", "truth", "ignore")
    )
    probability = torch.sigmoid(output[:MAX_ITEMS].detach().float()).numpy(force=True)
    figure = Figure(figsize=(2.6 * len(frames), 7.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, len(frames), squeeze=False)
    for column, frame in zip(axes.T, frames[:, 0], strict=True):
        low, high = np.percentile(frame, [1, 99.5])
        column[0].imshow(frame, cmap="gray", vmin=low, vmax=max(high, low + 1e-3))
    labels = np.where(ignore, 0.5, truth.astype(np.float32))
    for row, planes in zip(axes[1:], (labels, probability), strict=True):
        for ax, plane in zip(row, planes, strict=True):
            ax.imshow(plane, cmap="gray", vmin=0, vmax=1)
    for ax in axes.ravel():
        ax.set(xticks=[], yticks=[])
    for ax, title in zip(axes[:, 0], ("frame", "truth", "probability"), strict=True):
        ax.set_ylabel(title)
    with atomic_path(given_path(path, "path"), overwrite=True) as partial:
        figure.savefig(partial, dpi=80, format="png")
    return True
