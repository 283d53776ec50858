"""nnU-Net's fingerprint, plan and preprocessing of an exported data set, in this process.

nnU-Net starts worker processes that run the main module again; here that is a rule's adapter. So
its pools are threads of this process, which also saves loading torch in each.
"""

# nnU-Net is in an environment of its own, which type checks do not see.
# pyright: reportMissingImports=false

from __future__ import annotations

import contextlib
import multiprocessing.pool
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

from nnunetv2.experiment_planning.dataset_fingerprint import fingerprint_extractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import (
    ExperimentPlanner,
)
from nnunetv2.preprocessing.preprocessors import default_preprocessor

from cordcohort.errors import ConfigError
from cordcohort.nnunet.paths import DATASET_ID
from cordcohort.nnunet.quiet import printed_to
from cordcohort.nnunet.recipe import NnunetRecipe

PLANS_NAME = "nnUNetPlans"
FOLDERS = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "preprocessed", "nnUNet_results": "trained"}


def use_folders(work: Path, threads: int) -> None:
    """Tell nnU-Net its folders and how many helpers it may have; nothing is compiled."""
    for variable, name in FOLDERS.items():
        os.environ[variable] = str((work / name).resolve())
    os.environ["nnUNet_n_proc_DA"] = str(threads)
    os.environ["nnUNet_compile"] = "false"


def plan_and_preprocess(recipe: NnunetRecipe, work: Path, *, threads: int = 1) -> dict[str, Any]:
    """Fingerprint, plan and preprocess the data set that was exported to ``work/raw``.

    Returns
    -------
    dict
        The plans; the file is ``work/preprocessed/.../nnUNetPlans.json``.

    Raises
    ------
    ConfigError
        nnU-Net makes no plan of the wanted configuration from these scans.
    """
    shutil.rmtree(work / FOLDERS["nnUNet_preprocessed"], ignore_errors=True)
    use_folders(work, threads)
    with printed_to(work / "plan.log"), _threads(fingerprint_extractor, default_preprocessor):
        extractor = fingerprint_extractor.DatasetFingerprintExtractor(DATASET_ID, threads)
        extractor.show_progress_bar = False
        extractor.run(overwrite_existing=True)
        plans = _planner(recipe).plan_experiment()
        if recipe.configuration not in plans["configurations"]:
            raise ConfigError("configuration", recipe.configuration,
                              "one of " + ", ".join(plans["configurations"]),
                              "these scans have one slice: use 2d", "recipe")  # fmt: skip
        preprocessor = default_preprocessor.DefaultPreprocessor(verbose=False)
        preprocessor.show_progress_bar = False
        preprocessor.run(DATASET_ID, recipe.configuration, PLANS_NAME, threads)
    return plans


def _planner(recipe: NnunetRecipe) -> ExperimentPlanner:
    options = recipe.planner
    planner = ExperimentPlanner(
        DATASET_ID, float(options["gpu_memory_gb"]),
        overwrite_target_spacing=[float(v) for v in options["spacing_mm"]] or None,
    )  # fmt: skip
    planner.UNet_base_num_features = int(options["features"])
    return planner


class _Threads:
    """Stands for ``multiprocessing`` where a module asks for a pool of processes."""

    Pool = staticmethod(multiprocessing.pool.ThreadPool)

    @classmethod
    def get_context(cls, _: str) -> type[_Threads]:
        return cls


@contextlib.contextmanager
def _threads(*modules: Any) -> Generator[None]:
    """Let some modules of nnU-Net work with threads."""
    before = [module.multiprocessing for module in modules]
    try:
        for module in modules:
            module.multiprocessing = _Threads
        yield
    finally:
        for module, kept in zip(modules, before, strict=True):
            module.multiprocessing = kept
