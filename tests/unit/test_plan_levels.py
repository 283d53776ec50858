"""In which scans discs are looked for, and what a scan's measures wait for to get levels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cordcohort import scan as paths
from cordcohort.bids.peers import add_peers
from cordcohort.config import make_config
from cordcohort.measures.tasks import level_labels
from cordcohort.plan import Plan


def scan(stem, *, datatype="anat", status="ok", masks=()):
    contrast = stem.rsplit("_", 1)[-1]
    return {
        "dataset": "d", "subject": "01", "session": "1", "acquisition": "", "run": "",
        "contrast": contrast, "folder": f"sub-01/ses-1/{datatype}", "stem": stem,
        "datatype": datatype, "suffix": contrast, "image": f"/d/{stem}.nii.gz", "image_size": 1,
        "status": status, "reason": "", "bval": "", "bvec": "", "masks": json.dumps(list(masks)),
    }  # fmt: skip


def label(structure, path="/d/labels/x.nii.gz", method="manual", kind="dlabel"):
    return {
        "method": method, "structure": structure, "kind": kind, "path": path, "status": "ok",
        "reason": "",
    }  # fmt: skip


def plan(rows, **measures):
    (Path.cwd() / "d").mkdir(exist_ok=True)
    content = {
        "study": {"name": "t"}, "datasets": [{"name": "d", "path": "d"}],
        "segmentation": {"models": ["cord-v1"]}, "measures": measures,
    }  # fmt: skip
    add_peers(rows)
    return Plan(make_config(content, Path.cwd(), check=False), rows)


def searched(the_plan):
    return [name.rsplit("/", 1)[-1] for batch in the_plan.disc_batches() for name in batch.scans]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


T1W, T2W, DWI = "sub-01_ses-1_T1w", "sub-01_ses-1_T2w", "sub-01_ses-1_dwi"


def test_discs_are_looked_for_in_images_of_anatomy_that_nobody_labelled():
    rows = [scan(T1W), scan(T2W, status="no_image"), scan(DWI, datatype="dwi")]
    assert searched(plan(rows)) == [T1W]


def test_labels_of_one_scan_spare_the_search_in_the_whole_session():
    rows = [scan(T1W), scan(T2W, masks=[label("discs")])]
    assert searched(plan(rows)) == []
    assert searched(plan(rows, levels=["discs", "detected"])) == [T1W]
    assert searched(plan(rows, levels=["vertebrae", "session", "detected"])) == [T1W, T2W]


@pytest.mark.parametrize("levels", ["none", ["discs", "vertebrae", "session", "pmj"]])
def test_without_the_source_nothing_is_looked_for(levels):
    assert searched(plan([scan(T1W)], levels=levels)) == []


def test_a_pmj_alone_does_not_spare_the_search():
    assert searched(plan([scan(T2W, masks=[label("pmj", kind="pmj")])])) == [T2W]


def test_measures_wait_for_the_discs_and_labels_of_the_session():
    rows = [scan(T1W), scan(T2W, masks=[label("pmj", "/d/labels/p.nii.gz", kind="pmj")]),
            scan(DWI, datatype="dwi")]  # fmt: skip
    for kind in ("shape", "regions"):
        files = [f for b in plan(rows).measure_batches(kind) for f in b.inputs]
        for stem in (T1W, T2W):
            assert any(f.endswith(f"{stem}_label-discs_dlabel.json") for f in files), kind
        assert "/d/labels/p.nii.gz" in files
    other = [f for b in plan(rows).measure_batches("lesion") for f in b.inputs]
    assert not any("discs" in f for f in other)
    own = [f for b in plan(rows, levels=["detected"]).measure_batches("regions") for f in b.inputs]
    assert not any("discs" in f for f in own)


def test_distances_of_spinal_levels_wait_for_a_pmj_of_the_session():
    rows = [scan(T1W, masks=[label("pmj", "/d/labels/p.nii.gz", kind="pmj")]),
            scan(T2W, masks=[label("rootlets", "/d/labels/r.nii.gz", kind="dseg")])]  # fmt: skip
    (batch,) = plan(rows).measure_batches("spinal")
    assert "/d/labels/p.nii.gz" in batch.inputs
    (batch,) = plan(rows, levels=["pmj"]).measure_batches("spinal")
    assert "/d/labels/p.nii.gz" not in batch.inputs


def test_a_scan_is_lent_the_labels_and_detected_discs_of_its_session():
    rows = [scan(T1W), scan(T2W, masks=[label("discs"), label("cord", kind="seg")])]
    add_peers(rows)
    record = Path(
        f"results/segmentation/d/discs-v1/sub-01/ses-1/anat/{T2W}_label-discs_dlabel.json"
    )
    record.parent.mkdir(parents=True)
    content = {"mask": "m.nii.gz", "status": "ok", "reason": "", "confidence": 0.7}
    record.write_text(json.dumps(content))
    (record.parent / "m.nii.gz").write_bytes(b"")
    lent = level_labels(rows[0])
    assert [(m["structure"], m["method"], m["of"]) for m in lent] == [
        ("discs", "manual", T2W), ("discs", "discs-v1", T2W),
    ]  # fmt: skip
    assert lent[1]["path"] == str(record.parent / "m.nii.gz")
    assert [(m["confidence"], "of" in m) for m in level_labels(rows[1])] == [(0.7, False)]


def registered(row, reference, rigid):
    """Record of the soft ground truth with the registration of one scan."""
    path = Path(paths.soft_truth_record(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {} if rigid is None else {"rigid": rigid}
    content = {"schema": 1, "reference": {"scan": reference}, "registration": told}
    path.write_text(json.dumps(content))


def turned(degrees, shift):
    """A rigid motion about x with a shift."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    out = np.eye(4)
    out[1:3, 1:3] = [[c, -s], [s, c]]
    out[:3, 3] = shift
    return out


def test_registrations_to_one_reference_lead_from_scan_to_scan():
    rows = [scan(T1W), scan(T2W, masks=[label("discs")]), scan(DWI, datatype="dwi")]
    add_peers(rows)
    reference = paths.scan_id(rows[1])
    to_t1w, to_dwi = turned(5, (1, 2, 3)), turned(-7, (0, 4, -6))
    registered(rows[0], reference, to_t1w.tolist())
    registered(rows[1], reference, None)
    registered(rows[2], reference, to_dwi.tolist())
    (lent,) = level_labels(rows[0], registered=True)
    assert np.allclose(lent["world"], to_t1w)
    rows[0]["masks"], rows[1]["masks"] = rows[1]["masks"], "[]"
    add_peers(rows)
    (lent,) = level_labels(rows[2], registered=True)
    point = np.array([3.0, -2.0, 40.0, 1.0])  # of the reference
    assert np.allclose(np.array(lent["world"]) @ to_t1w @ point, to_dwi @ point)
    assert "world" not in level_labels(rows[2])[0]


def test_a_scan_that_was_not_registered_is_carried_by_its_header():
    rows = [scan(T1W), scan(T2W, masks=[label("discs")])]
    add_peers(rows)
    assert "world" not in level_labels(rows[0], registered=True)[0]
    registered(rows[0], paths.scan_id(rows[1]), None)
    registered(rows[1], paths.scan_id(rows[1]), None)
    assert "world" not in level_labels(rows[0], registered=True)[0]
