"""Rootlets that people drew on the scans of a cohort, or that an atlas has, as training blocks."""

# The numbers of `_changed` are ranges of chance: a name each would hide the drawing.
# ruff: noqa: PLR2004

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.errors import ConfigError, ImageError
from cordcohort.measures.rootlet_maps import lacking, rootlet_codes
from cordcohort.nifti import Image, read_image, read_mask
from cordcohort.scan import Row, masks_of
from cordcohort.spinal_names import DORSAL
from cordcohort.training.augment import bias_field
from cordcohort.training.cohort import Entry
from cordcohort.training.mixture import generators, in_turn, numbered
from cordcohort.training.rootlet_painter import (
    as_grid,
    block_places,
    block_target,
    block_zoom,
    brightness,
    field_of_view,
    scanned,
)
from cordcohort.training.rootlet_shapes import Maps, ShapeBlock, pmj_of, shape_block

CORD, ROOTLETS, PMJ = "cord", "rootlets", "pmj"
KINDS = {CORD: ("seg",), ROOTLETS: ("dseg", "seg"), PMJ: ("pmj", "dlabel")}
CLIP_PERCENT = 99.9


class RootletShapes:
    """Endless batches of blocks of scans or atlases; each comes once before any comes again.

    Parameters
    ----------
    blocks
        At least one.
    seed
        Together with a step number it fixes a batch.
    classes
        Key of :data:`cordcohort.spinal_names.ROOTLET_CLASSES`.
    changed
        Change the brightness of scans; not for validation.
    """

    def __init__(
        self, blocks: Sequence[ShapeBlock], seed: int, classes: str = DORSAL, *,
        changed: bool = True,
    ) -> None:  # fmt: skip
        self.blocks, self.seed, self.classes, self.changed = list(blocks), seed, classes, changed

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Batch ``step``: blocks (size, 2, z, y, x), targets (size, classes and PMJ, z, y, x)."""
        return numbered(self._one, step, size)

    def _one(self, number: int) -> tuple[Tensor, Tensor]:
        block = self.blocks[in_turn(self.seed, number, len(self.blocks))]
        rng, generator = generators(self.seed, 0, number)
        places = block_places(rng, block)
        grid = as_grid(places, block.codes.shape)
        valid = (_at(block.inside, grid) > 0.5).float() * field_of_view(rng, block, places)
        image = self._seen(rng, generator, block, grid)
        shown = torch.stack([_standardised(image, valid), valid])
        target = block_target(block, places, grid, valid, self.classes)
        if not block.has_pmj:
            target[-1] = 0.0
        if self.changed and rng.random() < 0.5:  # no class has a side
            return shown.flip(3), target.flip(3)
        return shown, target

    def _seen(
        self, rng: np.random.Generator, generator: torch.Generator, block: ShapeBlock, grid: Tensor
    ) -> Tensor:
        """The block as it was scanned, or painted."""
        if block.image is not None and rng.random() >= block.painted:
            image = _at(block.image, grid, padding="border")
            return _changed(rng, generator, image) if self.changed else image
        table = torch.from_numpy(brightness(rng))[torch.from_numpy(block.codes).long()]
        image = _at(table, grid, padding="border")
        return scanned(rng, generator, image, block_zoom)


def _at(values: NDArray[Any] | Tensor, grid: Tensor, padding: str = "zeros") -> Tensor:
    """Values at the places of a grid, trilinear."""
    volume = values if isinstance(values, Tensor) else torch.from_numpy(values)
    return nnf.grid_sample(
        volume.float()[None, None], grid, mode="bilinear", padding_mode=padding, align_corners=True
    )[0, 0]  # fmt: skip


def _standardised(image: Tensor, valid: Tensor) -> Tensor:
    """Zero mean and unit SD inside the scan, 0 outside."""
    values = image[valid > 0]
    if values.numel() < 2:
        return torch.zeros_like(image)
    return (image - values.mean()) / values.std().clamp(min=1e-4) * valid


def _changed(rng: np.random.Generator, generator: torch.Generator, image: Tensor) -> Tensor:
    """A scan with another shading, more noise and another gamma."""
    if rng.random() < 0.5:
        image = image * bias_field(image.shape, rng.uniform(-0.3, 0.3, 20), image.device)
    low, high = float(image.amin()), float(image.amax())
    image = (image - low) / max(high - low, 1e-4)
    noise = torch.randn(image.shape, generator=generator)
    image = image + float(rng.uniform(0, 1) ** 2 * 0.06) * noise
    return image.clamp(min=0) ** float(np.exp(rng.normal(0, 0.2)))


def rootlet_scans(
    entries: Iterable[Entry], rows_of: Mapping[str, Sequence[Row]], classes: str
) -> tuple[list[tuple[Row, ShapeBlock]], list[tuple[Row, Entry, str]]]:
    """All usable scans of the cohort sources, and of every scan why it is not used.

    Raises
    ------
    ConfigError
        No scan at all has rootlets of the classes by the wanted method.
    """
    scans: list[tuple[Row, ShapeBlock]] = []
    notes: list[tuple[Row, Entry, str]] = []
    for entry in entries:
        for row in rows_of[entry.folder]:
            if entry.contrasts and row["contrast"] not in entry.contrasts:
                continue
            try:
                scans.append((row, load_rootlet_scan(row, entry, classes)))
                notes.append((row, entry, ""))
            except ImageError as error:
                notes.append((row, entry, error.reason))
    if not scans:
        reasons = sorted({reason for _, _, reason in notes})
        raise ConfigError("sources.cohort", f"{len(notes)} scans, none usable: {reasons[:2]}",
                          f"scans with rootlets of the classes '{classes}'",
                          "correct `masks`, `contrasts` or the recipe's classes",
                          "recipe")  # fmt: skip
    return scans, notes


def load_rootlet_scan(row: Row, entry: Entry, classes: str) -> ShapeBlock:
    """Block of a scan with the cord, the rootlets and, where it is labelled, the PMJ.

    Raises
    ------
    ImageError
        The scan or a label cannot be used, is missing, or holds none of the classes.
    """
    if row["status"] != "ok":
        raise ImageError(str(row["image"]), "no_image", "an image", str(row["reason"]),
                         "leave the scan out")  # fmt: skip
    image = read_image(str(row["image"]))
    cord, _ = _label(row, entry, CORD, image)
    rootlets, kind = _label(row, entry, ROOTLETS, image)
    codes = rootlet_codes(_upwards(rootlets), kind)
    _check(image, cord, codes, classes)
    has_pmj = any(m["structure"] == PMJ and m["method"] == entry.masks for m in masks_of(row))
    values = _upwards(image.canonical()).astype(np.float32)
    top = max(float(np.percentile(values, CLIP_PERCENT)), 1e-6)
    x, y, z = (float(v) for v in cord.spacing_mm)
    maps = Maps(
        _upwards(cord), codes, (z, y, x),
        pmj_of(_label(row, entry, PMJ, image)[0]) if has_pmj else None,
        np.minimum(values / top, 1.0),
    )  # fmt: skip
    return shape_block(maps, classes, entry.painted)


def _label(row: Row, entry: Entry, name: str, image: Image) -> tuple[Image, str]:
    """Label of a structure by the wanted method, canonical, with its kind.

    A cord only says where the block lies, so that anybody's will do.
    """
    named = [m for m in masks_of(row) if m["structure"] == name]
    own = [m for m in named if m["method"] == entry.masks or name == CORD]
    own.sort(key=lambda m: m["method"] != entry.masks)
    for kind in KINDS[name]:
        for mask in own:
            if mask["kind"] == kind and mask["status"] == "ok":
                stored = "seg" if kind == "seg" else "dseg"
                return read_mask(str(mask["path"]), image, kind=stored).canonical(), kind
    soft = [m for m in own if m["kind"] == "softseg"]
    reasons = "; ".join(str(m["reason"]) for m in own if m["reason"]) or (
        "a soft mask, where a binary one is needed" if soft else "none"
    )
    raise ImageError(image.path, "no_mask", f"{name} by '{entry.masks}'", reasons,
                     "draw it or leave the scan out")  # fmt: skip


def _check(image: Image, cord: Image, codes: NDArray[np.uint8], classes: str) -> None:
    """Refuse what teaches nothing."""
    if not np.any(cord.data):
        raise ImageError(cord.path, "empty", "a cord mask", "an empty one", "leave the scan out")
    came = lacking(codes, classes)
    if came:
        raise ImageError(image.path, "no_class", f"rootlets of the classes '{classes}'", came,
                         "draw them, or leave the scan out")  # fmt: skip


def _upwards(image: Image) -> NDArray[Any]:
    return np.ascontiguousarray(np.asarray(image.data).transpose(2, 1, 0))
