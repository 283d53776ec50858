"""The page of a correction folder: every chosen scan with its picture and the reason; one file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cordcohort import __version__
from cordcohort.errors import ImageError
from cordcohort.experiments.ranking import Committee, is_map
from cordcohort.experiments.ranks import RANKS, YES
from cordcohort.files import write_text
from cordcohort.nifti import Image, read_image, read_mask
from cordcohort.report.inputs import records
from cordcohort.report.mosaic import Mosaic
from cordcohort.report.pages import environment
from cordcohort.report.palette import Look, looks
from cordcohort.report.privacy import public_text
from cordcohort.report.views import scan_views
from cordcohort.scan import MASK_SUFFIX, Row

PAGE = "index.html"
N_SLICES = 12
SEEDS, PROPOSED_LOOK = "single seeds", "mask to correct"
Parts = dict[Look, list[NDArray[Any]]]


def write_correction_page(
    folder: Path, committee: Committee, table: pd.DataFrame, rows: Mapping[str, Row]
) -> None:
    """Write the page, pictures and all, into a correction folder that holds its masks."""
    chosen = table[table["chosen"] == YES]
    cards = [_card(told, rows[told["scan"]], folder, committee) for told in records(chosen)]
    experiment, phase = committee.experiment, committee.phase
    unranked = records(table[table["rank"].isna()])
    text = environment().get_template("correct.html").render(
        experiment=public_text(experiment.name), phase=phase.number, cards=cards, table=RANKS,
        version=__version__, n_ranked=int(table["rank"].notna().sum()),
        previous=experiment.method(phase.number - 1), n_seeds=len(experiment.seeds),
        structures=[s.replace("_", " ") for s in committee.structures],
        unranked=[{"scan": r["scan"], "reason": public_text(r["reason"])} for r in unranked],
    )  # fmt: skip
    write_text(folder / PAGE, text)


def _card(told: Mapping[str, Any], row: Row, folder: Path, committee: Committee) -> dict[str, Any]:
    place = f"{row['dataset']}/{row['folder']}/{row['stem']}"
    files = [f"{place}_{MASK_SUFFIX[s]}.nii.gz" for s in committee.structures]
    pictures: list[dict[str, Any]] = []
    fault = ""
    try:
        image = read_image(next((folder / place).parent.glob(f"{row['stem']}.nii*"))).canonical()
        for structure, file in zip(committee.structures, files, strict=True):
            proposal = read_mask(folder / file, kind=_kind(structure)).canonical().data
            seeds, _ = committee.drawn(row, structure)
            drawn = [_canonical(m, folder / file) for m in (seeds.masks if seeds else [])]
            pictures += _picture(structure, image, proposal, drawn)
    except ImageError as error:
        fault = public_text(error.reason)
    return {
        "rank": int(told["rank"]), "scan": told["scan"], "site": public_text(told["site"]),
        "score": f"{told['score']:.3f}", "reason": public_text(told["reason"]), "files": files,
        "pictures": pictures, "fault": fault,
    }  # fmt: skip


def _kind(structure: str) -> str:
    return "dseg" if is_map(structure) else "seg"


def _canonical(mask: NDArray[Any], like: Path) -> NDArray[Any]:
    """A mask on a scan's own axes, turned as the scan is."""
    return replace(read_image(like), data=mask).canonical().data


def _picture(
    structure: str, image: Image, proposal: NDArray[Any], drawn: list[NDArray[Any]]
) -> list[dict[str, Any]]:
    """Outlines of every seed under that of the proposal; nothing where none drew anything."""
    union = proposal > 0
    for one in drawn:
        union = union | (one > 0)
    if not union.any():
        return []
    known = looks([PROPOSED_LOOK, SEEDS], [PROPOSED_LOOK, SEEDS])
    parts: Parts = {
        known[SEEDS]: [part for one in drawn for part in _labels(one)],
        replace(known[PROPOSED_LOOK], dashed=False): _labels(proposal),
    }
    mosaic = Mosaic(scan_views(union, image.spacing_mm, N_SLICES), image.data)
    png = base64.b64encode(mosaic.png(parts)).decode()
    height, width = mosaic.greys.shape
    return [{"title": structure, "data": png, "width": width, "height": height,
             "looks": [{"name": k.name, "colour": k.colour} for k in parts]}]  # fmt: skip


def _labels(mask: NDArray[Any]) -> list[NDArray[Any]]:
    """A mask a label; of a binary mask one."""
    return [mask == label for label in np.unique(mask) if label > 0]
