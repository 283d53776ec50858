"""The plan of the soft ground truth: whole sessions, what depends on it, and the same on a node."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from cordcohort import scan as paths
from cordcohort.batches import bucket_of, numbers_of
from cordcohort.config import make_config
from cordcohort.files import sha256_of, write_record, write_text
from cordcohort.measures.tasks import level_labels, truth_masks
from cordcohort.nnunet.export import cases
from cordcohort.nnunet.recipe import parse_nnunet_recipe
from cordcohort.plan import Plan
from cordcohort.report.masks import masks_of_scan
from cordcohort.report.registrations import truth_record
from cordcohort.training.cohort import candidates, check_entries

CONTRASTS = ("T1w", "T2w", "MTon", "dwi")


def config_with(tmp_path, *, make=True, models=("cord-v1",), reference="manual", **truth):
    (tmp_path / "data").mkdir(exist_ok=True)
    return make_config(
        {
            "study": {"name": "s"},
            "datasets": [{"name": "d", "path": "data"}],
            "segmentation": {"models": list(models)},
            "images": {"soft_truth": {"make": make, **truth}},
            "measures": {"reference": reference, "batch_size": 6},
        },
        tmp_path,
        check=False,
    )


def row(subject, session, contrast, *, drawn=True):
    stem = f"sub-{subject}_ses-{session}_{contrast}"
    mask = {"method": "manual", "structure": "cord", "kind": "seg", "status": "ok",
            "path": f"/masks/{stem}.nii.gz", "reason": ""}  # fmt: skip
    return {
        "dataset": "d", "subject": subject, "session": session, "acquisition": "", "run": "",
        "contrast": contrast, "datatype": "dwi" if contrast == "dwi" else "anat",
        "folder": f"sub-{subject}/ses-{session}/anat", "stem": stem, "image": f"/i/{stem}.nii.gz",
        "bval": "", "bvec": "", "status": "ok", "reason": "", "image_size": 1000,
        "masks": json.dumps([mask] if drawn else []),
    }  # fmt: skip


@pytest.fixture
def rows():
    return [row(f"{s:02d}", t, c) for s in range(12) for t in "12" for c in CONTRASTS]


def test_a_session_is_never_dealt_to_two_jobs(tmp_path, rows):
    batches = Plan(config_with(tmp_path), rows).soft_truth_batches()
    assert len(batches) > 4
    job_of = {scan: batch.name for batch in batches for scan in batch.scans}
    assert len(job_of) == len(rows)
    jobs = {}
    for one in rows:
        jobs.setdefault(paths.session_id(one), set()).add(job_of[paths.scan_id(one)])
    assert all(len(found) == 1 for found in jobs.values())


def test_a_job_on_a_node_gets_the_batch_that_was_planned(tmp_path, rows):
    config = config_with(tmp_path)
    for batch in Plan(config, rows).soft_truth_batches():
        ((number, n),) = numbers_of([batch.name])
        seen = [one for one in rows if bucket_of(paths.scan_id(one), n) == number]
        own = Plan(config, seen, frozenset({batch.name}))
        assert own.soft_truth_batches() == [batch]


def test_what_measures_a_scan_waits_for_its_truth_and_nothing_else_does(tmp_path, rows):
    plan = Plan(config_with(tmp_path), rows)
    records = {paths.soft_truth_record(one) for one in rows}
    made = {file for batch in plan.soft_truth_batches() for file in batch.outputs}
    assert made == records
    for kind, waits in (("shape", True), ("agreement", True), ("regions", False)):
        read = {file for batch in plan.measure_batches(kind) for file in batch.inputs}
        assert (records <= read) is waits
    assert not records & {f for batch in plan.tensor_batches() for f in batch.inputs}


def test_without_the_key_nothing_is_planned(tmp_path, rows):
    plan = Plan(config_with(tmp_path, make=False), rows)
    assert plan.soft_truth_batches() == []
    assert not any("softseg" in f for b in plan.measure_batches("shape") for f in b.inputs)


def test_masks_come_from_people_and_from_models_that_are_named(tmp_path):
    scans = [row("01", "1", "T1w"), row("01", "1", "T2w", drawn=False)]
    (people,) = Plan(config_with(tmp_path), scans).soft_truth_batches()
    assert people.scans == [paths.scan_id(scans[0])]
    (both,) = Plan(config_with(tmp_path, masks=["manual", "cord-v1"]), scans).soft_truth_batches()
    assert len(both.scans) == 2
    assert paths.mask_record(scans[1], "cord-v1") in both.inputs


def test_rigid_registration_reads_the_scans_and_of_a_series_its_mean_image(tmp_path, rows):
    plan = Plan(config_with(tmp_path, alignment="rigid"), rows)
    read = {file for batch in plan.soft_truth_batches() for file in batch.inputs}
    series = [one for one in rows if one["contrast"] == "dwi"]
    assert {paths.image_record(one, "b0") for one in series} <= read
    assert {one["image"] for one in rows if one["contrast"] != "dwi"} <= read


@pytest.mark.parametrize("reference", ["soft-truth", "soft-truth-bin", "cord-v1", "manual"])
def test_every_method_that_draws_may_be_the_reference(tmp_path, rows, reference):
    plan = Plan(config_with(tmp_path, reference=reference), rows)
    assert sum(len(b.scans) for b in plan.measure_batches("agreement")) == len(rows)
    other = Plan(config_with(tmp_path, reference="nobody"), rows)
    assert other.measure_batches("agreement") == []


def test_an_exclusion_is_a_parameter_of_the_batches_that_it_touches_only(tmp_path, rows):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "exclude.yaml").write_text(
        "- {subject: '03', session: '1', contrast: MTon, from: soft_truth, reason: moved}\n"
        "- {subject: '04', contrast: T1w, reason: motion}\n"
        "- {subject: '05', measure: csa_mm2, reason: one measure only}\n"
    )
    plan = Plan(config_with(tmp_path), rows)
    told = {}
    for batch in plan.soft_truth_batches():
        told |= plan.left_out_of_truth(batch)
    assert {scan.split("/")[-1]: reason for scan, reason in told.items()} == {
        "sub-03_ses-1_MTon": "moved",
        "sub-04_ses-1_T1w": "motion",
        "sub-04_ses-2_T1w": "motion",
    }


def _average(scans) -> None:
    """Soft ground truths of a session, registered to its first scan, as its job leaves them."""
    for one in scans:
        record = {"status": "ok", "reason": "", "structure": "cord", "warnings": [],
                  "reference": {"scan": paths.scan_id(scans[0])},
                  "registration": {"rigid": np.eye(4).tolist()}}  # fmt: skip
        for key, path in paths.soft_truth_files(one).items():
            write_text(path, f"{key} of {one['stem']}")
            record |= {key: Path(path).name, f"{key}_sha256": sha256_of(path)}
        write_record(paths.soft_truth_record(one), {"schema": paths.RECORD_SCHEMA, **record})


def _measured(one, other) -> bool:
    return bool(truth_masks(one))


def _pictured(one, other) -> bool:
    masks = masks_of_scan(one, Path(paths.RESULTS), soft_truth=True)
    return any(mask.method == paths.SOFT_TRUTH for mask in masks)


def _listed_in_the_report(one, other) -> bool:
    return bool(truth_record(one, Path(paths.RESULTS)))


def _lends_levels(one, other) -> bool:
    peer = {**one, "labels": [{"structure": "discs"}]}
    scan = {**other, "peers": json.dumps([peer])}
    return any("world" in label for label in level_labels(scan, registered=True))


def _trained_on(one, other) -> bool:
    (entry,) = check_entries([{"folder": "d", "masks": paths.SOFT_TRUTH}])
    found = candidates(entry, [one, other])
    return not next(c.reason for c in found if c.row is one)


def _exported(one, other) -> bool:
    cohort = [{"folder": "d", "masks": paths.SOFT_TRUTH}]
    recipe = parse_nnunet_recipe({"name": "a", "backend": "nnunet", "task": "cord", "seed": 1,
                                  "sources": {"cohort": cohort}})  # fmt: skip
    chosen, _ = cases(recipe, {"d": [one, other]})
    return any(case.row is one for case in chosen)


@pytest.mark.parametrize(
    "is_read",
    [_measured, _pictured, _listed_in_the_report, _lends_levels, _trained_on, _exported],
)
def test_the_truth_of_a_scan_that_left_its_session_is_read_by_nobody(
    tmp_path, monkeypatch, is_read
):
    monkeypatch.chdir(tmp_path)
    scans = [row("01", "1", contrast) for contrast in CONTRASTS]
    reference, gone, stays = scans[:3]
    _average(scans)
    Plan(config_with(tmp_path), scans).withdraw_truths()
    assert is_read(gone, reference)
    gone |= {"masks": "[]"}
    Plan(config_with(tmp_path), scans).withdraw_truths()
    assert not is_read(gone, reference)
    assert is_read(stays, reference)
    left = sorted(path.name for path in Path(paths.RESULTS).rglob("*") if path.is_file())
    wanted = [*paths.soft_truth_files(stays).values(), paths.soft_truth_record(stays)]
    assert {Path(path).name for path in wanted} <= set(left)
    assert not [name for name in left if gone["stem"] in name]


def test_truths_stay_while_the_study_makes_none_and_where_nothing_may_be_written(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    scans = [row("01", "1", contrast, drawn=False) for contrast in CONTRASTS]
    _average(scans)
    Plan(config_with(tmp_path, make=False), scans).withdraw_truths()
    assert all(truth_masks(one) for one in scans)

    def refuses(path, **_):
        raise PermissionError(13, os.strerror(13), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuses)
        Plan(config_with(tmp_path), scans).withdraw_truths()
    assert all(truth_masks(one) for one in scans)
