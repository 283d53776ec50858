"""New brightness for a 3-D patch: of its tissue codes, or of the regions that its image shows.

So a network meets contrasts that no scanner of the cohort made, on the shapes and backgrounds of
the cohort (painted share of a cohort source) or of the phantom (no image at all).
"""

# The numbers below are ranges of chance, not thresholds: a name each would hide the drawing.

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cordcohort.training.augment import smoothed
from cordcohort.training.contrast import tissue_means
from cordcohort.training.surroundings import CODE, TISSUES

REGIONS = (5, 14)
LEAST_SPAN = 1e-6
EDGE_SIGMA_VOXELS = 0.6
TEXTURE_SIGMA_VOXELS = 1.5


def repaint(
    rng: np.random.Generator, generator: torch.Generator, image: Tensor, cord: Tensor, *,
    codes: bool,
) -> Tensor:  # fmt: skip
    """Painted image ``(z, y, x)``.

    Parameters
    ----------
    image
        Tissue codes of :data:`cordcohort.training.surroundings.CODE`, or a scan whose brightness is
        cut into random ranges, each of which becomes a tissue.
    cord
        Fraction of cord in each voxel: where it is not 0 the paint is mixed.
    codes
        Which of the two ``image`` is.

    Examples
    --------
    >>> rng, generator = np.random.default_rng(1), torch.Generator().manual_seed(1)
    >>> cord = torch.zeros(4, 8, 8); cord[:, 2:6, 2:6] = 1
    >>> painted = repaint(rng, generator, torch.rand(4, 8, 8), cord, codes=False)
    >>> bool(torch.isfinite(painted).all())
    True
    """
    means = torch.as_tensor(tissue_means(rng, 1)[0], device=image.device)
    within = means[CODE["wm"]].expand(image.shape)
    if codes:
        labels = image.round().long().clamp(0, len(TISSUES) - 1)
        grey = labels == CODE["gm"]
        within = torch.where(grey, means[CODE["gm"]], within)
        # Where the cord is mixed with what surrounds it, that is fluid.
        labels = torch.where((cord > 0) & (grey | (labels == CODE["wm"])), CODE["csf"], labels)
        around = means[labels]
    else:
        # The order of the scan's own tissues is lost: each range of brightness gets any paint.
        order = torch.as_tensor(rng.permutation(len(TISSUES)), device=image.device)
        around = means[order][_regions(rng, image)]
    around, within = smoothed(torch.stack([around, within]), (EDGE_SIGMA_VOXELS,) * 3)
    texture = torch.randn(image.shape, generator=generator, device=image.device)
    texture = smoothed(texture[None], (TEXTURE_SIGMA_VOXELS,) * 3)[0] * float(rng.uniform(0, 1.5))
    around = around * (1 + texture).clamp(min=0.05)
    return around * (1 - cord) + cord * within


def _regions(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Number of the range of brightness that each voxel falls into."""
    count = int(rng.integers(*REGIONS))
    low, span = image.amin(), (image.amax() - image.amin()).clamp(min=LEAST_SPAN)
    limits = torch.as_tensor(np.sort(rng.random(count - 1)), dtype=torch.float32)
    return torch.bucketize(((image - low) / span).contiguous(), limits.to(image.device))
