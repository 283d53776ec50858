"""A study that declares models or trainings of nnU-Net is refused or planned as it says."""

from __future__ import annotations

import pytest
import yaml
from cordcohort.cluster.refusals import refuse_without_nnunet
from cordcohort.config import make_config
from cordcohort.errors import ConfigError, CordcohortError
from cordcohort.nnunet import needed
from cordcohort.plan import Plan, load_plan
from unit.nnunet.folders import write_folder
from unit.training.cohorts import write_cohort

RECIPE = {
    "name": "r", "backend": "nnunet", "task": "lesion", "seed": 1, "folds": 2,
    "sources": {"cohort": [{"folder": "scans"}]},
}  # fmt: skip


@pytest.fixture
def study(tmp_path):
    write_cohort(tmp_path / "scans", ["1"], ["T2w"])
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "r.yaml").write_text(yaml.safe_dump(RECIPE))
    return tmp_path


def _content(study, external=(), training=(), models=()):
    return {
        "study": {"name": "s"},
        "datasets": [{"name": "scans", "path": "scans"}],
        "segmentation": {"models": list(models), "external_models": list(external)},
        "training": list(training),
    }


def _training(**changes):
    return {
        "name": "own", "recipe": "config/r.yaml", "backend": "nnunet", "task": "lesion",
        "sources": {"scans": "scans"}, **changes,
    }  # fmt: skip


def _entry(study, **changes):
    entry = write_folder(study / "model")
    return {**entry, "folder": "model", **changes}


def test_a_declared_folder_is_planned_with_its_structures_and_files(study):
    entry = _entry(study, contrasts=["T2w"])
    plan = load_plan(_content(study, [entry], models=["published"]), refresh=True, study_dir=study)
    assert plan.nnunet_models() == ["published"]
    assert plan.torch_models() == []
    (batch,) = plan.segmentation_batches("published")
    assert [name.rsplit("label-", 1)[1] for name in batch.outputs] == [
        "SC_seg.json", "lesion_seg.json"
    ]  # fmt: skip
    assert plan.model_source("published")["folder"] == str(study / "model")
    assert f"{study}/model/fold_0/checkpoint_final.pth" in plan.model_files("published")
    assert "published" in plan.cord_models()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"folder": "nowhere"}, r"external_models\[0\]\.folder"),
        ({"name": "cord-v1"}, "a name of its own"),
        ({"task": "tumour"}, "task"),
        ({"orientation": "up"}, "orientation"),
        ({"orientation": "XPI"}, "RPI or LPI"),
        ({"weights": "x"}, "weights"),
        ({"sha256": {"plans.json": "1" * 64, "dataset.json": "1" * 64}}, "sha256"),
        ({"sha256": {"../plans.json": "1" * 64, "a": "2", "b": "3"}}, "sha256"),
        ({"structures": {}}, "structures"),
        ({"folds": ["first"]}, "folds"),
        ({"folds": [3]}, "fold_3"),
        ({"checkpoint": "model.pth"}, "checkpoint"),
    ],
)
def test_a_wrong_declaration_is_refused_by_key_before_any_job(study, change, told):
    with pytest.raises(ConfigError, match=told):
        make_config(_content(study, [_entry(study, **change)]), study)


def test_a_declared_folder_that_changed_is_refused(study):
    entry = _entry(study)
    make_config(_content(study, [entry]), study)
    with (study / "model" / "fold_0" / "checkpoint_final.pth").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ConfigError, match="changed or damaged"):
        make_config(_content(study, [entry]), study)


def test_a_training_by_nnunet_is_planned_apart_from_the_others(study):
    content = _content(study, training=[_training()], models=["own"])
    config = make_config(content, study)
    plan = Plan(config, [])
    assert plan.trainings() == []
    (entry,) = plan.trainings("nnunet")
    assert plan.nnunet_folds(entry) == [
        f"results/training/own/nnunet/fold_{k}.json" for k in (0, 1)
    ]
    assert plan.model_files("own") == [
        f"results/models/own/{file}" for file in ("model.yaml", "plans.json", "dataset.json")
    ]
    assert plan.use("own").structures == ("cord", "lesion")


def test_an_experiment_with_such_a_recipe_trains_by_nnunet_seed_by_seed(study):
    block = {
        "name": "seeds", "recipe": "config/r.yaml", "seeds": [7, 42], "task": "lesion",
        "localiser": "", "phases": [{"add": [{"datasets": ["scans"]}]}],
    }  # fmt: skip
    plan = Plan(make_config(_content(study) | {"experiments": [block]}, study), [])
    names = [str(entry["name"]) for entry in plan.trainings("nnunet")]
    assert names == ["seeds-phase1-seed7", "seeds-phase1-seed42"]
    assert plan.trainings() == []
    assert set(names) <= set(plan.nnunet_models())


def test_a_phase_of_nnunet_that_starts_from_earlier_weights_is_refused(study):
    phases = [{"add": [{"datasets": ["scans"]}]}]
    phases.append(phases[0] | {"start": "previous"})
    block = {
        "name": "seeds", "recipe": "config/r.yaml", "seeds": [7], "task": "lesion",
        "localiser": "", "phases": phases,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"phases\[1\].start: expected fresh"):
        make_config(_content(study) | {"experiments": [block]}, study)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"backend": "torch"}, r"training\[0\]\.backend: expected nnunet"),
        ({"recipe": "cord-v1"}, "expected torch, as in cord-v1.yaml"),
        ({"task": "cord"}, r"training\[0\]\.task: expected lesion"),
        ({"localiser": "cord-v1-localiser.yaml"}, "nnU-Net looks at whole scans"),
        ({"sources": {"scans": "config"}}, "a data set of the study"),
        ({"sources": {}}, "'scans', which r.yaml names"),
    ],
)
def test_a_training_that_does_not_fit_its_recipe_is_refused(study, change, told):
    if change.get("recipe"):
        change = change | {"sources": {"atlas": "config", "masks": "config"}}
    with pytest.raises(ConfigError, match=told):
        make_config(_content(study, training=[_training(**change)]), study)


def test_a_run_without_nnunet_is_refused_unless_conda_brings_it(study, monkeypatch):
    monkeypatch.setattr(needed.importlib.util, "find_spec", lambda _: None)
    entry = _entry(study)
    unused = make_config(_content(study, [entry]), study)
    refuse_without_nnunet(unused, [])
    for wanted in (
        make_config(_content(study, [entry], models=["published"]), study),
        make_config(_content(study, training=[_training()]), study),
    ):
        refuse_without_nnunet(wanted, ["--sdm", "conda"])
        with pytest.raises(CordcohortError, match="expected nnunetv2"):
            refuse_without_nnunet(wanted, ["--cores", "1"])


def test_a_job_without_nnunet_says_how_to_have_it(monkeypatch):
    monkeypatch.setattr(needed.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(CordcohortError, match=r"pip install 'cordcohort\[nnunet\]'"):
        needed.require_nnunet()
