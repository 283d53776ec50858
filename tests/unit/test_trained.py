"""Models that a study trains: what is refused, what is needed, what is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from cordcohort.config import make_config
from cordcohort.errors import ConfigError
from cordcohort.plan import Plan, load_plan
from cordcohort.scan import soft_truth_record
from cordcohort.trained import model_outputs, sources_of, training_inputs
from cordcohort.trained_checks import check_trainings
from cordcohort.training.ready import made_of
from unit.bids.tree import put, put_text

RECIPE = "name: r\ntask: cord\nseed: 1\nsources:\n  cohort: [{folder: scans}]\n"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    put(tmp_path, "north/sub-01/anat/sub-01_T2w.nii.gz",
        "north/derivatives/labels/sub-01/anat/sub-01_T2w_label-SC_seg.nii.gz",
        "south/sub-02/anat/sub-02_T2w.nii.gz")  # fmt: skip
    put_text(tmp_path, "config/own.yaml", RECIPE)
    return tmp_path


def content(models=("own",), **entry) -> dict:
    filled = {"name": "own", "recipe": "config/own.yaml", "sources": {"scans": "north"}} | entry
    return {
        "study": {"name": "test"},
        "datasets": [{"name": n, "path": n} for n in ("north", "south")],
        "segmentation": {"models": list(models)},
        "training": [filled],
    }


def plan(study: Path, **keys) -> Plan:
    return load_plan(content(**keys), refresh=True, study_dir=study)


def test_a_trained_model_is_used_like_a_registered_one(study: Path) -> None:
    made = plan(study, models=["cord-v1", "own"])
    assert made.model_source("cord-v1") == "cord-v1"
    assert made.model_source("own") == "results/models/own"
    assert made.model_files("own") == model_outputs("own")
    assert len(made.segmentation_batches("own")) == 2


def test_a_training_needs_its_recipe_and_the_scans_and_masks_of_its_data_sets_alone(
    study: Path,
) -> None:
    made = plan(study)
    (entry,) = made.config.training
    names = [Path(p).name for p in training_inputs(entry, made.rows)]
    assert names == ["own.yaml", "sub-01_T2w.nii.gz", "sub-01_T2w_label-SC_seg.nii.gz"]


def test_a_training_on_series_needs_their_gradient_files_and_starts_anew_with_other_ones(
    study: Path,
) -> None:
    put(study, "north/sub-01/dwi/sub-01_dwi.nii.gz")
    for end in ("bval", "bvec"):
        put_text(study, f"north/sub-01/dwi/sub-01_dwi.{end}", "0 1000")
    made = plan(study)
    (entry,) = made.config.training
    names = {Path(p).name for p in training_inputs(entry, made.rows)}
    assert {"sub-01_dwi.bval", "sub-01_dwi.bvec"} <= names
    before = made_of(entry["recipe"], made.rows, study)
    assert made_of(entry["recipe"], made.rows, study) == before
    put_text(study, "north/sub-01/dwi/sub-01_dwi.bval", "0 800")
    assert made_of(entry["recipe"], made.rows, study) != before


def test_soft_truth_made_anew_starts_a_training_anew(study: Path) -> None:
    made = plan(study)
    before = made_of(made.config.training[0]["recipe"], made.rows, study)
    put_text(study, soft_truth_record(made.rows[0]), "{}")
    assert made_of(made.config.training[0]["recipe"], made.rows, study) != before


def test_a_study_without_training_declares_nothing(study: Path) -> None:
    config = make_config({k: v for k, v in content(models=[]).items() if k != "training"}, study)
    assert config.training == ()


def test_a_job_that_trains_reads_the_whole_index(study: Path) -> None:
    plan(study)
    made = load_plan(content(), refresh=False, jobs=[("train_own", "")], study_dir=study)
    assert len(made.rows) == 2


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "cord-v1"}, r"training\[0\]\.name: .*no model has"),
        ({"recipe": "config/missing.yaml"}, r"training\[0\]\.recipe"),
        ({"sources": {}}, r"training\[0\]\.sources: .*'scans'"),
        ({"sources": {"scans": "nowhere"}}, r"training\[0\]\.sources\.scans"),
        ({"localiser": "cord-v9"}, r"training\[0\]\.localiser.*cord-v1"),
        ({"epochs": 3}, r"training\[0\]\.epochs"),
        ({"threads": 0}, r"training\[0\]\.threads"),
    ],
)
def test_what_would_fail_hours_later_is_refused_now(study: Path, entry: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_config(content(models=[], **entry), study)


def test_a_recipe_of_soft_truth_is_refused_where_the_study_makes_none(study: Path) -> None:
    soft = RECIPE.replace("folder: scans", "folder: scans, masks: soft-truth-bin")
    put_text(study, "config/own.yaml", soft)
    made = {"images": {"soft_truth": {"make": True}}}
    (entry,) = make_config(content(models=[]) | made, study).training
    with pytest.raises(ConfigError, match=r"training\[0\]\.recipe: .*set images.soft_truth.make"):
        make_config(content(models=[]), study)
    check_trainings([entry], ["cord-v1"], makes_truth=True)
    with pytest.raises(ConfigError, match="name others"):  # it waits for what people drew alone
        check_trainings([{**entry, "experiment": {"name": "own"}}], ["cord-v1"], makes_truth=True)


def test_an_undeclared_model_is_still_refused(study: Path) -> None:
    with pytest.raises(ConfigError, match=r"segmentation\.models\[0\]"):
        make_config(content(models=["other"]), study)


def test_shipped_recipes_are_found_by_name_and_tell_their_sources(study: Path) -> None:
    entry = {"recipe": "contrast-agnostic-mini", "sources": {"cohort": "north"}}
    (found,) = make_config(content(**entry), study).training
    assert Path(found["recipe"]).name == "contrast-agnostic-mini.yaml"
    assert sources_of(found["recipe"]) == ["cohort"]


def test_the_long_table_waits_for_the_split_of_the_trained_models_that_are_used(
    study: Path,
) -> None:
    assert plan(study, models=["cord-v1", "own"]).split_files() == ["results/models/own/split.tsv"]
    assert plan(study, models=["cord-v1"]).split_files() == []
