"""Networks: torch modules that know their receptive radius and stride."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["ARCHITECTURES", "UNet", "build_network"]


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each followed by a ReLU."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.ReLU(inplace=True),
        )


class UNet(nn.Module):
    """The U-Net of deepCR, with its normalisation layers folded away.

    Each level has two 3x3 convolutions; levels are joined by 2x2 max-pooling on
    the way down and by 2x2 transposed convolutions on the way up, where the two
    branches are concatenated (Zhang & Bloom 2020, ApJ 889, 24; after Ronneberger,
    Fischer & Brox 2015).

    Parameters
    ----------
    in_channels, out_channels : int
        Planes that go in and come out.
    width : int
        Channels of the first level; each level below has twice as many.
    levels : int
        Number of resolutions.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 32,
        levels: int = 2,
    ):
        super().__init__()
        widths = [width << level for level in range(levels)]
        self.levels = levels
        self.down = nn.ModuleList(
            DoubleConv(n_in, n_out)
            for n_in, n_out in zip([in_channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * n, n, 2, stride=2) for n in widths[:-1]
        )
        self.merge = nn.ModuleList(DoubleConv(2 * n, n) for n in widths[:-1])
        self.out = nn.Conv2d(width, out_channels, 1)

    @property
    def stride(self) -> int:
        """Pixels between equivalent positions; tiles start on its multiples."""
        return 1 << (self.levels - 1)

    @property
    def radius(self) -> int:
        """Receptive radius: the farthest pixel, in px, that can change an output."""
        # Two convolutions reach 2 px of their own level, on the way down and on
        # the way up (the lowest level is passed once); pooling blocks misalign by
        # up to stride - 1.
        convolutions = sum(4 << level for level in range(self.levels - 1))
        return convolutions + 2 * self.stride + self.stride - 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(n, in_channels, ny, nx)`` to ``(n, out_channels, ny, nx)``."""
        skips = []
        for level, block in enumerate(self.down):
            if level:
                x = nn.functional.max_pool2d(x, 2)
            x = block(x)
            skips.append(x)
        skips.pop()
        for level in reversed(range(self.levels - 1)):
            x = self.merge[level](torch.cat([skips.pop(), self.up[level](x)], dim=1))
        return self.out(x)


#: Networks a model card can name.
ARCHITECTURES: dict[str, type[nn.Module]] = {"unet": UNet}


def build_network(architecture: str, arguments: dict) -> nn.Module:
    """Build the network that a card names, with untrained weights.

    Parameters
    ----------
    architecture : str
        A key of `ARCHITECTURES`.
    arguments : dict
        Keyword arguments of its constructor.

    Returns
    -------
    torch.nn.Module
        A network with the attributes ``radius`` and ``stride``.

    Raises
    ------
    ValueError
        If the architecture is unknown or the arguments do not fit it.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ValueError(f"architecture {architecture!r} is unknown; known: {known}")
    try:
        return ARCHITECTURES[architecture](**arguments)
    except TypeError as error:
        raise ValueError(
            f"arguments {arguments!r} do not fit architecture {architecture!r}: {error}"
        ) from error
