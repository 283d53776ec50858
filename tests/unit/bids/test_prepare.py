from __future__ import annotations

import pytest
from cordcohort.bids.copies import same_content
from cordcohort.bids.drawn_by_hand import lacking_mask_lines
from cordcohort.bids.prepare import exclusion_lines, prepare
from cordcohort.bids.score_cells import text_score_lines, time_point_lines
from cordcohort.bids.vocabulary import LEVEL_KINDS
from cordcohort.errors import ConfigError, SheetError
from cordcohort.measures.groups import PMJ_KIND
from cordcohort.measures.lesions import SAGITTAL
from cordcohort.measures.level_sources import DETECTED, SPINAL, VERTEBRAL
from cordcohort.measures.levels import VERTEBRAE
from cordcohort.scan import INDEX
from cordcohort.spinal_names import SPINAL_LEVELS
from unit.bids.tree import IMAGE, put, put_sheet, put_text


@pytest.fixture
def study(tmp_path):
    """Give a study of one site with two people, two contrasts, masks and scores."""
    root = tmp_path / "north"
    for subject in ("01", "02"):
        put(root, *(f"sub-{subject}/anat/sub-{subject}_{c}.nii.gz" for c in ("T1w", "T2w")))
        put(root, f"derivatives/labels/sub-{subject}/anat/sub-{subject}_T2w_label-SC_seg.nii.gz")
    put_sheet(root, "participants.tsv", "participant_id age", "sub-01 30", "sub-02 40")
    return tmp_path


def content(study, **keys):
    return {
        "study": {"name": "test"},
        "datasets": [{"name": "north", "path": "north"}],
        "segmentation": {"models": []},
    } | keys


def test_a_prepared_study_has_its_index_on_disk(study):
    config, index = prepare(study, content(study))
    assert (study / INDEX).is_file()
    assert len(index.scans) == 4
    assert config.datasets[0].root == study / "north"


def test_the_config_file_gives_the_same_as_its_content(study):
    text = "study: {name: test}\ndatasets: [{name: north, path: north}]\n"
    put_text(study, "config/config.yaml", text + "segmentation: {models: []}\n")
    assert prepare(study)[0].as_dict() == prepare(study, content(study))[0].as_dict()


