"""A whole phantom study written as BIDS: one dataset a site, masks, sheets, and the known truth.

The same configuration gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cordcohort.files import write_json
from cordcohort.phantom.broken import FAULTS, write_bad_subjects
from cordcohort.phantom.cohort import (
    Participant,
    damage_of,
    participant_row,
    participants,
    planned_scans,
    scale_of,
    session_rows,
)
from cordcohort.phantom.config import PhantomStudy, study_from_dict
from cordcohort.phantom.scan import write_scan
from cordcohort.phantom.sheets import write_tsv

__all__ = ["PhantomStudy", "study_from_dict", "write_study"]

BIDS_VERSION = "1.9.0"
LABEL_FOLDERS = ("labels", "labels_rater-2", "truth")


def write_study(
    study: PhantomStudy,
    folder: Path | str,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Path]:
    """Write a study.

    Parameters
    ----------
    study : PhantomStudy
        The configuration.
    folder : path
        Gets one folder a site, `phantom.json` (the configuration) and `people.tsv` (the truth).
    progress : callable, optional
        Called before each scan with how many are done, how many there are, and the scan's name.

    Returns
    -------
    list of Path
        The datasets' folders.

    Examples
    --------
    >>> import tempfile
    >>> study = study_from_dict({"protocols": [], "traveller": False})
    >>> [path.name for path in write_study(study, tempfile.mkdtemp())]
    ['amsterdam', 'boston', 'cordoba']
    """
    root = Path(folder)
    people = participants(study)
    datasets = [root / site.name for site in study.sites]
    for dataset in datasets:
        _write_dataset(study, dataset, [one for one in people if one.site.name == dataset.name])
    scans = list(planned_scans(study))
    for done, scan in enumerate(scans):
        if progress is not None:
            progress(done, len(scans), scan.key)
        write_scan(study, scan, root / scan.participant.site.name)
    if study.bad_input:
        write_bad_subjects(study, datasets[-1])
    write_json(root / "phantom.json", asdict(study))
    write_tsv(root / "people.tsv", (_truth_row(study, one) for one in people))
    return datasets


def _write_dataset(study: PhantomStudy, dataset: Path, people: list[Participant]) -> None:
    name = f"{study.name}: {dataset.name}"
    write_json(
        dataset / "dataset_description.json",
        {"Name": name, "BIDSVersion": BIDS_VERSION, "DatasetType": "raw", "License": "CC0"},
    )
    site = next(one for one in study.sites if one.name == dataset.name)
    raters = [f"labels_rater-{k}" for k in range(1, site.rootlet_raters + 1)]
    for folder in dict.fromkeys([*LABEL_FOLDERS, *raters]):
        write_json(
            dataset / "derivatives" / folder / "dataset_description.json",
            {
                "Name": f"{name}, {folder}",
                "BIDSVersion": BIDS_VERSION,
                "DatasetType": "derivative",
                "GeneratedBy": [{"Name": "cordcohort phantom"}],
            },
        )
    rows = [participant_row(study, one) for one in people]
    if study.bad_input and dataset.name == study.sites[-1].name:
        rows += bad_participants(study)
    write_tsv(dataset / "participants.tsv", rows)
    for one in people:
        subject = f"sub-{one.subject}"
        write_tsv(dataset / subject / f"{subject}_sessions.tsv", session_rows(study, one))


def bad_participants(study: PhantomStudy) -> list[dict[str, Any]]:
    """Rows of participants.tsv for the subjects whose files cannot be used."""
    site = study.sites[-1]
    return [
        {
            "participant_id": f"sub-{subject}",
            "person_id": f"{site.name}{subject}",
            "site": site.name,
            "vendor": site.manufacturer,
            "field_strength_t": site.field_strength_t,
            "group": "control",
        }
        for subject in FAULTS
    ]


def _truth_row(study: PhantomStudy, one: Participant) -> dict[str, Any]:
    return {
        "dataset": one.site.name,
        "subject": one.subject,
        "person_id": one.person_id,
        "group": one.group,
        "damage": damage_of(one.person),
        "n_compressions": len(one.person.compressions),
        "n_lesions": len(one.person.lesions),
        "n_implants": len(one.person.implant_levels),
        "scale": scale_of(study, one.site),
    }
