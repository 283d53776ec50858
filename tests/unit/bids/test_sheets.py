from __future__ import annotations

import pytest
from cordcohort.bids.index import build_index
from cordcohort.bids.sheets import Columns, read_sheets
from cordcohort.errors import SheetError
from unit.bids.tree import config_of, put, put_sheet, put_text


def sheets_of(root, **columns):
    root.mkdir(exist_ok=True)
    return read_sheets(root, Columns(**columns))


def scores_of(sheets):
    keys = ("subject", "session", "time_point", "variable", "value")
    return {tuple(row[k] for k in keys) for row in sheets.scores}


def test_participants_give_site_vendor_person_and_scores(tmp_path):
    rows = ["sub-01 north GE sub-P1 40", "02 south n/a n/a n/a"]
    put_sheet(tmp_path, "participants.tsv", "participant_id site vendor person_id age", *rows)
    sheets = sheets_of(tmp_path)
    assert sheets.participants["01"] == {
        "site": "north",
        "vendor": "GE",
        "person": "P1",
        "split": "",
    }
    assert sheets.participants["02"]["person"] == ""
    assert scores_of(sheets) == {("01", "", "", "age", "40")}


def test_named_columns_are_used_and_must_be_there(tmp_path):
    put_sheet(tmp_path, "participants.tsv", "participant_id centre scanner", "sub-01 A GE")
    said = sheets_of(tmp_path, site="centre", vendor="scanner").participants["01"]
    assert (said["site"], said["vendor"]) == ("A", "GE")
    with pytest.raises(SheetError, match=r"column 'center' .*site_column"):
        sheets_of(tmp_path, site="center")


def test_a_named_column_needs_a_sheet(tmp_path):
    with pytest.raises(SheetError, match=r"participants.tsv: expected a sheet"):
        sheets_of(tmp_path, site="site")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_do_not_matter(tmp_path, ends, mark):
    put_text(
        tmp_path, "participants.tsv", mark + ends.join(["participant_id\tsite", "sub-01\tA", ""])
    )
    assert sheets_of(tmp_path).participants["01"]["site"] == "A"


@pytest.mark.parametrize(
    "text",
    ["participant_id,site\nsub-01,A\n", "participant_id site\nsub-01 A\n", "site\nA\n", ""],
)
def test_a_sheet_that_is_not_tab_separated_is_refused(tmp_path, text):
    put_text(tmp_path, "participants.tsv", text)
    with pytest.raises(SheetError, match=r"participants\.tsv"):
        sheets_of(tmp_path)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_sheet_is_called_empty_with_the_way_out(tmp_path, text):
    put_text(tmp_path, "participants.tsv", text)
    with pytest.raises(SheetError, match=r"participants\.tsv.*empty file.*or delete it"):
        sheets_of(tmp_path)


def test_utf16_is_refused_by_name(tmp_path):
    (tmp_path / "participants.tsv").write_bytes(
        "participant_id\tsite\nsub-01\tA\n".encode("utf-16")
    )
    with pytest.raises(SheetError, match="UTF-8"):
        sheets_of(tmp_path)


def test_repeated_rows_are_dropped_and_told(tmp_path):
    put_sheet(tmp_path, "participants.tsv", "participant_id site", "sub-01 A", "sub-01 A")
    sheets = sheets_of(tmp_path)
    assert sheets.notes == [("participants.tsv", "1 repeated rows were dropped")]


def test_a_split_is_train_test_or_external(tmp_path):
    put_sheet(tmp_path, "participants.tsv", "participant_id split", "sub-01 test", "sub-02 n/a")
    assert sheets_of(tmp_path).participants["01"]["split"] == "test"
    put_sheet(tmp_path, "participants.tsv", "participant_id split", "sub-01 tset")
    with pytest.raises(SheetError, match="tset"):
        sheets_of(tmp_path)


def test_two_different_rows_of_one_participant_are_refused(tmp_path):
    put_sheet(tmp_path, "participants.tsv", "participant_id site", "sub-01 A", "sub-01 B")
    with pytest.raises(SheetError, match="sub-01"):
        sheets_of(tmp_path)


