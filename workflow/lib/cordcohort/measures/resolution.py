"""Area of the cord, and spinal levels, against the voxel size at which a scan is segmented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from cordcohort import scan as paths
from cordcohort.errors import ImageError
from cordcohort.images.voxel_size import at_voxel_size
from cordcohort.measures.masks import OK, READ_AS, fault
from cordcohort.measures.options import SPINAL, MeasureOptions
from cordcohort.measures.spinal_rows import measure_spinal
from cordcohort.measures.tasks import model_masks
from cordcohort.measures.variants import area_rows, cord_and_labels, written_mask
from cordcohort.model_uses import ModelUse
from cordcohort.nifti import read_mask
from cordcohort.table import as_long


def voxel_name(size_mm: float) -> str:
    """How the long table names a voxel size.

    Examples
    --------
    >>> voxel_name(1.2)
    'voxel 1.2 mm'
    """
    return f"voxel {size_mm:g} mm"


def measure_resolution(
    scan: Mapping[str, Any],
    masks: Sequence[Mapping[str, Any]],
    options: MeasureOptions,
    models: Sequence[ModelUse] = (),
) -> pd.DataFrame:
    """Area of the cord and spinal levels at each voxel size of the options, for every method.

    Parameters
    ----------
    scan : mapping
        Row of the index.
    masks : sequence of mappings
        Masks and labels of the scan as it was acquired, without those of models: they are brought
        to each voxel size.
    options : MeasureOptions
        ``voxel_sizes_mm``.
    models : sequence of ModelUse
        Models that segmented the scan at each voxel size.

    Returns
    -------
    DataFrame
        Long table of ``csa_mm2``, ``csa_soft_mm2`` and, of scans with rootlets, spinal levels, with
        the variants ``voxel 1.2 mm`` ...
    """
    masks = [m for m in cord_and_labels(masks) if m["structure"] != SPINAL]
    tables: list[pd.DataFrame] = []
    for size in options.voxel_sizes_mm:
        small = paths.at_voxel_size(scan, size)
        with TemporaryDirectory() as scratch:
            moved = [_moved(Path(scratch), i, m, size) for i, m in enumerate(masks)]
            drawn = [mask for model in models for mask in model_masks(small, model)]
            name = voxel_name(size)
            every = cord_and_labels([*moved, *drawn])
            tables.append(area_rows(scan, every, options, "", variant=name))
            tables.append(measure_spinal(scan, every, options).assign(variant=name))
    return pd.concat(tables, ignore_index=True) if tables else as_long(pd.DataFrame())


def _moved(folder: Path, number: int, entry: Mapping[str, Any], size_mm: float) -> dict[str, Any]:
    """A mask at another voxel size; one that cannot be read keeps its reason."""
    if entry.get("status", OK) != OK or entry["kind"] not in READ_AS:
        return dict(entry)
    try:
        mask = read_mask(entry["path"], None, kind=READ_AS[entry["kind"]])
    except ImageError as error:
        return {**entry, "path": "", "status": "failed", "reason": fault(error)}
    small = at_voxel_size(mask, size_mm, entry["kind"])
    return written_mask(folder, number, small.data, small, entry)
