"""The network that fills CR-affected pixels: the probability of each value."""

from __future__ import annotations

import torch
from torch import nn

from ...inpainting.feature_layout import TemplateFit, feature_layout
from .mixture import cdf, quantile

__all__ = ["CutoutNetwork"]

#: Where training begins, for each distribution of the mixture: logarithms of weights
#: and of scales. The first three are free, the next two are near the value of the pixel
#: itself, and the last two near those of the template fits; each of these four has no
#: weight where that value is unknown.
FIRST_LOG_WEIGHTS = (1.0, 0.0, -1.0, -2.0, -2.0, -2.0, -2.0)
FIRST_LOG_SCALES = (-1.0, 1.0, 1.0, 0.0, -1.0, 0.0, 0.0)
N_FREE = 3
#: Numbers of the output that say where the centres of the mixture are.
N_CENTRES = 4
#: The logarithm of the weight of a distribution that has none.
NO_WEIGHT = -30
#: Limits of the logarithms of scales, and of distances between centres.
LOG_SCALES = (-4.5, 8.0)
MAX_LOG_DISTANCE = 8
#: For fills above this, in the units of the cutout, the network also gives the value
#: that the pixel has at least: this quantile of the mixture.
BRIGHT = 1.0
SURE_QUANTILE = 0.25
#: A value this far above the median, in the units of the cutout, is far from it.
FAR_ABOVE = 1.0


class CutoutNetwork(nn.Module):
    """A multilayer perceptron on the cutout around a pixel.

    It runs for the pixels to be filled and nowhere else, which makes it far cheaper
    than a convolutional network where these are few. It returns a mixture of Student's
    t distributions of the value of the pixel (a mixture density network: Bishop 1994,
    Aston University NCRG/94/004). Some are near the value that the pixel has: a
    cosmic ray only adds to what was there.

    Parameters
    ----------
    radius : int
        Half of the width of the cutout, in px: it is ``2 * radius + 1`` px wide.
    width : list of int
        Neurons of each hidden layer.
    """

    #: Whether it takes features of cutouts, rather than tiles of the frame.
    takes_cutouts = True
    stride = 1
    #: Names of its first and its last layer.
    ends = ("inner.0", "out")

    def __init__(self, radius: int = 6, width: list[int] | None = None):
        super().__init__()
        self.radius = radius
        self.layout = feature_layout(radius)
        width = [256, 128] if width is None else list(width)
        entries = [self.layout.size, *width]
        layers: list[nn.Module] = []
        for n_in, n_out in zip(entries, width, strict=False):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(inplace=True)]
        self.inner = nn.Sequential(*layers)
        outputs = len(FIRST_LOG_WEIGHTS) + len(FIRST_LOG_SCALES) + N_CENTRES
        self.out = nn.Linear(entries[-1], outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map the features of cutouts to fills.

        Parameters
        ----------
        x : `torch.Tensor`
            float32, ``(n, size)``, features as
            `~deepcr_ccd.inpainting.feature_layout.FeatureLayout` has them.

        Returns
        -------
        `torch.Tensor`
            float32, ``(n, 3)``, in the units of the cutouts: the median of the mixture;
            where that is bright, the value that the pixel has at least, with a
            probability of 0.75, and minus infinity elsewhere; and the probability that
            the pixel is far above the median.
        """
        mixture = self.mixture(x)
        median = quantile(mixture, 0.5)
        far_above = 1 - cdf(mixture, median + FAR_ABOVE)
        least = torch.full_like(median, -torch.inf)
        bright = torch.nonzero(median > BRIGHT)[:, 0]
        if bright.numel():
            least[bright] = quantile(mixture[bright], SURE_QUANTILE)
        return torch.stack([median, least, far_above], dim=1)

    def mixture(self, x: torch.Tensor) -> torch.Tensor:
        """Map the features of cutouts to mixtures.

        Parameters
        ----------
        x : `torch.Tensor`
            As for `forward`, ``(..., size)``.

        Returns
        -------
        `torch.Tensor`
            float32, ``(..., n, 3)``: logarithms of weights, centres, and logarithms of
            scales.
        """
        scaled = x.clone()
        for unscaled in self.layout.unscaled:
            scaled[..., unscaled] = _asinh(x[..., unscaled])
        found = self.inner(scaled.to(next(self.inner.parameters()).dtype))
        with torch.autocast(x.device.type, enabled=False):
            out = self.out(found.float())
        sizes = [len(FIRST_LOG_WEIGHTS), len(FIRST_LOG_SCALES), N_CENTRES]
        return self._mixture_of(x, *out.split(sizes, dim=-1))

    def _mixture_of(
        self,
        x: torch.Tensor,
        weights: torch.Tensor,
        scales: torch.Tensor,
        places: torch.Tensor,
    ) -> torch.Tensor:
        """Put the distributions of the mixture where the output and the features say.

        The centres are the first of the places; two at some distance from it; two at
        the value of the pixel, one of them lower by the charge of the cosmic ray; and
        two at the values of the template fits.
        """
        layout = self.layout
        pixel, is_cr = x[..., layout.centre_value], x[..., layout.centre_is_cr] > 0
        fits = TemplateFit(
            *(
                torch.cat([x[..., place] for place in pair], dim=-1)
                for pair in zip(*layout.fits, strict=True)
            )
        )
        limit = MAX_LOG_DISTANCE
        first, distances, log_charge = places.split([1, 2, 1], dim=-1)
        log_charge = log_charge.clamp(-limit, limit)
        centres = [
            first,
            first + distances.clamp(-limit, limit).sinh(),
            pixel - log_charge.exp(),
            pixel,
            # A star is no brighter than the pixel.
            torch.minimum(fits.value, pixel.where(is_cr, torch.inf)),
        ]
        usable = torch.ones_like(weights[..., :N_FREE], dtype=torch.bool)
        usable = torch.cat([usable, is_cr, is_cr, fits.found > 0], dim=-1)
        weights = weights + weights.new_tensor(FIRST_LOG_WEIGHTS)
        weights = weights.masked_fill(~usable, NO_WEIGHT).log_softmax(dim=-1)
        scales = scales + scales.new_tensor(FIRST_LOG_SCALES)
        wider = torch.logaddexp(log_charge, log_charge.new_tensor(-3.5))
        none = torch.zeros_like(scales)
        wider = torch.cat(
            [none[..., :N_FREE], wider, none[..., :1], fits.log_sigma], dim=-1
        )
        scales = (scales + wider).clamp(*LOG_SCALES)
        return torch.stack([weights, torch.cat(centres, dim=-1), scales], dim=-1)


def _asinh(values: torch.Tensor) -> torch.Tensor:
    """Return the inverse hyperbolic sine, in a tenth of the time torch takes for it.

    Values are below the root of the largest number, and may be off by a rounding of 1.
    """
    size = values.abs()
    return torch.log(size + torch.sqrt(size.square() + 1)).copysign(values)
