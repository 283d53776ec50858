"""Ranking, the correction folder, and corrected masks: taken, refused, unchanged."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cordcohort.errors import ConfigError
from cordcohort.experiments.corrected_table import corrected_table
from cordcohort.experiments.declared import Experiment
from cordcohort.experiments.export import EXPORTED, KEPT, edited_files, export_for_correction
from cordcohort.experiments.scans import candidates
from cordcohort.experiments.uncertainty import disagreement, uncertainty
from cordcohort.files import sha256_of, write_record
from cordcohort.scan import RECORD_SCHEMA, Row, mask_record, scan_id
from cordcohort.table import read_tsv
from hypothesis import given
from hypothesis import strategies as st
from unit.experiments.study import (
    DECLARED,
    SEEDS,
    SHAPE,
    SPACING_MM,
    correct,
    declared,
    experiment_in,
    opened,
    write_study,
)
from unit.training.cohorts import put


def drawn(size: int, shift: int = 0) -> np.ndarray:
    """A cord of ``size`` by 4 voxels in every slice."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[8 + shift : 8 + shift + size, 8:12] = 1
    return mask


def put_drawn(
    study: Path, row: Row, seed: int, mask: np.ndarray | None, soft=None, *, structure="cord"
) -> None:
    """Write what a seed of phase 1 drew of a scan, as the segmentation does."""
    path = study / mask_record(row, f"own-phase1-seed{seed}", structure)
    record = {"schema": RECORD_SCHEMA, "status": "no_cord", "reason": "", "mask": "", "soft": "",
              "structure": structure}  # fmt: skip
    if mask is not None:
        record["status"] = "ok"
        for key, end, data in (("mask", "seg", mask), ("soft", "softseg", soft)):
            if data is not None:
                file = path.with_name(f"{path.stem.removesuffix('seg')}{end}.nii.gz")
                put(file, data, SPACING_MM)
                record |= {key: file.name, f"{key}_sha256": sha256_of(file)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, record)


Drawn = dict[str, tuple[np.ndarray | None, np.ndarray | None]]
TWO: Drawn = {
    "n1": (drawn(4), drawn(4)),  # agree
    "n2": (drawn(4), drawn(4, 1)),  # share three of four columns
    "n3": (drawn(4), None),  # one seed finds nothing
    "n4": (None, None),  # nobody finds anything
    "n5": (drawn(4), drawn(4, 2)),  # share a half
}


@pytest.fixture
def study(tmp_path) -> Path:
    write_study(tmp_path)
    for row in ranked_scans(tmp_path)[1]:
        for seed, mask in zip(SEEDS, TWO[row["subject"]], strict=True):
            put_drawn(tmp_path, row, seed, mask)
    return tmp_path


def ranked_scans(study: Path, experiment=None) -> tuple[Experiment, list[Row]]:
    config, rows = opened(study, experiment)
    found = experiment_in(config)
    return found, candidates(found, found.phase(2), rows)


def export(study: Path, experiment=None) -> tuple[dict, Path]:
    found, scans = ranked_scans(study, experiment)
    return export_for_correction(found, 2, scans, study), study / found.folder(2)


def test_disagreement_and_entropy_rank_the_scans_as_worked_out_by_hand(study):
    _, folder = export(study)
    table = read_tsv(folder / "ranks.tsv").set_index("subject")
    assert table.index.tolist() == ["n3", "n4", "n5", "n2", "n1"]
    # Two masks of n voxels that share m: 1 - Dice = 1 - m/n, and 2n - 2m of 2n - m voxels are open.
    for person, share in (("n2", 3 / 4), ("n5", 1 / 2), ("n1", 1.0)):
        apart, unsure = 1 - share, (2 - 2 * share) / (2 - share)
        row = table.loc[person, ["disagreement_cord", "uncertainty_cord", "score"]].astype(float)
        assert row.tolist() == pytest.approx([apart, unsure, (apart + unsure) / 2], abs=1e-12)
    assert table["score"].astype(float)[["n3", "n4"]].tolist() == [1.0, 1.0]
    assert table["chosen"].tolist() == ["yes"] * 3 + ["no"] * 2
    assert "1 of 2 drew none" in table.loc["n3", "reason"]
    assert table.loc["n4", "reason"] == "no seed drew any cord"


