"""A study made ready: its configuration and its index, checked against each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from cordcohort.bids.copies import same_content
from cordcohort.bids.cord_needed import check_cords
from cordcohort.bids.first_look import look_at
from cordcohort.bids.index import (
    Index,
    build_index,
    masks_of,
    printable,
    write_index,
)
from cordcohort.bids.score_cells import check_time_points
from cordcohort.bids.vocabulary import score_categories, vocabulary, without_sheet
from cordcohort.config import Config, exclusion_lists, load_config, make_config
from cordcohort.errors import ConfigError
from cordcohort.exclusion_files import read_exclusions
from cordcohort.measures.catalogue import CATALOGUE
from cordcohort.scan import CONFIG_PATH, LISTED, SOFT_TRUTH, SOFT_TRUTH_BINARY
from cordcohort.table import LONG_COLUMNS, SCAN_KEY
from cordcohort.validation import nearest

# Columns whose values the index knows, so that a selection can be checked before any job.
_INDEX_VALUES = [*SCAN_KEY, "site", "vendor", "person"]


def prepare(
    study_dir: Path | str, content: Mapping[str, Any] | None = None, *, keep: bool = True
) -> tuple[Config, Index]:
    """Read the configuration, walk the data sets, keep the index, check one against the other.

    Parameters
    ----------
    study_dir : path
        Folder with ``config`` (and ``results``, which is made).
    content : mapping, optional
        The configuration where it is already in memory; else ``config/config.yaml`` is read.
    keep : bool
        Write the index; not while another run works with the one that lies there.

    Returns
    -------
    Config, Index

    Raises
    ------
    ConfigError, SheetError
        For whatever would make a job fail later.
    """
    config, index = find(study_dir, content, keep=keep)
    check_against_index(config, index)
    return config, index


def find(
    study_dir: Path | str, content: Mapping[str, Any] | None = None, *, keep: bool = True
) -> tuple[Config, Index]:
    """As :func:`prepare`, without checking the configuration against the index."""
    study = Path(study_dir)
    if content is None:
        config = load_config(study / CONFIG_PATH)
    else:
        config = make_config(content, study)
    index = build_index(config)
    index = _with_told(index, same_content(index.rows) + _unmatched_names(config, index))
    if keep:
        write_index(index, study)
    return config, index


def _with_told(index: Index, told: list[tuple[str, str, str]]) -> Index:
    """The index with more that is worth knowing: dataset, path and reason."""
    if not told:
        return index
    shown = [(dataset, printable(path), printable(reason)) for dataset, path, reason in told]
    rows = pd.DataFrame(shown, columns=index.unmatched.columns, dtype="str")
    return replace(index, unmatched=pd.concat([index.unmatched, rows], ignore_index=True))


def _unmatched_names(config: Config, index: Index) -> list[tuple[str, str, str]]:
    """Names of quality-control lists that no scan has."""
    listed = [entry for entry in config.exclusions if LISTED in entry]
    if not listed:
        return []
    from cordcohort.cohort.exclusion import unmatched_names  # noqa: PLC0415 - slow

    names = unmatched_names(listed, _known_scans(index, _external_rows(config)))
    reason = "an exclusion list names it, but the study has no such scan"
    return [("exclude", name, reason) for name in names]


def _known_scans(index: Index, external: pd.DataFrame) -> pd.DataFrame:
    """Keys of all scans, those of tables from elsewhere too."""
    scans = [index.scans[SCAN_KEY]]
    if len(external):
        scans.append(external[SCAN_KEY])
    return pd.concat(scans, ignore_index=True).drop_duplicates()


def check_against_index(config: Config, index: Index) -> None:
    """Refuse names in the configuration that no scan, mask, score or table has.

    Raises
    ------
    ConfigError
        For a model of rootlets without any cord; for an unknown contrast, data set, site, method,
        structure, level, split or score (or value or time point of a score) in an analysis.
    SheetError
        For an exclusion that matches no scan, with the nearest names.
    """
    external = _external_rows(config)
    _check_contrasts(config, index, external)
    _check_exclusions(config, index, external)
    _check_soft_truth(config, index)
    _check_experiments(config, index)
    check_cords(config, index)
    for model, contrasts in config.segmentation.contrasts.items():
        have = set(index.scans["contrast"])
        _check_values(f"segmentation.contrasts.{model}", contrasts, have, "contrast")
    known = _known_values(config, index, external)
    _check_values("measures.reference", [config.measures.reference], known["method"], "method")
    scores = _known_scores(config, index)
    for analysis in config.analyses:
        key = f"analyses[{analysis['name']}]"
        _check_columns(analysis, key, {*LONG_COLUMNS, *scores}, without_sheet(index))
        for column, values in analysis.get("select", {}).items():
            if column in known:
                wanted = [str(v) for v in (values if isinstance(values, list) else [values])]
                what = column if column in LONG_COLUMNS else f"value of {column}"
                _check_values(f"{key}.select.{column}", wanted, known[column], what)
        _check_own_values(analysis, key, known, scores)
    check_time_points(config, index)


def _check_soft_truth(config: Config, index: Index) -> None:
    """Refuse masks and a reference contrast that no scan has."""
    wanted = config.images.soft_truth
    if not wanted.make:
        return
    key = "images.soft_truth"
    drawn = {*masks_of(index.scans)["method"], *config.segmentation.models}
    _check_values(f"{key}.masks", wanted.masks, drawn, "method that draws masks")
    contrasts = set(index.scans["contrast"])
    _check_values(f"{key}.reference_contrast", [wanted.reference_contrast], contrasts, "contrast")


def _check_experiments(config: Config, index: Index) -> None:
    """Refuse experiments whose scans or persons the study does not have."""
    if not config.experiments:
        return
    from cordcohort.experiments.checks import check_experiment_scans  # noqa: PLC0415
    from cordcohort.experiments.declared import experiment_of  # noqa: PLC0415

    for number, block in enumerate(config.experiments):
        check_experiment_scans(experiment_of(block), number, index.rows)


def _known_values(config: Config, index: Index, external: pd.DataFrame) -> dict[str, set[str]]:
    """Values of the columns that are known before anything is measured."""
    known = score_categories(config, index) | vocabulary(config, external)
    known |= {c: {*index.scans[c], *external.get(c, [])} for c in _INDEX_VALUES}
    masks = masks_of(index.scans)
    known["method"] = known_methods(config, masks) | set(external.get("method", []))
    known["structure"] |= set(masks["structure"])
    known["reference"] = {"", *known["method"], *external.get("reference", [])}
    known["measure"] = {*CATALOGUE, *external.get("measure", [])}
    return known


def _check_columns(
    analysis: Mapping[str, Any], key: str, known: Collection[str], lacking: str
) -> None:
    named = {part: analysis.get(part, ()) for part in ("select", "split_by", "pool", "covariates")}
    named["group"] = [analysis["group"]] if "group" in analysis else []
    for part, columns in named.items():
        for column in columns:
            if column not in known:
                raise ConfigError(
                    f"{key}.{part}", column, "a column of the long table or a score",
                    nearest(str(column), known) + lacking,
                )  # fmt: skip


def known_methods(config: Config, masks: pd.DataFrame) -> set[str]:
    """Every method of this study: manual, raters, models, external folders, and those declared."""
    drawn = set(masks["method"])
    truth = (SOFT_TRUTH, SOFT_TRUTH_BINARY) if config.images.soft_truth.make else ()
    methods = {"manual", *drawn, *config.segmentation.models, *truth, *config.other_methods}
    if not config.experiments:
        return methods
    from cordcohort.experiments.declared import experiment_of, seeds_of_models  # noqa: PLC0415

    phases = [(experiment_of(block), block["phases"]) for block in config.experiments]
    named = {one.method(i) for one, own in phases for i in range(1, len(own) + 1)}
    return (methods - set(seeds_of_models(config.training))) | named


def _external_rows(config: Config) -> pd.DataFrame:
    """Rows of all measures from elsewhere; nothing is imported where there are none."""
    if not config.external_measures:
        return pd.DataFrame()
    from cordcohort.cohort.external import read_external  # noqa: PLC0415 - slow, rarely needed

    tables = [read_external(table) for table in config.external_measures]
    return pd.concat(tables, ignore_index=True)


def _check_values(key: str, values: Collection[str], known: Collection[str], what: str) -> None:
    for value in values:
        if value not in known:
            raise ConfigError(key, value, f"a {what} of the study", nearest(value, known))


def _check_contrasts(config: Config, index: Index, external: pd.DataFrame) -> None:
    found = {*index.scans["contrast"], *index.scans["suffix"], *external.get("contrast", [])}
    for number, contrast in enumerate(config.contrasts):
        if contrast not in found:
            expected = "a contrast that some scan has"
            # The index holds the contrasts asked for only: look for the others.
            there = look_at([d.root for d in config.datasets]).contrasts | found
            listed = ", ".join(sorted(there - {""})) or "none"
            alike = [name for name in there if name.casefold() == contrast.casefold()]
            guess = f"did you mean {alike[0]}? " if alike else ""
            way_out = f"{guess}choose among {listed}, or remove it wherever it stands"
            raise ConfigError(f"contrasts[{number}]", contrast, expected, way_out)
    for number, name in enumerate(config.segmentation.use_manual):
        known = {*index.scans["contrast"], *(d.name for d in config.datasets)}
        _check_values(f"segmentation.use_manual[{number}]", [name], known, "contrast or data set")


def _check_exclusions(config: Config, index: Index, external: pd.DataFrame) -> None:
    if not config.exclusions:
        return
    from cordcohort.cohort.exclusion import check_entries, read_entries  # noqa: PLC0415 - slow

    where = ", ".join(path.name for path in config.exclude)
    known = _known_scans(index, external)
    check_entries(read_entries(config.exclusions, where), known, where)
    measures = {*CATALOGUE, *external.get("measure", [])}
    methods = known_methods(config, masks_of(index.scans)) | set(external.get("method", []))
    for number, entry in enumerate(config.exclusions):
        for key, names in (("measure", measures), ("method", methods)):
            if key in entry:
                _check_values(f"exclude[{number}].{key}", [entry[key]], names, key)


def exclusion_lines(config: Config, index: Index) -> list[str]:
    """How many scans each exclusion list excludes, a line a list; none without entries."""
    if not config.exclusions:
        return []
    from cordcohort.cohort.exclusion import left_out, read_entries  # noqa: PLC0415 - slow

    scans = _known_scans(index, _external_rows(config))
    lines = []
    for path, dataset in exclusion_lists(config.content["exclude"], config.study_dir):
        entries = read_entries(read_exclusions(path, dataset), path.name)
        whole, part = left_out(entries, scans)
        lines.append(
            f"{path.name}: {len(entries)} entries exclude {whole} of {len(scans)} scans"
            + (f", and a part of {part} more" if part else "")
        )
    return lines


def _check_own_values(
    analysis: Mapping[str, Any],
    key: str,
    known: Mapping[str, Collection[str]],
    scores: Collection[str],
) -> None:
    """Check values that only some kinds of analysis have: a reference, a pair, a score."""
    methods = [m for m in (analysis.get("reference"),) if m] + list(analysis.get("methods", ()))
    _check_values(f"{key} (methods)", methods, known["method"], "method")
    partner = analysis.get("with") or {}
    _check_values(f"{key}.with.score", partner.get("score", ()), scores, "score")
    alone = analysis.get("score", ())
    alone = [alone] if isinstance(alone, str) else alone
    _check_values(f"{key}.score", alone, scores, "score")
    if "measure" in partner:
        _check_values(f"{key}.with.measure", [partner["measure"]], known["measure"], "measure")


def _known_scores(config: Config, index: Index) -> set[str]:
    """Score variables of the sheets and of the tables from elsewhere."""
    tables = config.external_measures
    return {*index.scores["variable"], *(name for table in tables for name in table["scores"])}
