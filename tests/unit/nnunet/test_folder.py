"""What a study says of a published folder is checked, and plans decide on no code."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from cordcohort.errors import ConfigError
from cordcohort.files import sha256_of
from cordcohort.nnunet.folder import checked_folder, checkpoints_of
from unit.nnunet.folders import DATASET, PLANS, write_folder

FULLRES = ("configurations", "3d_fullres")
KWARGS = (*FULLRES, "architecture", "arch_kwargs")


@pytest.fixture
def entry(tmp_path):
    return write_folder(tmp_path / "model", folds=(0, 1))


def _with(content: dict, path: tuple[str, ...], value) -> dict:
    changed = deepcopy(content)
    block = changed
    for key in path[:-1]:
        block = block[key]
    block[path[-1]] = value
    return changed


def test_a_good_folder_is_read_with_its_folds_and_structures(entry):
    found = checked_folder(entry, "m")
    assert found["structures"] == {"cord": {1: ("sc",)}, "lesion": {1: ("lesion",)}}
    assert found["labels"].regions
    assert checkpoints_of(entry, "m") == [f"fold_{k}/checkpoint_final.pth" for k in (0, 1)]
    assert checkpoints_of(entry | {"folds": [1]}, "m") == ["fold_1/checkpoint_final.pth"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"folder": "nowhere"}, "a folder that exists"),
        ({"orientation": "RPX"}, "RPI or LPI"),
        ({"orientation": "RRI"}, "RPI or LPI"),
        ({"folds": [4]}, "fold_4/checkpoint_final.pth"),
        ({"checkpoint": "checkpoint_best.pth"}, r"a file fold_\*/checkpoint_best.pth"),
        ({"structures": {"cord": "sc"}}, "cord and lesion"),
        ({"structures": {"cord": "spine", "lesion": "lesion"}}, "one of sc, lesion"),
        ({"task": "rootlets", "structures": {"rootlets": {"12": "sc"}}}, "a code from 2 to 9"),
        ({"task": "regions", "structures": {"regions": "sc"}}, "a code from 1 to 8"),
    ],
)
def test_what_does_not_fit_the_folder_is_refused_by_key(entry, change, told):
    with pytest.raises(ConfigError, match=told):
        checked_folder(entry | change, "segmentation.external_models[0]")


def test_missing_changed_and_unlisted_files_are_refused_by_name(entry, tmp_path):
    listed = dict(entry["sha256"])
    with pytest.raises(ConfigError, match=r"the sha256 of dataset\.json"):
        checked_folder(
            entry | {"sha256": {k: v for k, v in listed.items() if k != "dataset.json"}}, "m"
        )
    wrong = listed | {"fold_1/checkpoint_final.pth": "0" * 64}
    with pytest.raises(ConfigError, match=r"fold_1/checkpoint_final\.pth: expected 0{64}"):
        checked_folder(entry | {"sha256": wrong}, "m")
    (tmp_path / "model" / "plans.json").unlink()
    with pytest.raises(ConfigError, match=r"got 'plans\.json'; fetch it"):
        checked_folder(entry, "m")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*FULLRES, "architecture", "network_class_name"), "subprocess.Popen"),
        ((*KWARGS, "conv_op"), "os.system"),
        ((*KWARGS, "norm_op"), "torch.hub.load"),
        ((*KWARGS, "features_per_stage"), [4, 10**9]),
        ((*KWARGS, "nonlin_kwargs"), {"inplace": {"a": {"b": {"c": {"d": {"e": 1}}}}}}),
        ((*FULLRES, "preprocessor_name"), "EvilPreprocessor"),
        ((*FULLRES, "resampling_fn_data"), "recursive_find_python_class"),
        ((*FULLRES, "normalization_schemes"), ["os.system"]),
        (("label_manager",), "join"),
        (("image_reader_writer",), "NaturalImage2DIO"),
        (("configurations",), []),
    ],
)
def test_plans_that_name_code_or_absurd_sizes_are_refused(tmp_path, path, value):
    entry = write_folder(tmp_path / "model", plans=_with(PLANS, path, value))
    with pytest.raises(ConfigError, match=str(path[-1]).split("_kwargs", maxsplit=1)[0]):
        checked_folder(entry, "m")


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("labels",), {"sc": 1}, "background 0"),
        (("labels", "lesion"), ["2"], "positive whole number"),
        (("labels", "lesion"), [], "positive whole number"),
        (("regions_class_order",), [1], "the values of 2 regions"),
        (("labels",), {"background": 0, "sc": 1, "lesion": 3}, "count on from 1"),
        (("channel_names",), {"0": "T2w", "1": "cord"}, "one input channel"),
    ],
)
def test_labels_that_mean_nothing_are_refused(tmp_path, path, value, told):
    entry = write_folder(tmp_path / "model", dataset=_with(DATASET, path, value))
    with pytest.raises(ConfigError, match=told):
        checked_folder(entry, "m")


def test_a_reader_that_turns_images_needs_the_orientation_that_it_turns_to(tmp_path):
    plans = PLANS | {"image_reader_writer": "NibabelIOWithReorient"}
    entry = write_folder(tmp_path / "model", plans=plans)
    with pytest.raises(ConfigError, match="LPI, to which this model's reader"):
        checked_folder(entry, "m")
    checked_folder(entry | {"orientation": "LPI"}, "m")


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 5000])
def test_a_file_that_is_no_json_object_is_refused(entry, tmp_path, text):
    path = tmp_path / "model" / "plans.json"
    path.write_text(text)
    listed = entry["sha256"] | {"plans.json": sha256_of(path)}
    with pytest.raises(ConfigError, match=r"plans\.json"):
        checked_folder(entry | {"sha256": listed}, "m")


def test_old_plans_without_an_architecture_block_are_taken(tmp_path):
    old = json.loads(json.dumps(PLANS))
    block = old["configurations"]["3d_fullres"]
    del block["architecture"]
    block["UNet_class_name"] = "PlainConvUNet"
    checked_folder(write_folder(tmp_path / "model", plans=old), "m")
