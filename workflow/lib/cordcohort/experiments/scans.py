"""Which scans a phase trains on, which it ranks, and which corrected masks came back for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cordcohort.bids.labels import MANUAL, label_of
from cordcohort.bids.names import NameFaultError, parse_name, split_extension
from cordcohort.experiments.declared import Correct, Experiment, Phase
from cordcohort.model_uses import LESION, LESION_PARTS, masks_of_task
from cordcohort.scan import Row, masks_of, scan_id
from cordcohort.scan_choice import is_selected

Mask = dict[str, Any]
Accept = Callable[[Experiment, Phase, Sequence[Row]], list[Row]]


@dataclass
class Returned:
    """Corrected masks of a folder, by the scan that their names say.

    Attributes
    ----------
    masks : dict
        :func:`cordcohort.scan.scan_id` to the scan's masks, as the index has them.
    unmatched : list of (str, str)
        Files, relative to the folder, that belong to no scan, and why.
    """

    masks: dict[str, list[Mask]] = field(default_factory=dict)
    unmatched: list[tuple[str, str]] = field(default_factory=list)


def is_labelled(row: Row, experiment: Experiment) -> bool:
    """Whether a scan has masks of every structure that the experiment's models draw."""
    return _has_all(masks_of(row), experiment)


def _has_all(masks: Iterable[Mask], experiment: Experiment) -> bool:
    own = (m for m in masks if m["method"] == experiment.masks and m["status"] == "ok")
    return not lacking(own, experiment)


def lacking(masks: Iterable[Mask], experiment: Experiment) -> list[str]:
    """Structures that the experiment's models draw and masks do not hold; parts are a lesion.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> lacking([{"structure": "oedema"}], SimpleNamespace(task="lesion"))
    ['cord']
    """
    drawn = {str(mask["structure"]) for mask in masks}
    drawn |= {LESION} if drawn & set(LESION_PARTS) else set()
    return sorted(set(masks_of_task(experiment.task)) - drawn)


def corrected_structures(experiment: Experiment) -> tuple[str, ...]:
    """Structures whose masks may come back: what the models draw, and parts of the lesion."""
    wanted = masks_of_task(experiment.task)
    return (*wanted, *LESION_PARTS) if LESION in wanted else wanted


def candidates(experiment: Experiment, phase: Phase, rows: Iterable[Row]) -> list[Row]:
    """Scans that a phase ranks for correction.

    They match ``correct.scans``, are trained on in no earlier phase and, unless the declaration
    says so, have no masks yet.
    """
    asked = phase.correct
    if asked is None:
        return []
    earlier = [one for p in experiment.phases[: phase.number - 1] for one in p.add]
    return [
        row
        for row in rows
        if row["status"] == "ok"
        and is_selected(row, asked.scans)
        and row["contrast"] in (experiment.block["contrasts"] or [row["contrast"]])
        and (asked.labelled or not is_labelled(row, experiment))
        and not (is_selected(row, earlier) and is_labelled(row, experiment))
    ]


def returned(asked: Correct, scans: Iterable[Row], experiment: Experiment) -> Returned:
    """Match the files of the folder of corrected masks to scans, by name.

    A mask is named as its image with the label behind (``sub-01_acq-ax_T2w_label-SC_seg``). Where
    two data sets have an image of one name, a folder with the data set's name says which is meant.

    Parameters
    ----------
    asked : Correct
    scans : iterable of index rows
        Scans that may have been corrected.
    experiment : Experiment
    """
    by_stem: dict[str, list[Row]] = {}
    for row in scans:
        by_stem.setdefault(str(row["stem"]), []).append(row)
    found = Returned()
    for path in sorted(Path(asked.folder).rglob("*")):
        stem, extension = split_extension(path.name)
        if not extension or stem in by_stem:  # the image that was exported beside the mask
            continue
        row, what = _meant(path, stem, by_stem, experiment, Path(asked.folder))
        if row is None:
            found.unmatched.append((str(path.relative_to(asked.folder)), str(what)))
        elif isinstance(what, dict):
            found.masks.setdefault(scan_id(row), []).append(what)
    return found


