"""The masks that exist for a scan: drawn by people, given as derivatives, or made by a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cordcohort.files import read_record, recorded_file
from cordcohort.lent_cord import lent_by
from cordcohort.measures.tasks import truth_masks
from cordcohort.report.privacy import public_text
from cordcohort.scan import RECORD_SCHEMA, masks_of

DRAWN_KINDS = ("seg", "softseg", "dseg")
_RECORD_STATUS = {"ok": "ok", "failed": "failed", "no_cord": "failed"}


@dataclass(frozen=True)
class MaskFile:
    """One mask of one scan.

    Attributes
    ----------
    method, structure, kind : str
        Who drew it, what it shows, and whether it is binary, soft or a label map.
    path : Path or None
        The file; ``None`` where the method gave no mask.
    status, reason : str
        ``ok`` or ``failed``, and why.
    device : str
        Where a model ran, empty for masks that were found.
    seconds : float
        How long it took; NaN where unknown.
    """

    method: str
    structure: str
    kind: str
    path: Path | None
    status: str
    reason: str
    device: str = ""
    seconds: float = float("nan")

    def facts(self) -> dict[str, Any]:
        """What the subject's page says about the mask: no path, no host."""
        return {
            "method": self.method,
            "structure": self.structure,
            "kind": self.kind,
            "status": self.status,
            "reason": public_text(self.reason),
            "device": public_text(self.device),
            "seconds": None if self.seconds != self.seconds else round(self.seconds, 1),
        }


def masks_of_scan(
    scan: Mapping[str, Any], results: Path, *, soft_truth: bool = False
) -> list[MaskFile]:
    """All masks of a scan in a fixed order, each once: found ones first, then one a model.

    Parameters
    ----------
    scan : mapping
        A row of the index.
    results : Path
        The study's ``results`` folder.
    soft_truth : bool
        Whether the soft ground truth belongs to them.
    """
    found = [_found(mask) for mask in masks_of(scan)]
    made = [_made(path) for path in _records(scan, results)]
    truth = [_truth(scan, results)] if soft_truth else []
    masks = sorted(found, key=_order) + sorted(made, key=_order) + [m for m in truth if m]
    drawn = {(mask.method, mask.structure) for mask in masks}
    return [m for m in masks if not _is_lent(m, drawn)]


def _is_lent(mask: MaskFile, drawn: Collection[tuple[str, str]]) -> bool:
    """Whether another method of the scan drew this very mask."""
    beside = {method for method, structure in drawn if structure == mask.structure}
    return bool(lent_by(mask.method, mask.structure, beside))


def _order(mask: MaskFile) -> tuple[bool, str, str, str]:
    return mask.structure != "cord", mask.structure, mask.method, str(mask.path)


def _found(mask: Mapping[str, Any]) -> MaskFile:
    """A mask of the index."""
    path = str(mask.get("path") or "")
    return MaskFile(
        method=str(mask["method"]),
        structure=str(mask["structure"]),
        kind=str(mask.get("kind", "seg")),
        path=Path(path) if path else None,
        status="ok" if mask.get("status", "ok") == "ok" else "failed",
        reason=str(mask.get("reason", "")),
    )


def _records(scan: Mapping[str, Any], results: Path) -> list[Path]:
    """The records that models left beside their masks of this scan."""
    base = results / "segmentation" / str(scan["dataset"])
    pattern = f"{scan['stem']}_label-*seg.json"
    if not base.is_dir():
        return []
    folders = sorted(p / str(scan["folder"]) for p in base.iterdir() if p.is_dir())
    return [record for folder in folders for record in sorted(folder.glob(pattern))]


def _truth(scan: Mapping[str, Any], results: Path) -> MaskFile | None:
    """The soft ground truth of a scan, or why its mask could not be used."""
    found = next(iter(truth_masks(scan, results.parent)), None)
    if found is None:
        return None
    return MaskFile(
        method=found["method"], structure=found["structure"], kind=found["kind"],
        path=Path(found["path"]) if found["status"] == "ok" else None,
        status=found["status"], reason=found["reason"] or found["warning"],
    )  # fmt: skip


def _made(record: Path) -> MaskFile:
    """A model's mask by its record, which it must match."""
    told = read_record(record, RECORD_SCHEMA)
    name = Path(str(told.get("mask") or "")).name
    return MaskFile(
        method=str(told.get("method", "")),
        structure=str(told.get("structure", "cord")),
        kind=record.stem.rpartition("_")[2],
        path=recorded_file(record, name, str(told.get("mask_sha256", ""))) if name else None,
        status=_RECORD_STATUS.get(str(told.get("status")), "failed"),
        reason=str(told.get("reason", "")) or "; ".join(told.get("warnings") or ()),
        device=str(told.get("device", "")),
        seconds=float(told.get("seconds") or "nan"),
    )
