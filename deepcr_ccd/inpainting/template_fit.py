"""Windows beside the stars of their frame: which star could go on behind a mask.

A star whose core is hidden shows its wings, and so do the other stars of the frame:
those that fit the wings tell what the core holds. So crowded fields are measured
(Stetson 1987, PASP 99, 191), here with stars in place of a model of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from .cutouts import PixelFlag, crop_centre, gaussian_kernel
from .feature_layout import FITS, SHOWN
from .star_templates import StarTemplates

__all__ = ["HIGHEST", "fit_star_templates"]

#: How far from the pixel in px, along rows and columns, the centre of a star may be.
OFF = 1
#: Half-width in px of what is compared.
HALF = OFF + SHOWN
#: Scale length in px of the weights around the centre of a star: where good pixels are
#: fitted, and where struck ones are as well, which leave no hole there.
KERNELS = (2.5, 1.3)
#: Stars differ by such a share of their flux, beside the noise.
UNLIKE = 0.04
#: How sharply the better fit is favoured: a fit counts as so many pixels.
PIXELS = 12.0
#: Pixels that a fit needs.
NEEDED = 3.0
#: So many times as far off as most are pixels that count for half. Most: the median of
#: those with weights above this share of the largest.
FAR = 1.25
NEAR = 0.05
#: The median of the squares of numbers of noise 1.
MEDIAN = 0.4549
#: Windows at a time: what is computed of them stays in a core's own memory.
PART = 256
#: Limits of what is told, and of what is computed with.
LEAST, HIGHEST = 1e-6, 1e5
LARGEST = 1e15


class _Templates(NamedTuple):
    """Stars in all places, for `_compare`.

    ``products`` is what pixels are multiplied with, ``(pixels of a window, places *
    (1 + 2 * stars))``: the weights around each place, these times stars, and times
    their squares. ``heights`` are what stars hold in the middle, ``(places, stars)``;
    ``planes`` the stars, ``(places * stars, pixels of a window)``; ``kernel`` the
    weights around the middle.
    """

    products: torch.Tensor
    heights: torch.Tensor
    planes: torch.Tensor
    kernel: torch.Tensor


class _Comparison(NamedTuple):
    """All stars in all places, fitted to windows; ``n`` windows.

    ``left`` is what is left, in units of the noise, and infinite without a fit,
    ``(n, places * stars)``. ``peak`` is the brightness of the stars, ``rise`` how far
    they rise in the middle over their mean, with the weights, and ``breadth`` their
    variance, ``(n, places, stars)``. ``level`` and ``total`` are the mean of the pixels
    and the sum of the weights, ``(n, places, 1)``.
    """

    left: torch.Tensor
    peak: torch.Tensor
    rise: torch.Tensor
    breadth: torch.Tensor
    level: torch.Tensor
    total: torch.Tensor


@torch.inference_mode()
def fit_star_templates(
    values: np.ndarray,
    flags: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    stars: StarTemplates,
    rays: np.ndarray,
) -> np.ndarray:
    """Fit the stars of a frame to windows.

    Each star, put on the pixel in the middle and on those beside it, is fitted to what
    is around, with any brightness on any sky; once to the good pixels, and once to
    what struck ones hold as well, less what rays may have left. Pixels that the best
    one is far from, as other stars are there, count for less, and all are fitted again.
    The better a star fits, the more it counts.

    Parameters
    ----------
    values, flags : `~numpy.ndarray`
        ``(n, k * k)``, from `~deepcr_ccd.inpainting.cutouts.read_cutouts`; flags are
        `~deepcr_ccd.inpainting.cutouts.PixelFlag.GOOD`,
        `~deepcr_ccd.inpainting.cutouts.PixelFlag.CR` or BAD.
    mean, spread : `~numpy.ndarray`
        ``(n,)``, the units of each window.
    stars : `~deepcr_ccd.inpainting.star_templates.StarTemplates`
        Of where they are.
    rays : `~numpy.ndarray`
        ``(n, 2)``, what a ray leaves in a pixel, and how far that may be off.

    Returns
    -------
    `~numpy.ndarray`
        float32, ``(n, FITS)``, five numbers of each of the two fits: whether there is
        one; what it says that the pixel holds, and the peak of the star, in the units
        of the window; and the logarithms of the first one's uncertainty, and of how
        badly the best star fits. Zeros if there is none.
    """
    found = np.zeros((len(values), 2, FITS // 2), dtype=np.float32)
    if not len(stars.shapes):
        return found.reshape(len(values), FITS)
    over = (crop_centre(values, HALF) - mean[:, None]) / spread[:, None]
    over, noise, rays = (
        torch.from_numpy(plane.clip(-LARGEST, LARGEST).astype(np.float32))
        for plane in (over, stars.noise / spread[:, None], rays / spread[:, None])
    )
    flag = torch.from_numpy(crop_centre(flags, HALF))
    templates = _templates(torch.from_numpy(stars.shapes))
    for start in range(0, len(over), PART):
        part = slice(start, start + PART)
        good, struck = flag[part] == PixelFlag.GOOD, flag[part] == PixelFlag.CR
        low = over[part].where(good, torch.inf).amin(1, keepdim=True)
        low = low.where(torch.isfinite(low), 0)
        above = (over[part] - low).where(good | struck, 0).clamp_(-HIGHEST, HIGHEST)
        variance = noise[part].square() + (UNLIKE * above).square()
        left, unsure = (plane[part] * struck for plane in rays.split(1, dim=1))
        used = [(above, good / variance.clamp(min=LEAST), True)]
        if struck.any():
            every = (good | struck) / (variance + unsure.square()).clamp(min=LEAST)
            # It would be the first, where nothing is told of struck pixels.
            used.append((above - left, every, struck.any(1)))
        for place, (pixels, weights, told) in enumerate(used):
            some, fill, *rest = _fit(pixels, weights, templates[place])
            numbers = torch.stack([some, fill + low[:, 0], *rest], dim=1)
            numbers = numbers.clamp_(-HIGHEST, HIGHEST) * (some * told)[:, None]
            found[part, place] = numbers.numpy()
    return found.reshape(len(values), FITS)


def _fit(
    values: torch.Tensor, weights: torch.Tensor, templates: _Templates
) -> list[torch.Tensor]:
    """Fit all stars in all places, by least squares; see `fit_star_templates`."""
    first = _compare(values, weights, templates)
    weights = weights * _trust(values, weights, templates, first)
    fits = _compare(values, weights, templates)
    best = fits.left.amin(1)
    some = torch.isfinite(best)
    badly = best.where(some, 1).clamp(min=1)
    odds = fits.left.clamp_(max=HIGHEST**2).mul_((-0.5 * PIXELS / badly)[:, None])
    odds = odds.softmax(1)
    fills = (fits.peak * fits.rise).add_(fits.level).flatten(1)
    variance = fits.rise.square().div_(fits.breadth).add_(1).div_(fits.total).flatten(1)
    fill = (odds * fills).sum(1)
    off = fills.sub_(fill[:, None]).square_()
    spread = (odds * off.add_(variance * badly[:, None])).sum(1)
    peak = (odds * fits.peak.flatten(1)).sum(1)
    spread = spread.clamp(min=LEAST**2).sqrt()
    return [some.float(), fill, peak, spread.log(), badly.log()]


def _compare(
    values: torch.Tensor, weights: torch.Tensor, templates: _Templates
) -> _Comparison:
    """Fit all stars in all places, each with a brightness and a level of its own."""
    products, heights = templates.products, templates.heights
    places, stars = heights.shape
    sizes = [places, places * stars, places * stars]
    weighted = weights * values
    total, shape, square = (weights @ products).split(sizes, dim=1)
    total = total.clamp(min=LEAST)[:, :, None]
    level, common = (weighted @ products[:, : sum(sizes[:2])]).split(sizes[:2], dim=1)
    scatter = (weighted * values) @ products[:, :places]
    number = (weights > 0).float() @ products[:, :places]
    level = level[:, :, None] / total
    scatter = scatter[:, :, None] / total - level.square()
    shape = shape.unflatten(1, heights.shape) / total
    breadth = square.unflatten(1, heights.shape) / total
    breadth = breadth.sub_(shape.square()).clamp_(min=LEAST)
    common = common.unflatten(1, heights.shape) / total
    # Stars shine: no fit has them below the sky.
    common = common.sub_(level * shape).clamp_(min=0)
    peak = common / breadth
    left = (scatter - common.mul_(peak)).clamp_(min=0)
    left *= total / (number - 2).clamp(min=1)[:, :, None]
    left = left.masked_fill_((number < NEEDED)[:, :, None], torch.inf).flatten(1)
    return _Comparison(left, peak, heights - shape, breadth, level, total)


def _trust(
    values: torch.Tensor,
    weights: torch.Tensor,
    templates: _Templates,
    fits: _Comparison,
) -> torch.Tensor:
    """Return by how much pixels count that the best fit is far from, 0 to 1."""
    best = fits.left.argmin(1, keepdim=True)
    peak = fits.peak.flatten(1).gather(1, best)
    place = best.div(templates.heights.shape[1], rounding_mode="floor")
    # What a star has in a pixel over what it has in the middle.
    rise = templates.heights.flatten()[best] - fits.rise.flatten(1).gather(1, best)
    level = fits.level[:, :, 0].gather(1, place) - peak * rise
    off = (values - level - peak * templates.planes[best[:, 0]]).square_().mul_(weights)
    used = (weights > 0) & (templates.kernel > NEAR)
    most = off.where(used, torch.nan).nanmedian(1, keepdim=True).values
    most = most.nan_to_num_(1).div_(MEDIAN).clamp_(min=1)
    return 1 / (1 + off / (FAR**2 * most))


def _templates(shapes: torch.Tensor) -> list[_Templates]:
    """Put stars in all places, with weights around each; for each of `KERNELS`."""
    planes = _in_all_places(shapes)
    inner = slice(SHOWN - OFF, SHOWN + OFF + 1)
    heights = shapes[:, inner, inner].flatten(1).flip(1).T.contiguous()
    found = []
    for scale in KERNELS:
        kernel = torch.from_numpy(gaussian_kernel(SHOWN, scale)).to(shapes.dtype)
        weights = _in_all_places(kernel[None])
        parts = weights, weights * planes, weights * planes.square()
        products = torch.cat([part.flatten(0, 1) for part in parts]).flatten(1)
        around = torch.from_numpy(gaussian_kernel(HALF, scale).ravel())
        every = products.T.contiguous(), heights, planes.flatten(0, 1).flatten(1)
        found.append(_Templates(*every, around))
    return found


def _in_all_places(planes: torch.Tensor) -> torch.Tensor:
    """Map ``(n, side, side)`` to ``(places, n, width, width)``, 0 around them."""
    ends = range(2 * OFF + 1)
    pads = [(x, 2 * OFF - x, y, 2 * OFF - y) for y in ends for x in ends]
    return torch.stack([torch.nn.functional.pad(planes, pad) for pad in pads])
