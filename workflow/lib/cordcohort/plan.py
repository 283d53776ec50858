"""What a study asks for: batches of scans with their inputs and outputs, from the index row by row.

Targets never come from a product of wildcards: a session that does not exist asks for no file.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cordcohort import scan as paths
from cordcohort.scan import Row, masks_of, scan_id

MEASURE_KINDS = ("shape", "agreement", "regions")


@dataclass(frozen=True)
class Batch:
    """The scans of one job.

    Attributes
    ----------
    name : str
        Unique within a stage: data set and number.
    scans : list of str
        Identifiers (:func:`cordcohort.scan.scan_id`).
    inputs, outputs : list of str
        Files that the job reads and the record or table that it must write for every scan.
    """

    name: str
    scans: list[str]
    inputs: list[str]
    outputs: list[str]


def batches(
    scans: Iterable[Row],
    size: int,
    inputs: Callable[[Row], Sequence[str]],
    outputs: Callable[[Row], Sequence[str]],
) -> list[Batch]:
    """Split scans into batches that stay the same when scans are added elsewhere.

    A scan's batch follows from its own name: within a data set, ``2**k`` batches are the fewest
    that keep the mean at or below ``size``. A new scan therefore changes one batch, not all after
    it; only a doubling of the data set deals anew.

    Parameters
    ----------
    scans : iterable of index rows
        What to do.
    size : int
        Wanted number of scans a job.
    inputs, outputs : callable
        From a row to its files.
    """
    by_dataset: dict[str, list[Row]] = {}
    for row in scans:
        by_dataset.setdefault(str(row["dataset"]), []).append(row)
    result: list[Batch] = []
    for dataset in sorted(by_dataset):
        rows = sorted(by_dataset[dataset], key=scan_id)
        n_buckets = 2 ** max(0, math.ceil(math.log2(len(rows) / size)))
        buckets: dict[int, list[Row]] = {}
        for row in rows:
            buckets.setdefault(_bucket(scan_id(row), n_buckets), []).append(row)
        result += [
            Batch(
                name=f"{dataset}_{number:04d}of{n_buckets:04d}",
                scans=[scan_id(row) for row in members],
                inputs=list(dict.fromkeys(f for row in members for f in inputs(row))),
                outputs=[f for row in members for f in outputs(row)],
            )
            for number, members in sorted(buckets.items())
        ]
    return result


def _bucket(name: str, n_buckets: int) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % n_buckets


@dataclass(frozen=True)
class Plan:
    """Everything that a study wants, derived from its config and its index.

    Attributes
    ----------
    config : Config
        The validated configuration.
    rows : list of dict
        The index, one row a scan.
    """

    config: Any
    rows: list[dict[str, Any]]

    def diffusion_scans(self) -> list[dict[str, Any]]:
        """Scans with diffusion volumes."""
        return [
            row for row in self.rows if row["datatype"] == "dwi" and row["status"] != "no_image"
        ]

    def scans_to_segment(self) -> list[dict[str, Any]]:
        """Scans with an image, less those whose manual mask the config takes instead."""
        return [
            row for row in self.rows if row["status"] != "no_image" and not self._takes_manual(row)
        ]

    def _takes_manual(self, row: Row) -> bool:
        wanted = self.config.segmentation.use_manual
        return (row["contrast"] in wanted or row["dataset"] in wanted) and any(
            m["method"] == "manual" and m["structure"] == "cord" and m["status"] == "ok"
            for m in masks_of(row)
        )

    def b0_batches(self) -> list[Batch]:
        """Mean b=0 images."""
        size = self.config.measures.batch_size
        return batches(
            self.diffusion_scans(), size, diffusion_files, lambda r: [paths.image_record(r, "b0")]
        )

    def segmentation_batches(self) -> list[Batch]:
        """Scans through one network; the same batches for every model."""
        size = self.config.segmentation.batch_size
        return batches(self.scans_to_segment(), size, segmentation_inputs, lambda _: [])

    def tensor_batches(self) -> list[Batch]:
        """Tensor maps inside the dilated cord."""
        return batches(
            self.diffusion_scans(),
            self.config.measures.batch_size,
            lambda r: [*diffusion_files(r), *mask_files(r), *self.mask_records(r)],
            lambda r: [paths.image_record(r, "tensor")],
        )

    def measure_batches(self, kind: str) -> list[Batch]:
        """Small tables of one kind for every scan that has, or should have, a mask."""
        return batches(
            [row for row in self.rows if self._is_measured(kind, row)],
            self.config.measures.batch_size,
            lambda r: self.measure_inputs(kind, r),
            lambda r: [paths.measure_table(r, kind)],
        )

    def _is_measured(self, kind: str, row: Row) -> bool:
        if kind == "regions":
            return row["datatype"] == "dwi" and row["status"] != "no_image"
        if kind == "agreement":
            reference = self.config.measures.reference
            return any(m["method"] == reference for m in masks_of(row))
        return True

    def measure_inputs(self, kind: str, row: Row) -> list[str]:
        """Files that one scan's table of a kind is made from."""
        files = [*mask_files(row), *self.mask_records(row)]
        if kind == "regions":
            files.append(paths.image_record(row, "tensor"))
        return files

    def mask_records(self, row: Row) -> list[str]:
        """Records of the masks that models draw on a scan."""
        if row["status"] == "no_image" or self._takes_manual(row):
            return []
        return [paths.mask_record(row, model) for model in self.config.segmentation.models]

    def measure_tables(self) -> list[str]:
        """All small tables, the cohort table's input."""
        return [f for kind in MEASURE_KINDS for b in self.measure_batches(kind) for f in b.outputs]


def diffusion_files(row: Row) -> list[str]:
    """The diffusion series of a scan with its gradients, as far as they exist."""
    return [row[c] for c in ("image", "bval", "bvec") if row[c] and row["status"] == "ok"]


def segmentation_inputs(row: Row) -> list[str]:
    """What a network sees: the scan itself, or the mean b=0 image of a diffusion series."""
    if row["datatype"] == "dwi":
        return [paths.image_record(row, "b0")]
    return [row["image"]] if row["status"] == "ok" else []


def mask_files(row: Row) -> list[str]:
    """Readable manual and external masks of a scan."""
    return [m["path"] for m in masks_of(row) if m["status"] == "ok"]
