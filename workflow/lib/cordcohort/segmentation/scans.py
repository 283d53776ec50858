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
from cordcohort.model_uses import FA, ModelUse
from cordcohort.nifti import read_image, write_image
from cordcohort.segmentation.batch import (
    STAGE,
    Output,
    Task,
    empty_records,
    fail,
    remove_old,
    segment_batch,
)
from cordcohort.segmentation.device import room_for_scan
from cordcohort.segmentation.registry import Model

DESCRIPTION = b"""{
 "Name": "Masks and labels drawn by cordcohort",
 "BIDSVersion": "1.9.0",
 "DatasetType": "derivative",
 "GeneratedBy": [{"Name": "cordcohort"}]
}
"""


def segment_scans(
    scans: Iterable[paths.Row], model: Model, use: ModelUse | None = None, *, mirror: bool = False
) -> list[dict[str, Any]]:
    """Segment scans of the index; each gets a mask, or a record that says why not.

    A diffusion series is seen through its mean b=0 image or its FA map; where that could not be
    made, its reason becomes the mask's.

    Parameters
    ----------
    scans : iterable of index rows
    model : Model
        Loaded once.
    use : ModelUse, optional
        What it draws and sees; by default as its card says.
    mirror : bool
        Average with the left-right mirrored scan.

    Returns
    -------
    list of dict
        The records of what could not be seen first, then the others in the order of ``scans``;
        one for each structure.
    """
    use = use or _own_use(model)
    tasks: list[Task] = []
    records: list[dict[str, Any]] = []
    for scan in scans:
        root = Path(paths.RESULTS) / "segmentation" / str(scan["dataset"]) / model.name
        write_if_changed(root / "dataset_description.json", DESCRIPTION)
        image, reason = _network_image(scan, use)
        task = Task(Path(image), _outputs(scan, use))
        if reason:
            records += _failed(task, model, reason)
        else:
            tasks.append(task)
    return records + segment_batch(tasks, model, mirror=mirror)


def segment_at_voxel_sizes(
    scans: Iterable[paths.Row],
    model: Model,
    sizes_mm: Sequence[float],
    use: ModelUse | None = None,
    *,
    mirror: bool = False,
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
    use = use or _own_use(model)
    return [
        record
        for scan in scans
        for size in sizes_mm
        for record in _segmented_at(scan, size, model, use, mirror=mirror)
    ]


def _segmented_at(
    scan: paths.Row, size_mm: float, model: Model, use: ModelUse, *, mirror: bool
) -> list[dict[str, Any]]:
    """One scan at one voxel size; a fault of its data becomes the records' reason."""
    with TemporaryDirectory() as scratch:
        outputs = _outputs(paths.at_voxel_size(scan, size_mm), use)
        task = Task(Path(scratch) / "image.nii.gz", outputs)
        try:
            with room_for_scan(str(scan["image"]), STAGE):
                small = at_voxel_size(read_image(str(scan["image"])), size_mm)
                write_image(task.image, small.data, small.affine, dtype=np.float32)
        except ImageError as error:
            return _failed(task, model, error.reason)
        return segment_batch([task], model, mirror=mirror)


def _own_use(model: Model) -> ModelUse:
    return ModelUse(model.name, str(model.card["task"]))


def _outputs(scan: paths.Row, use: ModelUse) -> tuple[Output, ...]:
    return tuple(
        Output(Path(paths.mask_stem(scan, use.name, structure)), structure)
        for structure in use.structures
    )


def _failed(task: Task, model: Model, reason: str) -> list[dict[str, Any]]:
    """Records of a scan that cannot be seen."""
    remove_old(task)
    records = empty_records(task, model)
    fail(records, reason)
    for output, record in zip(task.outputs, records, strict=True):
        write_record(output.record, record)
    return records


def _network_image(scan: paths.Row, use: ModelUse) -> tuple[str, str]:
    """File that a network sees, and why there is none."""
    if scan["status"] != "ok":
        return "", str(scan["reason"])
    if not paths.is_series(scan):
        return str(scan["image"]), ""
    wanted = ("tensor", "fa") if use.input == FA else ("b0", "b0")
    path = paths.image_record(scan, wanted[0])
    record = read_record(path, paths.RECORD_SCHEMA)
    if record["status"] != "ok":
        return "", str(record["reason"])
    return str(recorded_file(path, **record["files"][wanted[1]])), ""
