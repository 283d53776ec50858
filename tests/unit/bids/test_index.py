from __future__ import annotations

import json
import os

import pytest
from cordcohort.bids.index import (
    INDEX_COLUMNS,
    build_index,
    masks_of,
    read_index,
    read_rows,
    unreadable,
    write_index,
)
from cordcohort.errors import ConfigError, SheetError
from cordcohort.scan import INDEX, scan_id
from unit.bids.tree import POINTER, config_of, put, put_json, put_sheet, put_text


@pytest.fixture
def site(tmp_path):
    return tmp_path / "site"


def index_of(tmp_path, *roots, **keys):
    return build_index(config_of(tmp_path, *roots, **keys))


def reasons(index):
    return dict(zip(index.unmatched["path"], index.unmatched["reason"], strict=True))


def methods(index):
    masks = masks_of(index.scans)
    return set(zip(masks["structure"], masks["method"], masks["kind"], strict=True))


def test_subjects_with_and_without_sessions_may_stand_side_by_side(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T2w.nii.gz", "sub-02/ses-1/anat/sub-02_ses-1_T2w.nii.gz")
    put(site, "sub-02/ses-2/dwi/sub-02_ses-2_dwi.nii.gz", "sub-02/ses-2/dwi/sub-02_ses-2_dwi.bval")
    scans = index_of(tmp_path, site).scans
    assert list(scans.columns) == INDEX_COLUMNS
    assert scans["session"].tolist() == ["", "1", "2"]
    assert scans["folder"].tolist() == ["sub-01/anat", "sub-02/ses-1/anat", "sub-02/ses-2/dwi"]
    assert scans["datatype"].tolist() == ["anat", "anat", "dwi"]
    assert scans["bval"].tolist()[2].endswith("sub-02_ses-2_dwi.bval")
    assert scans["bvec"].tolist() == ["", "", ""]
    assert scans["stem"].tolist()[0] == "sub-01_T2w"
    assert (scans["status"] == "ok").all()


def test_runs_and_acquisitions_are_scans_of_their_own(tmp_path, site):
    names = ["run-1_T2w", "run-2_T2w", "acq-ax_T2w", "acq-sag_run-1_T2w", "T2w"]
    put(site, *(f"sub-01/anat/sub-01_{name}.nii.gz" for name in names))
    scans = index_of(tmp_path, site).scans
    assert len(scans) == 5
    assert set(zip(scans["acquisition"], scans["run"], strict=True)) == {
        ("", "1"), ("", "2"), ("ax", ""), ("sag", "1"), ("", ""),
    }  # fmt: skip


def test_labels_with_leading_zeros_stay_text(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T2w.nii.gz", "sub-1/anat/sub-1_T2w.nii.gz")
    put(site, "sub-1e5/anat/sub-1e5_T2w.nii.gz", "sub-no/anat/sub-no_T2w.nii.gz")
    put_sheet(site, "participants.tsv", "participant_id site", *(f"sub-{s} x" for s in ("01", "1")))
    index = index_of(tmp_path, site)
    write_index(index, tmp_path)
    assert read_index(tmp_path).scans["subject"].tolist() == ["01", "1", "1e5", "no"]


def test_two_data_sets_may_use_one_subject_label_for_two_people(tmp_path):
    roots = [tmp_path / "a", tmp_path / "b"]
    for root in roots:
        put(root, "sub-01/anat/sub-01_T2w.nii.gz")
    scans = index_of(tmp_path, *roots).scans
    assert scans["dataset"].tolist() == ["a", "b"]
    assert scans["person"].tolist() == ["a-01", "b-01"]
    assert len({scan_id(row) for row in scans.to_dict("records")}) == 2


def test_a_travelling_person_is_one_person_under_several_labels(tmp_path):
    roots = [tmp_path / "a", tmp_path / "b"]
    for root, label in zip(roots, ("01", "07"), strict=True):
        put(root, f"sub-{label}/anat/sub-{label}_T2w.nii.gz", "sub-09/anat/sub-09_T2w.nii.gz")
        rows = [f"sub-{label} traveller", "sub-09 n/a"]
        put_sheet(root, "participants.tsv", "participant_id person_id", *rows)
    scans = index_of(tmp_path, *roots).scans
    assert scans["person"].tolist() == ["traveller", "a-09", "traveller", "b-09"]


def test_field_strengths_are_told_by_the_sidecars_of_each_session(tmp_path, site):
    told = {
        "01/ses-1": {"MagneticFieldStrength": 2.89362},
        "01/ses-2": {"MagneticFieldStrength": "1.5"},
        "02": {"MagneticFieldStrength": 30000}, "03": {"MagneticFieldStrength": [3]}, "04": {},
        "05": {"MagneticFieldStrength": True}, "06": [3.0], "07": {"MagneticFieldStrength": -3},
    }  # fmt: skip
    for folder, content in told.items():
        stem = f"sub-{folder}".replace("/", "_")
        put(site, f"sub-{folder}/anat/{stem}_T2w.nii.gz")
        put_json(site, f"sub-{folder}/anat/{stem}_T2w.json", content)
    put(site, "sub-04/anat/sub-04_T1w.nii.gz", "sub-08/anat/sub-08_T1w.nii.gz")
    put_json(site, "sub-04/anat/sub-04_T1w.json", {"MagneticFieldStrength": 7})
    put_text(site, "sub-08/anat/sub-08_T1w.json", "{")
    people = index_of(tmp_path, site).participants
    found = dict(zip(people["subject"], people["field_strength"], strict=True))
    assert found == {"01": "1.5, 2.89362", "04": "7"} | dict.fromkeys(
        ("02", "03", "05", "06", "07", "08"), ""
    )


def test_site_and_vendor_come_from_the_sheet_then_the_config_then_the_sidecar(tmp_path, site):
    for subject in ("01", "02", "03"):
        put(site, f"sub-{subject}/anat/sub-{subject}_T2w.nii.gz")
    put_json(site, "sub-03/anat/sub-03_T2w.json", {"Manufacturer": "SIEMENS"})
    rows = ["sub-01 north GE", "sub-02 n/a n/a", "sub-03 south n/a"]
    put_sheet(site, "participants.tsv", "participant_id site manufacturer", *rows)
    scans = index_of(tmp_path, site).scans
    assert scans["site"].tolist() == ["north", "", "south"]
    assert scans["vendor"].tolist() == ["GE", "", "Siemens"]
    scans = index_of(tmp_path, site, dataset={"site": "west", "vendor": "Philips"}).scans
    assert scans["site"].tolist() == ["north", "west", "south"]
    assert scans["vendor"].tolist() == ["GE", "Philips", "Philips"]


@pytest.mark.parametrize("rows", [(), ("sub-02 north", "sub-03 n/a")])
def test_who_has_no_row_is_of_the_data_sets_site_and_a_cell_n_a_stays_unknown(tmp_path, site, rows):
    put(site, *(f"sub-{s}/anat/sub-{s}_T2w.nii.gz" for s in ("01", "02", "03")))
    put_sheet(site, "participants.tsv", "participant_id site", *rows)
    found = index_of(tmp_path, site).scans["site"].tolist()
    assert found == (["site", "north", ""] if rows else ["site"] * 3)
    given = index_of(tmp_path, site, dataset={"site": "west"}).scans["site"].tolist()
    assert given == ["west", "north" if rows else "west", "west"]


def test_without_a_sheet_the_data_set_is_the_site(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T2w.nii.gz")
    index = index_of(tmp_path, site)
    assert index.scans["site"].tolist() == ["site"]
    assert "no participants.tsv" in reasons(index)["participants.tsv"]


@pytest.mark.parametrize(
    ("folder", "name", "expected"),
    [
        ("labels", "T2w_label-SC_seg", ("cord", "manual", "seg")),
        ("labels", "T2w_seg-manual", ("cord", "manual", "seg")),
        ("labels", "T2w_label-SC_seg_rater-2", ("cord", "rater-2", "seg")),
        ("labels_rater-2", "T2w_label-SC_seg", ("cord", "rater-2", "seg")),
        ("labels_softseg", "T2w_label-SC_softseg", ("cord", "softseg", "softseg")),
        ("labels_softseg_bin", "T2w_desc-softseg_label-SC_seg", ("cord", "softseg_bin", "seg")),
        ("labels", "desc-x_T2w_label-SC_seg", ("cord", "desc-x", "seg")),
        ("labels", "T2w_pmj", ("pmj", "manual", "pmj")),
        ("toolbox", "T2w_seg", ("cord", "theirs", "seg")),
    ],
)
def test_masks_are_found_under_every_name_and_joined_to_their_image(
    tmp_path, site, folder, name, expected
):
    put(site, "sub-01/anat/sub-01_T2w.nii.gz")
    put(site, f"derivatives/{folder}/sub-01/anat/sub-01_{name}.nii.gz")
    external = {"external": {"theirs": "derivatives/toolbox"}} if folder == "toolbox" else {}
    index = index_of(tmp_path, site, dataset=external)
    assert methods(index) == {expected}
    assert len(index.scans) == 1
    assert index.scans["status"].tolist() == ["ok"]


def test_other_label_folders_are_named_by_the_config(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T2w.nii.gz")
    put(site, "derivatives/masks/sub-01/anat/sub-01_T2w_label-SC_seg.nii.gz")
    put(site, "derivatives/masks_rater-2/sub-01/anat/sub-01_T2w_label-SC_seg.nii.gz")
    index = index_of(tmp_path, site, dataset={"labels": "derivatives/masks"})
    assert {m for _, m, _ in methods(index)} == {"manual", "rater-2"}
    index = index_of(tmp_path, site)
    assert "name it under `external`" in reasons(index)["derivatives/masks"]


def test_a_mask_without_its_image_is_a_scan_without_an_image(tmp_path, site):
    put(site, "derivatives/labels/sub-01/ses-1/anat/sub-01_ses-1_T2star_label-GM_seg.nii.gz")
    put_json(site, "sub-01/ses-1/anat/sub-01_ses-1_T2star.json", {"Manufacturer": "GE"})
    row = index_of(tmp_path, site).scans.iloc[0]
    assert (row["status"], row["contrast"], row["stem"]) == (
        "no_image", "T2starw", "sub-01_ses-1_T2star",
    )  # fmt: skip
    assert (row["image"], row["vendor"]) == ("", "GE")
    assert row["image_size"] is row["image_size"] or row.isna()["image_size"]


def test_a_sidecar_whose_image_is_missing_is_told(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T2w.nii.gz", "sub-01/anat/sub-01_run-1_T1w.nii.gz")
    put_json(site, "sub-01/anat/sub-01_T1w.json", {})  # inherited by run-1, so not missing
    put_json(site, "sub-01/anat/sub-01_T2starw.json", {})
    index = index_of(tmp_path, site)
    assert len(index.scans) == 2
    assert reasons(index)["sub-01/anat/sub-01_T2starw.json"] == "its image is missing"


def test_a_sidecar_at_the_root_holds_for_every_image_of_its_suffix(tmp_path, site):
    put(site, "sub-01/dwi/sub-01_dwi.nii.gz", "dwi.bval", "dwi.bvec")
    row = index_of(tmp_path, site).scans.iloc[0]
    assert row["bval"] == str(site / "dwi.bval")
    assert row["bvec"] == str(site / "dwi.bvec")


@pytest.mark.parametrize(
    "where", ["sub-01/anat/sub-01_T2w", "derivatives/labels/sub-01/anat/sub-01_T2w_seg"]
)
@pytest.mark.parametrize(
    ("content", "code"),
    [(POINTER, "pointer"), (b"", "empty"), (b"short", "truncated"), (None, "missing")],
)
def test_what_cannot_be_an_image_has_failed_before_anything_reads_it(
    tmp_path, site, where, content, code
):
    put(site, "sub-01/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-01_T2w.nii.gz")
    file = site / f"{where}.nii.gz"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    if content is None:
        file.symlink_to(site / ".git/annex/objects/not-here.nii.gz")
    else:
        file.write_bytes(content)
    bad = unreadable(index_of(tmp_path, site).scans)
    assert bad["file"].tolist() == [file.name]
    assert bad["reason"].iloc[0].startswith(f"[{code}] ")


def test_a_link_to_an_image_is_an_image(tmp_path, site):
    put(tmp_path, "store/x.nii.gz")
    (site / "sub-01/anat").mkdir(parents=True)
    (site / "sub-01/anat/sub-01_T2w.nii.gz").symlink_to(tmp_path / "store/x.nii.gz")
    assert index_of(tmp_path, site).scans["status"].tolist() == ["ok"]


def test_the_same_scan_in_both_formats_is_one_scan_and_is_flagged(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T2w.nii", "sub-01/anat/sub-01_T2w.nii.gz")
    index = index_of(tmp_path, site)
    row = index.scans.iloc[0]
    assert len(index.scans) == 1
    assert row["image"].endswith(".nii.gz")
    assert "both .nii and .nii.gz" in row["reason"]
    assert "sub-01/anat/sub-01_T2w.nii" in reasons(index)


def test_two_names_of_one_scan_are_told(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T2star.nii.gz", "sub-01/anat/sub-01_T2starw.nii.gz")
    index = index_of(tmp_path, site)
    assert len(index.scans) == 1
    assert "the same scan as sub-01_T2star" in reasons(index)["sub-01/anat/sub-01_T2starw.nii.gz"]


def test_of_two_masks_of_one_thing_the_current_name_is_used(tmp_path, site):
    folder = "derivatives/labels/sub-01/anat/sub-01_T2w"
    put(site, f"{folder}_seg-manual.nii.gz", f"{folder}_label-SC_seg.nii.gz")
    index = index_of(tmp_path, site)
    assert masks_of(index.scans)["path"].str.endswith("label-SC_seg.nii.gz").tolist() == [True]
    assert f"{folder}_seg-manual.nii.gz" in reasons(index)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("sub-a;touch x/anat/sub-a_T2w.nii.gz", "subject label"),
        ("sub-01/ses-a b/anat/sub-01_T2w.nii.gz", "session label"),
        ("sub-01/anat/sub-02_T2w.nii.gz", "another subject"),
        ("sub-01/anat/sub-01_ses-1_T2w.nii.gz", "another subject or session"),
        ("sub-01/anat/sub-01_acq-a.b_T2w.nii.gz", "not a BIDS entity"),
        ("sub-01/anat/sub-01_T2w_label-SC_seg.nii.gz", "label folder"),
        ("sub-01/anat/sub-01_xyz.nii.gz", "no known contrast"),
        ("sub-01/anat/sub-01_dwi.nii.gz", "does not belong in anat"),
        ("sub-01/dwi/sub-01_T2w.nii.gz", "does not belong in dwi"),
        ("sub-01/sub-01_T2w.nii.gz", "outside of an anat or dwi folder"),
        ("sub-01/func/sub-01_bold.nii.gz", "folder 'func' is not read"),
        ("derivatives/labels/sub-01/anat/sub-01_T2w_label-XX_seg.nii.gz", "is not known"),
        ("derivatives/labels/sub-01/anat/sub-01_T2w.nii.gz", "is not known"),
        (
            "derivatives/labels/sub-01/anat/sub-01_space-T1w_T2w_label-SC_seg.nii.gz",
            "another space",
        ),
        ("derivatives/labels/sub-<b>/anat/sub-01_T2w_seg.nii.gz", "subject label"),
    ],
)
def test_what_is_not_matched_is_told_with_the_reason(tmp_path, site, path, words):
    put(site, "sub-99/anat/sub-99_T2w.nii.gz", path)
    index = index_of(tmp_path, site)
    assert index.scans["subject"].tolist() == ["99"]
    assert sum(words in reason for reason in index.unmatched["reason"]) == 1


@pytest.mark.parametrize("name", [b"sub-01_\xff_T2w", b"sub-01_a\nb_T2w", b"sub-01_\x1b[31m_T2w"])
def test_names_that_no_table_or_terminal_can_show_are_written_out(tmp_path, site, name):
    put(site, "sub-01/anat/sub-01_T1w.nii.gz")
    with open(os.fsencode(site / "sub-01/anat") + b"/" + name + b".nii.gz", "wb") as handle:
        handle.write(b"x")
    index = index_of(tmp_path, site)
    write_index(index, tmp_path)
    assert read_index(tmp_path).unmatched["path"].tolist() == index.unmatched["path"].tolist()
    assert all(path.isprintable() for path in index.unmatched["path"])


def test_a_folder_or_a_broken_link_in_the_place_of_data_is_told(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T1w.nii.gz")
    (site / "sub-01/anat/sub-01_T2w.nii.gz").mkdir()
    (site / "sub-02").symlink_to(tmp_path / "nowhere")
    index = index_of(tmp_path, site)
    assert unreadable(index.scans)["file"].tolist() == ["sub-01_T2w.nii.gz"]
    assert "broken link" in reasons(index)["sub-02"]


def test_raw_data_is_at_the_root_only(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T2w.nii.gz", "sourcedata/sub-02/anat/sub-02_T2w.nii.gz")
    put(site, ".git/sub-03/anat/sub-03_T2w.nii.gz", "code/x.nii.gz")
    assert index_of(tmp_path, site).scans["subject"].tolist() == ["01"]


def test_contrasts_that_the_study_does_not_want_are_left_out(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T2w.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz")
    put(site, "derivatives/labels/sub-01/anat/sub-01_T1w_label-SC_seg.nii.gz")
    index = index_of(tmp_path, site, contrasts=["T2w"])
    assert index.scans["contrast"].tolist() == ["T2w"]
    assert sum("not among the `contrasts`" in r for r in index.unmatched["reason"]) == 2


@pytest.mark.parametrize("make", ["nothing", "no subject"])
def test_a_folder_that_is_no_data_set_is_refused(tmp_path, site, make):
    site.mkdir()
    if make == "no subject":
        put(site, "anat/T2w.nii.gz")
    with pytest.raises(ConfigError, match=r"datasets\[0\].path: expected a BIDS folder"):
        index_of(tmp_path, site)


def test_a_mask_that_its_sidecar_calls_automatic_is_not_manual(tmp_path, site):
    folder = "derivatives/labels/sub-01/anat/sub-01_T2w_label"
    put(site, f"{folder}-SC_seg.nii.gz", f"{folder}-GM_seg.nii.gz", f"{folder}-CSF_seg.nii.gz")
    put_json(site, f"{folder}-SC_seg.json", {"Manual": False})
    put_json(site, f"{folder}-GM_seg.json", {"Manual": "unknown"})
    put_text(site, f"{folder}-CSF_seg.json", "{not json")
    found = {(s, m) for s, m, _ in methods(index_of(tmp_path, site))}
    assert found == {("cord", "automatic"), ("gm", "manual"), ("csf", "manual")}


def test_an_unchanged_study_leaves_its_index_untouched(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T2w.nii.gz")
    assert write_index(index_of(tmp_path, site), tmp_path)
    before = (tmp_path / INDEX).stat().st_mtime_ns
    assert not write_index(index_of(tmp_path, site), tmp_path)
    assert (tmp_path / INDEX).stat().st_mtime_ns == before
    os.utime(site / "sub-01/anat/sub-01_T2w.nii.gz", ns=(1, 1))
    assert write_index(index_of(tmp_path, site), tmp_path)


def test_the_index_comes_back_as_it_was_written(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T2w.nii.gz")
    put(site, "derivatives/labels/sub-01/anat/sub-01_T2w_label-SC_seg.nii.gz", "sub-01/x.nii")
    put_sheet(site, "participants.tsv", "participant_id age", "sub-01 30")
    index = index_of(tmp_path, site)
    write_index(index, tmp_path)
    again = read_index(tmp_path)
    for name in ("scans", "scores", "participants", "unmatched"):
        assert getattr(again, name).equals(getattr(index, name)), name


def test_a_job_reads_its_rows_by_name_in_order(tmp_path, site):
    put(site, "sub-01/anat/sub-01_T2w.nii.gz", "sub-02/anat/sub-02_T2w.nii.gz")
    write_index(index_of(tmp_path, site), tmp_path)
    names = ["site/sub-02/anat/sub-02_T2w", "site/sub-01/anat/sub-01_T2w"]
    rows = read_rows(names, tmp_path)
    assert [scan_id(row) for row in rows] == names
    assert isinstance(rows[0]["image_size"], int)
    with pytest.raises(SheetError, match="sub-03"):
        read_rows(["site/sub-03/anat/sub-03_T2w"], tmp_path)


def test_reading_a_missing_index_says_how_to_make_it(tmp_path):
    with pytest.raises(SheetError, match="cordcohort check"):
        read_index(tmp_path)


def test_masks_are_kept_as_sorted_json(tmp_path, site):
    folder = "derivatives/labels/sub-01/anat/sub-01_T2w_label"
    put(site, f"{folder}-SC_seg.nii.gz", f"{folder}-GM_seg.nii.gz")
    masks = json.loads(index_of(tmp_path, site).scans["masks"].iloc[0])
    assert [m["structure"] for m in masks] == ["cord", "gm"]
    assert set(masks[0]) == {
        "method", "structure", "kind", "path", "size", "mtime_ns", "status", "reason",
    }  # fmt: skip


def test_order_of_files_on_disk_does_not_matter(tmp_path):
    stems = [f"sub-{n:02d}/anat/sub-{n:02d}_T2w.nii.gz" for n in range(5)]
    for name, order in (("a", stems), ("b", stems[::-1])):
        put(tmp_path / name / "site", *order)
    first, second = (index_of(tmp_path, tmp_path / n / "site").scans for n in ("a", "b"))
    assert first["stem"].tolist() == second["stem"].tolist()


# Exact counts in public data (see the fixture); masks as (structure, method): number.
REAL = {
    "gmchallenge": (14, {"no_image": 4, "ok": 10}, {("cord", "manual"): 9, ("gm", "manual"): 9}),
    "manual-masks": (26, {"no_image": 26}, {("cord", "manual"): 26, ("csf", "manual"): 9}),
    "sct-example": (4, {"ok": 4}, {("cord", "desc-thresholded"): 1}),
    "sct-testing": (
        3, {"ok": 3}, {("cord", "manual"): 1, ("cord", "automatic"): 2, ("gm", "manual"): 1},
    ),
    "sct-tutorial": (8, {"ok": 8}, {("cord", "manual"): 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_data_sets_are_found_to_the_last_file(tmp_path, shared_data, name):
    n_scans, statuses, masks = REAL[name]
    index = index_of(tmp_path, shared_data / name)
    found = masks_of(index.scans).groupby(["structure", "method"]).size().to_dict()
    assert len(index.scans) == n_scans
    assert index.scans["status"].value_counts().to_dict() == statuses
    assert found == masks
    assert index.unmatched.empty


def test_real_sites_and_vendors_are_known(tmp_path, shared_data):
    index = index_of(tmp_path, shared_data / "manual-masks")
    assert index.scans["site"].nunique() == 8
    assert index.scans["subject"].nunique() == 9
    by_vendor = index.participants["vendor"].value_counts().to_dict()
    assert by_vendor == {"Siemens": 7, "GE": 1, "Philips": 1}
