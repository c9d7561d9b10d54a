"""The cosmic rays of a mask as a list: where, how large, how bright, how doubtful."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..segmentation.connected import label_pixels

__all__ = ["list_objects"]

#: Variance of a position within a pixel, in px squared.
WITHIN_PIXEL = 1 / 12


def list_objects(
    crmask: np.ndarray, plane: np.ndarray, probability: np.ndarray, threshold: float
) -> dict[str, np.ndarray]:
    """Describe the groups of connected flagged pixels.

    Parameters
    ----------
    crmask : `~numpy.ndarray`
        bool, ``(ny, nx)``.
    plane : `~numpy.ndarray`
        ``(ny, nx)``, the frame.
    probability : `~numpy.ndarray`
        float32, ``(ny, nx)``; NaN where excluded.
    threshold : float
        Above which pixels are flagged.

    Returns
    -------
    dict
        Arrays with an element an object, in the order of ``first``: ``first``, its
        lowest flat index, by which it is known; ``x``, ``y``, its mean position in px;
        ``size`` in px; ``peak``, the highest value in the unit of the frame;
        ``elongation``, the ratio of the axes of its second moments; ``doubt``, from 0
        where the highest probability is 1 to 1 where it is not above the threshold.
    """
    places = np.flatnonzero(crmask)
    number, labels = label_pixels(places, crmask.shape[1])
    y, x = np.divmod(places, crmask.shape[1])

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(labels, values, minlength=number) / sizes

    def highest(values: np.ndarray) -> np.ndarray:
        found = np.full(number, -np.inf)
        values = values.astype(np.float64)
        np.maximum.at(found, labels, np.where(np.isnan(values), -np.inf, values))
        return found

    sizes = np.bincount(labels, minlength=number)
    first = np.full(number, crmask.size, dtype=np.int64)
    np.minimum.at(first, labels, places)
    centre_x, centre_y = mean(x), mean(y)
    dx, dy = x - centre_x[labels], y - centre_y[labels]
    xx, yy = mean(dx**2) + WITHIN_PIXEL, mean(dy**2) + WITHIN_PIXEL
    half, root = (xx + yy) / 2, np.hypot((xx - yy) / 2, mean(dx * dy))
    least = np.maximum(half - root, WITHIN_PIXEL)
    room = max(1 - threshold, np.finfo(np.float32).eps)
    flat = [array.reshape(-1)[places] for array in (plane, probability)]
    doubt = np.clip((1 - highest(flat[1])) / room, 0, 1)
    order = np.argsort(first)
    columns: dict[str, Any] = {
        "first": first,
        "x": centre_x,
        "y": centre_y,
        "size": sizes,
        "peak": highest(flat[0]),
        "elongation": np.sqrt((half + root) / least),
        "doubt": doubt,
    }
    return {name: column[order] for name, column in columns.items()}
