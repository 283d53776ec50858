"""Training items of a cohort: scans of the index with a soft or hard cord mask, on the stored grid.

Published grid: 1 mm isotropic, images by a quadratic spline, labels linearly. Volumes are kept as
files while a run lasts, so that a large cohort needs little memory and a resumed run starts fast.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.binary import binarised
from cordcohort.errors import ConfigError, ImageError
from cordcohort.files import atomic_path
from cordcohort.images.gradients import B0_THRESHOLD_S_PER_MM2, read_bvals
from cordcohort.measures.tasks import truth_masks
from cordcohort.nifti import Image, read_image, read_mask
from cordcohort.scan import SOFT_TRUTH, SOFT_TRUTH_BINARY, Row, masks_of, scan_id
from cordcohort.segmentation.volumes import IMAGE_ORDER, on_grid, whole_grid
from cordcohort.training.nested import (
    ABSENT,
    CORD,
    SKIP,
    nested_target,
    region_masks,
    unusable_lesion,
)
from cordcohort.training.patches import Item

SOFT, HARD = "soft", "hard"
DEFAULT_ENTRY: dict[str, Any] = {
    "folder": "", "masks": "manual", "contrasts": [], "target": SOFT, "dwi": "mean",
    "slices": "", "painted": 0.0, "without_lesion": SKIP,
}  # fmt: skip
DWI_IMAGES = ("mean", "b0")
ALL, LABELLED = "all", "labelled"
SLICES = (ALL, LABELLED)
AVERAGED = frozenset({SOFT_TRUTH, SOFT_TRUTH_BINARY, "softseg", "softseg_bin"})
"""Masks averaged over contrasts, which know nothing of slices that not all of these cover."""
LABEL_ORDER = 1
CLIP_PERCENT = 99.9
SERIES_NDIM = 4
CORD_KINDS = {SOFT: ("softseg", "seg"), HARD: ("seg", "softseg")}


@dataclass(frozen=True)
class Entry:
    """One cohort source of a recipe.

    Attributes
    ----------
    folder
        Key of the data set, given as ``--source KEY=FOLDER``.
    masks
        Who drew the cord: ``manual``, ``softseg``, another method of the index, or ``soft-truth``,
        the average that the study makes.
    contrasts
        Contrasts to train on; empty for all: one model for all contrasts, or one for each.
    target
        ``soft``, or ``hard``: 1 from half a voxel of cord on, on the stored grid.
    dwi
        What stands for a diffusion series: the mean of its weighted volumes (published) or ``b0``.
    slices
        ``all``, or ``labelled`` for the slab from the first to the last slice with cord: where a
        rater drew a part only, or contrasts did not cover, what lies beyond says nothing. Not
        given: ``labelled`` for masks averaged over contrasts (``AVERAGED``), else ``all``.
    painted
        Share of draws whose brightness is painted anew.
    without_lesion
        Of a recipe with lesions, a scan on which nobody drew one: ``skip`` it, or take it as a scan
        without lesion (``empty``), as healthy people are.
    """

    folder: str
    masks: str
    contrasts: tuple[str, ...]
    target: str
    dwi: str
    slices: str
    painted: float
    without_lesion: str = SKIP


def check_entries(given: Any, where: str = "recipe") -> list[Entry]:
    """Cohort sources of a recipe.

    Raises
    ------
    ConfigError
        Unknown key or value.

    Examples
    --------
    >>> check_entries([{"folder": "cohort", "contrasts": ["T2w"]}])[0].target
    'soft'
    """
    entries = [given] if isinstance(given, Mapping) else list(given or [])
    return [_entry(e, f"sources.cohort[{i}]", where) for i, e in enumerate(entries)]


def _entry(given: Mapping[str, Any], key: str, where: str) -> Entry:
    for name in given:
        if name not in DEFAULT_ENTRY:
            raise ConfigError(f"{key}.{name}", given[name], "one of " + ", ".join(DEFAULT_ENTRY),
                              "remove or correct the key", where)  # fmt: skip
    filled = {**DEFAULT_ENTRY, **given}
    filled["slices"] = filled["slices"] or (LABELLED if filled["masks"] in AVERAGED else ALL)
    choices = {"target": (SOFT, HARD), "dwi": DWI_IMAGES, "slices": SLICES,
               "without_lesion": ABSENT}  # fmt: skip
    for name, allowed in choices.items():
        if filled[name] not in allowed:
            raise ConfigError(f"{key}.{name}", filled[name], "one of " + ", ".join(allowed),
                              "correct the recipe", where)  # fmt: skip
    if not filled["folder"]:
        raise ConfigError(f"{key}.folder", "", "a name for the data set's folder",
                          "add it, and --source NAME=FOLDER", where)  # fmt: skip
    if not 0 <= float(filled["painted"]) <= 1:
        raise ConfigError(f"{key}.painted", filled["painted"], "a share from 0 to 1",
                          "correct the recipe", where)  # fmt: skip
    return Entry(str(filled["folder"]), str(filled["masks"]), tuple(filled["contrasts"]),
                 str(filled["target"]), str(filled["dwi"]), str(filled["slices"]),
                 float(filled["painted"]), str(filled["without_lesion"]))  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A scan of the index with the masks that it is trained with, or why it is not used.

    ``inner`` holds the masks of each region inside the cord, with their kinds.
    """

    row: Row
    entry: Entry
    mask: str = ""
    kind: str = ""
    reason: str = ""
    inner: tuple[tuple[tuple[str, str], ...], ...] = ()


