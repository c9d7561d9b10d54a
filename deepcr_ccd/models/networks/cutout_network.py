"""The network that fills struck pixels: which values are likely, given a window."""

from __future__ import annotations

import torch
from torch import nn

from ...inpainting.feature_layout import FITS, MIDDLE, NEAR_RAYS, PROFILE, RAYS, TOLD
from .mixture import cdf, quantile

__all__ = [
    "CutoutNetwork",
]

#: How many pixels in the middle of a window are told with what they hold.
HELD_PIXELS = (2 * MIDDLE + 1) ** 2
#: Where training begins, for each distribution of the mixture: logarithms of odds and
#: of widths. The fourth and the fifth are near to what the pixel holds, the last two to
#: what the stars of the frame say, and all these mean nothing where that is not told.
ODDS = (1.0, 0.0, -1.0, -2.0, -2.0, -2.0, -2.0)
SCALES = (-1.0, 1.0, 1.0, 0.0, -1.0, 0.0, 0.0)
FREE = 3
#: Limits of the logarithms of widths.
SHARPNESS = (-4.5, 8.0)
#: Of what is farther above the mean of a window than this, in units of its spread, the
#: network says how much of it it is sure of: what is below this share of the mixture.
HIGH = 1.0
SURE = 0.25
#: What is this much above the median, in units of the window's spread, is far from it.
FAR = 1.0


class CutoutNetwork(nn.Module):
    """A multilayer perceptron on the window around a pixel.

    It works where it is asked to and nowhere else, which makes it far cheaper than a
    convolutional network if few pixels are wanted. It says how likely which values are,
    as a mixture of Student's distributions (a mixture density network: Bishop 1994,
    Aston University NCRG/94/004). Some of these are near to what the pixel itself
    holds: a struck pixel holds what was there and more.

    Parameters
    ----------
    radius : int
        Half of the window's width, in px: it is ``2 * radius + 1`` px wide.
    width : list of int
        Neurons of each hidden layer.
    """

    takes_cutouts = True
    stride = 1

    def __init__(self, radius: int = 6, width: list[int] | None = None):
        super().__init__()
        self.radius = radius
        self.size = 2 * (2 * radius + 1) ** 2
        width = [256, 128] if width is None else list(width)
        entries = [self.size + TOLD, *width]
        layers: list[nn.Module] = []
        for n_in, n_out in zip(entries, width, strict=False):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(inplace=True)]
        self.inner = nn.Sequential(*layers)
        self.out = nn.Linear(entries[-1], len(ODDS) + len(SCALES) + 4)
        self.ends = ("inner.0", "out")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(n, 2 * k * k + TOLD)``, `compute_features`, to ``(n, 3)``.

        The median of the mixture: above and below it lie equal odds; what was there
        or more with three odds in four, where the median is far above the
        surroundings, and minus infinity elsewhere; and the odds that it was far more
        than the median.
        """
        mixture = self.mixture(x)
        middle = quantile(mixture, 0.5)
        more = 1 - cdf(mixture, middle + FAR)
        least = torch.full_like(middle, -torch.inf)
        high = torch.nonzero(middle > HIGH)[:, 0]
        if high.numel():
            least[high] = quantile(mixture[high], SURE)
        return torch.stack([middle, least, more], dim=1)

    def mixture(self, x: torch.Tensor) -> torch.Tensor:
        """Map windows to a mixture.

        Parameters
        ----------
        x : `torch.Tensor`
            float32, ``(..., 2 * k * k + TOLD)``, from
            `~deepcr_ccd.inpainting.features.compute_features`.

        Returns
        -------
        `torch.Tensor`
            float32, ``(..., n, 3)``: logarithms of odds, centres, logarithms of widths.
        """
        half = FITS // 2
        parts = [self.size, HELD_PIXELS, 1, RAYS + NEAR_RAYS, PROFILE, half, half]
        near, middle, told, rays, profile, *fits = x.split(parts, dim=-1)
        fits = torch.stack(fits, dim=-2)
        there, values, sharp = fits.split([1, 2, 2], dim=-1)
        seen = torch.cat([there, _asinh(values), sharp], dim=-1).flatten(-2)
        seen = torch.cat([near, _asinh(middle), told, rays, profile, seen], dim=-1)
        found = self.inner(seen.to(self.inner[0].weight.dtype))
        with torch.autocast(x.device.type, enabled=False):
            out = self.out(found.float())
        odds, scales, places = out.split([len(ODDS), len(SCALES), 4], dim=-1)
        held, told = middle[..., HELD_PIXELS // 2 : HELD_PIXELS // 2 + 1], told > 0
        first = places[..., :1]
        excess = places[..., 3:].clamp(-8, 8)
        # A star is no brighter than what the pixel holds.
        stars = torch.minimum(values[..., 0], held.where(told, torch.inf))
        centres = [first, first + places[..., 1:3].clamp(-8, 8).sinh()]
        centres += [held - excess.exp(), held, stars]
        usable = torch.ones_like(places[..., :FREE], dtype=torch.bool)
        usable = torch.cat([usable, told, told, there[..., 0] > 0], dim=-1)
        odds = odds + odds.new_tensor(ODDS)
        odds = odds.masked_fill(~usable, -30).log_softmax(dim=-1)
        scales = scales + scales.new_tensor(SCALES)
        wider = torch.logaddexp(excess, excess.new_tensor(-3.5))
        none = torch.zeros_like(scales)
        wider = torch.cat(
            [none[..., :FREE], wider, none[..., :1], sharp[..., 0]], dim=-1
        )
        scales = (scales + wider).clamp(*SHARPNESS)
        return torch.stack([odds, torch.cat(centres, dim=-1), scales], dim=-1)


def _asinh(values: torch.Tensor) -> torch.Tensor:
    """Return the inverse hyperbolic sine, in a tenth of the time torch takes for it.

    Values are below the root of the largest number, and may be off by a rounding of 1.
    """
    size = values.abs()
    return torch.log(size + torch.sqrt(size.square() + 1)).copysign(values)
