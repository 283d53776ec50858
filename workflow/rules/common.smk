# Shared by all rule files are the validated config, the index, the plan, and resource functions.
# The science is in workflow/lib; this file only asks it questions.
import gc
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")

# As envs/*-cuda.yaml pin it.
CUDA = "12.9"


configfile: "config/config.yaml"


RULES = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
sys.path.insert(0, str(RULES.parent / "scripts"))
import _bootstrap  # noqa: E402,F401

from cordcohort import scan as paths  # noqa: E402
from cordcohort.batch_record import wait_for_files, withdraw_stale  # noqa: E402
from cordcohort.batches import latency_of_job, rules_of_job  # noqa: E402
from cordcohort.cluster.memory import job_memory_mb  # noqa: E402
from cordcohort.digest import files_digest, science_digest  # noqa: E402
from cordcohort.digest import use_known_digests  # noqa: E402
from cordcohort.kept_scans import tools_digest  # noqa: E402
from cordcohort.launch import only_looks  # noqa: E402
from cordcohort.level_choice import DISC_MODEL  # noqa: E402,F401
from cordcohort.nnunet.paths import nnunet_outputs, planned_record  # noqa: E402,F401
from cordcohort.plan import MEASURE_KINDS, load_plan  # noqa: E402
from cordcohort.trained import model_outputs, model_split  # noqa: E402

# Planning makes many small objects that all stay: looking through them for rubbish again and again
# takes a sixth of the time of a dry run and frees nothing.
gc.set_threshold(200_000, 50, 100)

# The index is made here, once, in the main process; a job on a node reads the scans of its own rules
# and defines no others.
PLAN = load_plan(
    config,
    refresh=workflow.is_main_process,
    only=() if workflow.is_main_process else rules_of_job(sys.argv),
)
use_known_digests(Path(paths.MODULE_DIGESTS), keep=workflow.is_main_process)
# Outputs of the rules defined so far. An input taken from here tells the engine which rule makes
# it; a bare path would have to be matched against the outputs of all rules.
MADE = {}
BATCHES = []


def remember(rule, stage):
    """Keep the outputs of a rule just defined; give it what the profile sets for its stage."""
    MADE.update({str(made): made for made in workflow.get_rule(rule).output})
    asked = workflow.resource_settings.overwrite_resources.get(stage, {})
    workflow.get_rule(rule).resources.update(asked)


def remember_batch(batch, stage):
    """As `remember`; whoever wants a file of the batch waits for its record."""
    remember(batch.rule, stage)
    MADE.update(dict.fromkeys(batch.outputs, MADE[batch.record]))
    BATCHES.append(batch)


def made_by_rules(files):
    """Files, each as the output of the rule that makes it where one does; each output once."""
    return list(dict.fromkeys(MADE.get(name, name) for name in files))


def inputs_of(batch):
    """Inputs of a batch. A job on a node knows no other rules, so it sees the files themselves."""
    if not workflow.is_main_process:
        wait_for_files(batch.inputs, latency_of_job(sys.argv))
    return made_by_rules(batch.inputs)


def memory_mb(base_mb):
    """Memory that doubles with every attempt that the profile grants."""

    def asked_for(wildcards, attempt):
        return base_mb * 2 ** (attempt - 1)

    return asked_for


def batch_memory_mb(stage, batch):
    """Memory of a batch: of the voxels of its largest image and of the attempt."""

    def asked_for(wildcards, attempt):
        return job_memory_mb(stage, batch.largest_image_bytes, attempt)

    return asked_for


def minutes(first):
    """Time of a batch, of its number of scans, and longer with every attempt that the profile grants."""

    def asked_for(wildcards, attempt):
        return first * attempt

    return asked_for


def science(*modules):
    """Digest of the modules that a rule calls, worked out only where the rule has a job."""

    def digest(wildcards):
        return science_digest(*modules)

    return digest


def torch_environment(name, device):
    """Environment file of networks: on NVIDIA GPUs torch is another build."""
    if device != "cuda":
        return f"../../envs/{name}.yaml"
    # Conda solves GPU builds on a login node without a GPU only where it is told of one.
    os.environ.setdefault("CONDA_OVERRIDE_CUDA", CUDA)
    return f"../../envs/{name}-cuda.yaml"


def each_scan(batch):
    """Which files each scan of a batch is made from; the engine decides nothing by it."""

    def told(wildcards, input):
        own = workflow.get_rule(batch.rule)
        tools = tools_digest(RULES / own.conda_env, RULES / own.script)
        return {**batch.each_scan(), "tools": tools}

    return told


def log_of(stage, name):
    """Log file of one job."""
    return f"results/logs/{stage}/{name}.log"


def benchmark_of(stage, name):
    """Seconds and memory of one job."""
    return f"results/benchmarks/{stage}/{name}.tsv"


def declared_analysis(wildcards):
    """Declaration of the analysis that a rule is about to run."""
    return PLAN.analysis_options(wildcards.analysis)
