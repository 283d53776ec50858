"""nnU-Net trains rootlets as exclusive labels in LPI; its folder draws them under their codes."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from cordcohort.bids.single import rows_of_folders
from cordcohort.nifti import read_image
from cordcohort.nnunet.declared import (
    prepare_declared,
    publish_declared,
    train_declared_fold,
)
from cordcohort.nnunet.model import load_nnunet
from cordcohort.nnunet.paths import work_folder
from cordcohort.segmentation.draw import segment_image
from cordcohort.spinal_names import ROOTLET_CODES
from nnunet.conftest import RECIPE, write_phantoms


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study folder in which a model of rootlets was trained for a moment."""
    folder = tmp_path_factory.mktemp("rootlets")
    write_phantoms(folder / "data", north=5)
    recipe = folder / "rootlets.yaml"
    content = RECIPE | {"task": "rootlets", "folds": 1}
    content["trainer"] = RECIPE["trainer"] | {"loss": "dice_ce", "epochs": 1, "iterations": 2}
    recipe.write_text(yaml.safe_dump(content))
    entry = {"name": "levels", "recipe": str(recipe), "task": "rootlets", "localiser": "",
             "sources": {"scans": "north"}}  # fmt: skip
    rows = rows_of_folders({"north": folder / "data" / "north"})["north"]
    prepare_declared(entry, rows, study_dir=folder)
    train_declared_fold(entry, 0, torch.device("cpu"), study_dir=folder)
    publish_declared(entry, study_dir=folder)
    return folder, rows


def test_labels_count_on_from_one_and_lie_in_lpi(trained):
    folder, rows = trained
    raw = next((folder / work_folder("levels") / "raw").iterdir())
    about = json.loads((raw / "dataset.json").read_text())
    assert list(about["labels"].items())[:3] == [("background", 0), ("C2", 1), ("C3", 2)]
    assert "regions_class_order" not in about
    for path in (raw / "labelsTr").iterdir():
        held = set(np.unique(np.asarray(nib.load(path).dataobj)).tolist())
        assert held - {0} <= set(range(1, 9))
        assert len(held) > 1
    assert len(rows) == 5


def test_the_folder_draws_codes_of_levels_on_the_scans_own_axes(trained):
    folder, rows = trained
    model = load_nnunet(folder / "results/models/levels", "cpu")
    assert model.drawer.orientation == "LPI"
    image = read_image(rows[0]["image"])
    found = segment_image(model, image)
    assert found["rootlets"].mask.shape == image.data.shape
    assert found["rootlets"].status == "ok"
    assert set(np.unique(found["rootlets"].mask).tolist()) <= {0, *ROOTLET_CODES}
    assert found["pmj"].status == "no_pmj"
    card = yaml.safe_load((folder / "results/models/levels/model.yaml").read_text())
    assert card["structures"]["rootlets"][2] == "C2"
    assert card["structures"]["rootlets"][9] == "T1"
