"""Network architectures, by name, from an allow-list.

A model folder names its architecture and its options; nothing else of it is ever executed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from cordcohort.errors import ConfigError
from cordcohort.segmentation.region_networks import SCSNet, VGG16UNet

LEAKY_SLOPE = 0.01


def _block(n_in: int, n_out: int) -> nn.Sequential:
    """Convolution, instance norm, leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1),
        nn.InstanceNorm2d(n_out, affine=True),
        nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
    )


class SliceUNet(nn.Module):
    """2.5-D U-Net: a stack of neighbouring axial slices in, the middle slice's logit out.

    Every 2 x 2 pixel block is folded into channels first (and unfolded at the end), so that the
    costly layers run on a quarter of the pixels while the output keeps the full grid.

    Parameters
    ----------
    in_slices
        Number of neighbouring slices, odd.
    features
        Channels of each level, finest first. The grid must divide by ``2 ** len(features)``.
    deep_supervision
        In training mode return a list of logits (finest first) instead of one tensor.
    out_channels
        Logits of each pixel: one a region or class.

    Examples
    --------
    >>> SliceUNet(features=(4, 8))(torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 1, 16, 16])
    >>> SliceUNet(features=(4, 8), out_channels=2)(torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 2, 16, 16])
    """

    def __init__(
        self,
        in_slices: int = 3,
        features: Sequence[int] = (32, 64, 128, 160),
        deep_supervision: bool = False,
        out_channels: int = 1,
    ) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision
        self.fold = nn.PixelUnshuffle(2)
        self.unfold = nn.PixelShuffle(2)
        widths = [4 * in_slices, *features]
        self.down = nn.ModuleList(
            nn.Sequential(_block(a, b), _block(b, b)) for a, b in pairwise(widths)
        )
        pairs = list(pairwise(features[::-1]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in pairs)
        self.merge = nn.ModuleList(nn.Sequential(_block(2 * b, b), _block(b, b)) for _, b in pairs)
        self.heads = nn.ModuleList(
            nn.Conv2d(b, 4 * out_channels, 1)
            for _, b in (pairs if deep_supervision else pairs[-1:])
        )
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Any:
        """Logits ``(n, c, y, x)`` of ``(n, slices, y, x)``; a list under deep supervision."""
        x = self.fold(x)
        skips: list[Tensor] = []
        last = len(self.down) - 1
        for level, down in enumerate(self.down):
            x = down(x)
            if level < last:
                skips.append(x)
                x = self.pool(x)
        outputs: list[Tensor] = []
        for level, (up, merge) in enumerate(zip(self.up, self.merge, strict=True)):
            x = merge(torch.cat([up(x), skips.pop()], 1))
            if self.deep_supervision and self.training:
                outputs.append(self.unfold(self.heads[level](x)))
        if outputs:
            return outputs[::-1]
        return self.unfold(self.heads[-1](x))


def _block_3d(
    n_in: int, n_out: int, kernel: tuple[int, int, int], stride: tuple[int, int, int] = (1, 1, 1)
) -> nn.Sequential:
    """Anisotropic 3-D convolution, instance norm, leaky ReLU."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Sequential(
        nn.Conv3d(n_in, n_out, kernel, stride, padding),
        nn.InstanceNorm3d(n_out, affine=True),
        nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
    )


class UNet3d(nn.Module):
    """Plain 3-D U-Net with kernels and strides per level, so that thick slices are respected.

    Parameters
    ----------
    features
        Channels of each level, finest first.
    kernels, strides
        One triple (z, y, x) a level; the stride of the first level must be (1, 1, 1).
    strided
        Go down by a stride in the first convolution of a level, as the plain U-Net of nnU-Net
        does, instead of by the largest value.
    deep_supervision
        In training mode return a list of logits (finest first).

    References
    ----------
    Isensee et al. nnU-Net. Nature Methods 2021;18:203-211.

    Examples
    --------
    >>> net = UNet3d(features=(4, 8), strides=((1, 1, 1), (1, 2, 2)))
    >>> net(torch.zeros(1, 1, 3, 8, 8)).shape
    torch.Size([1, 1, 3, 8, 8])
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        *,
        features: Sequence[int] = (16, 32, 64, 96),
        kernels: Sequence[Sequence[int]] | None = None,
        strides: Sequence[Sequence[int]] | None = None,
        strided: bool = False,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision
        n = len(features)
        sizes = [_triple(k) for k in (kernels or [(3, 3, 3)] * n)]
        steps = [_triple(s) for s in (strides or [(1, 1, 1)] + [(2, 2, 2)] * (n - 1))]
        widths = [in_channels, *features]
        whole = (1, 1, 1)
        self.down = nn.ModuleList(
            nn.Sequential(
                _block_3d(widths[i], widths[i + 1], sizes[i], steps[i] if strided else whole),
                _block_3d(widths[i + 1], widths[i + 1], sizes[i]),
            )
            for i in range(n)
        )
        self.pool = nn.ModuleList(nn.Identity() if strided else nn.MaxPool3d(s, s) for s in steps)
        order = list(range(n - 1, 0, -1))
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(features[i], features[i - 1], steps[i], steps[i]) for i in order
        )
        self.merge = nn.ModuleList(
            nn.Sequential(
                _block_3d(2 * features[i - 1], features[i - 1], sizes[i - 1]),
                _block_3d(features[i - 1], features[i - 1], sizes[i - 1]),
            )
            for i in order
        )
        headed = order if deep_supervision else order[-1:]
        self.heads = nn.ModuleList(nn.Conv3d(features[i - 1], out_channels, 1) for i in headed)

    def forward(self, x: Tensor) -> Any:
        """Logits on the grid of ``x`` (n, c, z, y, x); a list under deep supervision."""
        skips: list[Tensor] = []
        for pool, down in zip(self.pool, self.down, strict=True):
            x = down(pool(x))
            skips.append(x)
        x = skips.pop()
        outputs: list[Tensor] = []
        for level, (up, merge) in enumerate(zip(self.up, self.merge, strict=True)):
            x = merge(torch.cat([up(x), skips.pop()], 1))
            if self.deep_supervision and self.training:
                outputs.append(self.heads[level](x))
        return outputs[::-1] if outputs else self.heads[-1](x)


