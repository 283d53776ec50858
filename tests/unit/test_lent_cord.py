"""The cord that one model hands on is one mask, wherever methods stand beside each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cordcohort.cohort.failures import method_failures
from cordcohort.cohort.scans import scans_table
from cordcohort.errors import ConfigError
from cordcohort.files import read_yaml, sha256_of, write_record
from cordcohort.lent_cord import lent_rows, without_lent
from cordcohort.nifti import Image
from cordcohort.report.analysis_tables import analysis_entry
from cordcohort.report.gallery import draw_gallery
from cordcohort.report.inputs import Analysis, whole_scan_measures
from cordcohort.report.masks import MaskFile, masks_of_scan
from cordcohort.report.profiles import slice_values
from cordcohort.segmentation.registry import check_card, models_folder
from cordcohort.statistics.run import run_analysis
from cordcohort.table import as_long, write_parquet

SCAN = {"dataset": "a", "stem": "sub-01_T2w", "folder": "sub-01/anat", "masks": "[]", "site": "x"}


def _rows(subject: str, methods: dict[str, tuple[str, ...]], **more) -> list[dict]:
    common = {"dataset": "a", "site": "x", "contrast": "T2w", "measure": "csa_mm2", "unit": "mm2",
              "statistic": "mean", "subject": subject, "person": subject}  # fmt: skip
    return [
        common | {"method": m, "structure": s, "value": 70.0 + int(subject)} | more
        for m, structures in methods.items() for s in structures
    ]  # fmt: skip


BOTH = {"cord-v1": ("cord",), "sciseg-v1": ("cord", "lesion"), "manual": ("cord", "lesion")}
ALONE = {"sciseg-v1": ("cord", "lesion")}


@pytest.fixture
def table() -> pd.DataFrame:
    """Two scans with both models; one on which the lender is not run; one where it failed."""
    rows = _rows("1", BOTH) + _rows("2", BOTH) + _rows("3", ALONE)
    return as_long(pd.DataFrame(rows + _rows("4", BOTH, flag="failed", value=np.nan)))


def _borrowed_cords(frame: pd.DataFrame) -> list[str]:
    return sorted(frame.loc[(frame["method"] == "sciseg-v1") & (frame["structure"] == "cord"),
                            "subject"])  # fmt: skip


def test_a_lent_cord_goes_where_its_lender_has_the_scan_and_nothing_else_does(table):
    kept = table[~lent_rows(table)]
    assert len(table) - len(kept) == 3
    assert _borrowed_cords(kept) == ["3"]
    assert not lent_rows(table[table["method"] != "cord-v1"]).any()
    assert not lent_rows(table.iloc[:0]).any()


def test_the_report_reads_it_once_for_scans_and_slices(table, tmp_path):
    slices = pd.concat([table.assign(slice=k, statistic="") for k in range(4)])
    path = tmp_path / "measures.parquet"
    write_parquet(path, as_long(pd.concat([table, slices])))
    assert _borrowed_cords(whole_scan_measures(path)) == ["3"]
    assert set(slice_values(path).query("method == 'sciseg-v1'")["subject"]) == {"3"}


def test_what_befell_it_is_told_of_the_scan_once(table):
    told = method_failures(table)
    assert set(told["method"]) == {"cord-v1", "manual", "sciseg-v1"}
    assert set(told.loc[told["method"] == "sciseg-v1", "structure"]) == {"lesion"}
    odd = table[table["subject"] != "4"].assign(flag="warning", reason="two pieces")
    index = odd.drop_duplicates("subject").assign(status="ok", reason="")
    scans = scans_table(index, odd).set_index("subject")["warning"].to_dict()
    both = "cord-v1: two pieces; manual: two pieces"
    assert scans == {"1": both, "2": both, "3": "sciseg-v1: two pieces"}


def _analysed(table, **select) -> set[tuple[str, str]]:
    spec = {
        "name": "n",
        "kind": "normality",
        "unit": "scan",
        "select": {"contrast": "T2w"} | select,
    }
    result = run_analysis(spec, table).table
    return set(zip(result["method"], result["structure"], strict=True))


def test_an_analysis_that_names_no_method_counts_one_mask_once(table):
    both = table[table["subject"].isin(["1", "2"])]
    assert _analysed(both, structure="cord") == {("cord-v1", "cord"), ("manual", "cord")}
    assert ("sciseg-v1", "lesion") in _analysed(both)
    named = _analysed(both, structure="cord", method=["cord-v1", "sciseg-v1"])
    assert named == {("cord-v1", "cord"), ("sciseg-v1", "cord")}
    assert _analysed(table[table["subject"] == "3"], structure="cord") == {("sciseg-v1", "cord")}


def test_a_table_that_names_both_shows_one_row_with_a_note_and_its_file_keeps_all(tmp_path):
    rows = [("cord-v1", "cord"), ("sciseg-v1", "cord"), ("sciseg-v1", "lesion")]
    tidy = pd.DataFrame(rows, columns=["method", "structure"]).assign(n="5", flag="", reason="")
    analysis = Analysis("n", "normality", tidy, pd.DataFrame())
    told = analysis_entry(analysis, tmp_path, notes={"sciseg-v1": ["a is experimental: x."]})
    (block,) = told["blocks"]
    assert len(block["table"].rows) == 2
    assert told["notes"] == [
        "a is experimental: x.",
        "The cord of sciseg-v1 is the mask of cord-v1, not a second one: it is shown once, "
        "under that name.",
    ]
    assert len(pd.read_csv(tmp_path / told["file"], sep="\t")) == 3
    alone = analysis_entry(
        Analysis("m", "normality", tidy[tidy["method"] == "manual"], pd.DataFrame()), tmp_path
    )
    assert alone["notes"] == []


def test_a_comparison_of_a_mask_with_itself_is_not_shown():
    pairs = [("cord-v1", "manual"), ("cord-v1", "sciseg-v1"), ("manual", "sciseg-v1")]
    table = pd.DataFrame(pairs, columns=["a", "b"]).assign(structure="cord")
    assert without_lent(table)[0][["a", "b"]].to_numpy().tolist() == [["cord-v1", "manual"]]
    lesion = table.assign(structure="lesion")
    assert len(without_lent(lesion)[0]) == len(pairs)
    assert without_lent(table.drop(columns="structure"))[1] == ""


def _record(results: Path, method: str, name: str, structure: str) -> None:
    folder = results / "segmentation" / "a" / method / "sub-01" / "anat"
    folder.mkdir(parents=True, exist_ok=True)
    mask = folder / f"sub-01_T2w_label-{name}_seg.nii.gz"
    mask.write_bytes(b"mask")
    write_record(mask.with_name(mask.name.removesuffix(".nii.gz") + ".json"), {
        "schema": 1, "status": "ok", "method": method, "reason": "", "structure": structure,
        "mask": mask.name, "mask_sha256": sha256_of(mask), "device": "cpu", "seconds": 1.0,
    })  # fmt: skip


def test_the_masks_of_a_scan_hold_it_once_and_without_the_lender_under_its_own_name(tmp_path):
    for name, structure in (("SC", "cord"), ("lesion", "lesion")):
        _record(tmp_path, "sciseg-v1", name, structure)
    alone = {(m.method, m.structure) for m in masks_of_scan(SCAN, tmp_path)}
    assert alone == {("sciseg-v1", "cord"), ("sciseg-v1", "lesion")}
    _record(tmp_path, "cord-v1", "SC", "cord")
    both = {(m.method, m.structure) for m in masks_of_scan(SCAN, tmp_path)}
    assert both == {("cord-v1", "cord"), ("sciseg-v1", "lesion")}


def test_the_gallery_shows_lesions_in_the_lent_cord_and_no_second_column_of_it(tmp_path):
    shape = (60, 60, 40)
    cord, lesion = np.zeros(shape), np.zeros(shape)
    cord[22:38, 24:36] = 1
    lesion[28:33, 28:32, 18:24] = 1
    drawn = [("manual", "cord"), ("manual", "lesion"), ("cord-v1", "cord"), ("sciseg-v1", "lesion")]
    volumes = [(MaskFile(m, s, "seg", None, "ok", ""), cord if s == "cord" else lesion)
               for m, s in drawn]  # fmt: skip
    noise = np.random.default_rng(1).normal(100, 20, shape).astype(np.float32)
    image = Image(noise, np.diag([0.8, 0.8, 0.8, 1.0]))
    both = draw_gallery(SCAN, image, volumes, tmp_path)
    assert (both["methods"], both["referenced"]) == (["manual", "sciseg-v1"], True)
    without = [v for v in volumes if v[0].method != "sciseg-v1"]
    assert draw_gallery(SCAN, image, without, tmp_path)["methods"] == ["manual", "cord-v1"]
    # Who looked and found nothing is shown so; who failed, or looked at another structure, is not.
    empty = MaskFile("sciseg-v1", "lesion", "seg", tmp_path / "m.nii.gz", "ok", "")
    told = draw_gallery(SCAN, image, without, tmp_path, [empty])
    assert told["methods"] == ["manual", "sciseg-v1"]
    for other in (replace(empty, status="failed"), replace(empty, kind="softseg")):
        told = draw_gallery(SCAN, image, without, tmp_path, [other])
        assert told["methods"] == ["manual", "cord-v1"]


@pytest.mark.parametrize("told", [True, "", " ", 3, ["x"], "x" * 161])
def test_a_card_says_in_a_few_words_what_fails_of_an_experimental_model(told):
    card = {"schema": 1, "name": "m", "task": "cord", "backend": "classical", "labels": {},
            "orientation": "RAS", "licence": "x"}  # fmt: skip
    assert check_card(card | {"experimental": "faint lesions are missed"}, "x")
    with pytest.raises(ConfigError, match="experimental"):
        check_card(card | {"experimental": told}, "x")


def test_the_shipped_models_that_are_experimental_say_so():
    folders = [path.parent for path in sorted(models_folder().glob("*/model.yaml"))]
    cards = {folder.name: read_yaml(folder / "model.yaml") for folder in folders}
    assert {name for name, card in cards.items() if "experimental" in card} == {
        "rootlets-v1", "sciseg-v1",
    }  # fmt: skip