VARIABILITY = {"name": "a", "kind": "variability", "over": "site"}
CORRELATION = {"name": "c", "kind": "correlation", "with": {"score": ["age"]}}
DIFFERENCE = {
    "name": "d", "kind": "correlation_difference", "compare": "contrast", "values": ["T1w", "T2w"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"contrasts": ["T2W"]}, r"contrasts\[0\]: .*'T2W'; did you mean T2w"),
        ({"segmentation": {"models": [], "use_manual": ["T3w"]}}, r"use_manual\[0\]: .*'T3w'"),
        (
            {"analyses": [VARIABILITY | {"select": {"contrast": "T2v"}}]},
            r"analyses\[a\].select.contrast: .*'T2v'; did you mean T2w",
        ),
        (
            {"analyses": [VARIABILITY | {"select": {"measure": "csa_mm"}}]},
            r"select.measure: .*did you mean csa_mm2",
        ),
        (
            {"analyses": [VARIABILITY | {"select": {"method": ["manual", "rater-9"]}}]},
            r"select.method: .*'rater-9'",
        ),
        (
            {"analyses": [VARIABILITY | {"select": {"contrastt": "T2w"}}]},
            r"a column of the long table or a score.*did you mean contrast",
        ),
        (
            {"analyses": [VARIABILITY | {"select": {"structure": "chord"}}]},
            r"select.structure: .*'chord'.*did you mean cord",
        ),
        (
            {"analyses": [VARIABILITY | {"select": {"level": ["C2", "C2-C33"]}}]},
            r"select.level: .*'C2-C33'.*did you mean C2-C3",
        ),
        (
            {"analyses": [VARIABILITY | {"select": {"split": "tests"}}]},
            r"select.split: .*'tests'.*did you mean test",
        ),
        (
            {"analyses": [VARIABILITY | {"select": {"level_kind": "vertebra"}}]},
            r"select.level_kind: .*did you mean vertebral",
        ),
        (
            {"analyses": [VARIABILITY | {"select": {"reference": "manuel"}}]},
            r"select.reference: .*did you mean manual",
        ),
        (
            {"analyses": [VARIABILITY | {"select": {"age": "31"}}]},
            r"select.age: .*a value of age of the study.*'31'.*among 30, 40",
        ),
        ({"analyses": [VARIABILITY | {"split_by": ["agee"]}]}, r"split_by: .*did you mean age"),
        (
            {"analyses": [{"name": "a", "kind": "correlation", "with": {"score": ["lems"]}}]},
            r"with.score: .*'lems'",
        ),
        (
            {"analyses": [DIFFERENCE | {"score": "agee"}]},
            r"analyses\[d\].score: expected a score of the study, got 'agee'; did you mean age",
        ),
        (
            {"analyses": [DIFFERENCE | {"score": ["age", "agee"]}]},
            r"analyses\[d\].score: expected a score of the study, got 'agee'; did you mean age",
        ),
        (
            {"analyses": [CORRELATION | {"covariates": ["agee"]}]},
            r"covariates: .*'agee'; did you mean age",
        ),
        (
            {"analyses": [
                {"name": "a", "kind": "group_test", "group": "agee", "test": "kruskal_wallis"},
            ]},
            r"group: .*'agee'; did you mean age",
        ),
        ({"measures": {"reference": "manuel"}}, r"measures.reference: .*did you mean manual"),
        ({"images": {"soft_truth": {"make": True, "masks": ["rater-1"]}}}, r"masks: .*'rater-1'"),
        (
            {"images": {"soft_truth": {"make": True, "reference_contrast": "T2starw"}}},
            r"soft_truth.reference_contrast: .*'T2starw'",
        ),
        (
            {"analyses": [{"name": "a", "kind": "agreement", "reference": "rater-1"}]},
            r"'rater-1'",
        ),
    ],
)  # fmt: skip
def test_a_name_that_nothing_has_is_refused_before_any_job(study, keys, words):
    with pytest.raises(ConfigError, match=words):
        prepare(study, content(study, **keys))


def test_a_column_that_is_missing_with_its_sheet_names_the_sheet(study):
    (study / "north" / "participants.tsv").unlink()
    words = r"analyses\[a\].select: .*'age'.*without participants.tsv: north"
    with pytest.raises(ConfigError, match=words):
        prepare(study, content(study, analyses=[VARIABILITY | {"select": {"age": "30"}}]))


def test_scores_may_split_an_analysis(study):
    prepare(study, content(study, analyses=[VARIABILITY | {"split_by": ["age"]}]))


def test_words_that_a_study_may_come_to_have_are_taken(study):
    select = {
        "structure": ["cord", "left_gm", "rootlets"], "level": ["", "C8", "C2-C3", "60"],
        "split": ["", "external"], "level_kind": "pmj_mm", "reference": ["", "manual"],
    }  # fmt: skip
    prepare(study, content(study, analyses=[VARIABILITY | {"select": select}]))


def test_the_words_for_levels_are_those_of_the_measures():
    assert set(LEVEL_KINDS) == {VERTEBRAL, DETECTED, SPINAL, PMJ_KIND, SAGITTAL}
    assert set(VERTEBRAE) < set(SPINAL_LEVELS)


def told_text(study, *analyses):
    config, index = prepare(study, content(study, analyses=list(analyses)))
    return text_score_lines(config, index)