class FoldedUNet3d(nn.Module):
    """3-D U-Net on blocks of 2 x 2 x 2 voxels folded into channels, for thin structures.

    The costly layers run on an eighth of the voxels while the outputs keep the full grid, so that a
    structure of one or two voxels is drawn within a field of view as long as the neck.

    Parameters
    ----------
    in_channels, out_channels
        Of the full grid.
    features, strides
        Of the inner :class:`UNet3d`, whose first level has voxels twice as large.
    detail
        Channels that the inner network hands over to two convolutions on the full grid, which see
        the image again: for structures of one voxel. 0: none, its outputs are the result.

    Examples
    --------
    >>> net = FoldedUNet3d(2, 3, features=(4, 8))
    >>> net(torch.zeros(1, 2, 8, 16, 8)).shape
    torch.Size([1, 3, 8, 16, 8])
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        *,
        features: Sequence[int] = (16, 24, 32, 48),
        strides: Sequence[Sequence[int]] | None = None,
        detail: int = 0,
    ) -> None:
        super().__init__()
        handed = 8 * (detail or out_channels)
        self.core = UNet3d(8 * in_channels, handed, features=features, strides=strides)
        self.fine = _fine_head(in_channels + detail, out_channels) if detail else None

    def forward(self, x: Tensor) -> Tensor:
        """Logits on the grid of ``x`` (n, c, z, y, x), whose sides are even."""
        n, c, z, y, w = x.shape
        folded = x.reshape(n, c, z // 2, 2, y // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 7, 2, 4, 6)
        out: Tensor = self.core(folded.reshape(n, 8 * c, z // 2, y // 2, w // 2))
        out = out.view(n, -1, 2, 2, 2, z // 2, y // 2, w // 2).permute(0, 1, 5, 2, 6, 3, 7, 4)
        out = out.reshape(n, -1, z, y, w)
        return out if self.fine is None else self.fine(torch.cat([out, x.to(out.dtype)], 1))


def _fine_head(n_in: int, n_out: int) -> nn.Sequential:
    """Two convolutions on the full grid, and the outputs."""
    size = (3, 3, 3)
    return nn.Sequential(
        _block_3d(n_in, n_in, size), _block_3d(n_in, n_in, size), nn.Conv3d(n_in, n_out, 1)
    )


def _row_block(n_in: int, n_out: int) -> nn.Sequential:
    """Convolution along the rows, instance norm, leaky ReLU; twice."""
    layers: list[nn.Module] = []
    for a in (n_in, n_out):
        layers += [
            nn.Conv1d(a, n_out, 3, padding=1),
            nn.InstanceNorm1d(n_out, affine=True),
            nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
        ]
    return nn.Sequential(*layers)


class StripNet(nn.Module):
    """A straightened sagittal strip in, curves along the cord out.

    Columns (back to front) are folded away by 2-D convolutions; a U-Net along the rows then sees
    the whole strip at once, so that a disc is named by what lies above and below it.

    Parameters
    ----------
    in_channels, out_channels
        Channels of the strip (intensity, field of view) and number of curves.
    columns
        Columns of the strip, a multiple of 16.
    widths
        Channels of the three 2-D levels.
    features
        Channels along the rows, finest first. The rows must divide by ``2 ** len(features)``.

    Examples
    --------
    >>> net = StripNet(out_channels=3, columns=32, widths=(4, 4, 8), features=(8, 8))
    >>> net(torch.zeros(1, 2, 16, 32)).shape
    torch.Size([1, 3, 16])
    """

    def __init__(
        self,
        in_channels: int = 2,
        out_channels: int = 3,
        *,
        columns: int = 48,
        widths: Sequence[int] = (8, 16, 24),
        features: Sequence[int] = (48, 64, 64, 96),
    ) -> None:
        super().__init__()
        a, b, c = widths
        self.planar = nn.Sequential(
            nn.Conv2d(in_channels, a, 5, stride=2, padding=2),
            nn.InstanceNorm2d(a, affine=True),
            nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
            nn.MaxPool2d((1, 2)), _block(a, b), nn.MaxPool2d((1, 2)), _block(b, c),
            nn.MaxPool2d((1, 2)), _block(c, c),
        )  # fmt: skip
        self.fold = nn.Conv1d(c * columns // 16, features[0], 1)
        widths_along = [features[0], *features]
        self.down = nn.ModuleList(_row_block(p, q) for p, q in pairwise(widths_along))
        pairs = list(pairwise(features[::-1]))
        self.up = nn.ModuleList(nn.ConvTranspose1d(p, q, 2, 2) for p, q in pairs)
        self.merge = nn.ModuleList(_row_block(2 * q, q) for _, q in pairs)
        self.pool = nn.MaxPool1d(2)
        self.head = nn.Conv1d(features[0], 2 * out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(n, curves, rows)`` of strips ``(n, channels, rows, columns)``."""
        x = self.planar(x)
        x = self.fold(x.permute(0, 1, 3, 2).flatten(1, 2))
        skips: list[Tensor] = []
        last = len(self.down) - 1
        for level, down in enumerate(self.down):
            x = down(x)
            if level < last:
                skips.append(x)
                x = self.pool(x)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), skips.pop()], 1))
        n, doubled, rows = (out := self.head(x)).shape
        return out.view(n, doubled // 2, 2, rows).permute(0, 1, 3, 2).reshape(n, doubled // 2, -1)


def _triple(values: Sequence[int]) -> tuple[int, int, int]:
    """Three integers."""
    z, y, x = (int(v) for v in values)
    return z, y, x


VOLUME_NETWORKS = frozenset({"unet_3d", "folded_unet_3d"})
"""Architectures that take a whole block of voxels instead of a stack of slices."""
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "slice_unet": SliceUNet,
    "unet_3d": UNet3d,
    "folded_unet_3d": FoldedUNet3d,
    "strip_net": StripNet,
    "scs_net": SCSNet,
    "vgg16_unet": VGG16UNet,
}


def build_network(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Make a network of the allow-list.

    Parameters
    ----------
    name
        Key of ``ARCHITECTURES``.
    options
        Keyword arguments of the architecture (numbers, lists and booleans only).

    Raises
    ------
    ConfigError
        The name is not in the allow-list, or an option is unknown.

    Examples
    --------
    >>> type(build_network("slice_unet", {"features": [4, 8]})).__name__
    'SliceUNet'
    """
    if name not in ARCHITECTURES:
        raise ConfigError(
            "architecture", name, "one of " + ", ".join(ARCHITECTURES), "use a listed architecture"
        )
    try:
        return ARCHITECTURES[name](**dict(options))
    except TypeError as error:
        raise ConfigError(
            f"architecture options of {name}",
            dict(options),
            str(error),
            "remove the unknown option",
        ) from error
