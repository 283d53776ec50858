"""Runs that would fail late are refused early, in one line with the way out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml
from cordcohort.cluster import profile, profile_keys, refusals
from cordcohort.errors import CordcohortError
from cordcohort.files import read_yaml
from cordcohort.root import workflow_root
from snakemake.settings.types import MaxJobsPerTimespan


def _config(device="cpu"):
    return SimpleNamespace(segmentation=SimpleNamespace(device=device), training=[])


def _one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_shipped_profile_is_refused_until_filled_in():
    for named in (["--workflow-profile", "slurm"], ["--profile=slurm"]):
        with pytest.raises(CordcohortError) as error:
            profile.refuse_profile(named, _config(), int)
        assert "CHANGE_ME" in _one_line(error)


@pytest.mark.parametrize("name", ["default", "slurm"])
def test_shipped_profiles_neither_hold_jobs_back_nor_look_at_waiting_ones_all_the_time(name):
    keys = read_yaml(workflow_root() / "config" / "profiles" / name / "config.yaml")
    limit = MaxJobsPerTimespan.parse_choice(keys["max-jobs-per-timespan"])
    # The engine's own 1 s made 1,386 rounds over all waiting jobs in a minute of 60 jobs.
    assert limit.timespan >= 5
    assert limit.max_jobs >= 10 * keys.get("jobs", 1000)


def _asked(folder, **content):
    (folder / "config.yaml").write_text(yaml.safe_dump({"executor": "slurm", **content}))
    return ["--cores", "2", "--workflow-profile", str(folder)]


def test_nothing_is_judged_where_no_cluster_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # neither sinfo nor sacctmgr
    resources = {"slurm_account": "any", "slurm_partition": "any", "gpu": 1}
    asked = _asked(tmp_path, **{"default-resources": resources})
    profile.refuse_profile(asked, _config("cuda"), int)


@pytest.mark.parametrize("key", [{"gpu": 1}, {"gres": "gpu:1"}])
@pytest.mark.parametrize("where", ["default-resources", "set-resources"])
def test_a_key_for_gpus_passes_in_either_spelling(tmp_path, monkeypatch, key, where):
    monkeypatch.setattr(profile, "cluster_partitions", lambda: {"main*": "gpu:2", "cpu": ""})
    monkeypatch.setattr(profile, "cluster_accounts", lambda: ["lab"])
    resources = {"slurm_account": "lab", "slurm_partition": "main"}
    keys = {"default-resources": resources}
    if where == "default-resources":
        keys = {where: resources | key}
    else:
        keys |= {where: {"segment": key, "discs": {"slurm_partition": "cpu"}}}
    profile.refuse_profile(_asked(tmp_path, **keys), _config("cuda"), int)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"default-resources": ["slurm_partition=CHANGE_ME"]}, "default-resources.slurm_partition"),
        ({"default-resources": "slurm_partition=CHANGE_ME"}, "default-resources.slurm_partition"),
        ({"set-resources": ["discs:slurm_account=CHANGE_ME"]}, "discs.slurm_account"),
        ({"set-resources": ["discs:mem_mb=4"], "default-resources": ["runtime=4"]}, "segment"),
        (
            {"set-resources": ["segment:gpu=1"], "default-resources": ["slurm_partition=cpu"]},
            "main",
        ),
    ],
)
def test_resources_written_as_on_the_command_line_are_judged_alike(
    tmp_path, monkeypatch, keys, words
):
    monkeypatch.setattr(profile, "cluster_partitions", lambda: {"main*": "gpu:2", "cpu": ""})
    with pytest.raises(CordcohortError) as error:
        profile.refuse_profile(_asked(tmp_path, **keys), _config("cuda"), int)
    assert words in _one_line(error)


def test_resources_written_as_on_the_command_line_pass_where_they_are_right(tmp_path, monkeypatch):
    monkeypatch.setattr(profile, "cluster_partitions", lambda: {"main*": "gpu:2", "cpu": ""})
    of_stages = ["segment:gres=gpu:1", "discs:gpu=0", "discs:slurm_partition=cpu"]
    keys = {"default-resources": ["slurm_partition=main"], "set-resources": of_stages}
    flags = _asked(tmp_path, **keys)
    profile_keys.refuse_unknown_keys(flags)
    profile.refuse_profile(flags, _config("cuda"), int)


@pytest.mark.parametrize("most", [7, 100, "unlimited"])
@pytest.mark.parametrize("rate", ["7/1s", "100/1m"])
def test_arrays_pass_where_all_jobs_may_wait_together(tmp_path, most, rate):
    keys = {"jobs": most, "max-jobs-per-timespan": rate, "scheduler": "greedy"}
    asked = _asked(tmp_path, **{"slurm-array-jobs": "shape"}, **keys)
    profile.refuse_profile(asked, _config(), lambda: 7)


@pytest.mark.parametrize(
    "flags", [["--jobs", "6"], ["-j", "6"], ["-j6"], ["--jobs=6"], ["--scheduler=ilp"]]
)
def test_flags_that_let_arrays_hang_are_refused_as_keys_of_the_profile_are(tmp_path, flags):
    keys = {"jobs": 7, "max-jobs-per-timespan": "7/1s", "scheduler": "greedy"}
    asked = _asked(tmp_path, **{"slurm-array-jobs": "shape"}, **keys)
    with pytest.raises(CordcohortError, match="with slurm-array-jobs"):
        profile.refuse_profile([*asked, *flags], _config(), lambda: 7)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--sdm", "conda"], True),
        (["--workflow-profile", "slurm"], True),
        (["--workflow-profile", "default", "--software-deployment-method=conda"], True),
        (["--workflow-profile", "slurm", "--sdm", "apptainer"], False),
        (["--use-conda", "-n"], True),
        (["--cores", "2", "--directory", "conda"], False),
        ([], False),
    ],
)
def test_environments_are_used_where_flags_or_profile_say_so(flags, expected):
    assert profile.uses_conda(flags) is expected


@pytest.mark.parametrize(
    "flags",
    [
        ["--workflow-profile", "slurm", "a-target"],
        ["--profile=default"],
        ["--workflow-profile", "none"],
        ["--workflow-profile", "here", "-n"],
        ["--workflow-profile=here/config.yaml"],
        ["--cores", "2"],
    ],
)
def test_profiles_that_the_engine_finds_pass(tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "config.yaml").write_text("jobs: 2")
    profile_keys.refuse_no_profile(flags)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--workflow-profile", "slrum"], ["no such profile folder", "did you mean slurm?"]),
        (["--profile=labs/heer"], ["no such profile folder", "did you mean here?"]),
        (["--profile=nowhere/x"], ["no such profile folder", "mend the path"]),
        (["--workflow-profile", "labs"], ["without config.yaml", "slurm"]),
    ],
)
def test_profiles_that_are_nowhere_are_refused(tmp_path, monkeypatch, flags, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labs" / "here").mkdir(parents=True)
    (tmp_path / "labs" / "here" / "config.yaml").write_text("jobs: 2")
    with pytest.raises(CordcohortError) as error:
        profile_keys.refuse_no_profile(flags)
    assert all(word in _one_line(error) for word in words), str(error.value)


def test_a_file_given_for_the_folder_of_a_profile_is_read(tmp_path):
    flags = _asked(tmp_path, **{"conda-prefix": "/shared"})
    named = ["--workflow-profile", str(tmp_path / "config.yaml")]
    assert profile.read_profile(named) == profile.read_profile(flags) != {}


def test_a_target_behind_the_name_of_a_profile_is_no_profile(tmp_path):
    target = tmp_path / "report.html"
    target.write_text("<html>")
    assert profile.read_profile(["--workflow-profile", "none", str(target)]) == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"retris": 2}, ["config.yaml: retris:", "did you mean retries?"]),
        ({"slurm-aray-limit": 4}, ["did you mean slurm-array-limit?"]),
        ({"qqqqqqqqqq": 4}, ["qqqqqqqqqq", "remove it"]),
        ({"default-resource": {"runtime": 60}}, ["did you mean default-resources?"]),
        ({"default-resources": {"runtim": 60}}, ["default-resources.runtim", "mean runtime?"]),
        ({"default-resources": ["slurm_acount=lab"]}, ["mean slurm_account?"]),
        ({"set-resources": {"discs": {"gpus": 1}}}, ["set-resources.discs.gpus", "mean gpu?"]),
        ({"set-resources": ["discs:gpus=1"]}, ["set-resources.discs.gpus", "mean gpu?"]),
    ],
)
def test_slips_in_keys_of_a_profile_are_refused(tmp_path, content, words):
    flags = _asked(tmp_path, **content)
    with pytest.raises(CordcohortError) as error:
        profile_keys.refuse_unknown_keys(flags)
    assert all(word in _one_line(error) for word in words), str(error.value)


def test_shipped_profiles_and_resources_of_ones_own_pass(tmp_path):
    for name in ("default", "slurm"):
        profile_keys.refuse_unknown_keys(["--workflow-profile", name])
    own = {"runtime": 60, "licences": 2, "gpu_mem": 8}
    flags = _asked(tmp_path, **{"default-resources": own, "set-resources": {"discs": own}})
    profile_keys.refuse_unknown_keys(flags)


def test_a_profile_that_is_a_list_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("[jobs]")
    with pytest.raises(CordcohortError, match="keys and values"):
        profile_keys.refuse_unknown_keys(["--profile", str(tmp_path)])


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--sdm", "conda"], "conda 24.7.1"),
        (["--sdm", "conda", "-n"], "conda 100.1.0"),
        (["--sdm", "conda", "--unlock"], ""),
        (["--sdm", "conda", "--conda-base-path", "/opt/conda"], ""),
        (["--cores", "2"], ""),
    ],
)
def test_conda_is_asked_for_only_where_environments_are_used(monkeypatch, flags, told):
    monkeypatch.setattr(refusals, "_conda_version", lambda: told)
    refusals.refuse_without_conda(flags)


@pytest.mark.parametrize("told", ["", "conda 24.7.0", "no version at all"])
def test_no_conda_or_too_old_a_one_is_refused(monkeypatch, told):
    monkeypatch.setattr(refusals, "_conda_version", lambda: told)
    with pytest.raises(CordcohortError, match=r"expected conda 24\.7\.1 or newer") as error:
        refusals.refuse_without_conda(["--sdm", "conda", "-n"])
    assert f"got {told or 'none'};" in _one_line(error)


def test_conda_that_is_not_on_the_path_says_no_version(tmp_path, monkeypatch):
    (tmp_path / "bash").symlink_to("/bin/bash")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusals._conda_version() == ""


def test_locked_study_names_the_user_and_the_way_out(tmp_path):
    refusals.refuse_locked(tmp_path)
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    refusals.refuse_locked(tmp_path)
    (locks / "0.output.lock").touch()
    with pytest.raises(CordcohortError) as error:
        refusals.refuse_early(tmp_path, [], _config(), int)
    assert "--unlock" in _one_line(error)
    refusals.refuse_early(tmp_path, ["--unlock"], _config(), int)


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


def test_in_a_shared_folder_only_our_own_environments_are_judged(tmp_path, root):
    shared, study = tmp_path / "shared", tmp_path / "study"
    for name, text in (
        ("other_", "dependencies: [numpy=2.4.6]"),
        ("ours_", (root / "envs" / "measures.yaml").read_text()),
    ):
        (shared / name / "conda-meta").mkdir(parents=True)
        (shared / f"{name}.yaml").write_text(text)
    refusals.refuse_half_built(study)
    (tmp_path / "profile").mkdir()
    asked = _asked(tmp_path / "profile", **{"conda-prefix": str(shared)})
    for flags in (asked, ["--conda-prefix", str(shared)]):
        with pytest.raises(CordcohortError, match="ours_: the environment is half built"):
            refusals.refuse_half_built(study, flags)
