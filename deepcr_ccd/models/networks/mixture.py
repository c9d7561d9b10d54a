"""Mixtures of Student's distributions: likelihood, distribution function, quantiles."""

from __future__ import annotations

import torch

__all__ = ["PARTS", "ROUNDS", "STEEPNESS", "cdf", "quantile", "negative_log_likelihood"]

#: A logistic distribution is as steep as a Student's of width 1 if this is its own.
STEEPNESS = 1.7
#: Into how many parts what is left is parted to find a quantile, and how often.
PARTS = 4
ROUNDS = 12


def negative_log_likelihood(
    mixture: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """Return minus the logarithm of the likelihood of values, but for a constant.

    Parameters
    ----------
    mixture : `torch.Tensor`
        ``(..., n, 3)``, of Student's distributions with 4 degrees of freedom.
    values : `torch.Tensor`
        ``(...)``.
    """
    odds, centres, scales = mixture.unbind(dim=-1)
    off = (values[..., None] - centres) * torch.exp(-scales)
    return -torch.logsumexp(odds - 2.5 * torch.log1p(off.square() / 4) - scales, dim=-1)


def cdf(mixture: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return the share of a mixture that lies below values.

    Parameters
    ----------
    mixture : `torch.Tensor`
        ``(..., n, 3)``, as for `quantile`.
    values : `torch.Tensor`
        ``(...)``.
    """
    odds, centres, scales = mixture.unbind(dim=-1)
    off = (values[..., None] - centres) * torch.exp(-scales)
    return (odds.exp() * torch.sigmoid(STEEPNESS * off)).sum(dim=-1)


def quantile(mixture: torch.Tensor, share: float | torch.Tensor) -> torch.Tensor:
    """Return the value below which a share of a mixture lies.

    Parameters
    ----------
    mixture : `torch.Tensor`
        ``(..., n, 3)``. It is taken for one of logistic distributions, whose integral
        is simple.
    share : float or `torch.Tensor`
        Between 0 and 1; a tensor has a shape that goes with ``(...)``.

    Returns
    -------
    `torch.Tensor`
        ``(...)``.
    """
    # Distributions come first: sums along memory are the faster ones.
    odds, centres, scales = mixture.movedim((-2, -1), (1, 0)).contiguous()[:, :, None]
    odds, widths = odds.exp(), 8 * scales.exp()
    low = (centres - widths).amin(0)
    step = ((centres + widths).amax(0) - low) / PARTS
    steepness = STEEPNESS * 8 / widths
    offset = steepness * centres
    inner = torch.arange(1, PARTS, device=mixture.device, dtype=low.dtype)
    inner = inner.view(-1, *[1] * (low.ndim - 1))
    for _ in range(ROUNDS):
        # Some at once, as calls cost more than numbers do.
        values = torch.addcmul(low, step, inner)
        lower = torch.addcmul(offset, steepness, values, value=-1).neg_().sigmoid_()
        passed = (lower.mul_(odds).sum(0) < share).sum(0, keepdim=True)
        low = torch.addcmul(low, step, passed.to(low.dtype))
        step = step / PARTS
    return (low + step / 2)[0]