@given(st.lists(st.lists(st.floats(0, 1), min_size=6, max_size=6), min_size=2, max_size=4))
def test_both_numbers_are_shares_and_forget_the_order_of_the_seeds(fractions):
    soft = [np.array(one) for one in fractions]
    hard = [one >= 0.5 for one in soft]
    for number, parts in ((disagreement, hard), (uncertainty, soft)):
        assert -1e-12 <= number(parts) <= 1 + 1e-12
        assert number(parts) == pytest.approx(number(parts[::-1]), abs=1e-12)
    assert disagreement(hard[:1] * 2) == 0.0


def test_what_all_seeds_are_unsure_of_alike_is_seen_in_the_soft_masks(study):
    row = next(r for r in ranked_scans(study)[1] if r["subject"] == "n1")
    for seed in SEEDS:
        put_drawn(study, row, seed, drawn(4), np.where(drawn(4), 0.6, 0.0).astype(np.float32))
    table = read_tsv(export(study)[1] / "ranks.tsv").set_index("subject")
    assert float(table.loc["n1", "disagreement_cord"]) == 0.0
    entropy = -(0.6 * np.log2(0.6) + 0.4 * np.log2(0.4))
    assert float(table.loc["n1", "uncertainty_cord"]) == pytest.approx(entropy, abs=1e-6)