def test_text_in_a_score_that_is_to_be_a_number_is_told_with_the_cells(study):
    rows = ["participant_id age sex lems", "sub-01 30 F 44", "sub-02 forty M 50", "sub-03 50 F n/a"]
    put_sheet(study / "north", "participants.tsv", *rows)
    correlation = {"name": "a", "kind": "correlation", "with": {"score": ["age"]}}
    (line,) = told_text(study, correlation)
    assert "score 'age'" in line
    assert "1 of 3 cells" in line
    assert "north/sub-02 'forty'" in line
    for of_lems in (correlation | {"with": {"score": ["lems"]}}, DIFFERENCE | {"score": "lems"}):
        assert not any("lems" in line for line in told_text(study, of_lems))
    (line, *_) = told_text(study, DIFFERENCE | {"score": ["lems", "age"]})
    assert "analysis 'd': score 'age'" in line
    (line,) = told_text(study, DIFFERENCE | {"score": "age"})
    assert "analysis 'd': score 'age'" in line
    assert "north/sub-02 'forty'; expected numbers, correct the sheet" in line
    by_age = {"name": "b", "kind": "correlation", "with": {"score": ["lems"]}}
    (line,) = told_text(study, by_age | {"covariates": ["age", "sex"]})
    assert "score 'age'" in line  # sex is of categories


def test_text_in_a_score_that_no_analysis_uses_is_told_too(study):
    rows = ["participant_id age lems ais", "sub-01 030Y 44 A", "sub-02 040Y 3,5 B"]
    put_sheet(study / "north", "participants.tsv", *rows, "sub-03 050Y 50 C")
    age, lems = told_text(study)
    assert age.startswith("score 'age', which no analysis uses: 3 of 3 cells are text")
    assert lems.startswith("score 'lems', which no analysis uses: 1 of 3 cells are text")
    assert lems.endswith(
        "north/sub-02 '3,5'; expected numbers, correct the sheet"
    )  # and grades are categories
    (lems,) = told_text(study, DIFFERENCE | {"score": "lems"})[:1]
    assert lems.startswith("analysis 'd'")


VISITS = ["session_id time_point lems", "ses-1 baseline 44", "ses-2 month_6 50"]


@pytest.mark.parametrize(
    "analysis",
    [
        CORRELATION | {"with": {"score": ["lems"], "time_point": ["baselin"]}},
        DIFFERENCE | {"score": "lems", "time_point": ["baselin"]},
    ],
)
def test_a_time_point_that_no_sheet_has_is_refused_before_any_job(study, analysis):
    put_sheet(study / "north", "sub-01/sub-01_sessions.tsv", *VISITS)
    words = r"time_point: expected a time point of lems, got 'baselin'; did you mean baseline"
    with pytest.raises(ConfigError, match=words):
        prepare(study, content(study, analyses=[analysis]))
    right = {"score": ["lems"], "time_point": ["baseline"]}
    prepare(study, content(study, analyses=[CORRELATION | {"with": right}]))


def test_a_time_point_of_scores_without_any_is_refused_with_where_to_write_it(study):
    wrong = CORRELATION | {"with": {"score": ["age"], "time_point": ["baseline"]}}
    with pytest.raises(ConfigError, match=r"remove time_point from c, or give a column time_point"):
        prepare(study, content(study, analyses=[wrong]))


def test_a_score_that_lacks_the_time_point_of_its_fellows_is_told(study):
    put_sheet(study / "north", "sub-01/sub-01_sessions.tsv", *VISITS)
    both = CORRELATION | {"with": {"score": ["lems", "age"], "time_point": ["baseline"]}}
    config, index = prepare(study, content(study, analyses=[both]))
    (line,) = time_point_lines(config, index)
    assert "score 'age' has no cell of time point baseline" in line
    assert "(it has: none)" in line