def candidates(
    entry: Entry, rows: Iterable[Row], regions: Sequence[str] = (CORD,)
) -> list[Candidate]:
    """Scans of the wanted contrasts, each with its masks of the regions.

    Raises
    ------
    ConfigError
        No scan at all has a wanted contrast and such a mask.
    """
    found = [_candidate(row, entry, regions) for row in rows if _is_wanted(row, entry)]
    if not any(not c.reason for c in found):
        wanted = ", ".join(entry.contrasts) or "any contrast"
        raise ConfigError(
            f"sources.cohort ({entry.folder})", f"{len(found)} scans of {wanted}",
            f"at least one with masks of {', '.join(regions)} by '{entry.masks}'",
            "correct `masks` or `contrasts`", "recipe",
        )  # fmt: skip
    return found


def _is_wanted(row: Row, entry: Entry) -> bool:
    return not entry.contrasts or row["contrast"] in entry.contrasts


def _candidate(row: Row, entry: Entry, regions: Sequence[str]) -> Candidate:
    if row["status"] != "ok":
        return Candidate(row, entry, reason=str(row["reason"]) or "no image")
    own = [m for m in [*masks_of(row), *truth_masks(row)] if m["method"] == entry.masks]
    wanted = CORD_KINDS[entry.target]
    usable = [m for m in own if m["status"] == "ok" and m["kind"] in wanted]
    usable.sort(key=lambda m: -wanted.index(m["kind"]))  # of one structure the first kind wins
    drawn = {str(m["structure"]): (str(m["path"]), str(m["kind"])) for m in usable}
    kinds = dict(drawn.values())
    inner = region_masks({structure: path for structure, (path, _) in drawn.items()}, regions)
    reason = unusable_lesion(own) if inner else ""
    if inner and not inner[0] and entry.without_lesion == SKIP:
        reason = reason or f"no lesion mask by '{entry.masks}'"
    if not reason and CORD not in drawn:
        reason = f"no cord mask by '{entry.masks}'"
    if reason:
        return Candidate(row, entry, reason=reason)
    with_kinds = tuple(tuple((path, kinds[path]) for path in paths) for paths in inner)
    return Candidate(row, entry, *drawn[CORD], inner=with_kinds)


