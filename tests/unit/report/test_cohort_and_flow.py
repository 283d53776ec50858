"""Who and what each site gave, and what became of every scan."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cordcohort.files import write_json
from cordcohort.report.characteristics import TEXT_ROW, characteristics
from cordcohort.report.cohort_tables import people_of
from cordcohort.report.field_strength import field_note, subject_fields
from cordcohort.report.flow import write_analysis_flow, write_study_flow
from cordcohort.report.inputs import Analysis, Inputs
from cordcohort.report.links import picture_record
from cordcohort.table import SCAN_KEY, as_long

SCORES = {
    ("a", "01"): {"age": "30", "sex": "f", "group": "patient", "days_since_injury": "10",
                  "implants": "yes", "lesion_origin": "traumatic", "injury_level": "C5",
                  "field_strength_t": "3"},
    ("a", "02"): {"age": "50", "sex": "Male", "group": "patient", "days_since_injury": "20",
                  "implants": "no", "lesion_origin": "ischaemic", "injury_level": "T10",
                  "field_strength_t": "1.5"},
    ("b", "77"): {"age": "30", "sex": "f", "group": "patient"},  # the person of a/01
    ("b", "78"): {"age": "97"},
}  # fmt: skip


def inputs_of(folder: Path) -> Inputs:
    """Two sites, three persons: one of them was scanned at both, twice at the first."""
    rows = [
        ("a", "01", "1", "traveller", "north", "Siemens"), ("a", "01", "2", "traveller", "north",
         "Siemens"), ("a", "02", "1", "02", "north", "GE"),
        ("b", "77", "1", "traveller", "south", "Philips"), ("b", "78", "1", "78", "south", ""),
    ]  # fmt: skip
    columns = ["dataset", "subject", "session", "person", "site", "vendor"]
    scans = pd.DataFrame(rows, columns=columns).assign(acquisition="", run="", contrast="T2w")
    scans["stem"] = "sub-" + scans["subject"] + "_ses-" + scans["session"] + "_T2w"
    scans["state"] = ["measured", "excluded", "measured", "failed", "measured"]
    scores = [
        {"dataset": d, "subject": s, "session": "", "time_point": "", "variable": k, "value": v,
         "person": "traveller" if (d, s) in (("a", "01"), ("b", "77")) else s}
        for (d, s), told in SCORES.items() for k, v in told.items()
    ]  # fmt: skip
    spacings = ([0.5, 0.5, 3.0], [0.6, 0.6, 4.0], [0.8, 0.8, 0.8], [3.0, 0.7, 0.7])
    for scan, spacing in zip(scans.to_dict("records"), spacings, strict=False):
        write_json(folder / "report" / picture_record(scan), {"spacing_mm": spacing})
    return Inputs(folder, scans, pd.DataFrame(scores), scans, pd.DataFrame(), (), {})


@pytest.fixture
def table(tmp_path: Path) -> dict[str, dict[str, str]]:
    columns, rows = characteristics(inputs_of(tmp_path))
    assert columns == ["characteristic", "north", "south", "all sites"]
    return {row["characteristic"]: row for row in rows}


@pytest.mark.parametrize(
    ("row", "north", "south", "everyone"),
    [
        ("Persons", "2", "2", "3"),
        ("Scans", "3", "2", "5"),
        ("Persons with follow-up", "1", "0", "1"),
        ("Sex", "1 F, 1 M", "1 F; 1 n/r", "1 F, 1 M; 1 n/r"),
        ("Age [years], mean ± SD (range)", "40.0 ± 14.1 (30–50)", "60.0 ± 42.4 (30–90+)",
         "56.7 ± 30.6 (30–90+)"),
        ("Days since injury, mean ± SD", "15.0 ± 7.1, median 15", "10, median 10; 1 n/r",
         "15.0 ± 7.1, median 15; 1 n/r"),
        ("Implants", "1 no, 1 yes", "1 yes; 1 n/r", "1 no, 1 yes; 1 n/r"),
        ("Origin of lesion", "1 ischaemic, 1 traumatic", "1 traumatic; 1 n/r",
         "1 ischaemic, 1 traumatic; 1 n/r"),
        ("Level of injury", "1 cervical, 1 thoracic", "1 cervical; 1 n/r",
         "1 cervical, 1 thoracic; 1 n/r"),
        ("Vendor (persons)", "1 GE, 1 Siemens", "1 Philips; 1 n/r",
         "1 GE, 1 Philips, 1 Siemens; 1 n/r"),
        ("Field strength (persons)", "1 at 1.5 T, 1 at 3 T", "1 at 3 T; 1 n/r",
         "1 at 1.5 T, 1 at 3 T; 1 n/r"),
        ("Slice orientation (scans)", "2 axial, 1 isotropic", "1 sagittal; 1 n/r",
         "2 axial, 1 isotropic, 1 sagittal; 1 n/r"),
        ("Voxel size", "axial 0.50–0.60 mm in plane, 3.00–4.00 mm thick; isotropic 0.80 mm",
         "sagittal 0.70 mm in plane, 3.00 mm thick; 1 n/r",
         "axial 0.50–0.60 mm in plane, 3.00–4.00 mm thick; isotropic 0.80 mm; "
         "sagittal 0.70 mm in plane, 3.00 mm thick; 1 n/r"),
    ],
)  # fmt: skip
def test_persons_are_counted_once(
    table: dict[str, dict[str, str]], row: str, north: str, south: str, everyone: str
) -> None:
    told = table[row]
    assert (told["north"], told["south"], told["all sites"]) == (north, south, everyone)


def test_training_and_test_are_told_by_level_for_the_first_seed(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    persons = {"traveller": ("train", "test"), "02": ("test", "train"), "78": ("", "train")}
    rows = [
        {"dataset": scan["dataset"], "subject": scan["subject"], "person": scan["person"],
         "method": "net", "seed": seed, "measure": "dice", "split": persons[scan["person"]][k]}
        for scan in inputs.scans.to_dict("records") for k, seed in enumerate(("7", "42"))
    ]  # fmt: skip
    _, found = characteristics(replace(inputs, measures=as_long(pd.DataFrame(rows))))
    told = {row["characteristic"]: row["all sites"] for row in found}
    assert told["Training and test (persons), seed 7"] == "1 test, 1 train; 1 n/r"
    assert told["Training (persons by level), seed 7"] == "1: 1 cervical"
    assert told["Test (persons by level), seed 7"] == "1: 1 thoracic"


def test_without_a_training_nothing_is_told_of_its_levels(table: dict[str, dict[str, str]]) -> None:
    assert not [row for row in table if "by level" in row]
    assert "Training and test (persons)" in table


def test_what_nobody_reported_is_a_dash(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    bare = Inputs(tmp_path, inputs.index, inputs.scores.iloc[:0], inputs.scans, inputs.measures,
                  (), {})  # fmt: skip
    _, rows = characteristics(bare)
    told = {row["characteristic"]: row["all sites"] for row in rows}
    assert told["Persons"] == "3"
    assert {told[k] for k in ("Sex", "Implants", "Level of injury")} == {"–"}


def written(inputs: Inputs, **told: str) -> Inputs:
    """With the field strengths that sidecars name, by data set and subject."""
    rows = [(name[0], name[1:], tesla) for name, tesla in told.items()]
    columns = ["dataset", "subject", "field_strength"]
    return replace(inputs, participants=pd.DataFrame(rows, columns=columns))


def test_field_strength_is_the_sheet_s_and_without_one_that_of_the_images(tmp_path: Path) -> None:
    inputs = written(inputs_of(tmp_path), a01="3", a02="2.89", b77="1.494", b78="1.5, 2.89")
    _, rows = characteristics(inputs)
    told = next(row for row in rows if row["characteristic"] == "Field strength (persons)")
    assert told["north"] == "1 at 1.5 T, 1 at 3 T"
    assert told["south"] == "1 at 1.5 T, 1 at 1.5 and 3 T"  # the traveller's scanner there
    assert told["all sites"] == "2 at 1.5 and 3 T, 1 at 1.5 T"
    alone = replace(inputs, scores=inputs.scores.iloc[:0])
    told = {row["characteristic"]: row for row in characteristics(alone)[1]}
    assert told["Field strength (persons)"]["north"] == "2 at 3 T"


def test_sheets_and_images_that_differ_in_field_strength_are_told(tmp_path: Path) -> None:
    same = written(inputs_of(tmp_path), a01="2.89", a02="", b77="7", b78="")
    assert field_note(subject_fields(same)) == ""
    inputs = written(inputs_of(tmp_path), a01="2.89", a02="2.89", b77="7", b78="")
    assert field_note(subject_fields(inputs)) == (
        "Field strength of 1 subject: the sheet, which is counted, says otherwise than the "
        "sidecars of the images: a sub-02 (1.5 against 3 T)."
    )
    people = people_of(inputs).set_index(["dataset", "subject"])["field_strength"].to_dict()
    assert people == {
        ("a", "01"): "3", ("a", "02"): "1.5 in the sheet, 3 in the images",
        ("b", "77"): "7", ("b", "78"): "",
    }  # fmt: skip


def test_text_in_place_of_a_number_is_counted_by_site(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path)
    scores = inputs.scores.copy()
    scores.loc[(scores["subject"] == "02") & (scores["variable"] == "age"), "value"] = "fifty"
    told = {
        row["characteristic"]: row for row in characteristics(replace(inputs, scores=scores))[1]
    }
    assert [told[TEXT_ROW][site] for site in ("north", "south", "all sites")] == [
        "1 age", "none", "1 age",
    ]  # fmt: skip
    assert told["Age [years], mean ± SD (range)"]["north"] == "30; 1 n/r"


def test_no_row_of_text_where_all_cells_are_numbers(table: dict[str, dict[str, str]]) -> None:
    assert TEXT_ROW not in table


def texts(path: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())


def test_the_boxes_of_the_flow_add_up(tmp_path: Path) -> None:
    flow = write_study_flow(inputs_of(tmp_path).scans, tmp_path)
    assert texts(tmp_path / str(flow["file"])) == [
        "5 scans found", "1 excluded", "1 failed", "3 measured",
    ]  # fmt: skip


def test_the_flow_of_an_analysis_follows_its_counts(tmp_path: Path) -> None:
    counts = pd.DataFrame({"site": ["a", "b"], "n_found": [5, 4], "n_excluded": [1, 0],
                           "n_failed": [0, 0], "n_undefined": [0, 1], "n_unpaired": [2, 0],
                           "n_used": [2, 3]}, dtype="str")  # fmt: skip
    flow = write_analysis_flow(Analysis("csa", "agreement", pd.DataFrame(), counts), tmp_path)
    assert flow is not None
    assert texts(tmp_path / str(flow["file"])) == [
        "9 values looked for", "1 excluded", "1 undefined", "2 without a partner", "5 used",
    ]  # fmt: skip
    nothing: dict[str, Any] = {"table": pd.DataFrame(), "counts": pd.DataFrame()}
    assert write_analysis_flow(Analysis("csa", "agreement", **nothing), tmp_path) is None


def test_an_empty_study_flows_from_nothing_to_nothing(tmp_path: Path) -> None:
    empty = pd.DataFrame({c: [] for c in [*SCAN_KEY, "state"]})
    flow = write_study_flow(empty, tmp_path)
    assert texts(tmp_path / str(flow["file"])) == ["0 scans found", "0 measured"]
