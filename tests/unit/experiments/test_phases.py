"""Three phases and two seeds, trained: who trains whom, and what a corrected mask trains anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from cordcohort.experiments.export import export_for_correction
from cordcohort.experiments.people import dealt
from cordcohort.experiments.scans import candidates
from cordcohort.files import read_json, read_yaml, sha256_of
from cordcohort.segmentation.registry import load_model
from cordcohort.segmentation.scans import segment_scans
from cordcohort.table import read_tsv
from cordcohort.training.declared import train_declared
from unit.experiments.study import (
    RECIPE,
    SEEDS,
    SITES,
    correct,
    experiment_in,
    opened,
    write_study,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """All phases of the miniature study, corrected masks of four persons between them."""
    study = write_study(tmp_path_factory.mktemp("study"))
    here = Path.cwd()
    os.chdir(study)
    try:
        train_all(study)
        config, rows = opened(study)
        experiment = experiment_in(config)
        scans = candidates(experiment, experiment.phase(2), rows)
        for seed in SEEDS:
            model = load_model(Path("results/models") / experiment.model(1, seed))
            segment_scans(scans, model)
        export_for_correction(experiment, 2, scans, study)
        correct(study, SITES["north"])
        train_all(study)
        yield study
    finally:
        os.chdir(here)


def train_all(study: Path) -> None:
    config, rows = opened(study)
    for entry in config.training:
        train_declared(entry, rows, study_dir=study)


def weights(study: Path) -> dict[str, str]:
    found = sorted((study / "results" / "models").glob("*/cord.safetensors"))
    return {path.parent.name: sha256_of(path) for path in found}


def made_of(study: Path) -> dict[str, str]:
    """What each training says it was made from: another digest is another training."""
    found = sorted((study / "results" / "training").glob("*/cord/made_of.json"))
    return {path.parents[1].name: read_json(path)["sha256"] for path in found}


def run_of(study: Path, phase: int, seed: int) -> Path:
    return study / "results" / "training" / f"own-phase{phase}-seed{seed}" / "cord"


def test_no_person_is_trained_on_and_tested_in_any_phase_of_a_seed(trained):
    config, rows = opened(trained)
    for seed in SEEDS:
        dealt_to = dealt(experiment_in(config), rows, seed)
        for phase in (1, 2, 3):
            path = trained / "results" / "models" / f"own-phase{phase}-seed{seed}" / "split.tsv"
            seen = read_tsv(path).set_index("person")["split"]
            for person, part in seen.items():
                assert (part == "test") == (dealt_to[person] == "test"), (phase, person)
            used = read_tsv(run_of(trained, phase, seed) / "scans.tsv")
            assert set(used["person"]) == set(seen[seen != "test"].index)
            assert {"train", "validation"} <= set(seen)


def test_each_phase_adds_its_scans(trained):
    config, rows = opened(trained)
    for seed in SEEDS:
        kept = {p for p, part in dealt(experiment_in(config), rows, seed).items() if part == "test"}
        first, second, third = (
            set(read_tsv(run_of(trained, i, seed) / "scans.tsv")["scan"]) for i in (1, 2, 3)
        )
        corrected = set(SITES["north"]) - kept
        assert second - first == {f"first/sub-{p}/anat/sub-{p}_acq-ax_T2w" for p in corrected}
        assert third - second == {f"later/sub-{p}/anat/sub-{p}_acq-iso_T2w" for p in ("w1", "w2")}
        assert first <= second <= third


def test_the_seed_and_the_start_of_the_weights_are_those_declared(trained):
    for seed in SEEDS:
        for phase in (1, 2, 3):
            recipe = read_yaml(run_of(trained, phase, seed) / "recipe.yaml")
            assert recipe["seed"] == recipe["sources"]["split"]["seed"] == seed
            assert recipe["sources"]["split"]["train"] == 0.7  # all but those who validate
            start = recipe["network"].get("start_from", "")
            assert bool(start) == (phase == 3)
            assert f"own-phase2-seed{seed}/" in start or not start
    assert len(set(weights(trained).values())) == 6


def test_another_run_trains_nothing_and_a_new_mask_what_depends_on_it(trained):
    before, model = made_of(trained), weights(trained)
    train_all(trained)
    assert (made_of(trained), weights(trained)) == (before, model)
    config, rows = opened(trained)
    sides = {seed: dealt(experiment_in(config), rows, seed)["n1"] for seed in SEEDS}
    correct(trained, ["n1"], shift=2)
    train_all(trained)
    after = made_of(trained)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {
        f"own-phase{phase}-seed{seed}"
        for seed in SEEDS
        for phase in (2, 3)
        if sides[seed] == "train"
    }


def test_a_bad_corrected_mask_is_left_out_and_the_others_train(trained):
    config, rows = opened(trained)
    seed = SEEDS[0]
    sides = dealt(experiment_in(config), rows, seed)
    person = next(p for p in SITES["north"] if sides[p] == "train")
    (bad,) = correct(trained, [person])
    bad.write_bytes(b"no image" * 400)
    entry = next(e for e in config.training if e["name"] == f"own-phase2-seed{seed}")
    train_declared(entry, opened(trained)[1], study_dir=trained)
    used = read_tsv(run_of(trained, 2, seed) / "scans.tsv")
    assert not used["scan"].str.contains(f"sub-{person}_acq-ax").any()
    assert used["scan"].str.contains("_acq-ax").any()


def test_the_recipe_of_the_study_is_not_touched(trained):
    assert yaml.safe_load((trained / "config" / "tiny.yaml").read_text()) == RECIPE
