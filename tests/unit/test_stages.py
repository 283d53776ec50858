"""Stages: what a rule with many batches tells the engine of each of its jobs."""

from __future__ import annotations

import itertools

import pytest
from cordcohort.batches import Batch, record_of
from cordcohort.cluster.memory import job_memory_mb
from cordcohort.stages import Stage, Stages


def _batch(stage: str, name: str, inputs: list[str], n_scans: int, size: int) -> Batch:
    scans = [f"{name}/{n}" for n in range(n_scans)]
    files = [f"{stage}/{scan}" for scan in scans]
    return Batch(name, scans, inputs, files, record_of(stage, name), f"of {name}", size)


def _drawn() -> list[Batch]:
    return [_batch("draw", "a", ["image"], 1, 10**6), _batch("draw", "b", [], 3, 10**8)]


def _measured() -> list[Batch]:
    return [_batch("measure", "a", ["draw/a/0", "mask"], 2, 0)]


def _of_model(model: str) -> list[Batch]:
    return [_batch(f"segment_{model}", "a", [model], 1, 0)]


def test_jobs_wait_for_records_whatever_order_the_rules_are_defined_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stages = Stages(whole=True)
    measure = Stage(stages, "measure", _measured)
    everything = stages.inputs(lambda: ["measure/a/0", "measure/a/1", "other"])
    draw = Stage(stages, "draw", _drawn)
    assert stages.close(may_change=True) == ""
    assert measure.inputs({"batch": "a"}) == [record_of("draw", "a"), "mask"]
    assert draw.inputs({"batch": "a"}) == ["image"]
    assert everything({}) == [record_of("measure", "a"), "other"]
    assert measure.batch({"batch": "a"}).inputs == ["draw/a/0", "mask"]
    assert draw.files({"batch": "b"}) == ["draw/b/0", "draw/b/1", "draw/b/2"]
    assert draw.scans({"batch": "b"}) == ["b/0", "b/1", "b/2"]
    assert draw.identity({"batch": "a"}) == "of a"


def test_all_jobs_of_a_rule_in_arrays_ask_for_what_the_largest_of_them_needs():
    """Tasks of a SLURM array get what the first of them asks for."""
    stages = Stages(whole=True, in_array=lambda rule: rule == "paint")
    draw = Stage(stages, "draw", _drawn, of_rule="paint")
    for name in ("a", "b"):
        for attempt in (1, 2):
            memory = draw.memory_mb("segment")({"batch": name}, attempt)
            assert memory == job_memory_mb("segment", 10**8, attempt)
            assert draw.minutes(5, per_scan=2)({"batch": name}, attempt) == 11 * attempt
            assert draw.minutes(5, per_file=1)({"batch": name}, attempt) == 8 * attempt


@pytest.mark.parametrize("in_arrays", ["", "other"])
def test_without_arrays_an_outlier_raises_what_its_own_batch_asks_for_and_no_other(in_arrays):
    draw = Stage(Stages(whole=True, in_array=lambda rule: rule == in_arrays), "draw", _drawn)
    asked = [("a", 10**6, 1), ("b", 10**8, 3)]
    for (name, size, scans), attempt in itertools.product(asked, (1, 2)):
        memory = draw.memory_mb("segment")({"batch": name}, attempt)
        assert memory == job_memory_mb("segment", size, attempt)
        assert draw.minutes(5, per_scan=2)({"batch": name}, attempt) == (5 + 2 * scans) * attempt
        assert draw.minutes(5, per_file=1)({"batch": name}, attempt) == (5 + scans) * attempt


def test_models_that_share_a_rule_keep_their_batches():
    stage = Stage(Stages(whole=True), "segment_{model}", _of_model, ["m", "n"])
    for model in ("m", "n"):
        assert stage.inputs({"model": model, "batch": "a"}) == [model]
    with pytest.raises(KeyError):
        stage.inputs({"model": "o", "batch": "a"})


def test_the_main_process_asks_the_plan_before_it_forgets_the_scans():
    asked = []
    stages = Stages(whole=True)
    draw = Stage(stages, "draw", lambda: asked.append("batches") or _drawn())
    told = draw.of_each(lambda batch: asked.append(batch.name) or len(batch.scans))
    assert asked == ["batches", "a", "b"]
    assert [told({"batch": name}) for name in "ab"] == [1, 3]
    assert asked == ["batches", "a", "b"]


def test_a_job_on_a_node_asks_for_its_own_stage_only_and_waits_for_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked, waited = [], []
    monkeypatch.setattr(
        "cordcohort.stages.wait_for_files", lambda files, seconds: waited.append((files, seconds))
    )
    stages = Stages(whole=False, patience_s=7.0)
    measure = Stage(stages, "measure", lambda: asked.append("measure") or _measured())
    Stage(stages, "draw", lambda: asked.append("draw") or _drawn())
    assert stages.close(may_change=True) == ""
    assert asked == []
    assert measure.inputs({"batch": "a"}) == ["draw/a/0", "mask"]
    assert asked == ["measure"]
    assert waited == [(["draw/a/0", "mask"], 7.0)]
