# Shared by all rule files are the validated config, the index, the plan, and resource functions.
# The science is in workflow/lib; this file only asks it questions.
import functools
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
from cordcohort.cluster.array_task import become_own_job  # noqa: E402

become_own_job()

from cordcohort import scan as paths  # noqa: E402
from cordcohort.batches import jobs_of_node, latency_of_job  # noqa: E402
from cordcohort.cluster.profile import goes_as_array  # noqa: E402
from cordcohort.digest import files_digest, science_digest  # noqa: E402
from cordcohort.digest import tools_digest, use_known_digests  # noqa: E402
from cordcohort.launch import only_looks  # noqa: E402,F401
from cordcohort.level_choice import DISC_MODEL  # noqa: E402,F401
from cordcohort.nnunet.paths import nnunet_outputs, planned_record  # noqa: E402,F401
from cordcohort.plan import MEASURE_KINDS, PICTURES_RECORD, load_plan  # noqa: E402,F401
from cordcohort.stages import Stage, Stages  # noqa: E402,F401
from cordcohort.trained import model_outputs, model_split  # noqa: E402

# Planning makes many small objects that all stay: looking through them for rubbish again and again
# takes a sixth of the time of a dry run and frees nothing.
gc.set_threshold(200_000, 50, 100)

# The index is made here, once, in the main process; a job on a node reads the scans of its own batch.
PLAN = load_plan(
    config,
    refresh=workflow.is_main_process,
    jobs=() if workflow.is_main_process else jobs_of_node(sys.argv),
)
# The report tells the seeds and phases of experiments by the trainings that they make.
config["training"] = [dict(entry) for entry in PLAN.config.training]
use_known_digests(Path(paths.MODULE_DIGESTS), keep=workflow.is_main_process)


def in_array(rule):
    """Whether jobs of a rule go to SLURM as arrays; the engine knows it once the rules are read."""
    return goes_as_array(rule, getattr(workflow.executor_settings, "array_jobs", None))


STAGES = Stages(
    whole=workflow.is_main_process,
    patience_s=latency_of_job(sys.argv),
    in_array=in_array,
)


wildcard_constraints:
    batch="[^/]+",


def one_of(names):
    """Wildcard that takes these names only."""
    return "|".join(names) or "none"


def as_stage(rule, stage):
    """Give a rule what the profile sets for its stage."""
    asked = workflow.resource_settings.overwrite_resources.get(stage, {})
    workflow.get_rule(rule).resources.update(asked)


@functools.cache
def files_of_model(model):
    return PLAN.model_files(model)


def model_files(wildcards):
    """Files of the model that a job draws with."""
    return files_of_model(wildcards.model)


def model_source(wildcards):
    return PLAN.model_source(wildcards.model)


def model_use(wildcards):
    return PLAN.use(wildcards.model).as_params()


def memory_mb(base_mb):
    """Memory that doubles with every attempt that the profile grants."""

    def asked_for(wildcards, attempt):
        return base_mb * 2 ** (attempt - 1)

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


def each_scan(stage, rule):
    """Which files each scan of a job is made from; the engine decides nothing by it."""

    def told(wildcards, input):
        own = workflow.get_rule(rule)
        tools = tools_digest(RULES / own.conda_env, RULES / own.script)
        return {**stage.batch(wildcards).each_scan(), "tools": tools}

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
