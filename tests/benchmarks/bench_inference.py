"""CPU time of the cascade against the same fine network slid over the whole field of view.

Run: ``python tests/benchmarks/bench_inference.py`` (prints seconds, peak memory, ratio, agreement).
The volume is a phantom neck of 64 x 320 x 320 voxels of 0.8 mm. The sliding network sees the same
patches, with an overlap of one half and no mirroring; what comes before and after the network
(brightest voxels clipped, light smoothing along the cord, the largest object kept) is the same for
both, so that the two differ by where they look alone. All slices count, also those in which one of
the two found no cord; the brainstem above the phantom's cord, which both draw as cord, counts
against both there and not in the slices of true cord. In voxels of 0.8 mm a cord of 8 by 13 mm has
some 130 voxels a slice: one voxel more on its rim is 0.4 % of Dice.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "lib"))

from cordcohort.binary import binarised
from cordcohort.nifti import Image
from cordcohort.phantom.anatomy import label_volume
from cordcohort.phantom.person import draw_person
from cordcohort.phantom.tissues import CORD, N_TISSUES, Tissue
from cordcohort.segmentation import centreline, infer
from cordcohort.segmentation.registry import Model, load_model
from cordcohort.segmentation.resample import Axis, from_crop, to_crop

SHAPE, SPACING_MM = (64, 320, 320), 0.8
BYTES_PER_MB = 1024


def volume(shape: tuple[int, int, int]) -> tuple[Image, np.ndarray]:
    """T2-like phantom neck, and its true cord."""
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = [-(shape[0] - 1) / 2 * SPACING_MM, -60.0, -170.0]
    codes = label_volume(draw_person(np.random.default_rng(5)), shape, affine)
    values = np.full(N_TISSUES, 0.3, np.float32)
    values[[int(t) for t in CORD]] = 0.42
    values[Tissue.CSF], values[Tissue.AIR], values[Tissue.CORTICAL_BONE] = 1.0, 0.02, 0.05
    noise = np.random.default_rng(0).normal(0, 0.03, shape)
    image = Image((values[codes] + noise).clip(0).astype(np.float32), affine)
    return image, np.isin(codes, [int(t) for t in CORD]).transpose(2, 1, 0)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two masks."""
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def largest(mask: np.ndarray) -> np.ndarray:
    """Largest object of a mask: both ways are judged by one cord, each by its own."""
    labels, _ = ndimage.label(mask)
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    return (labels == counts.argmax()) & mask


def slide(model: Model, image: Image) -> np.ndarray:
    """Soft mask (z, y, x) of the fine network over everything."""
    stage = model.stages["cord"]
    values = np.ascontiguousarray(image.canonical().data.transpose(2, 1, 0))
    np.minimum(values, np.percentile(values, centreline.CLIP_PERCENT), out=values)
    data = torch.from_numpy(values)
    sx, sy, sz = image.canonical().spacing_mm
    grid = infer.Volume(data, Axis(data.shape[1], sy), Axis(data.shape[2], sx), sz, 1e-4)
    step = max(1, round(stage.neighbour_mm / sz))
    half = stage.patch * stage.spacing_mm / 2
    total, weight = torch.zeros_like(data), torch.zeros(data.shape[1:])
    index = torch.arange(data.shape[0])
    # Gaussian weights of SD patch / 8, as nnU-Net blends its patches
    axis = (torch.arange(stage.patch) - (stage.patch - 1) / 2) / (stage.patch / 8)
    bump = torch.exp(-0.5 * axis[:, None] ** 2 - 0.5 * axis[None] ** 2)
    for cy in np.arange(half / 2, grid.y.n * sy, half):
        for cx in np.arange(half / 2, grid.x.n * sx, half):
            at = [torch.full(index.shape, float(c)) for c in (cy, cx)]
            rows, in_y = to_crop(grid.y, at[0], stage.patch, stage.spacing_mm)
            columns, in_x = to_crop(grid.x, at[1], stage.patch, stage.spacing_mm)
            inside = in_y[:, :, None] & in_x[:, None, :]
            crops = (rows, columns, inside)
            fine = infer._run(stage, grid, index, crops, step=step, batch_size=32, mirror=False)
            fine = fine[:, 0]
            back = [
                from_crop(a, c, stage.patch, stage.spacing_mm)
                for a, c in zip((grid.y, grid.x), at, strict=True)
            ]
            total += back[0] @ (fine * inside * bump) @ back[1].transpose(1, 2)
            weight += (back[0][:1] @ (inside[:1] * bump) @ back[1][:1].transpose(1, 2))[0]
    return (total / weight.clamp(min=1e-6)).numpy()


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="cord-v1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--slices", type=int, default=SHAPE[2], help="slices of the volume")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = load_model(arguments.model)
    image, truth = volume((*SHAPE[:2], arguments.slices))
    began = time.process_time()
    found = infer.segment_volume(model, image)
    cascade = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / BYTES_PER_MB
    began = time.process_time()
    with infer.deterministic():
        soft = slide(model, image)
    sliding = time.process_time() - began
    ours = largest(found.mask.transpose(2, 1, 0) > 0)
    smoothed = largest(binarised(infer._blend(soft.copy(), SPACING_MM)))
    bare = largest(binarised(soft))
    print(f"volume {image.data.shape}, {found.n_slices} slices with cord, status {found.status}")
    print(f"cascade {cascade:.1f} CPU s, peak memory {peak:.0f} MB")
    print(f"sliding {sliding:.1f} CPU s, ratio {sliding / cascade:.1f}")
    true = truth.any((1, 2))
    for name, part in (("all slices", np.ones_like(true)), ("slices of true cord", true)):
        a, b, c, d = (mask[part] for mask in (ours, smoothed, bare, truth))
        print(
            f"{name} ({part.sum()}; cord in {a.any((1, 2)).sum()} by cascade, "
            f"{b.any((1, 2)).sum()} by sliding): agreement Dice {dice(a, b):.4f} "
            f"(sliding without smoothing {dice(a, c):.4f}); "
            f"Dice with the truth: cascade {dice(a, d):.4f}, sliding {dice(b, d):.4f}"
        )


if __name__ == "__main__":
    main()
