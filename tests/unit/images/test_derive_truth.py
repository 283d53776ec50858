"""The stage of the soft ground truth: sessions, files, records, exclusions, failures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cordcohort import scan as paths
from cordcohort.cohort.exclusion import left_out_of, read_entries
from cordcohort.files import read_record, write_json
from cordcohort.images.derive_truth import make_soft_truths
from cordcohort.measures.options import MeasureOptions
from cordcohort.measures.shape import measure_shape
from cordcohort.measures.tasks import measuring_task
from cordcohort.nifti import read_mask, write_image

OPTIONS = {
    "masks": ["manual"], "reference_contrast": "T2w", "alignment": "centre_of_mass",
    "edge_mm": {}, "min_dice": 0.7,
}  # fmt: skip
GRIDS = {
    "T2w": ((44, 44, 24), (0.8, 0.8, 0.8)),
    "T1w": ((36, 36, 20), (1.0, 1.0, 1.0)),
    "T2starw": ((70, 70, 5), (0.5, 0.5, 4.0)),
}


def disc(contrast, *, radius_mm=5.0, shift_mm=0.0):
    """A round cord along z, of 78.5 mm2, on the grid of a contrast."""
    shape, spacing = GRIDS[contrast]
    x, y = np.meshgrid(*[np.arange(n) * s for n, s in zip(shape[:2], spacing, strict=False)],
                       indexing="ij")  # fmt: skip
    plane = np.hypot(x - 17.0 - shift_mm, y - 17.0) < radius_mm
    return np.repeat(plane[:, :, None], shape[2], axis=2), np.diag([*spacing, 1.0])


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Write masks of some contrasts and give their rows of the index."""
    monkeypatch.chdir(tmp_path)

    def rows(contrasts=tuple(GRIDS), subject="01", **masks):
        found = []
        for contrast in contrasts:
            stem = f"sub-{subject}_{contrast}"
            data, affine = masks.get(contrast) or disc(contrast)
            path = tmp_path / "bids" / f"{stem}_label-SC_seg.nii.gz"
            write_image(path, data, affine, dtype=np.uint8)
            mask = {"method": "manual", "structure": "cord", "kind": "seg", "path": str(path),
                    "status": "ok", "reason": ""}  # fmt: skip
            found.append({
                "dataset": "d", "subject": subject, "session": "", "acquisition": "", "run": "",
                "contrast": contrast, "datatype": "anat", "folder": f"sub-{subject}/anat",
                "stem": stem, "image": "", "status": "no_image", "reason": "", "bval": "",
                "bvec": "", "masks": json.dumps([mask]),
            })  # fmt: skip
        return found

    return rows


def by_contrast(records):
    return {record["name"]: record for record in records}


def area_mm2(scan):
    mask = read_mask(paths.soft_truth_files(scan)["soft"], kind="softseg")
    return (
        float(mask.data.sum()) * mask.voxel_mm3 / (mask.data.any((0, 1)).sum() * mask.spacing_mm[2])
    )


def test_every_scan_of_a_session_gets_the_truth_on_its_own_grid(session):
    scans = session(T1w=disc("T1w", shift_mm=2.0))
    found = by_contrast(make_soft_truths(scans, OPTIONS, {}))
    assert {name: r["status"] for name, r in found.items()} == dict.fromkeys(GRIDS, "ok")
    drawn = [disc(contrast) for contrast in GRIDS]
    mean_mm2 = np.mean([d[:, :, 0].sum() * a[0, 0] * a[1, 1] for d, a in drawn])
    for scan in scans:
        soft = read_mask(paths.soft_truth_files(scan)["soft"], kind="softseg")
        binary = read_mask(paths.soft_truth_files(scan)["mask"])
        assert soft.data.shape == GRIDS[scan["contrast"]][0]
        np.testing.assert_array_equal(binary.data, soft.data >= 0.5)
        # The end slices of a contrast are covered by fewer of the others.
        assert area_mm2(scan) == pytest.approx(mean_mm2, rel=0.02)
        assert read_record(paths.soft_truth_record(scan), 1) == found[scan["contrast"]]
    told = found["T1w"]
    assert told["registration"]["largest_shift_mm"] == pytest.approx(2.0, abs=0.1)
    assert {s["slice"] for s in told["registration"]["shifts"]} >= set(range(1, 23))
    assert [c["name"] for c in told["contrasts"]] == ["T1w", "T2starw", "T2w"]
    assert found["T2w"]["registration"] == {}


