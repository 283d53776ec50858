"""Manual regions of a cohort as training patches: B0 images or FA maps with label maps.

A scan is read once; slices are cut round the drawn cord and deformed a little. Persons are split,
never slices: two slices of one person on both sides of a split would tell nothing.
"""

# The numbers of `_plan` and `_shown` are ranges of chance: a name each would hide the drawing.
# ruff: noqa: PLR2004

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from cordcohort.errors import ConfigError, ImageError
from cordcohort.images.diffusion import dilated, tensor_maps
from cordcohort.images.gradients import read_gradients
from cordcohort.images.preprocess import mean_b0
from cordcohort.measures.regions import REGION_CODES, REGION_MAP
from cordcohort.nifti import Image, read_image, read_mask
from cordcohort.scan import Row, masks_of, scan_id
from cordcohort.training import acquire
from cordcohort.training.cohort import Entry
from cordcohort.training.mixture import generators, in_turn, numbered
from cordcohort.training.region_painter import FA, checked_painting, exchanged

SERIES_NDIM = 4
CLIP_PERCENT = 99.9
FIT_RADIUS_MM = 2.0
"""How far beyond the drawn cord the tensor is fitted for the FA map."""


@dataclass(frozen=True)
class RegionScan:
    """One scan with its regions, canonical axes ``(z, y, x)``.

    Attributes
    ----------
    image
        float32.
    codes
        uint8, 1 to 8.
    spacing_mm
        Along z, y, x.
    places
        ``(n, 3)`` slice and centre (y, x voxels) of the cord in each drawn slice.
    """

    name: str
    person: str
    image: NDArray[np.float32]
    codes: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    places: NDArray[np.float32]


def region_mask(row: Row, method: str) -> str:
    """Region map of a scan by a method; empty where there is none."""
    if row["status"] != "ok":
        return ""
    found = [m for m in masks_of(row) if m["structure"] == REGION_MAP and m["method"] == method]
    return next((str(m["path"]) for m in found if m["status"] == "ok"), "")


def load_region_scan(row: Row, entry: Entry, seen: str) -> RegionScan:
    """Read a scan, what the network sees of it, and its regions.

    Parameters
    ----------
    row
        Of the index.
    entry
        Names whose regions.
    seen
        ``b0`` (of a series the mean b=0, else the image) or ``fa`` (of a series only).

    Raises
    ------
    ImageError
        The scan, its gradients or its regions cannot be used.
    """
    path = region_mask(row, entry.masks)
    if not path:
        raise ImageError(str(row["image"]), "no_mask", f"regions by '{entry.masks}'", "none",
                         "draw them or leave the scan out")  # fmt: skip
    image = read_image(str(row["image"]), ndim=None)
    like = replace(image, data=image.data[..., 0]) if image.data.ndim == SERIES_NDIM else image
    regions = read_mask(path, like, kind="dseg", labels=REGION_CODES.values())
    image = _seen(row, image, regions, seen)
    values = np.asarray(image.canonical().data, np.float32).transpose(2, 1, 0)
    codes = np.asarray(regions.canonical().data).transpose(2, 1, 0).astype(np.uint8)
    x, y, z = (float(v) for v in image.canonical().spacing_mm[:3])
    if not codes.any():
        raise ImageError(path, "empty", "a map of regions", "an empty one", "leave the scan out")
    if seen != FA:
        values = np.minimum(values, np.percentile(values, CLIP_PERCENT))
    places = [(k, *np.argwhere(codes[k]).mean(0)) for k in np.flatnonzero(codes.any((1, 2)))]
    return RegionScan(
        scan_id(row), str(row["person"]), np.ascontiguousarray(values),
        np.ascontiguousarray(codes), (z, y, x), np.array(places, np.float32),
    )  # fmt: skip


def _seen(row: Row, image: Image, regions: Image, seen: str) -> Image:
    """Mean b=0 or FA of a series; another image is what it is."""
    if image.data.ndim != SERIES_NDIM:
        if seen == FA:
            raise ImageError(image.path, "no_series", "a diffusion series for FA", "one volume",
                             "train on b0, or name contrasts: [dwi]")  # fmt: skip
        return image
    gradients = read_gradients(str(row["bval"]), str(row["bvec"]), image.data.shape[3])
    if seen != FA:
        return mean_b0(image, gradients.bvals)
    cord = replace(regions, data=(regions.data > 0).astype(np.uint8))
    maps = tensor_maps(image, gradients, dilated(cord, FIT_RADIUS_MM))
    return replace(image, data=maps.maps["fa"])


