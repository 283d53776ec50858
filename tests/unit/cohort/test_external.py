"""Measures from elsewhere enter the long table like our own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from cordcohort.cohort import check_long, external_scores, read_external, with_external_scores
from cordcohort.cohort.draft import draft_mapping
from cordcohort.errors import ConfigError, SheetError
from cordcohort.table import LONG_COLUMNS
from cordcohort.template import config_text

WIDE = {
    "name": "lab",
    "file": "t.csv",
    "layout": "wide",
    "dataset": "siteset",
    "columns": {"subject": "id", "session": "ses", "site": "centre", "level": "vert"},
    "constants": {"contrast": "T2w", "level_kind": "vertebral", "structure": "cord"},
    "values": {"level": {"2": "C2", "3": "C3"}},
    "measures": {
        "csa_mm2": {"column": "area", "unit": "mm2"},
        "diameter_ap_mm": {"column": "AP", "unit": "mm"},
    },
}
TEXT = "id,ses,centre,vert,area,AP,age\nsub-01,ses-1,A,2,70.5,7.5,33\nsub-02,ses-1,B,2,,8,n/a\n"


def _write(folder: Path, text: str = TEXT, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_wide_table_becomes_long_rows_with_units_and_stripped_labels(tmp_path: Path) -> None:
    _write(tmp_path)
    table = read_external(WIDE, tmp_path)
    assert list(table.columns) == LONG_COLUMNS
    assert len(table) == 4
    first = table.iloc[0]
    assert first["subject"] == "01"
    assert first["session"] == "1"
    assert first["person"] == ""
    assert first["method"] == "lab"
    assert first["level"] == "C2"
    assert first["unit"] == "mm2"
    assert first["value"] == 70.5
    check_long(table)


def test_empty_cell_is_a_counted_undefined_row(tmp_path: Path) -> None:
    _write(tmp_path)
    table = read_external(WIDE, tmp_path)
    row = table[(table["subject"] == "02") & (table["measure"] == "csa_mm2")].iloc[0]
    assert row["flag"] == "undefined"
    assert row["reason"] == "no value in the file"
    assert pd.isna(row["value"])


def test_flags_and_reasons_of_the_file_stay_where_they_are_mapped(tmp_path: Path) -> None:
    _write(tmp_path, "id,area,state,why\na,70.5,,\nb,,failed,no cord\nc,60,excluded,moved\nd,,,\n")
    spec = {
        "name": "lab",
        "file": "t.csv",
        "layout": "long",
        "columns": {"subject": "id", "value": "area", "flag": "state", "reason": "why"},
        "constants": {"measure": "csa_mm2", "contrast": "T2w"},
    }
    table = read_external(spec, tmp_path)
    assert table["flag"].tolist() == ["", "failed", "excluded", "undefined"]
    assert table["reason"].tolist() == ["", "no cord", "moved", "no value in the file"]
    wrong = spec | {"values": {"flag": {"failed": "", "excluded": "failed"}}}
    with pytest.raises(SheetError, match="none where it is failed"):
        read_external(wrong, tmp_path)


def test_tsv_parquet_and_long_layout_give_the_same_rows(tmp_path: Path) -> None:
    _write(tmp_path)
    wide = read_external(WIDE, tmp_path)
    melted = pd.read_csv(tmp_path / "t.csv", dtype=str).melt(
        ["id", "ses", "centre", "vert", "age"], var_name="what", value_name="number"
    )
    spec = WIDE | {"layout": "long"}
    spec["columns"] = WIDE["columns"] | {"measure": "what", "value": "number"}
    for name in ("t.tsv", "t.parquet"):
        if name.endswith("tsv"):
            melted.to_csv(tmp_path / name, sep="\t", index=False, na_rep="n/a")
        else:
            melted.to_parquet(tmp_path / name)
        long = read_external(spec | {"file": name}, tmp_path)
        key = ["measure", "subject"]
        pd.testing.assert_frame_equal(
            long.sort_values(key, ignore_index=True), wide.sort_values(key, ignore_index=True)
        )


def test_labels_stay_text(tmp_path: Path) -> None:
    _write(tmp_path, "id,ses,centre,vert,area,AP\n0123,1e5,no,2,1,1\n")
    row = read_external(WIDE, tmp_path).iloc[0]
    assert (row["subject"], row["session"], row["site"]) == ("0123", "1e5", "no")


def test_bom_and_spaces_and_crlf_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeff".encode() + TEXT.replace("\n", "\r\n").replace(",A", ", A").encode())
    assert read_external(WIDE, tmp_path).loc[0, "site"] == "A"


def test_wrong_column_names_the_nearest(tmp_path: Path) -> None:
    _write(tmp_path)
    spec = WIDE | {"measures": {"csa_mm2": {"column": "aera", "unit": "mm2"}}}
    with pytest.raises(ConfigError, match=r"measures\.csa_mm2.*'area'"):
        read_external(spec, tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layut": "wide"}, "layut"),
        ({"layout": "tall"}, "layout"),
        ({"columns": {"subjct": "id"}}, "nearest"),
        ({"columns": {"site": "centre"}}, "subject"),
        ({"measures": {}}, "at least one measure"),
        ({"values": {"run": {"1": "2"}}}, "mapped column"),
    ],
)
def test_wrong_mapping_is_refused_by_name(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    _write(tmp_path)
    with pytest.raises(ConfigError, match=words):
        read_external(WIDE | change, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT.replace("70.5", "7O.5"), "7O.5"),
        (TEXT.replace("70.5", "inf"), "finite"),
        (TEXT.replace("sub-02", ""), "line 3"),
        (TEXT.replace("sub-02,ses-1,B", "sub-01,ses-1,A"), "twice"),
        (TEXT.replace("centre", "id"), "unique columns"),
    ],
)
def test_wrong_sheet_is_refused_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    _write(tmp_path, text)
    with pytest.raises(SheetError, match=words):
        read_external(WIDE, tmp_path)


def test_missing_file_and_other_format_are_one_line_errors(tmp_path: Path) -> None:
    with pytest.raises(SheetError, match="no file; mend the path"):
        read_external(WIDE, tmp_path)
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(SheetError, match="xlsx"):
        read_external(WIDE | {"file": "t.xlsx"}, tmp_path)


def test_scores_of_the_same_file_come_out_long(tmp_path: Path) -> None:
    _write(tmp_path)
    scores = external_scores(WIDE | {"scores": {"age": "age"}, "time_point": "scan"}, tmp_path)
    assert scores.values.tolist() == [["siteset", "01", "", "1", "scan", "age", "33"]]
    assert external_scores(WIDE, tmp_path).empty


def test_scores_of_a_table_from_elsewhere_stand_below_those_of_the_sheets(tmp_path: Path) -> None:
    _write(tmp_path)
    spec = WIDE | {"scores": {"age": "age"}, "file": str(tmp_path / str(WIDE["file"]))}
    own = external_scores(spec).assign(dataset="own")
    cohort = read_external(spec).assign(person="known")
    both = with_external_scores(own, [spec, WIDE], cohort)
    assert both["dataset"].tolist() == ["own", "siteset"]
    assert both["value"].tolist() == ["33", "33"]
    assert both["person"].tolist() == ["", "known"]  # the cohort knows who its subjects are


def test_a_table_with_semicolons_is_told(tmp_path: Path) -> None:
    _write(tmp_path, TEXT.replace(",", ";"))
    with pytest.raises(SheetError, match="one, with semicolons in its name; save it with commas"):
        read_external(WIDE, tmp_path)


@pytest.mark.parametrize(
    ("words", "wanted"), [(("mean", "sd"), "mean"), (("MEAN", "SD"), "MEAN"), (("sd", "sd"), None)]
)
def test_the_first_analysis_of_a_table_with_statistics_asks_for_means(tmp_path, words, wanted):
    lines = ["id,site,metric,statistic,value", *(f"a,x,csa,{w},{i}" for i, w in enumerate(words))]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    table = {"name": "lab", "file": "t.csv", **draft_mapping(path)}
    (analysis,) = yaml.safe_load(config_text("a", [], [table]))["analyses"]
    assert table["columns"]["statistic"] == "statistic"
    assert analysis["select"].get("statistic") == wanted