def test_the_folder_holds_scan_mask_page_and_ranks(study):
    record, folder = export(study)
    assert record == {"status": EXPORTED, "reason": "", "n": 3}
    place = folder / "correct" / "first" / "sub-n5" / "anat"
    image = place / "sub-n5_acq-ax_T2w.nii.gz"
    assert image.is_symlink()
    mask = nib.load(place / "sub-n5_acq-ax_T2w_label-SC_seg.nii.gz")
    # The mean of two masks is a half wherever one of them is: the proposal is their union.
    assert np.array_equal(mask.get_fdata() > 0, (drawn(4) | drawn(4, 2)) > 0)
    assert np.array_equal(mask.affine, nib.load(image).affine)
    page = (folder / "correct" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 2  # nothing was drawn on n4
    assert "2. first/sub-n4/anat/sub-n4_acq-ax_T2w (north): score 1.000" in page
    assert 'src="http' not in page
    assert str(study) not in page
    assert (folder / "correct" / "ranks.tsv").read_bytes() == (folder / "ranks.tsv").read_bytes()
    copies = {**DECLARED["phases"][1]["correct"], "images": "copy"}
    phases = [DECLARED["phases"][0], {"correct": copies}]
    export(study, declared(phases=phases))
    assert not image.is_symlink()


def test_a_folder_that_nobody_worked_in_is_made_anew_and_an_edited_one_is_kept(study):
    folder = export(study)[1]
    row = next(r for r in ranked_scans(study)[1] if r["subject"] == "n1")
    put_drawn(study, row, SEEDS[0], None)
    assert export(study)[0]["status"] == EXPORTED
    place = folder / "correct" / "first"
    assert sorted(p.name for p in place.iterdir()) == ["sub-n1", "sub-n3", "sub-n4"]
    edited = place / "sub-n3" / "anat" / "sub-n3_acq-ax_T2w_label-SC_seg.nii.gz"
    put(edited, drawn(3), SPACING_MM)
    content = edited.read_bytes()
    put_drawn(study, row, SEEDS[0], drawn(4))
    record, _ = export(study)
    assert record["status"] == KEPT
    assert "1 files of the correction folder were changed" in record["reason"]
    assert edited_files(folder / "correct") == [str(edited.relative_to(folder / "correct"))]
    assert edited.read_bytes() == content
    assert (place / "sub-n1").is_dir()  # as it was exported before
    assert read_tsv(folder / "ranks.tsv")["subject"].tolist()[-1] == "n1"  # the ranks are new
    chosen = read_tsv(folder / "ranks.tsv").set_index("subject")["chosen"]
    assert sorted(chosen.index[chosen == "yes"]) == ["n1", "n3", "n4"]  # the choice is the folder's
    assert record["n"] == 3
    assert not list(folder.glob(".tmp-*"))


def told(study: Path, experiment=None) -> dict[str, tuple[str, str]]:
    config, rows = opened(study, experiment)
    found = experiment_in(config)
    table = corrected_table(found, found.phase(2), rows, study)
    return {row["file"].split("_")[0]: (row["status"], row["reason"]) for row in table}


def test_each_corrected_mask_is_taken_or_told_why_not_and_the_rest_goes_on(study):
    export(study)
    correct(study, ["n1", "n9"])
    shifted, soft, empty = correct(study, ["n2", "n4", "n5"])
    put(shifted, drawn(4)[:, :, :-1], SPACING_MM)
    put(soft, drawn(4) * np.float32(0.5) + drawn(4, 1), SPACING_MM)
    put(empty, 0 * drawn(4), SPACING_MM)
    same = study / "results/experiments/own/phase2/correct/first/sub-n3/anat"
    name = "sub-n3_acq-ax_T2w_label-SC_seg.nii.gz"
    data = nib.load(same / name).get_fdata().astype(np.float32)  # saved anew, of another type
    put(study / "corrected" / name, data, SPACING_MM)
    found = told(study)
    assert found.pop("sub-n1") == ("taken", "")
    assert {person: status for person, (status, _) in found.items()} == {
        "sub-n2": "refused", "sub-n3": "unchanged", "sub-n4": "refused", "sub-n5": "refused",
        "sub-n9": "unmatched",
    }  # fmt: skip
    assert "[other_grid]" in found["sub-n2"][1]
    assert "[not_binary]" in found["sub-n4"][1]
    assert "[empty]" in found["sub-n5"][1]
    unchanged = {**DECLARED["phases"][1]["correct"], "take_unchanged": True}
    again = declared(phases=[DECLARED["phases"][0], {"correct": unchanged}])
    assert told(study, again)["sub-n3"] == ("taken", "")


def test_masks_of_scans_that_were_not_chosen_are_left_where_that_is_asked_for(study):
    export(study)
    correct(study, ["n1", "n5"])
    chosen = {**DECLARED["phases"][1]["correct"], "take": "chosen"}
    found = told(study, declared(phases=[DECLARED["phases"][0], {"correct": chosen}]))
    assert {person: status for person, (status, _) in found.items()} == {
        "sub-n1": "not chosen", "sub-n5": "taken",
    }  # fmt: skip


def test_a_folder_of_which_nothing_can_be_taken_stops_with_the_reasons(study):
    (bad,) = correct(study, ["n1"])
    put(bad, 0 * drawn(4), SPACING_MM)
    with pytest.raises(ConfigError, match=r"phase 2: correct.folder.*\[empty\]"):
        told(study)


def test_a_scan_that_no_seed_could_read_is_listed_last_with_its_reason(study):
    row = next(r for r in ranked_scans(study)[1] if r["subject"] == "n2")
    for seed in SEEDS:
        path = study / mask_record(row, f"own-phase1-seed{seed}")
        write_record(path, {"schema": RECORD_SCHEMA, "status": "failed", "mask": "", "soft": "",
                            "reason": "[truncated] expected more bytes"})  # fmt: skip
    folder = export(study)[1]
    last = read_tsv(folder / "ranks.tsv").iloc[-1]
    assert (last["subject"], last["chosen"]) == ("n2", "no")
    assert last[["rank", "score"]].isna().all()
    assert "cannot be ranked: [truncated]" in last["reason"]
    assert f"{scan_id(row)}: cannot be ranked" in (folder / "correct" / "index.html").read_text()


def test_cord_and_lesion_count_alike_and_come_back_together(study):
    asked = declared(task="lesion")
    for row in ranked_scans(study, asked)[1]:
        for seed in SEEDS:  # all agree on the cord; the second sees a lesion on one scan only
            put_drawn(study, row, seed, drawn(4))
            seen = seed == SEEDS[0] or row["subject"] != "n3"
            put_drawn(study, row, seed, drawn(1) if seen else 0 * drawn(1), structure="lesion")
    record, folder = export(study, asked)
    assert record["status"] == EXPORTED
    table = read_tsv(folder / "ranks.tsv").set_index("subject")
    assert table.index[0] == "n3"
    assert table["score"].astype(float).to_dict() == pytest.approx(
        {"n3": 0.5, "n1": 0.0, "n2": 0.0, "n4": 0.0, "n5": 0.0}  # mean of cord 0 and lesion 1
    )
    assert (
        "lesion: mean Dice of seeds 0.00, entropy 1.00 bit, 1 of 2 drew none"
        in table.loc["n3", "reason"]
    )
    place = folder / "correct" / "first" / "sub-n3" / "anat"
    assert sorted(p.name for p in place.iterdir()) == [
        "sub-n3_acq-ax_T2w.nii.gz", "sub-n3_acq-ax_T2w_label-SC_seg.nii.gz",
        "sub-n3_acq-ax_T2w_label-lesion_seg.nii.gz",
    ]  # fmt: skip
    correct(study, ["n1", "n3"])
    lesion = study / "corrected" / "sub-n3_acq-ax_T2w_lesion-manual.nii.gz"
    put(lesion, 0 * drawn(1), SPACING_MM)  # nothing is there: an empty lesion mask is a mask
    found = told(study, asked)
    assert found["sub-n3"] == ("taken", "")
    assert found["sub-n1"][0] == "refused"
    assert "the mask of lesion is missing" in found["sub-n1"][1]
    lesion.unlink()
    for part in ("oedema", "haemorrhage"):  # a rater who tells the parts apart has drawn the lesion
        put(lesion.with_name(f"sub-n3_acq-ax_T2w_label-{part}_seg.nii.gz"), drawn(1), SPACING_MM)
    assert told(study, asked)["sub-n3"] == ("taken", "")


def test_binary_rootlets_are_ranked_and_come_back_with_levels(study):
    asked = declared(task="rootlets")
    for row in ranked_scans(study, asked)[1]:
        for seed in SEEDS:  # the seeds of the binary phase differ on one scan only
            moved = 2 if seed == SEEDS[1] and row["subject"] == "n3" else 0
            put_drawn(study, row, seed, 200 * drawn(4, moved), structure="rootlets")
    record, folder = export(study, asked)
    assert record["status"] == EXPORTED
    table = read_tsv(folder / "ranks.tsv").set_index("subject")
    assert table.index[0] == "n3"
    assert "uncertainty_pmj" not in table.columns  # a landmark is nobody's to correct
    place = folder / "correct" / "first" / "sub-n3" / "anat"
    proposal = place / "sub-n3_acq-ax_T2w_label-rootlets_dseg.nii.gz"
    assert np.unique(np.asarray(nib.load(proposal).dataobj)).tolist() == [0, 200]
    levels = drawn(4)
    levels[:, :, 8:] *= 2
    levels[:, :, :8] *= 3
    back = study / "corrected"
    name = "sub-{}_acq-ax_T2w_label-rootlets_{}.nii.gz"
    put(back / name.format("n3", "dseg"), levels, SPACING_MM)
    put(back / name.format("n1", "dseg"), 200 * drawn(4), SPACING_MM)
    put(back / name.format("n2", "dseg"), 77 * drawn(4), SPACING_MM)
    put(back / name.format("n5", "seg"), drawn(3), SPACING_MM)
    found = told(study, asked)
    assert found["sub-n3"] == found["sub-n5"] == ("taken", "")
    assert found["sub-n1"][0] == "unchanged"
    assert found["sub-n2"][0] == "refused"
    assert "77" in found["sub-n2"][1]


def test_an_interrupted_export_leaves_the_folder_as_it_was(study, monkeypatch):
    folder = export(study)[1]
    before = sorted(p.relative_to(folder) for p in folder.rglob("*"))
    shutil.rmtree(folder / "correct" / "first" / "sub-n4")  # so that it would count as edited
    export(study)
    shutil.rmtree(folder / "correct")
    monkeypatch.setattr("cordcohort.experiments.export.write_correction_page", _stopped)
    with pytest.raises(KeyboardInterrupt):
        export(study)
    assert not (folder / "correct").exists()
    assert not list(folder.glob(".tmp-*"))
    monkeypatch.undo()
    export(study)
    assert sorted(p.relative_to(folder) for p in folder.rglob("*")) == before


def _stopped(*_):
    raise KeyboardInterrupt
