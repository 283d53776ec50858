"""The plan of followed lesions: which scan is before which, whole subjects, the same on a node."""

from __future__ import annotations

import json

import pytest
from cordcohort import scan as paths
from cordcohort.batches import bucket_of, numbers_of
from cordcohort.config import make_config
from cordcohort.plan import Plan, _needs_every_row


def config_with(tmp_path, *, make=True):
    (tmp_path / "data").mkdir(exist_ok=True)
    content = {
        "study": {"name": "s"},
        "datasets": [{"name": "d", "path": "data"}],
        "segmentation": {"models": []},
        "measures": {"followups": {"make": make}, "batch_size": 4},
    }
    return make_config(content, tmp_path, check=False)


def row(subject, session, contrast="T2w", *, lesion=True):
    stem = f"sub-{subject}_ses-{session}_{contrast}"
    mask = {"method": "manual", "structure": "lesion", "kind": "seg", "status": "ok",
            "path": f"/masks/{stem}.nii.gz", "reason": ""}  # fmt: skip
    return {
        "dataset": "d", "subject": subject, "session": session, "acquisition": "", "run": "",
        "contrast": contrast, "datatype": "anat", "folder": f"sub-{subject}/ses-{session}/anat",
        "stem": stem, "image": f"/i/{stem}.nii.gz", "bval": "", "bvec": "", "status": "ok",
        "reason": "", "image_size": 1000, "masks": json.dumps([mask] if lesion else []),
    }  # fmt: skip


@pytest.fixture
def rows():
    return [row(f"{s:02d}", t) for s in range(12) for t in ("9", "10", "11")]


def test_every_scan_follows_the_one_of_the_session_before(tmp_path, rows):
    plan = Plan(config_with(tmp_path), rows)
    before = {k: v for b in plan.followup_batches() for k, v in plan.scans_before(b).items()}
    assert len(before) == 24
    for late, early in before.items():
        sessions = [name.split("_ses-")[1].split("_")[0] for name in (early, late)]
        assert sessions in (["9", "10"], ["10", "11"])


def test_a_subject_is_in_one_job_and_a_node_gets_the_same(tmp_path, rows):
    config = config_with(tmp_path)
    batches = Plan(config, rows).followup_batches()
    assert len(batches) > 1
    jobs = {}
    for batch in batches:
        for scan in batch.scans:
            jobs.setdefault(scan.split("/ses-")[0], set()).add(batch.name)
        assert not _needs_every_row("followup")
        ((number, n),) = numbers_of([batch.name])
        seen = [one for one in rows if bucket_of(paths.scan_id(one), n) == number]
        assert Plan(config, seen, frozenset({batch.name})).followup_batches() == [batch]
    assert all(len(found) == 1 for found in jobs.values())


def test_the_cohort_waits_for_both_masks_and_images(tmp_path, rows):
    plan = Plan(config_with(tmp_path), rows)
    batch = next(b for b in plan.followup_batches() if "d/sub-03" in " ".join(b.scans))
    for session in ("9", "10"):
        stem = f"sub-03_ses-{session}_T2w"
        assert {f"/masks/{stem}.nii.gz", f"/i/{stem}.nii.gz"} <= set(batch.inputs)
    assert batch.record in plan.measure_records()


def test_another_contrast_a_first_session_and_a_scan_without_lesions_are_not_followed(tmp_path):
    rows = [row("01", "1", "T1w"), row("01", "2", "T2w"), row("02", "1"),
            row("03", "1", lesion=False), row("03", "2")]  # fmt: skip
    assert Plan(config_with(tmp_path), rows).followup_batches() == []
    assert Plan(config_with(tmp_path, make=False), [row("1", "1"), row("1", "2")]
                ).followup_batches() == []  # fmt: skip
    assert paths.scan_id(rows[0]) == "d/sub-01/ses-1/anat/sub-01_ses-1_T1w"
