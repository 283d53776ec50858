"""A study made ready: its configuration and its index, checked against each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cordcohort.bids.index import Index, build_index, masks_of, write_index
from cordcohort.config import CONFIG_PATH, Config, load_config, make_config
from cordcohort.config_checks import nearest
from cordcohort.errors import ConfigError
from cordcohort.table import SCAN_KEY

# Columns whose values the index knows, so that a selection can be checked before any job.
_INDEX_VALUES = [*SCAN_KEY, "site", "vendor", "person"]


def prepare(
    study_dir: Path | str, content: Mapping[str, Any] | None = None
) -> tuple[Config, Index]:
    """Read the configuration, walk the data sets, keep the index, check one against the other.

    Parameters
    ----------
    study_dir : path
        Folder with ``config`` (and ``results``, which is made).
    content : mapping, optional
        The configuration where it is already in memory; else ``config/config.yaml`` is read.

    Returns
    -------
    Config, Index

    Raises
    ------
    ConfigError, SheetError
        For whatever would make a job fail later.
    """
    study = Path(study_dir)
    if content is None:
        config = load_config(study / CONFIG_PATH)
    else:
        config = make_config(content, study)
    index = build_index(config)
    write_index(index, study)
    check_against_index(config, index)
    return config, index


def check_against_index(config: Config, index: Index) -> None:
    """Refuse names in the configuration that no scan, mask, score or table has.

    Raises
    ------
    ConfigError
        For an unknown contrast, data set, site, method or score in a selection.
    SheetError
        For an exclusion that matches no scan, with the nearest names.
    """
    external = _external_rows(config)
    _check_contrasts(config, index)
    _check_exclusions(config, index, external)
    known = {c: {*index.scans[c], *external.get(c, [])} for c in _INDEX_VALUES}
    known["method"] = known_methods(config, index) | set(external.get("method", []))
    known["reference"] = known["method"]
    for number, analysis in enumerate(config.analyses):
        for column, values in analysis["select"].items():
            if column in known:
                key = f"analyses[{number}].select.{column}"
                _check_values(key, values, known[column], column)
        _check_analysis(analysis, f"analyses[{number}]", known)
    _check_scores(config, index)


def known_methods(config: Config, index: Index) -> set[str]:
    """Every method that draws masks in this study: manual, raters, models, external folders."""
    drawn = set(masks_of(index.scans)["method"])
    return {"manual", *drawn, *config.segmentation.models}


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


def _check_contrasts(config: Config, index: Index) -> None:
    found = {*index.scans["contrast"], *index.scans["suffix"]}
    for number, contrast in enumerate(config.contrasts):
        _check_values(f"contrasts[{number}]", [contrast], found, "contrast")
    for number, name in enumerate(config.segmentation.use_manual):
        known = {*index.scans["contrast"], *(d.name for d in config.datasets)}
        _check_values(f"segmentation.use_manual[{number}]", [name], known, "contrast or data set")


def _check_exclusions(config: Config, index: Index, external: pd.DataFrame) -> None:
    if not config.exclusions:
        return
    from cordcohort.cohort.exclusion import check_entries, read_entries  # noqa: PLC0415 - slow

    scans = [index.scans[SCAN_KEY]]
    if len(external):
        scans.append(external[SCAN_KEY])
    known = pd.concat(scans, ignore_index=True).drop_duplicates()
    check_entries(
        read_entries(config.exclusions, config.exclude.name), known, config.exclude.name
    )


def _check_analysis(
    analysis: Mapping[str, Any], key: str, known: Mapping[str, Collection[str]]
) -> None:
    """Check the values that only some kinds of analysis have."""
    reference = analysis.get("reference")
    if reference:
        _check_values(f"{key}.reference", [reference], known["method"], "method")
    pair = analysis.get("pair")
    if pair in known:
        for side in ("a", "b"):
            _check_values(f"{key}.{side}", [analysis[side]], known[pair], str(pair))


def _check_scores(config: Config, index: Index) -> None:
    known = {*index.scores["variable"]}
    for table in config.external_measures:
        known |= set(table["scores"])
    for number, analysis in enumerate(config.analyses):
        if analysis["kind"] == "correlation":
            key = f"analyses[{number}].score"
            _check_values(key, [analysis["score"]], known, "score")