def _meant(
    path: Path, stem: str, by_stem: dict[str, list[Row]], experiment: Experiment, folder: Path
) -> tuple[Row | None, Mask | str]:
    """Scan that a file's name says, with the mask; or why there is none."""
    try:
        name = parse_name(stem)
    except NameFaultError as fault:
        return None, str(fault)
    label = label_of(name.rest, MANUAL)
    wanted = corrected_structures(experiment)
    if label is None or label.structure not in wanted:
        return None, f"'{'_'.join(name.rest)}' names no mask of {', '.join(wanted)}"
    image = "_".join([*(f"{k}-{v}" for k, v in name.entities.items()), name.suffix])
    rows = by_stem.get(image, [])
    if len(rows) > 1:
        parts = path.relative_to(folder).parts
        rows = [row for row in rows if row["dataset"] in parts]
    if len(rows) != 1:
        return None, (
            f"no scan {image} is to be corrected in this phase"
            if not rows
            else f"several data sets have {image}: put it in a folder of its data set"
        )
    state = path.stat()
    return rows[0], {
        "method": experiment.masks, "structure": label.structure, "kind": label.kind,
        "path": str(path), "size": state.st_size, "mtime_ns": state.st_mtime_ns, "status": "ok",
        "reason": "",
    }  # fmt: skip


def with_masks(row: Row, masks: Sequence[Mask]) -> dict[str, Any]:
    """A scan whose masks of the same structures and method are replaced by corrected ones.

    A lesion and its parts are one: what comes back of them replaces all that was there.
    """
    drawn = {(mask["method"], mask["structure"]) for mask in masks}
    whole = (LESION, *LESION_PARTS)
    drawn |= {(method, name) for method, one in drawn if one in whole for name in whole}
    kept = [m for m in masks_of(row) if (m["method"], m["structure"]) not in drawn]
    return {**row, "masks": json.dumps([*kept, *masks], sort_keys=True)}


def corrected_rows(experiment: Experiment, phase: Phase, rows: Sequence[Row]) -> list[Row]:
    """Scans of a phase for which all corrected masks came back, with these."""
    asked = phase.correct
    if asked is None:
        return []
    scans = candidates(experiment, phase, rows)
    back = returned(asked, scans, experiment).masks
    found = [with_masks(row, back[scan_id(row)]) for row in scans if scan_id(row) in back]
    return [row for row in found if _has_all(back[scan_id(row)], experiment)]


def all_of_them(experiment: Experiment, phase: Phase, scans: Sequence[Row]) -> list[Row]:
    """Corrected scans as their names say, before any file is opened."""
    return list(scans)


def training_rows(
    experiment: Experiment,
    number: int,
    rows: Sequence[Row],
    kept_out: Collection[str],
    accept: Accept = all_of_them,
) -> list[Row]:
    """Scans that a phase trains on: its own, those of the phases before it, and corrected ones.

    Parameters
    ----------
    experiment : Experiment
    number : int
        Of the phase.
    rows : sequence of index rows
    kept_out : collection of str
        Persons whom the phase may not see.
    accept : callable
        Which corrected scans are taken (:func:`cordcohort.experiments.corrected.taken`).

    Returns
    -------
    list of rows
        Each with the masks that it is trained with; those of a later phase win.
    """
    free = [row for row in rows if row["person"] not in kept_out and row["status"] == "ok"]
    found: dict[str, Row] = {}
    for phase in experiment.phases[:number]:
        own = [r for r in free if is_selected(r, phase.add) and is_labelled(r, experiment)]
        corrected = accept(experiment, phase, corrected_rows(experiment, phase, free))
        found |= {scan_id(row): row for row in [*own, *corrected]}
    return [found[name] for name in sorted(found)]