def test_records_name_no_folder_outside_of_the_study(session, tmp_path):
    scans = session(T1w=disc("T1w", radius_mm=1.6))
    Path(json.loads(scans[2]["masks"])[0]["path"]).write_bytes(b"")
    make_soft_truths(scans, OPTIONS, {})
    texts = [path.read_text() for path in (tmp_path / "results").rglob("*.json")]
    assert len(texts) == 1 + len(scans)
    assert not [text for text in texts if str(tmp_path) in text]


def test_two_runs_of_a_contrast_weigh_as_much_as_one(session):
    scans = session(("T2w", "T1w"), T1w=disc("T1w", radius_mm=6.0))
    again = scans[1] | {"run": "2", "stem": "sub-01_run-2_T1w"}
    make_soft_truths(scans, OPTIONS, {})
    once = area_mm2(scans[0])
    found = make_soft_truths([*scans, again], OPTIONS, {})
    assert {r["status"] for r in found} == {"ok"}
    assert area_mm2(scans[0]) == pytest.approx(once, rel=1e-6)


def test_sessions_are_kept_apart(session):
    scans = [*session(subject="01"), *session(subject="02", T1w=disc("T1w", radius_mm=8.0))]
    make_soft_truths(scans, OPTIONS | {"min_dice": 0.1}, {})
    assert area_mm2(scans[0]) < 0.9 * area_mm2(scans[3])


def test_a_failed_registration_is_left_out_with_its_reason_and_its_mask_can_be_looked_at(session):
    scans = session(T1w=disc("T1w", radius_mm=1.6))
    found = by_contrast(make_soft_truths(scans, OPTIONS, {}))
    assert found["T1w"]["status"] == "failed"
    assert "overlap after alignment" in found["T1w"]["reason"]
    assert [c["name"] for c in found["T2w"]["contrasts"]] == ["T2starw", "T2w"]
    assert found["T2w"]["left_out"] == [{"name": "T1w", "reason": found["T1w"]["reason"]}]
    files = paths.soft_truth_files(scans[1])
    assert Path(files["carried"]).is_file()
    assert not Path(files["soft"]).exists()
    reference = read_mask(paths.soft_truth_files(scans[0])["soft"], kind="softseg")
    assert read_mask(files["carried"], reference, kind="softseg").data.any()


def test_a_listed_registration_is_averaged_without_and_its_old_files_go(session):
    scans = session(T1w=disc("T1w", radius_mm=6.0))
    before = by_contrast(make_soft_truths(scans, OPTIONS, {}))
    with_it = area_mm2(scans[0])
    listed = [{"subject": "sub-01", "contrast": "T1w", "from": "soft_truth", "reason": "moved"}]
    left_out = left_out_of("soft_truth", read_entries(listed), scans)
    after = by_contrast(make_soft_truths(scans, OPTIONS, left_out))
    assert before["T1w"]["status"] == "ok"
    assert (after["T1w"]["status"], after["T1w"]["reason"]) == ("excluded", "moved")
    assert after["T2w"]["left_out"] == [{"name": "T1w", "reason": "moved"}]
    assert area_mm2(scans[0]) < 0.95 * with_it
    assert not any(Path(f).exists() for f in paths.soft_truth_files(scans[1]).values())


def test_without_the_reference_or_without_another_contrast_nothing_is_averaged(session):
    found = make_soft_truths(session(("T1w", "T2starw")), OPTIONS, {})
    assert {r["status"] for r in found} == {"skipped"}
    assert all("no cord mask of the reference contrast T2w" in r["reason"] for r in found)
    scans = session(("T2w", "T1w"), subject="02")
    Path(json.loads(scans[1]["masks"])[0]["path"]).write_bytes(b"")
    found = by_contrast(make_soft_truths(scans, OPTIONS, {}))
    assert found["T2w"]["status"] == "skipped"
    assert found["T2w"]["reason"] == "no other contrast of this session has a mask"
    assert found["T1w"]["status"] == "failed"
    assert found["T1w"]["reason"].startswith("manual: ")


