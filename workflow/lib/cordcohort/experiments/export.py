"""The correction folder: scans, masks to correct, the table of ranks and a page with pictures.

It is replaced as a whole and only while nobody has worked in it: as soon as a file in it was
changed, added or removed, it stays as it is.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cordcohort.bids.names import split_extension
from cordcohort.experiments.corrected import voxel_digest
from cordcohort.experiments.declared import LINK, Experiment
from cordcohort.experiments.page import write_correction_page
from cordcohort.experiments.ranking import Committee, is_map, ranked
from cordcohort.experiments.ranks import (
    EXPORT,
    EXPORTED,
    KEPT,
    NO,
    PROPOSED,
    RANKS,
    YES,
    proposed_digests,
)
from cordcohort.files import read_json, sha256_of, write_json
from cordcohort.nifti import read_image, write_image
from cordcohort.report.analysis_tables import write_people_table
from cordcohort.scan import MASK_SUFFIX, Row, image_file, is_series, scan_id

FOLDER = "correct"
MANIFEST = ".exported.json"


def export_for_correction(
    experiment: Experiment, number: int, scans: Sequence[Row], study_dir: Path = Path()
) -> dict[str, Any]:
    """Rank the scans of a phase and export the chosen ones.

    Parameters
    ----------
    experiment : Experiment
    number : int
        Of the phase that takes the corrected masks.
    scans : sequence of index rows
        Those to be ranked.
    study_dir : path
        The study.

    Returns
    -------
    dict
        ``status`` is ``exported``, or ``kept`` where somebody has worked in the folder, with the
        ``reason``; written as ``export.json`` beside the folder and the table of ranks.
    """
    committee = Committee(experiment, experiment.phase(number), study_dir)
    base = committee.folder
    base.mkdir(parents=True, exist_ok=True)
    table = ranked(committee, scans)
    target = base / FOLDER
    edited = edited_files(target)
    if edited:
        table = _as_exported(table, target)
    chosen = set(table.loc[table["chosen"] == YES, "scan"])
    record = {"status": KEPT if edited else EXPORTED, "reason": _kept(edited), "n": len(chosen)}
    if not edited:
        fresh = base / f".tmp-{secrets.token_hex(4)}-{FOLDER}"
        try:
            rows = {scan_id(row): row for row in scans if scan_id(row) in chosen}
            _fill(fresh, committee, table, rows)
            _note_proposals(committee, fresh, rows)
            _swap(fresh, target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    write_people_table(base / RANKS, table)
    write_json(base / EXPORT, record)
    return record


def edited_files(folder: Path) -> list[str]:
    """Files of a correction folder that are not as they were exported, relative to it.

    A folder that was not made by an export is somebody's own: all its files count.
    """
    if not folder.is_dir():
        return []
    manifest = folder / MANIFEST
    told: Mapping[str, str] = read_json(manifest) if manifest.is_file() else {}
    found = _states(folder)
    return sorted(name for name in {*told, *found} if told.get(name) != found.get(name))


def _states(folder: Path) -> dict[str, str]:
    """File to digest, or to what a link points to."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or path.is_file()) and path.name != MANIFEST
    }


def _as_exported(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """New ranks with the choice of a folder that is kept: its corrections must not be lost."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return table
    exported = {split_extension(name)[0] for name in read_json(manifest)}
    return table.assign(chosen=np.where(table["scan"].isin(exported), YES, NO))


def _kept(edited: Sequence[str]) -> str:
    if not edited:
        return ""
    return (
        f"{len(edited)} files of the correction folder were changed, added or removed since it was "
        f"exported ({edited[0]} ...), so it stays as it is; rename or delete it to get a new one"
    )


def _fill(folder: Path, committee: Committee, table: pd.DataFrame, rows: Mapping[str, Row]) -> None:
    folder.mkdir(parents=True)
    asked = committee.phase.correct
    copies = asked is not None and asked.images != LINK
    for row in rows.values():
        seen = _seen(row, committee.study_dir)
        place = folder / str(row["dataset"]) / str(row["folder"])
        place.mkdir(parents=True, exist_ok=True)
        _put_image(seen, place / f"{row['stem']}{''.join(seen.suffixes[-2:])}", copies=copies)
        image = read_image(seen)
        for structure in committee.structures:
            drawn, _ = committee.drawn(row, structure)
            data = np.zeros(image.data.shape[:3], dtype=np.uint8)
            if drawn is not None and drawn.masks:
                data = drawn.proposal(labels=is_map(structure))
            name = f"{row['stem']}_{MASK_SUFFIX[structure]}.nii.gz"
            write_image(place / name, data, image.affine, dtype=np.uint8, like=image)
    write_people_table(folder / RANKS, table)
    write_correction_page(folder, committee, table, rows)
    write_json(folder / MANIFEST, _states(folder))


def _seen(row: Row, study_dir: Path) -> Path:
    """What the networks saw: the scan, or the mean b=0 image of a diffusion series."""
    return study_dir / image_file(row, "b0") if is_series(row) else Path(str(row["image"]))


def _put_image(source: Path, target: Path, *, copies: bool) -> None:
    """Link the scan, or copy it where links are not wanted or the disk has none."""
    if not copies:
        try:
            target.symlink_to(source.resolve())
        except OSError:
            copies = True
    if copies:
        shutil.copyfile(source, target)


def _note_proposals(committee: Committee, folder: Path, rows: Mapping[str, Row]) -> None:
    """Remember every mask ever proposed: one that comes back like this was changed by nobody."""
    known = {name: {s: list(d) for s, d in one.items()}
             for name, one in proposed_digests(committee.folder).items()}  # fmt: skip
    for name, row in rows.items():
        for structure in committee.structures:
            file = folder / str(row["dataset"]) / str(row["folder"])
            file /= f"{row['stem']}_{MASK_SUFFIX[structure]}.nii.gz"
            digest = voxel_digest(read_image(file).data)
            own = known.setdefault(name, {}).setdefault(structure, [])
            own += [digest] if digest not in own else []
    write_json(committee.folder / PROPOSED, known)


def _swap(fresh: Path, target: Path) -> None:
    """Put a folder in the place of another."""
    old = target.with_name(f".tmp-{secrets.token_hex(4)}-old")
    if target.is_dir():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