class RegionScans:
    """Endless batches of patches; every scan comes once before any comes again.

    Parameters
    ----------
    scans
        At least one.
    painting
        ``grid``, ``pixel_mm``, ``offset_mm``, ``input`` of the recipe.
    seed
        Together with a step number it fixes a batch.
    changed
        Deform and change brightness; not for validation.
    """

    def __init__(
        self, scans: Sequence[RegionScan], painting: Mapping[str, Any], seed: int,
        device: str | torch.device = "cpu", *, changed: bool = True,
    ) -> None:  # fmt: skip
        self.scans, self.options = list(scans), checked_painting(painting)
        self.seed, self.device, self.changed = seed, torch.device(device), changed
        self.grid = acquire.Grid(int(self.options["grid"]), float(self.options["pixel_mm"]))
        n = self.grid.n
        self.axis = (torch.arange(n, device=self.device) - (n - 1) / 2) * self.grid.pixel_mm

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Batch ``step``: images (size, 1, n, n) z-scored, class shares (size, 9, n, n)."""
        return numbered(self._one, step, size)

    def _one(self, number: int) -> tuple[Tensor, Tensor]:
        """Draw number ``number``: image ``(1, n, n)`` and class shares ``(9, n, n)``."""
        scan = self.scans[in_turn(self.seed, number, len(self.scans))]
        rng, generator = generators(self.seed, 0, number, device=self.device)
        slice_, cy, cx = scan.places[int(rng.integers(len(scan.places)))]
        y, x, inside = self._places(rng, generator, scan, (float(cy), float(cx)))
        image = torch.from_numpy(scan.image[int(slice_)]).to(self.device)
        codes = torch.from_numpy(scan.codes[int(slice_)]).long().to(self.device)
        share = nnf.one_hot(codes, len(REGION_CODES) + 1).permute(2, 0, 1).float()
        both = torch.cat([image[None], share])[None]
        h, w = image.shape
        grid = torch.stack([2 * x / max(w - 1, 1) - 1, 2 * y / max(h - 1, 1) - 1], -1)[None]
        cut = nnf.grid_sample(both, grid, mode="bilinear", padding_mode="border",
                              align_corners=True)[0]  # fmt: skip
        target = cut[1:] * inside
        target[0] = 1 - target[1:].sum(0)
        shown = _shown(rng, generator, cut[None, :1], inside) if self.changed else cut[None, :1]
        shown = acquire.z_score(shown, inside[None, None])[0]
        if self.changed and rng.random() < 0.5:
            return shown.flip(2), exchanged(target[None])[0].flip(2)
        return shown, target

    def _places(
        self, rng: np.random.Generator, generator: torch.Generator, scan: RegionScan,
        centre: tuple[float, float],
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Voxel (y, x) of each pixel, and which lie inside the scan."""
        y, x = torch.meshgrid(self.axis, self.axis, indexing="ij")
        if self.changed:
            y, x = self._deformed(rng, generator, y, x)
        y = y / scan.spacing_mm[1] + centre[0]
        x = x / scan.spacing_mm[2] + centre[1]
        h, w = scan.image.shape[1:]
        inside = (y >= -0.5) & (y <= h - 0.5) & (x >= -0.5) & (x <= w - 0.5)
        return y, x, inside.float()

    def _deformed(
        self, rng: np.random.Generator, generator: torch.Generator, y: Tensor, x: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Places moved, turned, scaled and bent at random, mm."""
        shift = rng.uniform(-1, 1, 2) * float(self.options["offset_mm"])
        angle, scale = float(rng.normal(0, 0.1)), np.exp(rng.normal(0, 0.08, 2))
        bend = acquire.smooth_noise(generator, (1, 2), self.grid.n, 6, self.device)[0]
        bend = bend * float(rng.uniform(0, 0.5))
        y, x = y - shift[0] + bend[0], x - shift[1] + bend[1]
        cos, sin = np.cos(angle), np.sin(angle)
        return (cos * y - sin * x) / scale[0], (cos * x + sin * y) / scale[1]


def _shown(
    rng: np.random.Generator, generator: torch.Generator, image: Tensor, inside: Tensor
) -> Tensor:
    """Image ``(1, 1, n, n)`` with more noise, another shading and another gamma."""
    spread = float((image * inside).std())
    noise = torch.randn(image.shape, generator=generator, device=image.device)
    image = image + float(rng.uniform(0, 0.15)) * spread * noise
    tilt = torch.linspace(-1, 1, image.shape[-1], device=image.device)
    a, b = rng.normal(0, 0.1, 2)
    return image * torch.exp(float(a) * tilt[:, None] + float(b) * tilt[None, :])


def region_scans(
    entries: Iterable[Entry], rows_of: Mapping[str, Sequence[Row]], seen: str
) -> tuple[list[RegionScan], list[tuple[Row, Entry, str]]]:
    """All usable scans of the cohort sources, and of every scan why it is not used.

    Raises
    ------
    ConfigError
        No scan at all has regions by the wanted method.
    """
    scans: list[RegionScan] = []
    notes: list[tuple[Row, Entry, str]] = []
    for entry in entries:
        wanted = [
            row for row in rows_of[entry.folder]
            if not entry.contrasts or row["contrast"] in entry.contrasts
        ]  # fmt: skip
        for row in wanted:
            try:
                scans.append(load_region_scan(row, entry, seen))
                notes.append((row, entry, ""))
            except ImageError as error:
                notes.append((row, entry, error.reason))
    if not scans:
        reasons = sorted({reason for _, _, reason in notes})
        raise ConfigError("sources.cohort", f"{len(notes)} scans, none usable: {reasons[:2]}",
                          "scans with label-regions_dseg", "correct `masks` or `contrasts`",
                          "recipe")  # fmt: skip
    return scans, notes
