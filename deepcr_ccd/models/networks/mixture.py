"""Mixtures of Student's t distributions: likelihood, CDF and quantiles."""

from __future__ import annotations

import torch

__all__ = ["LOGISTIC_SLOPE", "cdf", "negative_log_likelihood", "quantile"]

#: A logistic distribution with this slope is as steep as a t distribution of scale 1.
LOGISTIC_SLOPE = 1.7
#: A quantile is found by parting an interval into so many parts, so often.
SEARCH_PARTS = 4
SEARCH_ROUNDS = 12


def negative_log_likelihood(
    mixture: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """Return the negative natural logarithm of the likelihood, but for a constant.

    Parameters
    ----------
    mixture : `torch.Tensor`
        ``(..., n, 3)``, of t distributions with 4 degrees of freedom: logarithms of
        the weights, which add up to 1; centres; and logarithms of the scales.
    values : `torch.Tensor`
        ``(...)``.

    Returns
    -------
    `torch.Tensor`
        ``(...)``.
    """
    weights, centres, scales = mixture.unbind(dim=-1)
    off = (values[..., None] - centres) * torch.exp(-scales)
    density = weights - 2.5 * torch.log1p(off.square() / 4) - scales
    return -torch.logsumexp(density, dim=-1)


def cdf(mixture: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return the cumulative distribution function: the probability of less.

    Parameters
    ----------
    mixture : `torch.Tensor`
        ``(..., n, 3)``, as for `quantile`.
    values : `torch.Tensor`
        ``(...)``.

    Returns
    -------
    `torch.Tensor`
        ``(...)``.
    """
    weights, centres, scales = mixture.unbind(dim=-1)
    off = (values[..., None] - centres) * torch.exp(-scales)
    return (weights.exp() * torch.sigmoid(LOGISTIC_SLOPE * off)).sum(dim=-1)


def quantile(mixture: torch.Tensor, probability: float | torch.Tensor) -> torch.Tensor:
    """Return the value below which a mixture is with some probability.

    Parameters
    ----------
    mixture : `torch.Tensor`
        ``(..., n, 3)``, as for `negative_log_likelihood`. It is taken for one of
        logistic distributions, whose integral is simple.
    probability : float or `torch.Tensor`
        Between 0 and 1; a tensor has a shape that goes with ``(...)``.

    Returns
    -------
    `torch.Tensor`
        ``(...)``.
    """
    # Distributions come first: sums along memory are the faster ones.
    weights, centres, scales = mixture.movedim((-2, -1), (1, 0)).contiguous()[
        :, :, None
    ]
    weights, widths = weights.exp(), 8 * scales.exp()
    low = (centres - widths).amin(0)
    step = ((centres + widths).amax(0) - low) / SEARCH_PARTS
    slopes = LOGISTIC_SLOPE * 8 / widths
    offsets = slopes * centres
    inner = torch.arange(1, SEARCH_PARTS, device=mixture.device, dtype=low.dtype)
    inner = inner.view(-1, *[1] * (low.ndim - 1))
    for _ in range(SEARCH_ROUNDS):
        # Some at once, as calls cost more than numbers do.
        values = torch.addcmul(low, step, inner)
        below = torch.addcmul(offsets, slopes, values, value=-1).neg_().sigmoid_()
        passed = (below.mul_(weights).sum(0) < probability).sum(0, keepdim=True)
        low = torch.addcmul(low, step, passed.to(low.dtype))
        step = step / SEARCH_PARTS
    return (low + step / 2)[0]
