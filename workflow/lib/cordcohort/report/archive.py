"""The report as one archive that a site can open: pages, pictures, figures, tables."""

from __future__ import annotations

import zipfile
from pathlib import Path

from cordcohort.errors import CordcohortError
from cordcohort.files import atomic_path
from cordcohort.report.links import INDEX_PAGE, PICTURES

ARCHIVE = "report.zip"
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the earliest day that the format has
_MODE = 0o644 << 16
_TEXTS = {".html", ".tsv", ".json", ".svg", ".bib", ".yml", ".js", ".css"}
_PACKED = {".png"}  # compressed already


def write_archive(study_dir: Path | str, target: Path | str | None = None) -> Path:
    """Pack the report of a study; the same report gives the same bytes.

    Parameters
    ----------
    study_dir : path
        The study.
    target : path, optional
        The archive; ``results/report.zip`` of the study where not given.

    Returns
    -------
    Path
        The archive.

    Raises
    ------
    CordcohortError
        If there is no report, or a file in it names the study's folder.
    """
    study = Path(study_dir).resolve()
    report = study / "results" / "report"
    if not (report / INDEX_PAGE).is_file():
        raise CordcohortError(f"{report}: no report yet; make it with `cordcohort run {study}`")
    path = Path(target) if target else study / "results" / ARCHIVE
    with atomic_path(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for file in _shared_files(report):
            data = file.read_bytes()
            _refuse_folder(file, data, study)
            name = f"{report.name}/{file.relative_to(report).as_posix()}"
            entry = zipfile.ZipInfo(name, _FIRST_DAY)
            entry.external_attr = _MODE
            packed = file.suffix in _PACKED
            entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return path


def _shared_files(report: Path) -> list[Path]:
    """What readers need: no records of the picture jobs, nothing hidden."""
    found = [p for p in report.rglob("*") if p.is_file() and not p.is_symlink()]
    shown = [p for p in found if not any(q.startswith(".") for q in p.relative_to(report).parts)]
    return sorted(
        (p for p in shown if p.suffix != ".json" or PICTURES not in p.relative_to(report).parts),
        key=lambda p: p.relative_to(report).as_posix(),
    )


def _refuse_folder(file: Path, data: bytes, study: Path) -> None:
    if file.suffix in _TEXTS and str(study).encode() in data:
        raise CordcohortError(
            f"{file}: expected no folder of this machine, got {study}; delete it and run again"
        )
