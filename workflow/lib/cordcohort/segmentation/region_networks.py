"""Networks that draw the eight cord regions: SCS-Net (a reconstruction) and the earlier VGG16 one.

The layers of SCS-Net are not public. What is here follows what its abstract says, a U shape with
lightweight feature extraction, and is named a reconstruction wherever it is shown. The VGG16
network follows the public code of the same group's earlier paper.

References
----------
Yang et al. SCS-Net. Bioengineering 2025;12(7):709 (abstract; layers, widths and losses not public).
Fei et al. Diagnostics 2023;13(5):817, code FNBbarry/SpinalCordSegDTI.
Simonyan, Zisserman. Very deep convolutional networks. ICLR 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

N_REGIONS = 8
MIRRORED = (5, 6, 7, 8, 1, 2, 3, 4)
"""Code of the region on the other side, for codes 1 to 8."""
RECONSTRUCTION = "SCS-Net, a reconstruction: the published layers are not public"
VGG16_WIDTHS = (64, 128, 256, 512, 512)
VGG16_DEPTHS = (2, 2, 3, 3, 3)
VGG16_INIT_SD = 0.02


class LightBlock(nn.Module):
    """Two depthwise-separable 3 x 3 convolutions with normalisation, and a residual 1 x 1 path.

    Examples
    --------
    >>> LightBlock(2, 4)(torch.zeros(1, 2, 8, 8)).shape
    torch.Size([1, 4, 8, 8])
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *_separable(n_in, n_out), nn.ReLU(inplace=True), *_separable(n_out, n_out)
        )
        self.aside = nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features ``(n, n_out, y, x)``."""
        return nnf.relu(self.main(x) + self.aside(x))


def _separable(n_in: int, n_out: int) -> list[nn.Module]:
    """Each channel by its own 3 x 3 kernel, then a mixture of channels, normalised."""
    return [
        nn.Conv2d(n_in, n_in, 3, padding=1, groups=n_in, bias=False),
        nn.Conv2d(n_in, n_out, 1, bias=False),
        nn.InstanceNorm2d(n_out, affine=True),
    ]


def _plain(n_in: int, n_out: int, *, normalised: bool) -> list[nn.Module]:
    """3 x 3 convolution, normalisation where wanted, ReLU."""
    norm: list[nn.Module] = [nn.InstanceNorm2d(n_out, affine=True)] if normalised else []
    return [
        nn.Conv2d(n_in, n_out, 3, padding=1, bias=not normalised), *norm, nn.ReLU(inplace=True)
    ]  # fmt: skip


class _UShape(nn.Module):
    """Blocks down with 2 x 2 pooling, bilinear steps up with skips, a 1 x 1 head."""

    def __init__(
        self, down: Sequence[nn.Module], up: Sequence[nn.Module], width: int, out_channels: int
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList(down)
        self.up = nn.ModuleList(up)
        self.head = nn.Conv2d(width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs ``(n, out_channels, y, x)``; y and x must divide by 2 ** (levels - 1)."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(nnf.max_pool2d(x, 2) if level else x)
            skips.append(x)
        x = skips.pop()
        for merge in self.up:
            x = nnf.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = merge(torch.cat([x, skips.pop()], 1))
        return self.head(x)


class SCSNet(_UShape):
    """SCS-Net, a reconstruction: U shape with a lightweight encoder, softmax over 9 classes.

    Four resolution levels; the encoder's blocks are :class:`LightBlock`, the decoder is the usual
    one of plain convolutions. Outputs are logits of background and the eight regions.

    Parameters
    ----------
    in_channels
        1: the B0 image, or the FA map.
    width
        Channels of the finest level; each level below has twice as many.
    levels
        Resolution levels.

    Examples
    --------
    >>> SCSNet(width=4)(torch.zeros(1, 1, 16, 16)).shape
    torch.Size([1, 9, 16, 16])
    """

    def __init__(
        self, in_channels: int = 1, out_channels: int = N_REGIONS + 1, *,
        width: int = 24, levels: int = 4,
    ) -> None:  # fmt: skip
        widths = [width * 2**k for k in range(levels)]
        down = [LightBlock(a, b) for a, b in pairwise([in_channels, *widths])]
        up = [
            nn.Sequential(*_plain(a + b, b, normalised=True), *_plain(b, b, normalised=True))
            for a, b in pairwise(widths[::-1])
        ]
        super().__init__(down, up, width, out_channels)


class VGG16UNet(_UShape):
    """The earlier network of the same group: VGG16 encoder, one linear map a region, no softmax.

    Parameters
    ----------
    divisor
        1 for the published widths; more makes every level that much narrower, for small machines.

    Examples
    --------
    >>> VGG16UNet(divisor=16)(torch.zeros(1, 1, 16, 16)).shape
    torch.Size([1, 8, 16, 16])
    """

    def __init__(
        self, in_channels: int = 1, out_channels: int = N_REGIONS, *, divisor: int = 1
    ) -> None:
        widths = [max(w // divisor, 1) for w in VGG16_WIDTHS]
        down: list[nn.Module] = []
        for (a, b), depth in zip(pairwise([in_channels, *widths]), VGG16_DEPTHS, strict=True):
            layers = [_plain(a if k == 0 else b, b, normalised=False) for k in range(depth)]
            down.append(nn.Sequential(*(one for layer in layers for one in layer)))
        up: list[nn.Module] = []
        below = widths[-1]
        for skip, out in zip(widths[-2::-1], (*widths[-2:0:-1], widths[0]), strict=True):
            first = _plain(below + skip, out, normalised=False)
            up.append(nn.Sequential(*first, *_plain(out, out, normalised=False)))
            below = out
        super().__init__(down, up, below, out_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, VGG16_INIT_SD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def parameters_of(network: nn.Module) -> int:
    """Number of trained values.

    Examples
    --------
    >>> parameters_of(nn.Conv2d(1, 2, 3))
    20
    """
    return sum(p.numel() for p in network.parameters())


def multiply_adds(network: nn.Module, side: int) -> int:
    """Multiply-adds of all convolutions for one square image of one channel.

    Examples
    --------
    >>> multiply_adds(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1)), 4)
    288
    """
    total = 0

    def count(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += module.weight[0].numel() * output.numel()

    hooks = [m.register_forward_hook(count) for m in network.modules()]
    was_training = network.training
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 1, side, side))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return total
