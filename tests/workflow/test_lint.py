"""The rule files keep the workflow's own rules."""

from __future__ import annotations

import re

import pytest
import yaml
from conftest import run_command
from cordcohort.plan import MEASURE_KINDS

FORBIDDEN = {
    r"^\s*retries:": "it reruns inside the first allocation; set retries in the profile",
    r"^\s*run:": "run: starts a whole engine per job; write an adapter in workflow/scripts",
    r"^\s*checkpoint\b": "checkpoints rebuild the graph; ask the index instead",
    r"^\s*group:": "members of a group add up their GPUs; jobs are batches already",
    r"\bDataFrame\b|\bpandas\b": "a table in params reruns its rule whenever its text differs",
    r"\blambda\b": "name the function in common.smk or in the package",
}
MAX_RULE_FILE_LINES = 150
MAX_ADAPTER_LINES = 40


def _rule_files(root):
    return [root / "Snakefile", *sorted((root / "workflow" / "rules").glob("*.smk"))]


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_rule_files_hold_no_construct_that_breaks_on_a_cluster(root, pattern):
    for file in _rule_files(root):
        found = re.search(pattern, file.read_text(), re.MULTILINE)
        assert not found, f"{file.name}: {FORBIDDEN[pattern]}"


def test_every_key_of_the_profiles_is_explained(root):
    page = (root / "docs" / "cluster.md").read_text()
    table = page.split("## Keys of the profile")[1].split("\n\n**")[0]
    for file in (root / "config" / "profiles").glob("*/config.yaml"):
        profile = yaml.safe_load(file.read_text())
        for key in [*profile, *profile.get("default-resources", {})]:
            assert re.search(rf"[`, ]{re.escape(key)}[`:,]", table), f"{file.parent.name}: {key}"


def test_every_stage_knows_its_rule_and_goes_as_arrays_in_the_profile(root):
    rules = set()
    for file in _rule_files(root)[1:]:
        for block in file.read_text().split("stage = Stage(")[1:]:
            name = re.search(r'STAGES,\s*(?:"([^"]+)"|kind)', block)[1]
            told = re.search(r'^\s*of_rule="(\w+)"', block, re.MULTILINE)
            rule = re.search(r"^\s*rule(?: (\w+))?:", block, re.MULTILINE)[1]
            assert rule == (told[1] if told else name), file.name
            rules |= {rule} if rule else set(MEASURE_KINDS)
    profile = yaml.safe_load((root / "config" / "profiles" / "slurm" / "config.yaml").read_text())
    assert set(profile["slurm-array-jobs"].split(",")) == rules


def test_every_rule_states_log_benchmark_resources_and_environment(root):
    for file in _rule_files(root)[1:]:
        for block in re.split(r"^\s*rule(?: \w+)?:", file.read_text(), flags=re.MULTILINE)[1:]:
            for key in (
                "log:",
                "benchmark:",
                "threads:",
                "mem_mb=",
                "runtime=",
                "conda:",
                "script:",
            ):
                assert key in block, f"{file.name}: a rule lacks {key}"


def test_every_job_that_asks_for_a_gpu_asserts_that_it_sees_one(root):
    checked = set()
    for file in _rule_files(root)[1:]:
        for block in re.split(r"^\s*rule(?: \w+)?:", file.read_text(), flags=re.MULTILINE)[1:]:
            if "gpu=" in block:
                script = re.search(r'"../scripts/(\w+\.py)"', block)
                assert script, f"{file.name}: a rule with gpu= has no adapter"
                text = (root / "workflow" / "scripts" / script[1]).read_text()
                # The training loop chooses the device that it is given itself.
                assert re.search(r"choose_device\(|\btrain_declared\(", text), script[1]
                checked.add(script[1])
    assert {"segment.py", "segment_nnunet.py", "train.py", "nnunet_train.py"} <= checked


def test_rule_files_and_adapters_stay_short(root):
    for file in _rule_files(root):
        assert len(file.read_text().splitlines()) <= MAX_RULE_FILE_LINES, file.name
    for file in (root / "workflow" / "scripts").glob("*.py"):
        assert len(file.read_text().splitlines()) <= MAX_ADAPTER_LINES, file.name


def test_every_adapter_loads_the_package_beside_it_first(root):
    for file in (root / "workflow" / "scripts").glob("[!_]*.py"):
        code = [line for line in file.read_text().splitlines() if re.match("import|from", line)]
        assert code[0].startswith("import _bootstrap"), file.name


def test_the_package_knows_no_workflow_engine(root):
    for file in (root / "workflow" / "lib").rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", file.read_text(), re.MULTILINE), file


def test_snakemake_finds_nothing_to_improve(root, demo_study):
    snakefile = root / "Snakefile"
    done = run_command(
        "snakemake", "--lint", "--snakefile", snakefile, "--directory", demo_study, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Logs of the running process, locks, and files of a training run, which no table is made from.
WRITES_IN_PLACE = {"engine_output.py", "progress.py", "adapter.py", "study_lock.py", "quiet.py"}
# These write into the temporary path that files.atomic_path gives them.
WRITES_INTO_TEMPORARY = {"files.py", "write.py", "table.py", "state.py", "canvas.py", "cohort.py"}


def test_every_output_is_written_under_a_temporary_name_and_moved_into_place(root):
    direct = re.compile(
        r"\.write_text\(|\.write_bytes\(|open\([^)]*[\"'][wa]b?[\"']|\.savefig\(|save_file\(|np\.save"
        r"|nib\.save|json\.dump\(|\.to_parquet\(|\.to_csv\([^)\n]*path"
    )
    found = {
        path.name
        for path in (root / "workflow").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if direct.search(line) and ">>>" not in line and "... " not in line
    }
    assert found <= WRITES_IN_PLACE | WRITES_INTO_TEMPORARY
