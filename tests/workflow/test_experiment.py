"""An experiment of three phases and two seeds by rules, with masks corrected in between."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from conftest import ROOT, run_command
from cordcohort.experiments.people import dealt
from cordcohort.scan import COHORT
from cordcohort.table import read_parquet, read_tsv
from unit.experiments.study import (
    SEEDS,
    SITES,
    content,
    correct,
    experiment_in,
    opened,
    write_study,
)

COMPARED = {
    "name": "phases", "kind": "agreement", "reference": "manual", "average_over": ["seed"],
    "select": {"split": "test", "measure": "dice", "method": ["own-phase1", "own-phase3"]},
}  # fmt: skip


@pytest.fixture
def study(tmp_path) -> Path:
    write_study(tmp_path)
    text = yaml.safe_dump(content(analyses=[COMPARED]))
    (tmp_path / "config" / "config.yaml").write_text(text)
    return tmp_path


def _run(study: Path, *flags: str) -> str:
    return run_command("cordcohort", "run", study, "--cores", "2", *flags).stdout


def _planned(study: Path) -> set[str]:
    found = re.findall(r"^(?:local)?rule (\S+):", _run(study, "--dry-run"), re.MULTILINE)
    return {rule for rule in found if rule.startswith(("train_", "rank_", "corrected_"))}


def _trained(phases: tuple[int, ...], seeds=SEEDS) -> set[str]:
    return {f"train_own-phase{phase}-seed{seed}" for phase in phases for seed in seeds}


def test_a_phase_waits_for_its_corrected_masks(study):
    assert _planned(study) == _trained((1,)) | {"rank_own-phase2"}
    correct(study, SITES["north"])
    both = {"rank_own-phase2", "corrected_own-phase2"}
    assert _planned(study) == _trained((1, 2, 3)) | both
    told = run_command("cordcohort", "check", study).stdout
    assert "own, phase 2: ranks 5 scans and exports 3; 5 came back corrected" in told


def test_jobs_know_the_trainings_of_experiments_which_pictures_choose_models_by(study):
    asking = study / "Snakefile"
    asking.write_text(
        f'include: "{ROOT / "Snakefile"}"\n'
        'print("trained:", *(entry["name"] for entry in config["training"]))\n'
    )
    told = run_command(
        "snakemake", "--snakefile", asking, "--directory", study, "--dry-run", "--cores", "1"
    )
    line = next(text for text in told.stdout.splitlines() if text.startswith("trained:"))
    assert line.split()[1:] == [f"own-phase1-seed{seed}" for seed in SEEDS]


def _corrected_by_hand(study: Path) -> None:
    """Every proposal shifted by a voxel, as somebody might correct it; one of them spoilt."""
    proposals = sorted((study / "results/experiments/own/phase2/correct").rglob("*_seg.nii.gz"))
    assert len(proposals) == 3
    for number, path in enumerate(proposals):
        mask = nib.load(path)
        data = np.asarray(mask.dataobj)
        data[11:13, 11:13] = 1
        data[0, 0, 0] = 1
        data = data[:-1] if number == 0 else data
        target = study / "corrected" / path.name
        target.parent.mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(data, mask.affine), target)


@pytest.mark.slow
def test_three_phases_and_two_seeds_from_the_data_to_the_long_table(study):
    _run(study, "--quiet", "all")
    _corrected_by_hand(study)
    _run(study, "--quiet", "all")
    told = read_tsv(study / "results/experiments/own/phase2/corrected.tsv")
    assert sorted(told["status"]) == ["refused", "taken", "taken"]
    assert told.set_index("status").loc["refused", "reason"].startswith("sub-n")
    table = read_parquet(study / COHORT)
    own = table[table["method"].str.startswith("own-")]
    assert set(zip(own["method"], own["seed"], strict=True)) == {
        (f"own-phase{phase}", str(seed)) for phase in (1, 2, 3) for seed in SEEDS
    }
    config, rows = opened(study)
    for seed in SEEDS:
        split = dealt(experiment_in(config), rows, seed)
        of_seed = own[own["seed"] == str(seed)]
        tested = of_seed["split"] == "test"
        assert (tested == of_seed["person"].map(split).eq("test")).all()
        assert set(of_seed.loc[~tested, "split"]) >= {"train", "validation"}
    later = own[own["subject"].isin(["w1", "w2"])].groupby("method")["split"].unique()
    for phase, seen in ((1, {""}), (2, {""}), (3, {"train", "validation"})):
        assert set(later[f"own-phase{phase}"]) <= seen
    result = read_tsv(study / "results/statistics/phases.tsv")
    result = result[result["site"] == "all"]
    dice = own[(own["measure"] == "dice") & (own["split"] == "test")]
    scans = dice.drop_duplicates(["method", "subject", "acquisition"])["method"].value_counts()
    for method in ("own-phase1", "own-phase3"):
        n_used = result.loc[result["method"] == method, "n_used"].astype(int)
        assert n_used.sum() == scans[method]  # each once, whatever number of seeds tested it
    _nothing_but_dependents_run_again(study)


def _nothing_but_dependents_run_again(study: Path) -> None:
    assert _planned(study) == set()
    config, rows = opened(study)
    there = {path.name.split("_")[0].removeprefix("sub-") for path in
             (study / "corrected").iterdir()}  # fmt: skip
    new = next(p for p in SITES["north"] if p not in there)
    seeds = [s for s in SEEDS if dealt(experiment_in(config), rows, s)[new] == "train"]
    correct(study, [new])
    assert _planned(study) == _trained((2, 3), seeds) | {"corrected_own-phase2"}
    shutil.rmtree(study / "results" / "experiments" / "own" / "phase2" / "correct")
    assert "rank_own-phase2" not in _planned(study)  # the ranks are there, as they were
