"""Corrected masks: which are taken, which are refused, which nobody has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cordcohort.errors import ImageError
from cordcohort.experiments.declared import CHOSEN, Experiment, Phase
from cordcohort.experiments.ranks import chosen_scans, proposed_digests
from cordcohort.experiments.scans import Mask, corrected_structures
from cordcohort.model_uses import LESION, LESION_PARTS
from cordcohort.nifti import read_image, read_mask
from cordcohort.scan import Row, masks_of, scan_id
from cordcohort.spinal_names import NO_LEVEL, SPINAL_LEVELS, VENTRAL_CODES

TAKEN, REFUSED, UNCHANGED, NOT_CHOSEN = "taken", "refused", "unchanged", "not chosen"
KINDS = {
    "cord": ("seg", "softseg"), "lesion": ("seg", "softseg"), "regions": ("dseg",),
    "rootlets": ("dseg", "seg"), **dict.fromkeys(LESION_PARTS, ("seg",)),
}  # fmt: skip
N_REGIONS = 8
LABELS: Mapping[str, Sequence[int]] = {
    "regions": range(1, N_REGIONS + 1),
    "rootlets": (*range(1, len(SPINAL_LEVELS) + 1), *VENTRAL_CODES, NO_LEVEL),
}
MAY_BE_EMPTY = frozenset({LESION, *LESION_PARTS})


@dataclass(frozen=True)
class Judged:
    """What becomes of the corrected masks of a scan: ``status`` and, where not taken, why."""

    status: str
    reason: str = ""


def taken(
    experiment: Experiment, phase: Phase, scans: Sequence[Row], study_dir: Path = Path()
) -> list[Row]:
    """Of scans whose corrected masks came back, those that a phase trains on."""
    return [
        row for row, what in judged(experiment, phase, scans, study_dir) if what.status == TAKEN
    ]


def judged(
    experiment: Experiment, phase: Phase, scans: Sequence[Row], study_dir: Path = Path()
) -> list[tuple[Row, Judged]]:
    """Open the corrected masks of scans and say of each scan whether it is taken.

    Parameters
    ----------
    scans : sequence of index rows
        Of :func:`cordcohort.experiments.scans.corrected_rows`: with their corrected masks.
    study_dir : path
        The study.
    """
    asked = phase.correct
    if asked is None:
        return []
    folder = study_dir / experiment.folder(phase.number)
    chosen = chosen_scans(folder) if asked.take == CHOSEN else {scan_id(row) for row in scans}
    proposed = {} if asked.take_unchanged else proposed_digests(folder)
    found: list[tuple[Row, Judged]] = []
    for row in scans:
        name = scan_id(row)
        if name not in chosen:
            found.append((row, Judged(NOT_CHOSEN, "it is not among those chosen for correction")))
        else:
            found.append((row, _judge(row, experiment, proposed.get(name, {}))))
    return found


def _judge(row: Row, experiment: Experiment, proposed: Mapping[str, Sequence[str]]) -> Judged:
    """Grid and values of a scan's masks, and whether one differs from what was proposed."""
    masks = [m for m in masks_of(row) if m["method"] == experiment.masks]
    wanted = corrected_structures(experiment)
    try:
        digests = {m["structure"]: _checked(m, row) for m in masks if m["structure"] in wanted}
    except ImageError as error:
        return Judged(REFUSED, f"{error.path.name}: {error.reason}")
    if proposed and all(digest in proposed.get(s, ()) for s, digest in digests.items()):
        return Judged(UNCHANGED, "every mask is as it was proposed: nobody has changed it; where "
                      "it was looked at and is right, set take_unchanged")  # fmt: skip
    return Judged(TAKEN)


def _checked(mask: Mask, row: Row) -> str:
    """Digest of a mask that lies on its scan's grid and holds what its name says."""
    structure, path = str(mask["structure"]), Path(str(mask["path"]))
    if mask["kind"] not in KINDS[structure]:
        raise ImageError(path, "other_kind", f"a {structure} mask of kind "
                         f"{' or '.join(KINDS[structure])}", f"{mask['kind']}",
                         "name it as it was exported")  # fmt: skip
    image = read_image(str(row["image"]), ndim=None)
    data = read_mask(path, image, kind=mask["kind"], labels=LABELS.get(structure, ())).data
    if structure not in MAY_BE_EMPTY and not data.any():
        raise ImageError(path, "empty", f"a mask with some {structure}", "an empty mask",
                         "draw it, or leave the file out")  # fmt: skip
    return voxel_digest(data)


def voxel_digest(data: NDArray[Any]) -> str:
    """Digest of the values of a mask, whatever type and compression it is stored with.

    Examples
    --------
    >>> a = np.zeros((2, 2, 2)); a[0] = 1
    >>> voxel_digest(a) == voxel_digest(a.astype(np.uint8)), voxel_digest(a) == voxel_digest(1 - a)
    (True, False)
    """
    values = np.ascontiguousarray(data, dtype=np.float32)
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()