def test_sites_that_differ_by_case_are_two_and_are_told(tmp_path):
    put_sheet(tmp_path, "participants.tsv", "participant_id site", "sub-01 ucl", "sub-02 UCL")
    assert "differ by case only" in sheets_of(tmp_path).notes[0][1]


def test_a_participant_whose_label_is_no_label_reaches_no_path(tmp_path):
    put_sheet(tmp_path, "participants.tsv", "participant_id site", "sub-../x A", "sub-01 A")
    sheets = sheets_of(tmp_path)
    assert list(sheets.participants) == ["01"]
    assert "rename it" in sheets.notes[0][1]


def test_scores_of_sessions_and_phenotype_keep_their_time_point(tmp_path):
    put_sheet(tmp_path, "sub-01/sub-01_sessions.tsv", "session_id lems", "ses-1 10", "ses-2 20")
    put_sheet(
        tmp_path, "phenotype/motor.tsv", "participant_id time_point grip", "sub-01 6months 7",
        "sub-01 12months 8",
    )  # fmt: skip
    put_sheet(tmp_path, "phenotype/pain.tsv", "participant_id session_id pain", "sub-01 ses-1 3")
    assert scores_of(sheets_of(tmp_path)) == {
        ("01", "1", "1", "lems", "10"),
        ("01", "2", "2", "lems", "20"),
        ("01", "", "6months", "grip", "7"),
        ("01", "", "12months", "grip", "8"),
        ("01", "1", "1", "pain", "3"),
    }


@pytest.mark.parametrize(
    ("path", "head"),
    [("sub-01/sub-01_sessions.tsv", "visit lems"), ("phenotype/x.tsv", "subject lems")],
)
def test_a_sheet_without_its_key_column_is_refused(tmp_path, path, head):
    put_sheet(tmp_path, path, head, "1 2")
    with pytest.raises(SheetError, match="expected column"):
        sheets_of(tmp_path)


def test_two_values_of_one_score_are_refused_and_equal_ones_are_one(tmp_path):
    put_sheet(tmp_path, "participants.tsv", "participant_id lems", "sub-01 10")
    put_sheet(tmp_path, "phenotype/x.tsv", "participant_id lems", "sub-01 10")
    assert len(sheets_of(tmp_path).scores) == 1
    put_sheet(tmp_path, "phenotype/x.tsv", "participant_id lems", "sub-01 11")
    with pytest.raises(SheetError, match="'10' and '11'"):
        sheets_of(tmp_path)


def test_who_is_listed_but_absent_and_the_reverse_is_told(tmp_path):
    site = tmp_path / "site"
    put(site, "sub-01/ses-1/anat/sub-01_ses-1_T2w.nii.gz", "sub-03/anat/sub-03_T2w.nii.gz")
    (site / "sub-04").mkdir()
    rows = ["sub-01 A", "sub-02 A", "sub-04 A", "sub-05 n/a"]
    put_sheet(site, "participants.tsv", "participant_id site", *rows)
    put_sheet(site, "sub-01/sub-01_sessions.tsv", "session_id lems", "ses-1 10", "ses-2 20")
    index = build_index(config_of(tmp_path, site))
    told = dict(zip(index.unmatched["path"], index.unmatched["reason"], strict=True))
    assert "no folder" in told["sub-02"]
    assert "no row in participants.tsv" in told["sub-03"]
    assert "without any scan" in told["sub-04"]
    assert "session in a sheet" in told["sub-01/ses-2"]
    people = index.participants.set_index("subject")
    assert people["listed"].to_dict() == {
        "01": True,
        "02": True,
        "03": False,
        "04": True,
        "05": True,
    }
    assert people["found"].to_dict() == {
        "01": True,
        "02": False,
        "03": True,
        "04": True,
        "05": False,
    }


def test_a_row_with_more_cells_than_the_head_never_shifts_the_columns(tmp_path):
    put_text(tmp_path, "participants.tsv", "participant_id\tsite\nsub-01\tA\tx\nsub-02\tB\ty\n")
    with pytest.raises(SheetError, match="tab-separated"):
        sheets_of(tmp_path)
