"""The feature vector of a cutout: which numbers it holds, and where.

Features are written by `~deepcr_ccd.inpainting.features` and read by
`~deepcr_ccd.models.networks.cutout_network`, both by the names given here. Weights are
trained for this order of the features, so that it must not change.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

__all__ = [
    "BLOCK_QUANTILES",
    "CENTRE_RADIUS",
    "CUTOUT_QUANTILES",
    "PROFILE_RADIUS",
    "PROFILE_SIZE",
    "SCATTER_RADIUS",
    "FeatureLayout",
    "TemplateFit",
    "feature_layout",
]

T = TypeVar("T")

#: Half-width in px of the centre of a cutout, of which the values of CR-affected pixels
#: are features as well.
CENTRE_RADIUS = 2
#: Half-widths in px of the median star of a block, and of its scatter.
PROFILE_RADIUS = 3
SCATTER_RADIUS = 1
#: Length of a profile: both, and the number of stars.
PROFILE_SIZE = (2 * PROFILE_RADIUS + 1) ** 2 + (2 * SCATTER_RADIUS + 1) ** 2 + 1
#: Quantiles of the charge of cosmic rays in the pixels of a block, and of a cutout.
BLOCK_QUANTILES = (0.1, 0.5, 0.9, 0.98)
CUTOUT_QUANTILES = (0.25, 0.5, 0.9)


class TemplateFit(NamedTuple, Generic[T]):
    """A fit of star templates to a cutout: its numbers, or where these are.

    ``found`` is 1 where there is a fit and 0 elsewhere, where all are 0. ``value`` is
    that of the central pixel, and ``peak`` the brightness of the star, in the units of
    the cutout. ``log_sigma`` and ``log_misfit`` are the natural logarithms of the
    one-sigma of ``value`` and of the reduced chi-square of the best star, at least 1.
    """

    found: T
    value: T
    peak: T
    log_sigma: T
    log_misfit: T


@dataclass(frozen=True)
class FeatureLayout:
    """Where each feature is in the feature vector of a cutout.

    Attributes
    ----------
    values, good : slice
        The ``k * k`` pixels, by rows: the inverse hyperbolic sine of their values in
        the units of the cutout, 0 where not good; and 1 where good, 0 elsewhere.
    centre_values : slice
        Values of the central ``2 * CENTRE_RADIUS + 1`` px squared, good and CR-affected
        ones, in the units of the cutout; 0 where bad.
    centre_value : slice
        The one of the central pixel, a part of ``centre_values``.
    centre_is_cr : slice
        1 if the central pixel is CR-affected, 0 if its value is not known.
    block_charge, noise : slice
        Logarithms of `BLOCK_QUANTILES` of the CR charge, and of the noise, in the
        block of the frame where the cutout is, in the units of the cutout.
    cutout_charge, n_cutout_charge : slice
        Logarithms of `CUTOUT_QUANTILES` of the CR charge in the cutout, likewise, and
        of one more than the number of pixels that these are of.
    star_profile : slice
        The profile of the stars of the block.
    fits : tuple of TemplateFit
        The fit of star templates to the good pixels of the cutout, and the one to its
        CR-affected pixels as well.
    """

    values: slice
    good: slice
    centre_values: slice
    centre_value: slice
    centre_is_cr: slice
    block_charge: slice
    noise: slice
    cutout_charge: slice
    n_cutout_charge: slice
    star_profile: slice
    fits: tuple[TemplateFit[slice], TemplateFit[slice]]

    @property
    def size(self) -> int:
        """Number of features."""
        return self.fits[-1].log_misfit.stop

    @property
    def unscaled(self) -> tuple[slice, ...]:
        """Features that are values in the units of the cutout, in no bounded scale."""
        return (
            self.centre_values,
            *(place for fit in self.fits for place in (fit.value, fit.peak)),
        )


@functools.cache
def feature_layout(radius: int) -> FeatureLayout:
    """Return where the features of a cutout are.

    Parameters
    ----------
    radius : int
        Half of the width of the cutout in px, which is ``k = 2 * radius + 1``.
    """
    end = 0

    def take(number: int) -> slice:
        nonlocal end
        end += number
        return slice(end - number, end)

    def take_fit() -> TemplateFit[slice]:
        return TemplateFit(*(take(1) for _ in TemplateFit._fields))

    pixels, centre = (2 * radius + 1) ** 2, (2 * CENTRE_RADIUS + 1) ** 2
    values, good, centre_values = take(pixels), take(pixels), take(centre)
    middle = centre_values.start + centre // 2
    return FeatureLayout(
        values=values,
        good=good,
        centre_values=centre_values,
        centre_value=slice(middle, middle + 1),
        centre_is_cr=take(1),
        block_charge=take(len(BLOCK_QUANTILES)),
        noise=take(1),
        cutout_charge=take(len(CUTOUT_QUANTILES)),
        n_cutout_charge=take(1),
        star_profile=take(PROFILE_SIZE),
        fits=(take_fit(), take_fit()),
    )
