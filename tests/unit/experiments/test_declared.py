"""What an experiment declares: its trainings, who is kept for the test, what each phase needs."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from cordcohort.bids.prepare import prepare
from cordcohort.errors import ConfigError
from cordcohort.experiments.declared import experiment_of, seeds_of_models, started_from
from cordcohort.experiments.overview import experiment_lines
from cordcohort.experiments.people import dealt
from cordcohort.experiments.scans import candidates, returned
from cordcohort.experiments.training import ready_to_train
from cordcohort.files import read_yaml
from cordcohort.plan import Plan, load_plan
from unit.bids.tree import put_json
from unit.experiments.study import (
    DECLARED,
    RECIPE,
    SEEDS,
    SITES,
    content,
    correct,
    declared,
    experiment_in,
    opened,
    write_study,
)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


def plan(study: Path, **keys) -> Plan:
    return load_plan(content(**keys), refresh=True, study_dir=study)


def inputs(study: Path, **keys) -> dict[str, set[str]]:
    """Files that each model is trained from."""
    made = plan(study, **keys)
    return {e["name"]: set(made.training_inputs(e)) for e in made.config.training}


def test_one_training_a_phase_and_seed_told_by_method_and_seed(tmp_path):
    write_study(tmp_path)
    config, _ = opened(tmp_path)
    names = [entry["name"] for entry in config.training]
    assert names == ["own-phase1-seed7", "own-phase1-seed42"]  # no mask came back: phase 2 waits
    correct(tmp_path, ["n1"])
    config, _ = opened(tmp_path)
    assert [e["name"] for e in config.training] == [
        f"own-phase{phase}-seed{seed}" for phase in (1, 2, 3) for seed in SEEDS
    ]
    assert config.segmentation.models == tuple(e["name"] for e in config.training)
    assert seeds_of_models(config.training)["own-phase3-seed42"] == ("own-phase3", "42")
    starts = {e["name"]: started_from(e) for e in config.training}
    assert starts["own-phase3-seed7"] == "own-phase2-seed7"
    assert not any(starts[name] for name in starts if "phase3" not in name)


def test_the_length_of_every_training_may_be_declared(tmp_path):
    shorter = declared(steps=7)
    write_study(tmp_path, shorter)
    config, rows = opened(tmp_path, shorter)
    for entry in config.training:
        ready, _, _ = ready_to_train(entry, rows, tmp_path)
        recipe = read_yaml(Path(ready["recipe"]))
        assert recipe["schedule"] == {**RECIPE["schedule"], "steps": 7}


def test_persons_are_dealt_by_site_and_never_change_sides(study):
    config, rows = opened(study)
    experiment = experiment_in(config)
    by_seed = {seed: dealt(experiment, rows, seed) for seed in range(20)}
    for split in by_seed.values():
        tested = {person for person, part in split.items() if part == "test"}
        assert [len(tested & set(p)) for p in SITES.values()] == [2, 1]  # 0.3 of 5 and of 3
        assert not tested & {"w1", "w2"}  # the third phase keeps nobody
    assert len({str(split) for split in by_seed.values()}) > 10
    for number in (1, 2):  # what later phases add moves nobody
        block = copy.deepcopy(dict(experiment.block))
        block["phases"] = block["phases"][:number]
        shorter = dealt(experiment_of(block), rows, 7)
        assert shorter == {p: part for p, part in by_seed[7].items() if p in shorter}


def test_whom_a_sheet_keeps_out_is_trained_on_by_no_seed(study):
    config, rows = opened(study)
    rows = [{**row, "split": "external" if row["person"] == "s1" else ""} for row in rows]
    for seed in range(10):
        split = dealt(experiment_in(config), rows, seed)
        assert split["s1"] == "external"
        assert [split[p] for p in ("s2", "s3")].count("test") == 1


def test_a_phase_ranks_what_has_no_mask_and_was_not_trained_on(study):
    config, rows = opened(study)
    experiment = experiment_in(config)
    found = candidates(experiment, experiment.phase(2), rows)
    assert {row["stem"] for row in found} == {f"sub-{p}_acq-ax_T2w" for p in SITES["north"]}
    assert candidates(experiment, experiment.phase(1), rows) == []


def test_each_training_needs_its_scans_and_no_others(tmp_path):
    study = write_study(tmp_path)
    before = inputs(study)
    correct(study, ["n1", "n2", "n3", "n4", "n5"])
    config, rows = opened(study)
    after = inputs(study)
    for seed in SEEDS:
        split = dealt(experiment_in(config), rows, seed)
        first, second, third = (after[f"own-phase{i}-seed{seed}"] for i in (1, 2, 3))
        assert first == before[f"own-phase1-seed{seed}"]  # corrected masks are nothing to phase 1
        of_persons = {p: [f for f in second if f"sub-{p}_" in f] for p in split}
        assert all(bool(files) == (split[p] == "train") for p, files in of_persons.items()
                   if p not in ("w1", "w2"))  # fmt: skip
        masks = {p for p in SITES["north"] if any("corrected/" in f for f in of_persons[p])}
        assert masks == {p for p in SITES["north"] if split[p] == "train"}
        assert third - second > {f"results/models/own-phase2-seed{seed}/cord.safetensors"}
        assert any("sub-w1_" in f for f in third)
        assert not any("sub-w1_" in f for f in second)


def test_a_new_corrected_mask_concerns_exactly_the_seeds_that_may_see_its_person(tmp_path):
    study = write_study(tmp_path)
    correct(study, ["n1", "n2"])
    before = inputs(study)
    (new,) = correct(study, ["n3"])
    after = inputs(study)
    config, rows = opened(study)
    for name, files in after.items():
        phase, seed = int(name[9]), int(name.partition("seed")[2])
        sees = dealt(experiment_in(config), rows, seed)["n3"] == "train"
        assert (str(new) in files - before[name]) == (phase > 1 and sees), name


def test_what_a_later_phase_or_another_seed_declares_is_no_parameter_of_a_training(study):
    def parameters(experiment):
        made = plan(study, experiment=experiment)
        return {e["name"]: made.training_params(e) for e in made.config.training}

    phases = copy.deepcopy(DECLARED["phases"])
    phases[2]["start"] = "fresh"
    phases[1]["correct"]["choose"] = 1
    other = declared(phases=phases, seeds=[*SEEDS, 50], evaluate=[{"sites": ["south"]}])
    one, two = parameters(DECLARED), parameters(other)
    assert set(two) - set(one) == {"own-phase1-seed50"}
    assert all(two[name] == one[name] for name in one)


def test_corrected_masks_are_matched_by_name(tmp_path):
    study = write_study(tmp_path)
    config, rows = opened(study)
    experiment = experiment_in(config)
    correct(study, ["n1", "n9"])
    folder = study / "corrected"
    (folder / "deep").mkdir()
    correct(study, ["n2"])[0].rename(folder / "deep" / "sub-n2_acq-ax_T2w_seg-manual.nii.gz")
    (folder / "sub-n3_acq-ax_T2w.nii.gz").touch()  # an image that was exported beside its mask
    (folder / "sub-n3_acq-ax_T2w_label-GM_seg.nii.gz").touch()
    (folder / "note.txt").touch()
    asked = experiment.phase(2).correct
    assert asked is not None
    found = returned(asked, candidates(experiment, experiment.phase(2), rows), experiment)
    assert sorted(found.masks) == [f"first/sub-{p}/anat/sub-{p}_acq-ax_T2w" for p in ("n1", "n2")]
    told = {Path(file).name: reason for file, reason in found.unmatched}
    assert "no scan sub-n9_acq-ax_T2w" in told["sub-n9_acq-ax_T2w_label-SC_seg.nii.gz"]
    assert "names no mask of cord" in told["sub-n3_acq-ax_T2w_label-GM_seg.nii.gz"]
    assert len(told) == 2


PHASES = DECLARED["phases"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "first"}, r"name: .*no other model, experiment or data set has, got 'first'"),
        ({"localiser": "cord-v2"}, r"localiser: .*did you mean cord-v1\?"),
        ({"recipe": "none"}, r"experiments\[0\].recipe: expected a recipe"),
        (
            {"recipe": "sciseg-nnunet", "task": "lesion", "steps": 9, "phases": PHASES[:1]},
            r"experiments\[0\].steps: expected recipes of the own engine, got 9; .*epochs",
        ),
        ({"seeds": [1, 1]}, r"seeds: expected every entry once"),
        ({"phases": [PHASES[1]]}, r"phases\[0\].correct: .*nothing that needs a phase before"),
        ({"phases": [PHASES[0] | {"start": "previous"}]}, r"phases\[0\].start: "),
        ({"task": "discs"}, r"experiments\[0\].task: "),
        ({"task": "rootlets"}, r"phases\[0\].add: expected persons with masks by 'manual'"),
        ({"phases": [PHASES[0], {}]}, r"phases\[1\]: expected scans that the phase adds"),
        ({"phases": [{"add": [{"site": ["north"]}]}]}, r"add\[0\].site: .*did you mean sites"),
        ({"phases": [{"add": [{"sites": ["nord"]}]}]}, r"add\[0\].sites: .*did you mean north"),
        (
            {"phases": [{"add": [{"sites": ["south"], "acquisitions": ["sag"]}]}]},
            r"add\[0\]: expected at least one scan that matches",
        ),
        (
            {"phases": [{"add": [{"sites": ["north"], "acquisitions": ["ax"]}]}]},
            r"phases\[0\].add: expected persons with masks by 'manual'",
        ),
        (
            {"phases": [PHASES[0], {"correct": {"scans": [{"sites": ["south"]}], "folder": "x"}}]},
            r"correct.scans: expected a scan without masks .*labelled: true",
        ),
        (
            {"phases": [PHASES[0], {"correct": PHASES[1]["correct"] | {"folder": "results/x"}}]},
            r"correct.folder: expected a folder outside results",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_before_any_job(study, changes, words):
    with pytest.raises(ConfigError, match=words):
        prepare(study, content(declared(**changes)), keep=False)


def test_methods_of_phases_may_be_named_before_they_are_trained(study):
    wanted = {"name": "a", "kind": "agreement", "select": {"method": ["own-phase3"]}}
    prepare(study, content(analyses=[wanted]), keep=False)
    wrong = {**wanted, "select": {"method": ["own-phase4"]}}
    with pytest.raises(ConfigError, match=r"did you mean own-phase"):
        prepare(study, content(analyses=[wrong]), keep=False)


def test_check_tells_what_each_phase_adds_ranks_and_waits_for(tmp_path):
    study = write_study(tmp_path)

    def lines() -> list[str]:
        config, rows = opened(study)
        return experiment_lines(experiment_in(config), rows, study)

    assert lines() == [
        "own, phase 1: adds 8 scans with masks by manual",
        "own, phase 2: ranks 5 scans and exports 3; waits for corrected masks in corrected, which "
        "is not there yet; is not trained yet",
        "own, phase 3: adds 2 scans with masks by manual; is not trained yet",
    ]
    correct(study, ["n1", "n9"])
    put_json(study, "results/experiments/own/phase2/export.json",
             {"status": "kept", "reason": "somebody worked in it", "n": 3})  # fmt: skip
    second = lines()[1]
    assert "1 came back corrected in corrected; 1 files there match no scan (sub-n9_" in second
    assert second.endswith("; somebody worked in it")
