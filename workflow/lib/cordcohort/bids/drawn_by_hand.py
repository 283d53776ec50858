"""Masks drawn by hand that analyses ask for and no scan has: their rows would stay empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from cordcohort.bids.index import Index, masks_of
from cordcohort.bids.labels import MANUAL
from cordcohort.config import Config
from cordcohort.measures.region_codes import REGION_CODES
from cordcohort.model_uses import LESION_PARTS
from cordcohort.scan import MASK_SUFFIX, SOFT_TRUTH, SOFT_TRUTH_BINARY
from cordcohort.table import SCAN_KEY

MAX_ANALYSES = 4  # named for each structure
# Structures of the long table and the mask that each is read from; of others nothing is said.
_READ_FROM = {
    **{name: name for name in ("cord", "lesion", *LESION_PARTS, "rootlets")},
    **dict.fromkeys(REGION_CODES, "regions"),
}
_BY_PLACE = ("dataset", "contrast", "site")


def lacking_mask_lines(config: Config, index: Index) -> list[str]:
    """Analyses of masks by hand that no scan has, a line for each structure and who drew it."""
    masks = _comparable(index)
    asking: dict[tuple[str, str], list[str]] = {}
    for analysis in config.analyses:
        own = _of_selection(masks, analysis.get("select", {}))
        there = set(zip(own["method"], own["structure"], strict=True))
        there |= {(method, "lesion") for method, structure in there if structure in LESION_PARTS}
        for wanted in sorted(set(_wanted(analysis, _by_hand(config, masks))) - there):
            asking.setdefault(wanted, []).append(str(analysis["name"]))
    return [_line(method, structure, names) for (method, structure), names in asking.items()]


def _line(method: str, structure: str, names: list[str]) -> str:
    more = f" and {len(names) - MAX_ANALYSES} more" if len(names) > MAX_ANALYSES else ""
    folder = "derivatives/labels" if method == MANUAL else f"derivatives/labels_{method}"
    return (
        f"no scan with an image has a {method} {structure} mask, which "
        f"{', '.join(names[:MAX_ANALYSES])}{more} ask for: their {structure} rows stay empty "
        "(what models draw is measured all the same); put masks named "
        f"*_{MASK_SUFFIX[structure]}.nii.gz into {folder} of a data set, or "
        "comment those analyses out"
    )


def _comparable(index: Index) -> pd.DataFrame:
    """Readable masks of scans that have an image for the models, or a mask by somebody else."""
    masks = masks_of(index.scans)
    masks = masks[masks["status"] != "failed"]
    with_image = index.scans.loc[index.scans["status"] == "ok", SCAN_KEY].assign(seen=True)
    masks = masks.merge(with_image, on=SCAN_KEY, how="left")
    several = masks.groupby([*SCAN_KEY, "structure"])["method"].transform("nunique") > 1
    return masks[masks["seen"].notna() | several]


def _of_selection(masks: pd.DataFrame, select: Mapping[str, Any]) -> pd.DataFrame:
    """Masks of the scans that an analysis selects by place and contrast."""
    for column in _BY_PLACE:
        if column in select:
            masks = masks[masks[column].isin(_listed(select[column]))]
    return masks


def _by_hand(config: Config, masks: pd.DataFrame) -> set[str]:
    """Whoever draws by hand: the methods that no model and no average makes."""
    made = {*config.segmentation.models, *config.other_methods, SOFT_TRUTH, SOFT_TRUTH_BINARY}
    return {MANUAL, *masks["method"]} - made


def _wanted(analysis: Mapping[str, Any], by_hand: set[str]) -> Iterator[tuple[str, str]]:
    """Who is to have drawn what, for an analysis to have rows."""
    select = analysis.get("select", {})
    named = [*_listed(analysis.get("reference")), *_listed(select.get("reference"))]
    named += [*_listed(select.get("method")), *_listed(analysis.get("against"))]
    if "method" in (analysis.get("compare"), analysis.get("group")):
        named += _listed(analysis.get("values"))
    for method in by_hand.intersection(named):
        for structure in _listed(select.get("structure")):
            if structure in _READ_FROM:
                yield method, _READ_FROM[structure]


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in (value if isinstance(value, list) else [value])]
