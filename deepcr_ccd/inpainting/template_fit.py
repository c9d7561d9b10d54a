"""Star templates fitted to cutouts: what the wings of a star say of its core.

A star whose core is hidden shows its wings, and so do the other stars of the frame:
those that fit the wings tell what the core holds. Crowded fields are measured so
(Stetson 1987, PASP 99, 191), with a model of the stars in place of stars.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from .cutouts import crop_centre, gaussian_kernel
from .feature_layout import PROFILE_RADIUS, TemplateFit
from .pixel_flags import PixelFlag
from .star_templates import StarTemplates

__all__ = ["MAX_VALUE", "fit_star_templates"]

#: How far from the central pixel in px, along rows and columns, a star may be.
MAX_OFFSET = 1
#: Half-width in px of the part of a cutout that is fitted.
FIT_RADIUS = MAX_OFFSET + PROFILE_RADIUS
#: Scale lengths in px of the weights around the centre of a star: in the fit to good
#: pixels, and in that to CR-affected ones as well, which leave no hole there.
KERNEL_SCALES = (2.5, 1.3)
#: Stars differ from each other by this fraction of their flux, beside the noise.
STAR_SCATTER = 0.04
#: The number of pixels that a fit counts as in the weights of the templates: the more,
#: the more the best fit is favoured.
FIT_PIXELS = 12.0
#: Pixels that a fit needs.
MIN_FIT_PIXELS = 3.0
#: Pixels with a residual this many times the usual one count for half in the second
#: fit. The usual one is the median of pixels with weights above `MIN_WEIGHT`.
OUTLIER = 1.25
MIN_WEIGHT = 0.05
#: The median of the squares of numbers of noise 1.
MEDIAN_SQUARE = 0.4549
#: Cutouts that are fitted at a time: bounds memory.
CUTOUTS_PER_BATCH = 1024
#: The least variance and the like, the largest value of a feature, and the largest
#: input that is computed with.
TINY, MAX_VALUE = 1e-6, 1e5
MAX_INPUT = 1e15


class _ShiftedTemplates(NamedTuple):
    """Star templates at each of the offsets, for `_compare`.

    ``products`` is what pixels are multiplied with, ``(pixels, offsets * (1 + 2 *
    stars))``: the weights around each offset, these times templates, and times their
    squares. ``heights`` are the templates' values in the central pixel, ``(offsets,
    stars)``; ``planes`` the templates, ``(offsets * stars, pixels)``; ``kernel`` the
    weights around the central pixel.
    """

    products: torch.Tensor
    heights: torch.Tensor
    planes: torch.Tensor
    kernel: torch.Tensor


class _Fits(NamedTuple):
    """All templates at all offsets, fitted to ``n`` cutouts.

    ``chi2`` is the reduced chi-square, infinite without a fit, ``(n, offsets *
    stars)``. ``peak`` is the brightness of the star, ``rise`` the height of the
    template in the central pixel over its weighted mean, and ``variance`` its weighted
    variance, ``(n, offsets, stars)``. ``level`` and ``total`` are the weighted mean of
    the pixels and the sum of the weights, ``(n, offsets, 1)``.
    """

    chi2: torch.Tensor
    peak: torch.Tensor
    rise: torch.Tensor
    variance: torch.Tensor
    level: torch.Tensor
    total: torch.Tensor


@torch.inference_mode()
def fit_star_templates(
    values: np.ndarray,
    flags: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    stars: StarTemplates,
    cr_charge: np.ndarray,
) -> tuple[TemplateFit[np.ndarray], TemplateFit[np.ndarray]]:
    """Fit the star templates of a block of a frame to cutouts.

    Each template, put on the central pixel and on those beside it, is fitted by least
    squares, with any brightness on any background: once to the good pixels, and once to
    the CR-affected ones as well, less the charge to expect of cosmic rays. Pixels that
    are far from the best template, as other stars are there, count for less in a second
    fit. The mean over the templates is weighted by how well they fit.

    Parameters
    ----------
    values, flags : `~numpy.ndarray`
        ``(n, k * k)``, from `~deepcr_ccd.inpainting.cutouts.read_cutouts`; flags are
        uint8, values of `~deepcr_ccd.inpainting.pixel_flags.PixelFlag`.
    mean, spread : `~numpy.ndarray`
        ``(n,)``, the units of each cutout.
    stars : `~deepcr_ccd.inpainting.star_templates.StarTemplates`
        Of the block where the cutouts are.
    cr_charge : `~numpy.ndarray`
        ``(n, 2)``, the charge to expect of a cosmic ray in a pixel, and its
        uncertainty, in the unit of ``values``.

    Returns
    -------
    good, every : TemplateFit
        The fits to good pixels, and to CR-affected ones as well; float32, ``(n,)``
        each. The second is zero where there are no CR-affected pixels.
    """
    found = np.zeros((2, len(TemplateFit._fields), len(values)), dtype=np.float32)
    fits = TemplateFit(*found[0]), TemplateFit(*found[1])
    if not len(stars.images):
        return fits
    units = (crop_centre(values, FIT_RADIUS) - mean[:, None]) / spread[:, None]
    pixels, noise, charge = (
        torch.from_numpy(array.clip(-MAX_INPUT, MAX_INPUT).astype(np.float32))
        for array in (units, stars.noise / spread[:, None], cr_charge / spread[:, None])
    )
    centre_flags = torch.from_numpy(crop_centre(flags, FIT_RADIUS))
    templates = _shift_templates(torch.from_numpy(stars.images))
    for start in range(0, len(pixels), CUTOUTS_PER_BATCH):
        part = slice(start, start + CUTOUTS_PER_BATCH)
        good = centre_flags[part] == PixelFlag.GOOD
        affected = centre_flags[part] == PixelFlag.CR
        low = pixels[part].where(good, torch.inf).amin(1, keepdim=True)
        low = low.where(torch.isfinite(low), 0)
        above = (pixels[part] - low).where(good | affected, 0)
        above.clamp_(-MAX_VALUE, MAX_VALUE)
        variance = noise[part].square() + (STAR_SCATTER * above).square()
        expected, unsure = (plane[part] * affected for plane in charge.split(1, dim=1))
        inputs = [(above, good / variance.clamp(min=TINY), torch.tensor(True))]
        if affected.any():
            every = (good | affected) / (variance + unsure.square()).clamp(min=TINY)
            # Without CR-affected pixels it would be the first.
            inputs.append((above - expected, every, affected.any(1)))
        for place, (fitted, weights, usable) in enumerate(inputs):
            fit = _fit(fitted, weights, templates[place])
            fit = fit._replace(value=fit.value + low[:, 0])
            numbers = torch.stack(fit).clamp_(-MAX_VALUE, MAX_VALUE)
            found[place][:, part] = (numbers * (fit.found * usable)).numpy()
    return fits


def _fit(
    values: torch.Tensor, weights: torch.Tensor, templates: _ShiftedTemplates
) -> TemplateFit[torch.Tensor]:
    """Fit all templates at all offsets, twice, and combine the fits."""
    first = _compare(values, weights, templates)
    weights = weights * _robust_weights(values, weights, templates, first)
    fits = _compare(values, weights, templates)
    best = fits.chi2.amin(1)
    found = torch.isfinite(best)
    misfit = best.where(found, 1).clamp(min=1)
    likelihood = fits.chi2.clamp_(max=MAX_VALUE**2)
    likelihood = likelihood.mul_((-0.5 * FIT_PIXELS / misfit)[:, None]).softmax(1)
    fills = (fits.peak * fits.rise).add_(fits.level).flatten(1)
    variance = (
        fits.rise.square().div_(fits.variance).add_(1).div_(fits.total).flatten(1)
    )
    fill = (likelihood * fills).sum(1)
    scatter = fills.sub_(fill[:, None]).square_()
    sigma = (likelihood * scatter.add_(variance * misfit[:, None])).sum(1)
    sigma = sigma.clamp(min=TINY**2).sqrt()
    peak = (likelihood * fits.peak.flatten(1)).sum(1)
    return TemplateFit(found.float(), fill, peak, sigma.log(), misfit.log())


def _compare(
    values: torch.Tensor, weights: torch.Tensor, templates: _ShiftedTemplates
) -> _Fits:
    """Fit all templates at all offsets, each with its own brightness and background."""
    products, heights = templates.products, templates.heights
    offsets, stars = heights.shape
    sizes = [offsets, offsets * stars, offsets * stars]
    weighted = weights * values
    total, shape, square = (weights @ products).split(sizes, dim=1)
    total = total.clamp(min=TINY)[:, :, None]
    level, common = (weighted @ products[:, : sum(sizes[:2])]).split(sizes[:2], dim=1)
    scatter = (weighted * values) @ products[:, :offsets]
    number = (weights > 0).float() @ products[:, :offsets]
    level = level[:, :, None] / total
    scatter = scatter[:, :, None] / total - level.square()
    shape = shape.unflatten(1, heights.shape) / total
    variance = square.unflatten(1, heights.shape) / total
    variance = variance.sub_(shape.square()).clamp_(min=TINY)
    common = common.unflatten(1, heights.shape) / total
    # Stars shine: none has a negative brightness.
    common = common.sub_(level * shape).clamp_(min=0)
    peak = common / variance
    chi2 = (scatter - common.mul_(peak)).clamp_(min=0)
    chi2 *= total / (number - 2).clamp(min=1)[:, :, None]
    few = (number < MIN_FIT_PIXELS)[:, :, None]
    chi2 = chi2.masked_fill_(few, torch.inf).flatten(1)
    return _Fits(chi2, peak, heights - shape, variance, level, total)


def _robust_weights(
    values: torch.Tensor,
    weights: torch.Tensor,
    templates: _ShiftedTemplates,
    fits: _Fits,
) -> torch.Tensor:
    """Return weights, 0 to 1, lower for pixels that are far from the best fit."""
    best = fits.chi2.argmin(1, keepdim=True)
    peak = fits.peak.flatten(1).gather(1, best)
    offset = best.div(templates.heights.shape[1], rounding_mode="floor")
    # The mean of the template under the weights.
    mean = templates.heights.flatten()[best] - fits.rise.flatten(1).gather(1, best)
    level = fits.level[:, :, 0].gather(1, offset) - peak * mean
    residual = values - level - peak * templates.planes[best[:, 0]]
    residual = residual.square_().mul_(weights)
    used = (weights > 0) & (templates.kernel > MIN_WEIGHT)
    usual = residual.where(used, torch.nan).nanmedian(1, keepdim=True).values
    usual = usual.nan_to_num_(1).div_(MEDIAN_SQUARE).clamp_(min=1)
    return 1 / (1 + residual / (OUTLIER**2 * usual))


def _shift_templates(images: torch.Tensor) -> list[_ShiftedTemplates]:
    """Put templates at all offsets, with weights around each of `KERNEL_SCALES`."""
    planes = _at_all_offsets(images)
    inner = slice(PROFILE_RADIUS - MAX_OFFSET, PROFILE_RADIUS + MAX_OFFSET + 1)
    heights = images[:, inner, inner].flatten(1).flip(1).T.contiguous()
    flat = planes.flatten(0, 1).flatten(1)
    shifted = []
    for scale in KERNEL_SCALES:
        kernel = torch.from_numpy(gaussian_kernel(PROFILE_RADIUS, scale))
        weights = _at_all_offsets(kernel.to(images.dtype)[None])
        parts = weights, weights * planes, weights * planes.square()
        products = torch.cat([part.flatten(0, 1) for part in parts]).flatten(1)
        around = torch.from_numpy(gaussian_kernel(FIT_RADIUS, scale).ravel())
        shifted.append(
            _ShiftedTemplates(products.T.contiguous(), heights, flat, around)
        )
    return shifted


def _at_all_offsets(planes: torch.Tensor) -> torch.Tensor:
    """Map ``(n, side, side)`` to ``(offsets, n, width, width)``, 0 around them."""
    ends = range(2 * MAX_OFFSET + 1)
    pads = [(x, 2 * MAX_OFFSET - x, y, 2 * MAX_OFFSET - y) for y in ends for x in ends]
    return torch.stack([torch.nn.functional.pad(planes, pad) for pad in pads])
