"""Scans of the index through one network: which file it sees, and what failed before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cordcohort import scan as paths
from cordcohort.errors import ImageError
from cordcohort.files import read_record, recorded_file, write_if_changed, write_record
from cordcohort.images.voxel_size import at_voxel_size
from cordcohort.nifti import read_image, write_image
from cordcohort.segmentation.batch import Task, empty_record, remove_old, segment_batch
from cordcohort.segmentation.registry import Model

DESCRIPTION = b"""{
 "Name": "Cord masks and disc labels drawn by cordcohort",
 "BIDSVersion": "1.9.0",
 "DatasetType": "derivative",
 "GeneratedBy": [{"Name": "cordcohort"}]
}
"""


def segment_scans(
    scans: Iterable[paths.Row], model: Model, *, mirror: bool = False
) -> list[dict[str, Any]]:
    """Segment scans of the index; each gets a mask, or a record that says why not.

    A diffusion series is seen through its mean b=0 image; where that could not be made, its reason
    becomes the mask's.

    Parameters
    ----------
    scans : iterable of index rows
    model : Model
        Loaded once.
    mirror : bool
        Average with the left-right mirrored scan.

    Returns
    -------
    list of dict
        The records, in the order of ``scans``.
    """
    tasks: list[Task] = []
    records: list[dict[str, Any]] = []
    for scan in scans:
        stem = Path(paths.mask_stem(scan, model.name))
        root = Path(paths.RESULTS) / "segmentation" / str(scan["dataset"]) / model.name
        write_if_changed(root / "dataset_description.json", DESCRIPTION)
        image, reason = _network_image(scan)
        task = Task(Path(image), stem)
        if reason:
            remove_old(task)
            record = empty_record(task, model) | {"reason": reason}
            write_record(task.record, record)
            records.append(record)
        else:
            tasks.append(task)
    return records + segment_batch(tasks, model, mirror=mirror)


def segment_at_voxel_sizes(
    scans: Iterable[paths.Row], model: Model, sizes_mm: Sequence[float], *, mirror: bool = False
) -> list[dict[str, Any]]:
    """Bring scans to other voxel sizes and segment them there.

    Parameters
    ----------
    scans : iterable of index rows
    model : Model
        Loaded once.
    sizes_mm : sequence of float
        Edges of isotropic voxels.
    mirror : bool
        Average with the left-right mirrored scan.

    Returns
    -------
    list of dict
        The records, scan by scan and size by size. Masks lie where
        :func:`cordcohort.scan.at_voxel_size` puts them; the resampled image is not kept.
    """
    return [_segmented_at(scan, size, model, mirror=mirror) for scan in scans for size in sizes_mm]


def _segmented_at(scan: paths.Row, size_mm: float, model: Model, *, mirror: bool) -> dict[str, Any]:
    """One scan at one voxel size; a fault of its data becomes the record's reason."""
    stem = Path(paths.mask_stem(paths.at_voxel_size(scan, size_mm), model.name))
    with TemporaryDirectory() as scratch:
        task = Task(Path(scratch) / "image.nii.gz", stem)
        try:
            small = at_voxel_size(read_image(str(scan["image"])), size_mm)
            write_image(task.image, small.data, small.affine, dtype=np.float32)
        except ImageError as error:
            remove_old(task)
            record = empty_record(task, model) | {"reason": error.reason}
            write_record(task.record, record)
            return record
        return segment_batch([task], model, mirror=mirror)[0]


def _network_image(scan: paths.Row) -> tuple[str, str]:
    """File that a network sees, and why there is none."""
    if scan["status"] != "ok":
        return "", str(scan["reason"])
    if not paths.is_series(scan):
        return str(scan["image"]), ""
    path = paths.image_record(scan, "b0")
    record = read_record(path, paths.RECORD_SCHEMA)
    if record["status"] != "ok":
        return "", str(record["reason"])
    return str(recorded_file(path, **record["files"]["b0"])), ""
