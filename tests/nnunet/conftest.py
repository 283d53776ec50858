"""A phantom study whose model nnU-Net v2 trains for a moment; it needs `make test-nnunet`."""

from __future__ import annotations

import importlib.util

import pytest
import yaml
from conftest import run_command
from cordcohort.files import sha256_of
from cordcohort.nnunet.paths import work_folder
from cordcohort.phantom.config import Difficulty, PhantomStudy, Protocol, Site
from cordcohort.phantom.study import write_study

RECIPE = {
    "name": "moment", "backend": "nnunet", "task": "lesion", "seed": 7, "folds": 2,
    "sources": {"cohort": [{"folder": "scans"}],
                "split": {"seed": 7, "train": 0.6, "validation": 0.2}},
    "planner": {"gpu_memory_gb": 0.3, "features": 4},
    "trainer": {"loss": "dice_ce_no_smooth", "epochs": 2, "iterations": 6,
                "validation_iterations": 1, "checkpoint_every": 1},
}  # fmt: skip
FOLDER = "trained/Dataset001_own/nnUNetTrainer__nnUNetPlans__3d_fullres"
FILES = (
    "plans.json", "dataset.json", "fold_0/checkpoint_final.pth", "fold_1/checkpoint_final.pth"
)  # fmt: skip


def pytest_ignore_collect(collection_path, config):
    """These tests are for the environment of nnU-Net only, which the others do not need."""
    absent = importlib.util.find_spec("nnunetv2") is None
    return True if absent and collection_path.suffix == ".py" else None


def write_phantoms(folder, **subjects) -> None:
    """Write patients with large lesions in small scans: so many of each site."""
    hard = Difficulty(
        lesion_share=1.0, compression_share=0.0, implant_share=0.0, lesion_diameter_mm=(6.0, 9.0),
        lesion_cnr=(5.0, 6.0),
    )  # fmt: skip
    sites = tuple(
        Site(name, "Siemens", "Prisma", subjects=n, volume_axes="PIR")
        for name, n in subjects.items()
    )
    scans = Protocol("T2w", (40, 48, 40), (1.2, 1.2, 1.6))
    write_study(
        PhantomStudy(sites=sites, protocols=(scans,), sessions=1, missing=(), traveller=False,
                     patient_share=1.0, difficulty=hard, seed=4401),
        folder,
    )  # fmt: skip


def write_config(study, **changes) -> None:
    """Write the study's config: one training by nnU-Net, and what draws."""
    content = {
        "study": {"name": "moment"},
        "datasets": [{"name": "north", "path": "data/north"}],
        "training": [{"name": "own", "backend": "nnunet", "recipe": "config/moment.yaml",
                      "task": "lesion", "sources": {"scans": "north"}, "localiser": "",
                      "device": "cpu", "threads": 1}],
        "segmentation": {"models": ["own"], "device": "cpu", **changes},
        "measures": {"levels": "none"},
        "report": {"pictures": False},
    }  # fmt: skip
    (study / "config" / "config.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Return the study after a run of its rules: trained, drawn, measured."""
    folder = tmp_path_factory.mktemp("nnunet")
    write_phantoms(folder / "data", north=5)
    (folder / "config").mkdir()
    (folder / "config" / "moment.yaml").write_text(yaml.safe_dump(RECIPE))
    write_config(folder)
    run_command("cordcohort", "run", folder, "--cores", "1", "--quiet", "all")
    return folder


@pytest.fixture(scope="session")
def published(study):
    """Return the entry of the folder that nnU-Net itself has left, as a centre publishes it."""
    folder = study / work_folder("own") / FOLDER
    return {
        "name": "published", "folder": str(folder), "task": "lesion", "orientation": "RPI",
        "sha256": {file: sha256_of(folder / file) for file in FILES},
        "structures": {"cord": "cord", "lesion": "lesion"}, "folds": [], "contrasts": [],
        "checkpoint": "checkpoint_final.pth",
    }  # fmt: skip
