"""Groups of pixels that touch, found from the places of the few that belong to any."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

__all__ = ["label_places"]


def label_places(
    places: np.ndarray, width: int, *, corners: bool = True
) -> tuple[int, np.ndarray]:
    """Return how many groups some pixels form, and the group of each.

    Parameters
    ----------
    places : `~numpy.ndarray`
        int, ``(n,)``, flat indices of the pixels, ascending.
    width : int
        Width of the frame in px.
    corners : bool
        Whether pixels touch at corners, too.

    Returns
    -------
    number : int
        Of groups.
    labels : `~numpy.ndarray`
        int, ``(n,)``, from 0.
    """
    columns = places % width
    # The neighbours that come later: to the right, and those in the next row.
    ahead = [(1, columns < width - 1), (width, columns >= 0)]
    if corners:
        ahead += [(width - 1, columns > 0), (width + 1, columns < width - 1)]
    pairs = []
    for step, within in ahead:
        here = np.flatnonzero(within)
        there = np.searchsorted(places[:-1], places[here] + step)
        touching = places[there] == places[here] + step
        pairs.append((here[touching], there[touching]))
    ends = tuple(np.concatenate(end) for end in zip(*pairs, strict=True))
    links = sparse.coo_array((np.ones(ends[0].size), ends), shape=(places.size,) * 2)
    return connected_components(links, directed=False)
