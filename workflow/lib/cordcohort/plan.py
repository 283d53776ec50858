"""What a study asks for: batches of scans with their inputs and outputs, from the index row by row.

Targets never come from a product of wildcards: a session that does not exist asks for no file.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cordcohort import scan as paths
from cordcohort.bids.index import read_index, rows_of
from cordcohort.bids.prepare import prepare
from cordcohort.config import Config, make_config
from cordcohort.report.links import picture_record
from cordcohort.root import workflow_root
from cordcohort.scan import Row, scan_id

REPORT_FOLDER = f"{paths.RESULTS}/report"
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

    config: Config
    rows: list[dict[str, Any]]

    def b0_batches(self) -> list[Batch]:
        """Mean b=0 images of diffusion series."""
        return batches(
            self._diffusion_scans(),
            self.config.measures.batch_size,
            _diffusion_files,
            lambda row: [paths.image_record(row, "b0")],
        )

    def segmentation_batches(self, model: str) -> list[Batch]:
        """Scans that go through one network: those with an image that take no manual mask."""
        return batches(
            [row for row in self.rows if self._is_segmented(row)],
            self.config.segmentation.batch_size,
            _network_inputs,
            lambda row: [paths.mask_record(row, model)],
        )

    def tensor_batches(self) -> list[Batch]:
        """Tensor maps inside the dilated cord."""
        return batches(
            self._diffusion_scans(),
            self.config.measures.batch_size,
            lambda row: [*_diffusion_files(row), *_mask_files(row), *self._mask_records(row)],
            lambda row: [paths.image_record(row, "tensor")],
        )

    def measure_batches(self, kind: str) -> list[Batch]:
        """Small tables of one kind for every scan that has, or should have, a mask."""
        return batches(
            [row for row in self.rows if self._is_measured(kind, row)],
            self.config.measures.batch_size,
            lambda row: self._measure_inputs(kind, row),
            lambda row: [paths.measure_table(row, kind)],
        )

    def picture_batches(self) -> list[Batch]:
        """Pictures of every mask of a scan."""
        if not self.config.report.pictures:
            return []
        return batches(
            self.rows,
            self.config.measures.batch_size,
            self._picture_inputs,
            lambda row: [f"{REPORT_FOLDER}/{picture_record(row)}"],
        )

    def picture_records(self) -> list[str]:
        """Records of all pictures."""
        return [record for batch in self.picture_batches() for record in batch.outputs]

    def report_settings(self) -> dict[str, Any]:
        """What the pages show of the config."""
        content = self.config.as_dict()
        return {key: content[key] for key in ("study", "report", "measures", "analyses")}

    def measure_tables(self) -> list[str]:
        """All small tables, from which the cohort table is made."""
        return [f for kind in MEASURE_KINDS for b in self.measure_batches(kind) for f in b.outputs]

    def tensor_options(self) -> dict[str, Any]:
        """Options of the tensor fit."""
        images = self.config.images
        return {
            "fit": images.tensor_fit,
            "dilate_mm": images.dilate_mm,
            "b0_threshold_s_per_mm2": images.b0_threshold_s_per_mm2,
        }

    def measure_options(self) -> dict[str, Any]:
        """The section ``measures`` of the config, less what changes no number."""
        section = dict(self.config.as_dict()["measures"])
        section.pop("batch_size")
        return section

    def model_files(self, model: str) -> list[str]:
        """Files of a model, so that a new model reruns what it drew."""
        folder = workflow_root() / "models" / model
        return [str(f) for f in sorted(folder.iterdir()) if f.suffix in (".yaml", ".safetensors")]

    def exclusion_files(self) -> list[str]:
        """The exclusion list, if there is one."""
        return [str(self.config.exclude)] if self.config.exclude.is_file() else []

    def external_files(self) -> list[str]:
        """Tables of measures from elsewhere."""
        return [str(table["file"]) for table in self.config.external_measures]

    def analyses(self) -> list[str]:
        """Names of the declared analyses."""
        return [str(analysis["name"]) for analysis in self.config.analyses]

    def analysis_options(self, name: str) -> dict[str, Any]:
        """Declaration of one analysis."""
        return next(dict(a) for a in self.config.analyses if a["name"] == name)

    def _diffusion_scans(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if _has_series(row)]

    def _is_segmented(self, row: Row) -> bool:
        return row["status"] != "no_image" and not self._takes_manual(row)

    def _takes_manual(self, row: Row) -> bool:
        wanted = self.config.segmentation.use_manual
        return (row["contrast"] in wanted or row["dataset"] in wanted) and any(
            mask["method"] == "manual" and mask["structure"] == "cord" and mask["status"] == "ok"
            for mask in paths.masks_of(row)
        )

    def _is_measured(self, kind: str, row: Row) -> bool:
        if kind == "regions":
            return _has_series(row)
        if kind == "agreement":
            reference = self.config.measures.reference
            return any(mask["method"] == reference for mask in paths.masks_of(row))
        return True

    def _measure_inputs(self, kind: str, row: Row) -> list[str]:
        files = [*_mask_files(row), *self._mask_records(row)]
        if kind == "regions":
            files.append(paths.image_record(row, "tensor"))
        return files

    def _picture_inputs(self, row: Row) -> list[str]:
        image = [row["image"]] if row["status"] == "ok" else []
        b0 = [paths.image_record(row, "b0")] if _has_series(row) else []
        return [*image, *b0, *_mask_files(row), *self._mask_records(row)]

    def _mask_records(self, row: Row) -> list[str]:
        if not self._is_segmented(row):
            return []
        return [paths.mask_record(row, model) for model in self.config.segmentation.models]


def load_plan(content: Mapping[str, Any], *, refresh: bool, study_dir: Path | str = ".") -> Plan:
    """Make the plan of the study in a folder.

    Parameters
    ----------
    content : mapping
        The configuration as the engine has read it.
    refresh : bool
        Walk the data sets, check everything and keep the index (the main process does this once);
        else read the index that lies there, as a job on a node does.
    study_dir : path
        The study's folder.
    """
    if refresh:
        config, index = prepare(study_dir, content)
    else:
        config, index = make_config(content, study_dir, check=False), read_index(study_dir)
    return Plan(config, rows_of(index.scans))


def _has_series(row: Row) -> bool:
    return row["datatype"] == "dwi" and row["status"] != "no_image"


def _diffusion_files(row: Row) -> list[str]:
    """List the series of a diffusion scan with its gradients, as far as they exist."""
    return [row[c] for c in ("image", "bval", "bvec") if row[c] and row["status"] == "ok"]


def _network_inputs(row: Row) -> list[str]:
    """List what a network sees: the scan, or the mean b=0 image of a diffusion series."""
    if row["datatype"] == "dwi":
        return [paths.image_record(row, "b0")]
    return [row["image"]] if row["status"] == "ok" else []


def _mask_files(row: Row) -> list[str]:
    """List the readable manual and external masks of a scan."""
    return [mask["path"] for mask in paths.masks_of(row) if mask["status"] == "ok"]