def test_a_mask_that_cannot_be_read_fails_alone(session):
    scans = session()
    Path(json.loads(scans[1]["masks"])[0]["path"]).write_bytes(b"")
    found = by_contrast(make_soft_truths(scans, OPTIONS, {}))
    assert {n: r["status"] for n, r in found.items()} == {
        "T2w": "ok", "T2starw": "ok", "T1w": "failed",
    }  # fmt: skip
    assert found["T1w"]["reason"].startswith("manual: ")


def test_the_mask_of_a_model_is_taken_where_nobody_drew_one(session):
    scans = session()
    drawn = Path(json.loads(scans[1]["masks"])[0]["path"])
    scans[1]["masks"] = "[]"
    record = Path(paths.mask_record(scans[1], "cord-v1"))
    write_json(record, {"status": "ok", "mask": drawn.name, "reason": ""})
    drawn.rename(record.parent / drawn.name)
    found = by_contrast(make_soft_truths(scans, OPTIONS | {"masks": ["manual", "cord-v1"]}, {}))
    assert found["T1w"]["status"] == "ok"
    assert [c["method"] for c in found["T2w"]["contrasts"]] == ["cord-v1", "manual", "manual"]


def test_edges_are_given_in_mm_and_counted_in_slices_of_the_reference(session):
    scans = session(("T2w", "T1w"), T1w=disc("T1w", radius_mm=6.0))
    edge = OPTIONS | {"edge_mm": {"T1w": 4.0}}
    make_soft_truths(scans, edge, {})
    soft = read_mask(paths.soft_truth_files(scans[0])["soft"], kind="softseg").data
    ring = ((soft > 0.2) & (soft < 0.8)).any(axis=(0, 1))
    # T1w is padded by one slice of 1 mm: it reaches from -1 to 20 mm, that is slices -1 to 25
    # of 0.8 mm, less 5 at both ends.
    assert np.flatnonzero(ring).tolist() == list(range(4, 21))


def test_the_truth_is_measured_as_methods_of_its_own_and_left_out_scans_are_not(session):
    scans = session(T1w=disc("T1w", radius_mm=1.6))
    excluded = {paths.scan_id(scans[2]): "motion"}
    make_soft_truths(scans, OPTIONS | {"min_dice": 0.0}, excluded)
    rows = {}
    for scan in scans:
        task = measuring_task("shape", scan, [], soft_truth=True)
        table = measure_shape(scan, task.masks, MeasureOptions(per_slice=False))
        rows[scan["contrast"]] = table[table["statistic"] == "mean"]
    t2w = rows["T2w"].set_index(["method", "measure"])
    assert np.isfinite(t2w.loc[("soft-truth", "csa_soft_mm2"), "value"])
    assert t2w.loc[("soft-truth-bin", "csa_mm2"), "value"] > 0
    # The two masks do not have one shape: a warning, not a failure.
    assert "median overlap" in rows["T1w"].set_index(["method", "measure"]).loc[
        ("soft-truth", "csa_mm2"), "reason"
    ]  # fmt: skip
    assert set(rows["T2starw"]["method"]) == {"manual"}
    assert not [m for m in measuring_task("shape", scans[0], []).masks if m["method"] != "manual"]


def test_a_contrast_that_lies_elsewhere_needs_the_rigid_registration(session):
    scans = session(("T2w", "T1w"), T1w=disc("T1w", shift_mm=13.0))
    apart = by_contrast(make_soft_truths(scans, OPTIONS, {}))
    assert apart["T1w"]["status"] == "failed"
    assert "do not overlap before the alignment" in apart["T1w"]["reason"]
    found = by_contrast(make_soft_truths(scans, OPTIONS | {"alignment": "rigid"}, {}))
    assert found["T1w"]["status"] == "ok"
    world = np.array(found["T1w"]["registration"]["rigid"])
    assert world[0, 3] == pytest.approx(13.0, abs=1.0)
    assert found["T1w"]["registration"]["dice_before"] > 0.8
