"""Names and properties of the transforms that a card can name, without their code."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TRANSFORM_INFO", "TransformInfo"]


class TransformInfo(NamedTuple):
    """Properties of a transform.

    ``uses_noise_facts`` are the names of its arguments that say what is known of the
    noise.
    With ``scale_free``, a frame times any factor gives the same numbers. With
    ``reflect``, frames are continued by reflection beyond their edges; without, the
    network's zero padding stands for background there, as in training. With
    ``wide_range``, the numbers span more than bfloat16 resolves. With ``for_cutouts``,
    it is one of cutouts around pixels, for networks that take these.
    """

    uses_noise_facts: frozenset[str] = frozenset()
    scale_free: bool = False
    reflect: bool = True
    wide_range: bool = True
    for_cutouts: bool = False


#: By name. Their code is in `~deepcr_ccd.preprocess.normalize`, and for cutouts in
#: `~deepcr_ccd.inpainting.features`.
TRANSFORM_INFO = {
    "scaled": TransformInfo(),
    "standardized": TransformInfo(scale_free=True),
    "noise": TransformInfo(
        frozenset({"background", "known_noise", "readnoise"}),
        scale_free=True,
        reflect=False,
        wide_range=False,
    ),
    "window": TransformInfo(scale_free=True, wide_range=False, for_cutouts=True),
}
