"""Models of several structures: who draws what on which scan, and what waits for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cordcohort import model_uses
from cordcohort import scan as paths
from cordcohort.config import make_config
from cordcohort.errors import ConfigError
from cordcohort.files import read_yaml, write_json
from cordcohort.measures.tasks import measuring_task
from cordcohort.model_uses import ModelUse, parts_of, uses_of_params
from cordcohort.plan import Plan
from cordcohort.root import workflow_root

ENTRIES = {
    "cord-v1": {"folder": "cord-v1", "weights": {}},
    "spots": {"folder": "spots", "task": "lesion", "weights": {}},
    "parts": {"folder": "parts", "task": "regions", "contrasts": ["dwi"], "weights": {}},
    "parts-fa": {"folder": "f", "task": "regions", "input": "fa", "weights": {}},
}


@pytest.fixture(autouse=True)
def in_a_folder_with_models_of_every_task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    monkeypatch.setattr(model_uses, "registered", lambda: ENTRIES)


def scan(contrast, masks=()):
    datatype = "dwi" if contrast == "dwi" else "anat"
    return {
        "dataset": "d", "subject": "01", "session": "", "acquisition": "", "run": "",
        "contrast": contrast, "folder": f"sub-01/{datatype}", "stem": f"sub-01_{contrast}",
        "datatype": datatype, "suffix": contrast, "image": f"/d/{contrast}.nii.gz",
        "image_size": 1, "status": "ok", "reason": "", "bval": "/d/a.bval", "bvec": "/d/a.bvec",
        "masks": json.dumps(list(masks)), "peers": "",
    }  # fmt: skip


def plan(rows, **segmentation):
    content = {
        "study": {"name": "t"}, "datasets": [{"name": "d", "path": "d"}],
        "segmentation": {"models": list(ENTRIES), **segmentation},
    }  # fmt: skip
    return Plan(make_config(content, Path.cwd(), check=False), rows)


def files_of(batches, part):
    return {Path(f).name for batch in batches for f in getattr(batch, part)}


T2W, DWI = scan("T2w"), scan("dwi")


def test_a_model_draws_all_its_structures_on_the_contrasts_that_the_registry_gives_it():
    study = plan([T2W, DWI])
    assert files_of(study.segmentation_batches("spots"), "outputs") == {
        "sub-01_T2w_label-SC_seg.json", "sub-01_T2w_label-lesion_seg.json",
        "sub-01_dwi_label-SC_seg.json", "sub-01_dwi_label-lesion_seg.json",
    }  # fmt: skip
    assert files_of(study.segmentation_batches("parts"), "outputs") == {
        "sub-01_dwi_label-regions_dseg.json"
    }


def test_the_config_decides_on_which_contrasts_a_model_runs():
    study = plan([T2W, DWI], contrasts={"spots": ["T2w"], "parts": ["T2w"]})
    assert files_of(study.segmentation_batches("spots"), "outputs") == {
        "sub-01_T2w_label-SC_seg.json", "sub-01_T2w_label-lesion_seg.json",
    }  # fmt: skip
    assert files_of(study.segmentation_batches("parts"), "outputs") == {
        "sub-01_T2w_label-regions_dseg.json"
    }


def test_a_model_that_sees_fa_comes_after_the_tensor_and_the_tensor_after_the_cord_alone():
    study = plan([DWI])
    assert files_of(study.segmentation_batches("parts-fa"), "inputs") == {
        "sub-01_desc-tensor_dwi.json"
    }
    followed = files_of(study.tensor_batches(), "inputs")
    assert followed == {"sub-01_dwi_label-SC_seg.json", "sub-01_dwi_label-lesion_seg.json"}
    assert study.cord_models() == ["cord-v1", "spots"]
    measured = files_of(study.measure_batches("regions"), "inputs")
    assert "sub-01_dwi_label-regions_dseg.json" in measured


def test_lesions_are_measured_wherever_somebody_draws_them():
    assert files_of(plan([T2W]).measure_batches("lesion"), "outputs")
    without = plan([T2W], contrasts={"spots": ["dwi"]})
    assert not without.measure_batches("lesion")
    part = {"method": "manual", "structure": "oedema", "kind": "seg", "status": "ok", "path": "m"}
    apart = plan([scan("T2w", [part])], contrasts={"spots": ["dwi"]})
    assert files_of(apart.measure_batches("lesion"), "outputs")


def test_a_manual_cord_mask_stands_in_for_cord_models_only():
    mask = {"method": "manual", "structure": "cord", "kind": "seg", "status": "ok", "path": "m"}
    study = plan([scan("T2w", [mask])], use_manual=["T2w"])
    assert not study.segmentation_batches("cord-v1")
    assert study.segmentation_batches("spots")


def test_masks_of_a_model_that_no_longer_takes_a_scan_are_not_measured():
    use = ModelUse("parts", "regions", ("dwi",))
    for row in (T2W, DWI):
        (record,) = (Path(p) for p in use.records(row))
        record.parent.mkdir(parents=True)
        write_json(record, {"schema": 1, "status": "failed", "reason": "r", "mask": "",
                            "structure": "regions", "method": "parts", "soft": ""})  # fmt: skip
    assert [m["kind"] for m in measuring_task("shape", DWI, [use]).masks] == ["dseg"]
    assert measuring_task("shape", T2W, [use]).masks == []


def test_uses_survive_the_way_through_the_parameters_of_a_rule():
    uses = plan([]).uses
    assert tuple(uses_of_params(json.loads(json.dumps([u.as_params() for u in uses])))) == uses


def test_a_model_with_parts_of_the_lesion_draws_them_as_its_recipe_says(tmp_path):
    recipe = {"regions": ["cord", "lesion", "oedema", "haemorrhage"]}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    about = {"name": "own", "task": "lesion", "recipe": str(tmp_path / "r.yaml")}
    use = ModelUse("own", "lesion", parts=parts_of(about))
    assert [Path(p).name for p in use.records(T2W)] == [
        "sub-01_T2w_label-SC_seg.json", "sub-01_T2w_label-lesion_seg.json",
        "sub-01_T2w_label-oedema_seg.json", "sub-01_T2w_label-haemorrhage_seg.json",
    ]  # fmt: skip
    assert uses_of_params([json.loads(json.dumps(use.as_params()))]) == [use]
    assert "parts" not in ModelUse("spots", "lesion").as_params()  # or all jobs would run again
    assert parts_of({"task": "cord", "recipe": str(tmp_path / "r.yaml")}) == ()


@pytest.mark.parametrize(
    ("contrasts", "message"),
    [({"nets": ["T2w"]}, "model of segmentation.models"), ({"cord-v1": ["T9w"]}, "contrast")],
)
def test_contrasts_of_a_model_that_is_not_used_or_do_not_exist_are_refused(contrasts, message):
    content = {
        "study": {"name": "t"}, "datasets": [{"name": "d", "path": "d"}], "contrasts": ["T2w"],
        "segmentation": {"models": ["cord-v1"], "contrasts": contrasts},
    }  # fmt: skip
    with pytest.raises(ConfigError, match=message):
        make_config(content, Path.cwd(), check=True)


def test_the_registry_names_the_localiser_the_task_and_the_input_as_the_cards_do(monkeypatch):
    monkeypatch.undo()
    for name, about in model_uses.registered().items():
        card = read_yaml(workflow_root() / "models" / about["folder"] / "model.yaml")
        assert about.get("localiser", "") == card.get("localiser", ""), name
        assert about.get("task", "cord") == card["task"], name
        if card["task"] == "regions":  # what sees FA looks where the tensor was fitted
            assert (about.get("input") == "fa") == ("localiser" not in card), name


def test_paths_of_all_structures_differ():
    stems = {paths.mask_stem(T2W, "m", s) for s in paths.MASK_SUFFIX}
    assert len(stems) == len(paths.MASK_SUFFIX)


def test_a_model_that_stands_back_behind_a_manual_mask_is_named_where_it_left_one_earlier():
    mask = {"method": "manual", "structure": "cord", "kind": "seg", "status": "ok", "path": "m"}
    rows = [scan("T2w", [mask]), DWI]
    study = plan(rows, models=["cord-v1", "spots"], use_manual=["T2w"])
    left = [study.not_drawn("shape", batch) for batch in study.measure_batches("shape")]
    found = {scan_name: names for one in left for scan_name, names in one.items()}
    assert found == {"d/sub-01/anat/sub-01_T2w": ["cord-v1"]}
    plain = plan(rows, models=["cord-v1", "spots"])
    assert not any(plain.not_drawn("shape", batch) for batch in plain.measure_batches("shape"))
