"""Words that the text columns of the long table may hold in a study, known before any job."""

from __future__ import annotations

import pandas as pd

from cordcohort.bids.index import Index
from cordcohort.bids.labels import LABEL_NAMES
from cordcohort.bids.sheets import NO_PARTICIPANTS, SPLITS
from cordcohort.config import Config
from cordcohort.measures.region_codes import REGION_CODES
from cordcohort.model_uses import STRUCTURES
from cordcohort.spinal_names import SPINAL_LEVELS, VENTRAL_ROOTLETS
from cordcohort.table import FLAGS

# As the measures name them, which load the readers of images: a test holds both together.
LEVEL_KINDS = ("vertebral", "vertebral_detected", "spinal", "pmj_mm", "sagittal_slice")
MAX_CATEGORIES = 20  # a score of more values is a number, of which any may be asked for


def vocabulary(config: Config, external: pd.DataFrame) -> dict[str, set[str]]:
    """Values of columns that are the same in every study, and those of tables from elsewhere.

    Levels are those of rootlets (with them all vertebrae), the study's ranges and its distances
    from the PMJ.

    Examples
    --------
    >>> from cordcohort.config import make_config
    >>> config = make_config({"study": {"name": "a"}}, ".", check=False)
    >>> found = vocabulary(config, pd.DataFrame({"level": ["2:3"]}))
    >>> [text in found["level"] for text in ("C2-C3", "60", "2:3", "C3-C2")]
    [True, True, True, False]
    """
    structures = {name.structure for name in LABEL_NAMES.values()}
    drawn = {name for task in STRUCTURES.values() for name in task}
    measures = config.measures
    distances = [f"{mm:g}" for mm in measures.pmj_distances_mm]
    known: dict[str, set[str]] = {
        "structure": structures | drawn | set(REGION_CODES) | {VENTRAL_ROOTLETS},
        "level": {*SPINAL_LEVELS, *measures.level_ranges, *distances},
        "level_kind": set(LEVEL_KINDS),
        "split": {*SPLITS, "validation"},
        "flag": set(FLAGS),
    }
    return {column: {"", *own, *external.get(column, [])} for column, own in known.items()}


def score_categories(config: Config, index: Index) -> dict[str, set[str]]:
    """Values of the scores of the sheets that have few of them, such as sex."""
    elsewhere = {name for table in config.external_measures for name in table["scores"]}
    found: dict[str, set[str]] = {}
    for variable, values in index.scores.groupby("variable")["value"]:
        distinct = set(values)
        if variable not in elsewhere and len(distinct) <= MAX_CATEGORIES:
            found[str(variable)] = {"", *distinct}
    return found


def without_sheet(index: Index) -> str:
    """Addition to a way out: which data sets have no participants.tsv; empty where all have it."""
    told = index.unmatched[index.unmatched["reason"].str.startswith(NO_PARTICIPANTS)]
    names = ", ".join(sorted(set(told["dataset"])))
    return f" (without participants.tsv: {names}; columns of it are not known)" if names else ""
