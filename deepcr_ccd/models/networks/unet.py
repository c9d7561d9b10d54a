"""The U-Nets that find cosmic rays, and those of deepCR that fill them."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

__all__ = [
    "UNet",
]


#: For each convolution of a block, a factor less one and a summand of its channels.
Told = Sequence[tuple[torch.Tensor, torch.Tensor]]


class Convolutions(nn.Sequential):
    """3x3 convolutions, each followed by a ReLU; in training, by BatchNorm too."""

    def __init__(
        self, in_channels: int, out_channels: int, number: int, norm: bool = False
    ):
        layers: list[nn.Module] = []
        for n_in in (in_channels, *[out_channels] * (number - 1)):
            layers.append(nn.Conv2d(n_in, out_channels, 3, padding=1, bias=not norm))
            if norm:
                layers.append(nn.BatchNorm2d(out_channels))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)

    def forward(self, x: torch.Tensor, told: Told = ()) -> torch.Tensor:
        """Return the output.

        ``told`` has, for each ReLU, what its input is multiplied by less one, and what
        is added then, ``(n, out_channels)`` each; or nothing.
        """
        pairs = iter(told)
        for layer in self:
            if told and isinstance(layer, nn.ReLU):
                gain, shift = (v[:, :, None, None].to(x.dtype) for v in next(pairs))
                x = x + (x * gain + shift)
            x = layer(x)
        return x


class UNet(nn.Module):
    """The U-Net of deepCR, and a faster one that works on blocks of pixels.

    Each level has two 3x3 convolutions; levels are joined by 2x2 max-pooling on
    the way down and by 2x2 transposed convolutions on the way up, where the two
    branches are concatenated (Zhang & Bloom 2020, ApJ 889, 24; after Ronneberger,
    Fischer & Brox 2015). With a stem, blocks of pixels become channels before the
    first level and pixels again after the last (Shi et al. 2016), so that most work is
    done at lower resolution.

    Parameters
    ----------
    in_channels, out_channels : int
        Planes that go in and come out.
    width : int or list of int
        Channels of each level; of a number, each level has twice those above.
    levels : int
        Number of resolutions.
    stem : int
        Width of the blocks in px; 1 for none.
    merge : int
        Convolutions of a level on the way up; on the way down there are two.
    skip : {"concatenate", "add"}
        How the two branches are joined. Adding moves half as much memory.
    norm : bool
        Whether convolutions are followed by BatchNorm, for training; see
        ``deepcr_ccd.training.batch_norm``.
    star_widths : list of float, optional
        FWHMs in px, ascending, of a network that is told how wide the stars of the
        frame are, see `~deepcr_ccd.preprocess.star_width.width_code`: for each, and
        for frames without stars, by what the input of each ReLU is multiplied, and
        what is added to it (feature-wise linear modulation, FiLM: Perez et al. 2018,
        arXiv:1709.07871).
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int | list[int] = 32,
        levels: int = 2,
        stem: int = 1,
        merge: int = 2,
        skip: str = "concatenate",
        norm: bool = False,
        star_widths: list[float] | None = None,
    ):
        super().__init__()
        if isinstance(width, int):
            width = [width << level for level in range(levels)]
        if len(width) != levels:
            raise TypeError(f"width={width!r} must have an entry for each of {levels}")
        if skip not in ("concatenate", "add"):
            raise TypeError(f"skip={skip!r} must be 'concatenate' or 'add'")
        self.adds = skip == "add"
        self.in_channels = in_channels
        self.levels = levels
        self.convolutions = (2, merge)
        self.stem = stem
        entries = [in_channels * stem**2, *width]
        self.down = nn.ModuleList(
            Convolutions(n_in, n_out, 2, norm)
            for n_in, n_out in zip(entries, width, strict=False)
        )
        steps = list(zip(width, width[1:], strict=False))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(below, here, 2, stride=2) for here, below in steps
        )
        self.merge = nn.ModuleList(
            Convolutions(here if self.adds else 2 * here, here, merge, norm)
            for here, _ in steps
        )
        self.out = nn.Conv2d(width[0], out_channels * stem**2, 1)
        self.star_widths = _check_widths(star_widths)
        self.gains, self.shifts = nn.ParameterList(), nn.ParameterList()
        if self.star_widths:
            known = len(self.star_widths) + 1
            for parameters in (self.gains, self.shifts):
                parameters.extend(
                    nn.Parameter(torch.zeros(known, layer.out_channels))
                    for layer in self.told_layers()
                )

    def reset_parameters(self) -> None:
        """Let what is told of stars change nothing, as at the start of a training."""
        for parameter in (*self.gains, *self.shifts):
            nn.init.zeros_(parameter)

    def told_layers(self) -> list[nn.Conv2d]:
        """Return the convolutions whose output depends on what is told of stars."""
        blocks = [*self.down, *self.merge]
        layers = [layer for block in blocks for layer in block.children()]
        return [layer for layer in layers if isinstance(layer, nn.Conv2d)]

    #: Whether it takes features of cutouts, rather than tiles of the frame.
    takes_cutouts = False
    #: Names of its first and its last layer.
    ends = ("down.0.0", "out")

    @property
    def stride(self) -> int:
        """Pixels between equivalent positions; tiles start on its multiples."""
        return self.stem << (self.levels - 1)

    @property
    def radius(self) -> int:
        """Receptive radius: the farthest pixel, in px, that can change an output."""
        # A convolution reaches 1 px of its own level, on the way down and on the way
        # up (the lowest level is passed once); pooling blocks misalign by up to
        # stride - 1.
        both = sum(self.convolutions)
        convolutions = sum(both << level for level in range(self.levels - 1))
        return self.stem * convolutions + 2 * self.stride + self.stride - 1

    @property
    def halo(self) -> int:
        """What a tile needs around it in px, if it begins and ends on the stride."""
        down, up = self.convolutions
        # How far before the tile, in pixels of a level, what is needed there begins;
        # half a pixel of the next level is a whole one.
        reach = 0
        for _ in range(self.levels - 1):
            reach = (reach + up + 1) // 2
        for _ in range(self.levels - 1):
            reach = 2 * (reach + down)
        return self.stem * (reach + down)

    def of_frame(self, code: Sequence[float]) -> UNet:
        """Return the network for frames whose stars have a width.

        Parameters
        ----------
        code : sequence of float
            From `~deepcr_ccd.preprocess.star_width.width_code`.

        Returns
        -------
        UNet
            One that is not told, with other weights; or the network itself if it is
            such a one.
        """
        if not self.star_widths:
            return self
        network = copy.deepcopy(self)
        network.star_widths = ()
        network.gains, network.shifts = nn.ParameterList(), nn.ParameterList()
        for layer, gains, shifts in zip(
            network.told_layers(), self.gains, self.shifts, strict=True
        ):
            known = torch.as_tensor(code, dtype=gains.dtype).to(gains.device)
            factor, shift = 1 + known @ gains, known @ shifts
            layer.weight.data *= factor[:, None, None, None]
            bias = cast(torch.Tensor, layer.bias)
            bias.data.mul_(factor).add_(shift)
        return network

    def inner_layers(self) -> list[nn.Module]:
        """Return convolutions but the first and the last, in the order they run in."""
        layers = [layer for block in self.down for layer in block.children()][1:]
        for level in reversed(range(self.levels - 1)):
            layers += [self.up[level], *self.merge[level].children()]
        return [n for n in layers if isinstance(n, nn.Conv2d | nn.ConvTranspose2d)]

    def forward(
        self, x: torch.Tensor, code: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map ``(n, in_channels, ny, nx)`` to ``(n, out_channels, ny, nx)``.

        ``code`` is ``(n, known)``, for a network that is told the width of stars;
        without, nothing is known.
        """
        told: list = []
        if code is not None and self.star_widths:
            told = [
                (code.to(gain.dtype) @ gain, code.to(shift.dtype) @ shift)
                for gain, shift in zip(self.gains, self.shifts, strict=True)
            ]
        down, merge = self.convolutions
        if self.stem > 1:
            x = nn.functional.pixel_unshuffle(x, self.stem)
        skips = []
        for level, block in enumerate(self.down):
            if level:
                x = nn.functional.max_pool2d(x, 2)
            x = _run_block(block, x, told[down * level : down * (level + 1)])
            skips.append(x)
        skips.pop()
        for level in reversed(range(self.levels - 1)):
            above, below = skips.pop(), self.up[level](x)
            joined = below.add_(above) if self.adds else torch.cat([above, below], 1)
            first = down * self.levels + merge * level
            x = _run_block(self.merge[level], joined, told[first : first + merge])
        x = self.out(x)
        return nn.functional.pixel_shuffle(x, self.stem) if self.stem > 1 else x


def _run_block(block: nn.Module, x: torch.Tensor, told: Told) -> torch.Tensor:
    """Run a block; those of engines are told nothing."""
    return block(x, told) if told else block(x)


def _check_widths(widths: Sequence[float] | None) -> tuple[float, ...]:
    """Return the star widths of a network, or raise TypeError."""
    if widths is None:
        return ()
    numbers = tuple(map(float, widths))
    ascending = all(a < b for a, b in zip(numbers, numbers[1:], strict=False))
    if (
        len(numbers) < 2
        or not ascending
        or not 0 < numbers[0] <= numbers[-1] < math.inf
    ):
        raise TypeError(f"star_widths={widths!r} must be two FWHMs or more, ascending")
    return numbers