def load_item(one: Candidate, spacing_mm: Sequence[float], folder: Path) -> Item:
    """Item of a scan; its volumes are made once and then read from ``folder``.

    Parameters
    ----------
    spacing_mm
        Of the patches (z, y, x). Isotropic: the scan is resampled to it. Else it stays on its own
        grid, as a network of slices wants it.
    folder
        Gets one pair of ``.npy`` files a scan.

    Raises
    ------
    ImageError
        The scan or its mask cannot be used, or the mask is empty.
    """
    base = folder / _fingerprint(one, spacing_mm)
    files = [base.with_suffix(f".{part}.npy") for part in ("image", "target", "spacing")]
    if not all(f.is_file() for f in files):
        arrays = _volumes(one, spacing_mm)
        folder.mkdir(parents=True, exist_ok=True)
        for path, array in zip(files, arrays, strict=True):
            with atomic_path(path) as temporary, temporary.open("wb") as handle:
                np.save(handle, array)
    image, target = (np.load(f, mmap_mode="r") for f in files[:2])
    z, y, x = (float(v) for v in np.load(files[2]))
    row = one.row
    return Item(scan_id(row), str(row["person"]), str(row["contrast"]), image, target, (z, y, x),
                one.entry.painted)  # fmt: skip


def _fingerprint(one: Candidate, spacing_mm: Sequence[float]) -> str:
    """Name of the stored volumes: of the files' states and of what is done to them."""
    files = (str(one.row["image"]), one.mask, *(file for file, _ in chain(*one.inner)))
    states = [(p, Path(p).stat().st_mtime_ns, Path(p).stat().st_size) for p in files]
    wanted = (one.entry.target, one.entry.dwi, one.entry.slices)
    text = repr((states, one.kind, wanted, list(spacing_mm), one.inner))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _volumes(
    one: Candidate, spacing_mm: Sequence[float]
) -> tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.float64]]:
    """Image in [0, 1], target ``(z, y, x)`` or of regions ``(c, z, y, x)``, and the spacing."""
    scan = scan_image(one)
    image = _upwards(scan)
    cord = _upwards(read_mask(one.mask, scan, kind=one.kind))
    inner = [[_upwards(read_mask(p, scan, kind=kind)) for p, kind in files] for files in one.inner]
    target = nested_target(cord, inner) if inner else cord[None]
    x, y, z = (float(v) for v in scan.canonical().spacing_mm)
    own = (z, y, x)
    top = float(np.percentile(image, CLIP_PERCENT))
    low = float(image.min())
    if not target.any() or top <= low:
        raise ImageError(one.mask if top > low else scan.path, "empty", "a scan with a cord mask",
                         "an empty mask" if top > low else "a constant image",
                         "draw the mask or leave the scan out")  # fmt: skip
    if one.entry.slices == LABELLED:
        drawn = np.flatnonzero(target[0].any((1, 2)))
        slab = slice(drawn[0], drawn[-1] + 1)
        image, target = image[slab], target[:, slab]
    image = np.clip((image - low) / (top - low), 0, 1)
    if len(set(spacing_mm)) == 1:
        grid = whole_grid(image.shape, own, spacing_mm[0])
        image = on_grid(image, own, grid, IMAGE_ORDER)
        target = np.stack([np.clip(on_grid(t, own, grid, LABEL_ORDER), 0, 1) for t in target])
        own = (grid.step_mm,) * 3
    if one.entry.target == HARD:
        target = binarised(target).astype(np.float32)
    target = target if one.inner else target[0]
    return image.astype(np.float16), target.astype(np.float16), np.array(own)


def _upwards(image: Image) -> NDArray[np.float32]:
    """Values on axes z (up), y (front), x (right)."""
    return np.ascontiguousarray(np.asarray(image.canonical().data, np.float32).transpose(2, 1, 0))


def scan_image(one: Candidate) -> Image:
    """The scan; of a diffusion series the mean of its weighted, or of its unweighted, volumes."""
    scan = read_image(Path(str(one.row["image"])), ndim=None)
    if scan.data.ndim != SERIES_NDIM:
        return scan
    bvals = read_bvals(Path(str(one.row["bval"])), scan.data.shape[3])
    weighted = bvals > B0_THRESHOLD_S_PER_MM2
    chosen = weighted if one.entry.dwi == "mean" else ~weighted
    if not chosen.any():
        raise ImageError(scan.path, "no_volume", f"volumes for dwi: {one.entry.dwi}", "none",
                         "choose the other kind of volume in the recipe")  # fmt: skip
    return replace(scan, data=scan.data[..., chosen].mean(axis=3))
