"""Maps of spinal levels: every voxel of the cord with the level that its rootlets give it.

A BIDS derivative (``label-spinal_dseg``: 2 is C2, 8 is C8, 9 is T1) beside a record that is written
whatever happened. Other measures summarise by it where the config asks for spinal levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cordcohort import scan as paths
from cordcohort.errors import CordcohortError, DamagedError, ImageError
from cordcohort.files import sha256_of, write_record
from cordcohort.measures.level_labels import is_drawn
from cordcohort.measures.masks import ScanMask, grid_of
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.spinal import Radius, level_extents, level_map
from cordcohort.measures.spinal_scene import ROOTLETS, levels_held, make_scene, rootlet_masks
from cordcohort.nifti import Image, read_image, write_image
from cordcohort.spinal_names import spinal_name

NO_ROOTLETS = "no label map of dorsal rootlets can be read"


def make_level_map(
    scan: paths.Row, masks: Sequence[Mapping[str, Any]], options: MeasureOptions
) -> dict[str, Any]:
    """Write the level map of a scan and its record.

    The rootlets are those that a person drew or, where nobody did, those of the first method that
    has some.

    Parameters
    ----------
    scan : mapping
        Row of the index.
    masks : sequence of mappings
        ``method, structure, kind, path, status, reason`` each.
    options : MeasureOptions
        ``rootlets`` and ``reference``, whose cord is filled.

    Returns
    -------
    dict
        The record: ``status``, ``reason``, ``method`` (who drew the rootlets), ``rule``,
        ``levels`` (their slices) and ``faults`` (levels that have no place, and why).
    """
    path = Path(paths.level_map_record(scan))
    target = path.with_suffix(".nii.gz")
    target.unlink(missing_ok=True)
    chosen = options.rootlets
    record: dict[str, Any] = {
        "schema": paths.RECORD_SCHEMA, "status": "failed", "reason": "", "method": "",
        "rule": chosen.rule, "radius_mm": chosen.radius_mm, "radius_voxels": chosen.radius_voxels,
        "mask": "", "mask_sha256": "", "levels": {}, "faults": {},
    }  # fmt: skip
    try:
        _fill(scan, masks, options, target, record)
    except DamagedError:
        raise
    except ImageError as error:
        record["reason"] = error.reason
    except CordcohortError as error:
        record["reason"] = str(error)
    write_record(path, record)
    return record


def _fill(
    scan: paths.Row, masks: Sequence[Mapping[str, Any]], options: MeasureOptions, target: Path,
    record: dict[str, Any],
) -> None:  # fmt: skip
    image = str(scan["image"]) if scan["status"] == "ok" else ""
    grid = grid_of(image, masks)
    rootlets = _chosen(rootlet_masks(masks, grid))
    scene = make_scene(masks, grid, options)
    if rootlets is None or rootlets.image is None:
        record["reason"] = NO_ROOTLETS
        return
    record["method"] = rootlets.method
    if scene.cord is None:
        record["reason"] = scene.fault
        return
    radius = Radius(options.rootlets.radius_mm, options.rootlets.radius_voxels)
    cord = np.asarray(scene.cord.data) > 0
    extents = level_extents(np.asarray(rootlets.image.data), cord, scene.cord.spacing_mm, radius)
    found = level_map(extents, options.rootlets.rule)
    record["faults"] = found.faults
    if not found.by_slice:
        record["reason"] = "; ".join(f"{k}: {v}" for k, v in found.faults.items()) or (
            "no rootlet was found"
        )
        return
    codes = np.zeros(cord.shape[2], np.uint8)
    codes[list(found.by_slice)] = list(found.by_slice.values())
    _write(target, cord * codes, read_image(image) if image else scene.cord, record)
    record["levels"] = {
        spinal_name(c): sorted(k for k, v in found.by_slice.items() if v == c)
        for c in sorted(set(found.by_slice.values()))
    }
    record["status"] = "ok"


def _chosen(found: Sequence[ScanMask]) -> ScanMask | None:
    """Dorsal rootlets with levels of a person, else of the first method."""
    usable = [
        m for m in found
        if m.structure == ROOTLETS and m.image is not None and levels_held(m.image.data)
    ]  # fmt: skip
    order = sorted(usable, key=lambda m: not is_drawn({"method": m.method}))
    return order[0] if order else None


def _write(target: Path, codes: Any, like: Image, record: dict[str, Any]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    native = np.ascontiguousarray(like.to_native(codes)).astype(np.uint8)
    write_image(target, native, like.affine, dtype=np.uint8, like=like)
    record.update(mask=target.name, mask_sha256=sha256_of(target))
