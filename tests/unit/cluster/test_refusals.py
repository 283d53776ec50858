"""Runs that would fail late are refused early, in one line with the way out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml
from cordcohort.cluster import refusals
from cordcohort.errors import CordcohortError

FILLED = {"slurm_account": "lab", "slurm_partition": "main"}


def _config(device="cpu"):
    return SimpleNamespace(segmentation=SimpleNamespace(device=device))


def _profile(folder, **content):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"executor": "slurm", **content}))
    return path


def _one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.fixture(autouse=True)
def partitions(monkeypatch):
    monkeypatch.setattr(refusals, "cluster_partitions", lambda: ["main", "gpu-long"])


def test_filled_profile_passes(tmp_path):
    refusals.refuse_profile(_profile(tmp_path, **{"default-resources": FILLED}), _config())


@pytest.mark.parametrize("key", FILLED)
def test_profile_not_filled_in_names_the_key(tmp_path, key):
    path = _profile(tmp_path, **{"default-resources": FILLED | {key: "CHANGE_ME"}})
    with pytest.raises(CordcohortError) as error:
        refusals.refuse_profile(path, _config())
    assert f"default-resources.{key}" in _one_line(error)


def test_shipped_profile_is_refused_until_filled_in(root):
    with pytest.raises(CordcohortError) as error:
        refusals.refuse_profile(root / "config/profiles/slurm/config.yaml", _config())
    assert "CHANGE_ME" in _one_line(error)


def test_unknown_partition_names_the_nearest(tmp_path):
    path = _profile(tmp_path, **{"default-resources": FILLED | {"slurm_partition": "gpu-lang"}})
    with pytest.raises(CordcohortError) as error:
        refusals.refuse_profile(path, _config())
    assert "gpu-long" in _one_line(error)


def test_partition_is_not_judged_where_no_cluster_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(refusals, "cluster_partitions", list)
    path = _profile(tmp_path, **{"default-resources": FILLED | {"slurm_partition": "other"}})
    refusals.refuse_profile(path, _config())


@pytest.mark.parametrize("key", [{"gpu": 1}, {"gres": "gpu:1"}])
def test_gpu_study_needs_a_gpu_key_in_either_spelling(tmp_path, key):
    path = _profile(tmp_path, **{"default-resources": FILLED})
    with pytest.raises(CordcohortError) as error:
        refusals.refuse_profile(path, _config("cuda"))
    assert "set-resources.segment" in _one_line(error)
    path = _profile(tmp_path, **{"default-resources": FILLED, "set-resources": {"segment": key}})
    refusals.refuse_profile(path, _config("cuda"))


def test_locked_study_names_the_user_and_the_way_out(tmp_path):
    refusals.refuse_locked(tmp_path)
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    refusals.refuse_locked(tmp_path)
    (locks / "0.output.lock").touch()
    with pytest.raises(CordcohortError) as error:
        refusals.refuse_early(tmp_path, [], _config())
    assert "--unlock" in _one_line(error)
    refusals.refuse_early(tmp_path, ["--unlock"], _config())


def _environment(study, *built):
    folder = study / ".snakemake" / "conda"
    meta = folder / "abc_" / "conda-meta"
    meta.mkdir(parents=True)
    (folder / "abc_.yaml").write_text("dependencies: [numpy=2.4.6, pytorch=2.13.0=cpu_generic*]")
    for name in built:
        (meta / f"{name}.json").touch()


def test_environment_with_its_pinned_versions_passes(tmp_path):
    _environment(tmp_path, "numpy-2.4.6-py312_0", "pytorch-2.13.0-cpu_generic_py312_0")
    refusals.refuse_half_built(tmp_path)


def test_half_built_environment_is_refused(tmp_path):
    _environment(tmp_path)
    with pytest.raises(CordcohortError) as error:
        refusals.refuse_half_built(tmp_path)
    assert "--prepare" in _one_line(error)


def test_other_version_than_pinned_is_refused(tmp_path):
    _environment(tmp_path, "numpy-2.4.60-py312_0", "pytorch-2.13.0-cpu_generic_py312_0")
    with pytest.raises(CordcohortError) as error:
        refusals.refuse_half_built(tmp_path)
    assert "numpy 2.4.6" in _one_line(error)
