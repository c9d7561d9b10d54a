"""Windows beside the stars of their frame: which star could go on behind a mask.

A star whose core is hidden shows its wings, and so do the other stars of the frame:
those that fit the wings tell what the core holds. So crowded fields are measured
(Stetson 1987, PASP 99, 191), here with stars in place of a model of them.
"""

from __future__ import annotations

import numpy as np
import torch

from .stars import SHOWN, Stars
from .windows import GOOD, HELD, gaussian, middle_of

__all__ = ["FITS", "HIGHEST", "fit_stars"]

#: How many numbers `fit_stars` gives.
FITS = 10
#: How far from the pixel in px, along rows and columns, the centre of a star may be.
OFF = 1
#: Half-width in px of what is compared.
HALF = OFF + SHOWN
#: Scale length in px of the weights around the centre of a star.
KERNEL = 2.0
#: Stars differ by such a share of their flux, beside the noise.
UNLIKE = 0.05
#: Weight of struck pixels, which hold more than the star, where they are used.
STRUCK = 0.5
#: How sharply the better fit is favoured: a fit counts as so many pixels.
PIXELS = 10.0
#: Pixels that a fit needs.
NEEDED = 3.0
#: Windows at a time: what is computed of them stays in a core's own memory.
PART = 256
#: Limits of what is told, and of what is computed with.
LEAST, HIGHEST = 1e-6, 1e5
LARGEST = 1e15


@torch.inference_mode()
def fit_stars(
    values: np.ndarray,
    kinds: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    stars: Stars,
) -> np.ndarray:
    """Fit the stars of a frame to windows.

    Each star, put on the pixel in the middle and on those beside it, is fitted to what
    is around, with any brightness on any sky; once to the good pixels, and once to
    what struck ones hold as well. The better a star fits, the more it counts.

    Parameters
    ----------
    values, kinds : `~numpy.ndarray`
        ``(n, k * k)``, from `~deepcr_ccd.windows.read_windows`; kinds are
        `~deepcr_ccd.windows.GOOD`, `~deepcr_ccd.windows.HELD` or 0.
    mean, spread : `~numpy.ndarray`
        ``(n,)``, the units of each window.
    stars : `~deepcr_ccd.stars.Stars`
        Of where they are.

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
    over = (middle_of(values, HALF) - mean[:, None]) / spread[:, None]
    over, noise = (
        torch.from_numpy(plane.clip(-LARGEST, LARGEST).astype(np.float32))
        for plane in (over, stars.noise / spread[:, None])
    )
    kind = torch.from_numpy(middle_of(kinds, HALF))
    shapes = torch.from_numpy(stars.shapes)
    templates = _templates(shapes)
    for start in range(0, len(over), PART):
        part = slice(start, start + PART)
        good, struck = kind[part] == GOOD, kind[part] == HELD
        known = good | struck
        low = over[part].where(good, torch.inf).amin(1, keepdim=True)
        low = low.where(torch.isfinite(low), 0)
        above = (over[part] - low).where(known, 0).clamp_(-HIGHEST, HIGHEST)
        variance = noise[part].square() + (UNLIKE * above).square()
        weights = known / variance.clamp_(min=LEAST)
        # The second would be the first, where nothing is told of struck pixels.
        every = weights * torch.where(good, 1, STRUCK)
        used = (weights * good, True), (every, struck.any(1))
        for place, (weight, told) in enumerate(used):
            some, fill, *rest = _fit(above, weight, templates)
            numbers = torch.stack([some, fill + low[:, 0], *rest], dim=1)
            numbers = numbers.clamp_(-HIGHEST, HIGHEST) * (some * told)[:, None]
            found[part, place] = numbers.numpy()
    return found.reshape(len(values), FITS)


def _fit(
    values: torch.Tensor, weights: torch.Tensor, templates: tuple[torch.Tensor, ...]
) -> list[torch.Tensor]:
    """Fit all stars in all places, by least squares; return what `fit_stars` tells."""
    products, heights = templates
    places, stars = heights.shape
    kinds = [places, places * stars, places * stars]
    weighted = weights * values
    total, shape, square = (weights @ products).split(kinds, dim=1)
    safe = total.clamp(min=LEAST)[:, :, None]
    level, common = (weighted @ products[:, : sum(kinds[:2])]).split(kinds[:2], dim=1)
    scatter = (weighted * values) @ products[:, :places]
    number = (weights > 0).float() @ products[:, :places]
    level = level[:, :, None] / safe
    scatter = scatter[:, :, None] / safe - level.square()
    shape = shape.unflatten(1, heights.shape) / safe
    breadth = square.unflatten(1, heights.shape) / safe
    breadth = breadth.sub_(shape.square()).clamp_(min=LEAST)
    common = common.unflatten(1, heights.shape) / safe
    # Stars shine: no fit has them below the sky.
    common = common.sub_(level * shape).clamp_(min=0)
    peak = common / breadth
    left = (scatter - common.mul_(peak)).clamp_(min=0)
    left *= (total / (number - 2).clamp(min=1))[:, :, None]
    left = left.masked_fill_((number < NEEDED)[:, :, None], torch.inf).flatten(1)
    best = left.amin(1)
    some = torch.isfinite(best)
    badly = best.where(some, 1).clamp(min=1)
    left.clamp_(max=HIGHEST**2).mul_((-0.5 * PIXELS / badly)[:, None])
    odds = left.softmax(1)
    rise = heights - shape
    fills = (peak * rise).add_(level).flatten(1)
    variance = rise.square_().div_(breadth).add_(1).div_(safe).flatten(1)
    fill = (odds * fills).sum(1)
    off = fills.sub_(fill[:, None]).square_()
    spread = (odds * off.add_(variance * badly[:, None])).sum(1)
    peak = (odds * peak.flatten(1)).sum(1)
    spread = spread.clamp(min=LEAST**2).sqrt()
    return [some.float(), fill, peak, spread.log(), badly.log()]


def _templates(shapes: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return what pixels are multiplied with, and what stars hold in the middle.

    The former are the weights around each place of a star, these times stars, and times
    their squares: ``(pixels of a window, places * (1 + 2 * stars))``. The latter is
    ``(places, stars)``.
    """
    width, side, places = 2 * HALF + 1, 2 * SHOWN + 1, (2 * OFF + 1) ** 2
    kernel = torch.from_numpy(gaussian(SHOWN, KERNEL)).to(shapes.dtype)
    planes = torch.stack([torch.ones_like(shapes[0]), *shapes, *shapes.square()])
    placed = torch.zeros(width, width, places, len(planes))
    for place in range(places):
        y, x = divmod(place, 2 * OFF + 1)
        there = placed[y : y + side, x : x + side, place]
        there.copy_((planes * kernel).permute(1, 2, 0))
    kinds = placed.flatten(0, 1).split([1, len(shapes), len(shapes)], dim=-1)
    products = torch.cat([kind.flatten(1) for kind in kinds], dim=1)
    inner = slice(SHOWN - OFF, SHOWN + OFF + 1)
    return products, shapes[:, inner, inner].flatten(1).flip(1).T.contiguous()