def test_time_points_of_tables_from_elsewhere_are_known(study):
    put_text(study, "t.csv", "id,area,pain\n01,70,3\n")
    table = {
        "name": "lab", "file": "t.csv", "columns": {"subject": "id"}, "time_point": "month_6",
        "measures": {"csa_mm2": {"column": "area", "unit": "mm2"}}, "scores": {"pain": "pain"},
    }  # fmt: skip
    asked = CORRELATION | {"with": {"score": ["pain"], "time_point": ["month_6"]}}
    keys = {"external_measures": [table]}
    prepare(study, content(study, analyses=[asked], **keys))
    wrong = CORRELATION | {"with": {"score": ["pain"], "time_point": ["month_12"]}}
    with pytest.raises(ConfigError, match=r"got 'month_12'; did you mean month_6"):
        prepare(study, content(study, analyses=[wrong], **keys))


SCORED = {
    "name": "s", "kind": "score_table",
    "select": {"reference": "manual", "structure": ["cord", "lesion"]},
}  # fmt: skip


def lacking(study, *analyses):
    return lacking_mask_lines(*prepare(study, content(study, analyses=list(analyses))))


def test_an_analysis_of_masks_that_nobody_drew_is_told_with_where_to_put_them(study):
    (line,) = lacking(study, SCORED)  # cords are drawn on T2w
    assert "no scan with an image has a manual lesion mask" in line
    assert "*_label-lesion_seg.nii.gz into derivatives/labels of a data set" in line
    (line,) = lacking(study, SCORED | {"select": SCORED["select"] | {"structure": "lesion"}})
    assert "which s ask for" in line
    part = "derivatives/labels/sub-01/anat/sub-01_T2w_label-oedema_seg.nii.gz"
    put(study / "north", part)  # parts of a lesion are one
    assert lacking(study, SCORED) == []
    (study / "north" / part).rename(study / "north" / part.replace("oedema", "lesion"))
    assert lacking(study, SCORED) == []
    told = lacking(study, SCORED | {"select": SCORED["select"] | {"contrast": "T1w"}})
    assert [line.split(",")[0].split()[-2] for line in told] == ["cord", "lesion"]
    assert lacking(study, VARIABILITY) == []


def test_masks_without_image_count_only_where_two_methods_drew(study):
    for image in (study / "north").glob("sub-*/anat/*.nii.gz"):
        image.unlink()
    cords = SCORED | {"select": SCORED["select"] | {"structure": "cord"}}
    (line,) = lacking(study, cords)
    assert "has a manual cord mask" in line
    folder = "derivatives/labels_rater-2/sub-01/anat"
    put(study / "north", f"{folder}/sub-01_T2w_label-SC_seg.nii.gz")
    assert lacking(study, cords) == []


def test_an_exclusion_must_match_a_scan(study):
    put_text(study, "config/exclude.yaml", "- {subject: sub-01, reason: motion}\n")
    config, _ = prepare(study, content(study))
    assert config.exclusions == ({"subject": "sub-01", "reason": "motion"},)
    put_text(study, "config/exclude.yaml", "- {subject: 03, reason: motion}\n")
    with pytest.raises(SheetError, match=r"'03'; nearest: \['0[12]'"):
        prepare(study, content(study))


def test_a_named_exclusion_list_that_is_absent_is_refused_with_the_nearest_name(study):
    put_text(study, "config/qc_decisions.yaml", "- {subject: '01', reason: motion}\n")
    assert not (study / "config" / "exclude.yaml").exists()
    prepare(study, content(study))
    with pytest.raises(ConfigError, match=r"'qc_decision.yaml'.*did you mean qc_decisions.yaml"):
        prepare(study, content(study, exclude=["qc_decision.yaml"]))
    with pytest.raises(ConfigError, match=r"'exclude.yaml'"):
        prepare(study, content(study, exclude="exclude.yaml"))


