"""Rank the scans of a phase for correction, and make of each chosen one a proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cordcohort.experiments.declared import Experiment, Phase
from cordcohort.experiments.ranks import NO, YES
from cordcohort.experiments.uncertainty import (
    disagreement,
    score,
    uncertainty,
    uncertainty_of_labels,
)
from cordcohort.files import read_record, recorded_file
from cordcohort.model_uses import masks_of_task
from cordcohort.nifti import read_mask
from cordcohort.report.privacy import public_text
from cordcohort.scan import MASK_SUFFIX, RECORD_SCHEMA, SCAN_KEY, Row, mask_record, scan_id

Volume = NDArray[Any]

HALF = 0.5
OK, FAILED = "ok", "failed"


@dataclass(frozen=True)
class Drawn:
    """What the seeds of a phase drew of one structure of one scan.

    Attributes
    ----------
    masks : list of array
        On the scan's own axes; empty masks where a seed found nothing.
    fractions : list of array
        The soft masks; of a label map none.
    n_empty : int
        Seeds that drew nothing.
    """

    masks: list[Volume]
    fractions: list[Volume]
    n_empty: int

    def proposal(self, *, labels: bool) -> Volume:
        """Mask to correct: where the mean fraction is a half or more, or the label of most seeds.

        Of labels with as many votes the smaller one wins, background included.
        """
        if not labels:
            mean = np.asarray(np.mean(self.fractions, axis=0, dtype=np.float32))
            return np.asarray(mean >= HALF, dtype=np.uint8)
        best = np.zeros(self.masks[0].shape, dtype=np.uint8)
        most = np.sum([one == 0 for one in self.masks], axis=0)
        for label in sorted({int(v) for one in self.masks for v in np.unique(one)} - {0}):
            votes = np.sum([one == label for one in self.masks], axis=0)
            best[votes > most] = label
            most = np.maximum(most, votes)
        return best


def is_map(structure: str) -> bool:
    """Whether a structure is stored as a label map."""
    return MASK_SUFFIX[structure].endswith("_dseg")


@dataclass(frozen=True)
class Committee:
    """The seeds of the phase before, whose masks rank the scans of a phase."""

    experiment: Experiment
    phase: Phase
    study_dir: Path = Path()

    @property
    def structures(self) -> tuple[str, ...]:
        """What they draw."""
        return masks_of_task(self.experiment.task)

    @property
    def folder(self) -> Path:
        """Folder of what the phase leaves."""
        return self.study_dir / self.experiment.folder(self.phase.number)

    def drawn(self, row: Row, structure: str) -> tuple[Drawn | None, str]:
        """Masks of a scan by all seeds; or why there is none.

        A seed that found no cord drew an empty mask; a scan that none could read cannot be ranked.
        """
        masks: list[Volume | None] = []
        soft: list[Volume | None] = []
        reasons: list[str] = []
        kind = "dseg" if is_map(structure) else "seg"
        for seed in self.experiment.seeds:
            model = self.experiment.model(self.phase.number - 1, seed)
            path = self.study_dir / mask_record(row, model, structure)
            record = read_record(path, RECORD_SCHEMA)
            reasons.append(str(record["reason"]) if record["status"] == FAILED else "")
            masks.append(_read(path, record, "mask", kind))
            soft.append(_read(path, record, "soft", "softseg") if kind == "seg" else None)
        if all(reasons):
            return None, reasons[0]
        return _filled(masks, soft if kind == "seg" else []), ""


def _filled(masks: Sequence[Volume | None], soft: Sequence[Volume | None]) -> Drawn:
    """Empty masks where a seed found nothing, and its mask where it has no soft one."""
    some = next((one for one in masks if one is not None), None)
    if some is None:
        return Drawn([], [], len(masks))
    filled = [np.zeros_like(some) if one is None else one for one in masks]
    fractions = [m if s is None else s for s, m in zip(soft, filled, strict=False)]
    return Drawn(filled, fractions, sum(not one.any() for one in filled))


def _read(path: Path, record: Mapping[str, Any], key: str, kind: str) -> Volume | None:
    if record["status"] != OK or not record[key]:
        return None
    file = recorded_file(path, record[key], record.get(f"{key}_sha256", ""))
    return read_mask(file, kind=kind).data


def ranked(committee: Committee, scans: Sequence[Row]) -> pd.DataFrame:
    """Rank the scans of a phase, those that need a person most first.

    Returns
    -------
    DataFrame
        One row a scan: ``rank`` (empty where it cannot be ranked), ``chosen``, ``scan``, scan key,
        site, person, ``score`` in [0, 1], disagreement and uncertainty of every structure, number
        of seeds that drew nothing, ``reason``. Scans of one score stand by name.
    """
    rows = [_ranked_one(row, committee) for row in scans]
    table = pd.DataFrame(rows, columns=columns(committee))
    table = table.sort_values(["score", "scan"], ascending=[False, True], ignore_index=True)
    usable = table["score"].notna()
    table["rank"] = usable.cumsum().astype("Int64").where(usable)
    asked = committee.phase.correct
    choose = asked.choose if asked else 0
    table["chosen"] = np.where(usable & (table["rank"] <= choose).fillna(value=False), YES, NO)
    return table


def columns(committee: Committee) -> list[str]:
    """Columns of the table of ranks."""
    own = [f"{what}_{structure}" for structure in committee.structures
           for what in ("disagreement", "uncertainty", "n_empty")]  # fmt: skip
    return ["rank", "chosen", "scan", *SCAN_KEY, "site", "person", "score", *own, "n_seeds",
            "reason"]  # fmt: skip


def _ranked_one(row: Row, committee: Committee) -> dict[str, object]:
    told: dict[str, object] = {
        "scan": scan_id(row), **{c: str(row[c]) for c in (*SCAN_KEY, "site", "person")},
        "score": float("nan"), "n_seeds": len(committee.experiment.seeds), "reason": "",
    }  # fmt: skip
    pairs: list[tuple[float, float]] = []
    reasons: list[str] = []
    for structure in committee.structures:
        drawn, fault = committee.drawn(row, structure)
        if drawn is None:
            return told | {"reason": f"cannot be ranked: {public_text(fault)}"}
        pair = _numbers(drawn, labels=is_map(structure))
        told |= {f"disagreement_{structure}": pair[0], f"uncertainty_{structure}": pair[1],
                 f"n_empty_{structure}": drawn.n_empty}  # fmt: skip
        if not drawn.masks and structure != "lesion":
            return told | {"score": 1.0, "reason": f"no seed drew any {structure}"}
        pairs.append(pair)
        reasons.append(_reason(structure, drawn, pair))
    return told | {"score": score(pairs), "reason": "; ".join(reasons)}


def _numbers(drawn: Drawn, *, labels: bool) -> tuple[float, float]:
    if not drawn.masks:
        return 0.0, 0.0
    apart = disagreement(drawn.masks)
    unsure = uncertainty_of_labels(drawn.masks) if labels else uncertainty(drawn.fractions)
    return apart, unsure


def _reason(structure: str, drawn: Drawn, pair: tuple[float, float]) -> str:
    if not drawn.masks:
        return f"{structure}: no seed drew any"
    agreed = "one seed" if np.isnan(pair[0]) else f"mean Dice of seeds {1 - pair[0]:.2f}"
    empty = f", {drawn.n_empty} of {len(drawn.masks)} drew none" if drawn.n_empty else ""
    return f"{structure}: {agreed}, entropy {pair[1]:.2f} bit{empty}"
