"""``cordcohort check --deep``: every file opened as a run would open it, and its content compared.

A scan that a run would fail on fails here, with the same code, before any job; a file whose content
is no longer what the last run used, although its size and time are, shows here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cordcohort.bids.index import Index, rows_of
from cordcohort.bids.index import masks_of as masks_of_scans
from cordcohort.config import Config
from cordcohort.errors import ImageError
from cordcohort.fault_codes import FAULT_CODES, codes_of
from cordcohort.images.gradients import read_gradients
from cordcohort.measures.masks import CLOSED_LABELS, READ_AS
from cordcohort.nifti import Image, read_image, read_mask
from cordcohort.provenance import hash_inputs, input_files, recorded_inputs
from cordcohort.scan import masks_of

FINDING_COLUMNS = ["dataset", "code", "file", "reason"]
NOTE, NONE_DRAWN = "note", "none_drawn"
NO_FAULTS = {
    NOTE: "legal, but unusual",
    NONE_DRAWN: "masks without a voxel: somebody looked, and there is none",
}
NEVER_EMPTY = ("cord", "gm", "wm", "regions", "vertebrae")
"""Structures that every scan shows; an empty mask of lesions says that there is none."""
Finding = tuple[str, str, str, str]


@dataclass(frozen=True)
class DeepCheck:
    """What opening every file told.

    Attributes
    ----------
    findings : DataFrame
        ``dataset, code, file, reason``: one row a fault, and one with a code of
        :data:`NO_FAULTS` for what is legal.
    n_files : int
        Input files read to the end.
    n_compared : int
        Of these, files with a recorded hash.
    all_empty : tuple of str
        Structures and who drew them, of which no mask of the study has a voxel.
    """

    findings: pd.DataFrame
    n_files: int
    n_compared: int
    all_empty: tuple[str, ...] = ()

    @property
    def n_faults(self) -> int:
        """Findings that are faults."""
        return int((~self.findings["code"].isin(NO_FAULTS)).sum())

    @property
    def n_changed(self) -> int:
        """Files whose content changed behind the same size and time."""
        return int((self.findings["code"] == "changed").sum())


def deep_check(config: Config, index: Index, study: Path | str) -> DeepCheck:
    """Open every image, mask and gradient file; hash every input file.

    Parameters
    ----------
    config, index
        The study.
    study : path
        Its folder, where the last run left its record.
    """
    found: list[Finding] = []
    for row in rows_of(index.scans):
        found += _scan_findings(row, config.images.b0_threshold_s_per_mm2)
    recorded = recorded_inputs(study)
    now = hash_inputs(input_files(config, index), recorded.iloc[:0])
    both = now.merge(recorded, on=["dataset", "path"], suffixes=("", "_then"))
    same_state = (both["size"] == both["size_then"]) & (both["mtime_ns"] == both["mtime_ns_then"])
    other = both[same_state & (both["sha256"] != both["sha256_then"])]
    for row in other.itertuples():
        reason = ImageError(
            str(row.path), "changed", "the content that the last run used",
            "another content of the same size and time", "restore it, or touch it and run again",
        ).reason  # fmt: skip
        found.append((str(row.dataset), "changed", Path(str(row.path)).name, reason))
    frame = pd.DataFrame(sorted(set(found)), columns=FINDING_COLUMNS, dtype="str")
    return DeepCheck(frame, len(now), len(both), _all_empty(index, frame))


def _all_empty(index: Index, findings: pd.DataFrame) -> tuple[str, ...]:
    """Structures of which somebody drew masks and none has a voxel: ``manual lesion (12)``."""
    empty = findings[findings["code"] == NONE_DRAWN]
    if empty.empty:
        return ()
    masks = masks_of_scans(index.scans)
    masks = masks[masks["kind"].isin(READ_AS)]
    names = [Path(path).name for path in masks["path"]]
    keys = pd.MultiIndex.from_arrays([masks["dataset"], names])
    is_empty = keys.isin(pd.MultiIndex.from_frame(empty[["dataset", "file"]]))
    groups = masks.assign(is_empty=is_empty).groupby(["method", "structure"])["is_empty"]
    return tuple(
        f"{method} {structure} ({len(own)})" for (method, structure), own in groups if own.all()
    )


def _scan_findings(row: Mapping[str, Any], b0_threshold: float) -> Iterator[Finding]:
    """Faults and notes of one scan and its masks."""
    dataset = str(row["dataset"])
    image: Image | None = None
    if row["image"] and row["status"] != "ok":
        yield _fault(dataset, Path(str(row["image"])).name, str(row["reason"]))
    elif row["image"]:
        try:
            image = read_image(str(row["image"]), ndim=4 if row["datatype"] == "dwi" else 3)
            yield from _notes(dataset, image)
            if row["bval"] and row["bvec"]:
                read_gradients(row["bval"], row["bvec"], image.data.shape[3], b0_threshold)
        except ImageError as error:
            yield _fault(dataset, error.path.name, error.reason)
    for mask in masks_of(row):
        yield from _mask_findings(dataset, mask, image)


def _mask_findings(dataset: str, mask: Mapping[str, Any], image: Image | None) -> Iterator[Finding]:
    name = Path(str(mask["path"])).name
    if mask["status"] != "ok":
        yield _fault(dataset, name, str(mask["reason"]))
    elif mask["kind"] in READ_AS:
        labels = CLOSED_LABELS.get(mask["structure"], ())
        try:
            kind = READ_AS[mask["kind"]]
            drawn = read_mask(mask["path"], image, kind=kind, labels=labels)
            yield from _notes(dataset, drawn)
            yield from _empty(dataset, str(mask["structure"]), drawn)
        except ImageError as error:
            yield _fault(dataset, name, error.reason)


def _empty(dataset: str, structure: str, drawn: Image) -> Iterator[Finding]:
    """A mask without a voxel: a fault of what every scan shows, else that there is none."""
    if drawn.data.any():
        return
    if structure not in NEVER_EMPTY:
        yield dataset, NONE_DRAWN, drawn.path.name, f"no {structure} in this scan"
    else:
        error = ImageError(drawn.path, "empty_mask", "a mask with voxels", "an empty one",
                           "draw it, or remove the file")  # fmt: skip
        yield _fault(dataset, drawn.path.name, error.reason)


def _fault(dataset: str, file: str, reason: str) -> Finding:
    return dataset, ", ".join(codes_of(reason)) or "other", file, reason


def _notes(dataset: str, image: Image) -> Iterator[Finding]:
    for note in image.notes:
        yield dataset, NOTE, image.path.name, note


def deep_lines(result: DeepCheck, most: int) -> Iterator[str]:
    """Print lines of a deep check: counts, then faults by code with the first files of each.

    Parameters
    ----------
    result : DeepCheck
    most : int
        Files named for each code.
    """
    yield (
        f"{result.n_files} input files read to the end, {result.n_compared} compared with the "
        f"last run: {result.n_faults} faults, {result.n_changed} changed"
    )
    for code, part in result.findings.groupby("code", sort=True):
        meaning = (FAULT_CODES | NO_FAULTS).get(str(code), "")
        yield f"[{code}] {len(part)}: {meaning}".rstrip(": ")
        for row in part.head(most).itertuples():
            yield f"  {row.dataset}: {row.file}: {row.reason}"
        if len(part) > most:
            yield f"  ... and {len(part) - most} more"
    for named in result.all_empty:
        yield (
            f"every mask of {named} is empty: nothing to find, so scores by convention and no "
            "measures; is it the folder of another reading?"
        )