def test_each_exclusion_list_tells_how_many_scans_it_excludes(study):
    put_text(study, "config/exclude.yaml", "- {subject: '01', reason: motion}\n")
    put_text(study, "config/more.yaml", "- {measure: csa_mm2, reason: motion}\n")
    config, index = prepare(study, content(study, exclude=["exclude.yaml", "more.yaml"]))
    n, own = len(index.scans), int((index.scans["subject"] == "01").sum())
    assert 0 < own < n
    assert exclusion_lines(config, index) == [
        f"exclude.yaml: 1 entries exclude {own} of {n} scans",
        f"more.yaml: 1 entries exclude 0 of {n} scans, and a part of {n} more",
    ]


def test_an_exclusion_of_a_measure_must_name_one(study):
    put_text(study, "config/exclude.yaml", "- {measure: csa_mm2, reason: motion}\n")
    prepare(study, content(study))
    put_text(study, "config/exclude.yaml", "- {measure: csa, reason: motion}\n")
    with pytest.raises(ConfigError, match=r"exclude\[0\].measure: .*'csa'"):
        prepare(study, content(study))


def test_an_exclusion_may_name_a_table_from_elsewhere(study):
    put_text(study, "t.csv", "id,area\nx,70\n")
    table = {
        "name": "lab", "file": "t.csv", "columns": {"subject": "id"},
        "measures": {"csa_mm2": {"column": "area", "unit": "mm2"}},
    }  # fmt: skip
    put_text(study, "config/exclude.yaml", "- {dataset: lab, subject: x, reason: motion}\n")
    prepare(study, content(study, external_measures=[table]))


def test_a_qc_fail_list_is_read_as_it_is_and_unknown_names_are_told(study):
    text = "FILES_SEG:\n- sub-01_T2w_RPI_r.nii.gz\n- sub-99_T2w.nii.gz\n"
    put_text(study, "config/qc_fail.yml", text)
    put_text(study, "config/exclude.yaml", "[]\n")
    keys = {"exclude": ["exclude.yaml", "qc_fail.yml"]}
    config, index = prepare(study, content(study, **keys))
    assert [e["subject"] for e in config.exclusions] == ["01", "99"]
    told = index.unmatched[index.unmatched["dataset"] == "exclude"]
    assert "sub-99_T2w.nii.gz" in set(told["path"])
    assert told["reason"].unique().tolist() == [
        "an exclusion list names it, but the study has no such scan"
    ]


def told_copies(study):
    unmatched = prepare(study, content(study))[1].unmatched
    told = unmatched[unmatched["reason"].str.contains("byte by byte")]
    return dict(zip(told["path"], told["reason"], strict=True))


def test_one_image_under_several_names_is_told_by_name(study):
    images = [f"sub-{s}/anat/sub-{s}_{c}.nii.gz" for s in ("01", "02") for c in ("T1w", "T2w")]
    for number, image in enumerate(images):  # of one size, other in a single byte of the middle
        other = bytearray(IMAGE)
        other[len(IMAGE) // 3] = number
        put(study / "north", image, content=bytes(other))
    assert told_copies(study) == {}
    put(study / "north", images[3], content=(study / "north" / images[0]).read_bytes())
    told = told_copies(study)
    assert list(told) == [images[3]]
    assert images[0] in told[images[3]]


def test_a_lost_file_is_the_copy_of_none(tmp_path):
    row = {"dataset": "a", "status": "ok", "folder": "sub-01/anat", "image_size": 9}
    rows = [row | {"image": str(tmp_path / name)} for name in ("a.nii", "b.nii")]
    assert same_content(rows) == []


def test_a_model_limited_to_a_contrast_that_no_scan_has_is_refused(study):
    wrong = {"models": ["cord-v1"], "contrasts": {"cord-v1": ["T2star"]}}
    with pytest.raises(ConfigError, match=r"segmentation\.contrasts\.cord-v1.*contrast"):
        prepare(study, content(study, segmentation=wrong))
    right = wrong | {"contrasts": {"cord-v1": ["T2w"]}}
    prepare(study, content(study, segmentation=right))
