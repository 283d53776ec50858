"""Making the report: pictures in batches, pages of subjects, and the index page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cordcohort.cohort.scans import STATES
from cordcohort.errors import CordcohortError
from cordcohort.files import write_text
from cordcohort.report.against_cohort import against, cohort_ranges
from cordcohort.report.agreement_figures import agreement_figures
from cordcohort.report.along_cord import along_cord_figures
from cordcohort.report.analysis_tables import analysis_entry, write_people_table
from cordcohort.report.characteristics import characteristics
from cordcohort.report.cohort_tables import (
    failed_methods,
    failure_groups,
    headline_counts,
    site_names,
)
from cordcohort.report.corrections import (
    CORRECTIONS_LIST,
    CORRECTIONS_TABLE,
    corrections,
    write_corrections,
)
from cordcohort.report.correlation_figures import correlation_figures
from cordcohort.report.crate import CRATE_FILE, write_crate
from cordcohort.report.distributions import Drawn, distribution_figures
from cordcohort.report.field_strength import field_note, subject_fields
from cordcohort.report.flow import write_split_flows, write_study_flow
from cordcohort.report.gallery import galleries
from cordcohort.report.grids import grid_of
from cordcohort.report.inputs import (
    Config,
    Inputs,
    contact_of,
    read_inputs,
    records,
    report_folder,
    setting,
    study_title,
)
from cordcohort.report.links import INDEX_PAGE, REVIEW_PAGE, TABLES
from cordcohort.report.methods_text import BIBTEX_FILE, methods_section
from cordcohort.report.model_notes import model_notes, notes_on
from cordcohort.report.pages import write_assets, write_page
from cordcohort.report.palette import REFERENCE_METHOD, declared_methods, undrawn_models
from cordcohort.report.phase_figures import earlier_phases, phase_figures
from cordcohort.report.privacy import public_text
from cordcohort.report.published import published_for
from cordcohort.report.registrations import registration_list, write_failed_registrations
from cordcohort.report.result_figures import result_figures
from cordcohort.report.review import write_review_page
from cordcohort.report.scan_list import scan_list, scans_with_numbers
from cordcohort.report.seeds import of_tested
from cordcohort.report.subject_pages import tables_by_subject, write_subject_page
from cordcohort.report.words import STATE_TEXT
from cordcohort.table import read_parquet, read_tsv, write_folder_schema

Row = Mapping[str, Any]

FEW_SCANS = 6  # longer lists of a failure's scans are folded
METHOD_TITLES = {
    "method": "Method", "structure": "Of", "n_failed": "Failed on scans", "n_scans": "Of scans",
    "reasons": "Reasons (scans)",
}  # fmt: skip
COHORT_FILE = f"{TABLES}/cohort.tsv"


def build_report(study_dir: Path | str, config: Config) -> Path:
    """Make the whole report of a study.

    Parameters
    ----------
    study_dir : path
        The folder that holds ``config`` and ``results``.
    config : Config or mapping
        The study's configuration.

    Returns
    -------
    Path
        The index page.
    """
    index = Path(study_dir) / "results" / "bids" / "index.parquet"
    if index.is_file() and setting(config, "report.pictures", default=True):
        subject_pictures(study_dir, config, records(read_parquet(index)))
    build_subject_pages(study_dir, config)
    return build_index_page(study_dir, config, setting(config, "exclusions", ()))


def subject_pictures(study_dir: Path | str, config: Config, scans: Iterable[Row]) -> list[Path]:
    """Draw the masks of some scans: pictures, and one record a scan whatever happens.

    Parameters
    ----------
    study_dir : path
        The study.
    config : Config or mapping
        The study's configuration.
    scans : iterable of index rows
        The batch.

    Returns
    -------
    list of Path
        The records, one for each scan, in the order given.
    """
    # Imported here: pages alone need no image library.
    from cordcohort.report.links import picture_record  # noqa: PLC0415
    from cordcohort.report.pictures import draw_scan  # noqa: PLC0415

    results = Path(study_dir) / "results"
    methods, undrawn = declared_methods(config), undrawn_models(config)
    written: list[Path] = []
    for scan in scans:
        draw_scan(scan, results, methods, undrawn=undrawn)
        written.append(results / "report" / picture_record(scan))
    return written


def build_subject_pages(
    study_dir: Path | str, config: Config, subjects: Iterable[tuple[str, str]] | None = None
) -> list[Path]:
    """Write the pages of some or all subjects.

    Parameters
    ----------
    study_dir : path
        The study.
    config : Config or mapping
        The study's configuration.
    subjects : iterable of (dataset, subject), optional
        Whose pages; all subjects of the study where not given.

    Returns
    -------
    list of Path
        The pages.

    Raises
    ------
    CordcohortError
        If a subject is not in the cohort.
    """
    inputs = of_tested(read_inputs(study_dir, config, statistics=False))
    report = report_folder(study_dir)
    write_assets(report)
    ranges = cohort_ranges(inputs.measures)
    tables = tables_by_subject(inputs)
    wanted = list(tables) if subjects is None else list(subjects)
    unknown = sorted(set(wanted) - set(tables))
    if unknown:
        raise CordcohortError(
            f"expected subjects of the cohort, got {unknown[:5]}; run the cohort stage again"
        )
    notes = model_notes(inputs)
    return [write_subject_page(tables[name], ranges, report, config, notes) for name in wanted]


def build_index_page(
    study_dir: Path | str, config: Config, exclusions: Sequence[Mapping[str, str]] = ()
) -> Path:
    """Write the index page with its figures, tables and references.

    Parameters
    ----------
    study_dir : path
        The study.
    config : Config or mapping
        The study's configuration.
    exclusions : sequence of mappings
        Entries of the exclusion lists, which the review page starts from.

    Returns
    -------
    Path
        The page.
    """
    inputs = read_inputs(study_dir, config)
    report = report_folder(study_dir)
    write_assets(report)
    reference = str(setting(config, "measures.reference", REFERENCE_METHOD))
    methods, notes = methods_section(inputs), model_notes(inputs)
    bibtex = f"{TABLES}/{BIBTEX_FILE}"
    write_text(report / bibtex, methods["bibtex"])
    tested = of_tested(inputs)
    compared = against(tested.measures, cohort_ranges(tested.measures))
    scans = scans_with_numbers(inputs, compared)
    write_review_page(inputs, scans, report, exclusions)
    to_correct = corrections(inputs, compared)
    write_failed_registrations(inputs, report)
    write_folder_schema(report / TABLES)
    page = report / INDEX_PAGE
    write_page(
        page, "index.html", "",
        title=study_title(config),
        contact=contact_of(config),
        authors=", ".join(public_text(a) for a in setting(config, "study.authors", ())),
        lead=_lead(inputs),
        few=FEW_SCANS,
        flow=write_study_flow(inputs.scans, report),
        split_flows=write_split_flows(inputs.scans, inputs.measures, report),
        crate_file=CRATE_FILE,
        model_notes=notes_on(notes, inputs.measures["method"]),
        **_cohort(inputs, report),
        **_counts(inputs),
        distributions=distribution_figures(tested.measures, report, declared_methods(config)),
        agreement=_agreement(inputs, tested, reference, report),
        along=along_cord_figures(tested, report),
        result_figures=result_figures(inputs, report),
        galleries=galleries(inputs),
        reference=f"{public_text(reference)} masks",
        correlations=correlation_figures(tested, report),
        analyses=[
            analysis_entry(a, report, published_for(config, a.name), notes)
            for a in inputs.analyses
        ],
        n_unmatched=_n_unmatched(inputs.results),
        bibtex_file=bibtex,
        review_page=REVIEW_PAGE,
        corrections=write_corrections(to_correct, inputs, report),
        n_corrections=len(to_correct),
        corrections_files=(CORRECTIONS_TABLE, CORRECTIONS_LIST),
        **registration_list(inputs),
        **scan_list(scans, report),
        **{k: methods[k] for k in ("methods", "references")},
    )  # fmt: skip
    write_crate(inputs, methods["references"], report)
    return page


def _agreement(inputs: Inputs, tested: Inputs, reference: str, report: Path) -> list[Drawn]:
    """Phases of experiments beside each other, then every other method against the reference."""
    last = tested.measures[~tested.measures["method"].isin(earlier_phases(inputs))]
    return [
        *phase_figures(inputs, reference, report),
        *agreement_figures(last, reference, report, inputs.analyses),
    ]


def _cohort(inputs: Inputs, report: Path) -> dict[str, Any]:
    """The table of characteristics, on the page and as a file."""
    columns, rows = characteristics(inputs)
    write_people_table(report / COHORT_FILE, pd.DataFrame(rows, columns=columns))
    titles = {c: "" if c == "characteristic" else c for c in columns}
    note = field_note(subject_fields(inputs))
    return {"cohort": grid_of(rows, titles), "cohort_file": COHORT_FILE, "cohort_note": note}


def _lead(inputs: Inputs) -> str:
    scans = inputs.scans
    if scans.empty:
        return "The study holds no scan yet."
    n_subjects = len(scans[["dataset", "subject"]].drop_duplicates())
    n_sites = len(site_names(scans))
    return (
        f"{len(scans)} scan{_s(len(scans))} of {n_subjects} subject{_s(n_subjects)} at "
        f"{n_sites} site{_s(n_sites)}."
    )


def _s(n: int) -> str:
    return "" if n == 1 else "s"


def _counts(inputs: Inputs) -> dict[str, Any]:
    """Tiles, counts by site, cohort by site and failures."""
    counts = headline_counts(inputs.scans)
    total = counts[-1]
    shown = [s for s in STATES if s in ("measured", "failed", "excluded") or total[s]]
    titles = {"site": "Site", "found": "Found"} | {s: STATE_TEXT[s].capitalize() for s in shown}
    tiles = [{"state": "found", "text": "scans found", "n": total["found"]}]
    tiles += [{"state": s, "text": STATE_TEXT[s], "n": total[s]} for s in shown]
    return {
        "tiles": tiles,
        "counts": grid_of(_with_total(counts), titles),
        "failures": failure_groups(inputs),
        "failed_methods": grid_of(failed_methods(inputs.measures), METHOD_TITLES),
    }


def _with_total(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With one site alone its row and the sum are the same: one is enough."""
    return records[:-1] if len(records) == 2 else records  # noqa: PLR2004 - a site and the sum


def _n_unmatched(results: Path) -> int:
    path = results / "bids" / "unmatched.tsv"
    return len(read_tsv(path)) if path.is_file() else 0
