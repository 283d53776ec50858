"""Checkpoints are read without executing anything; what names code is refused by that name."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.nnunet.checkpoint import read_fold, read_untrusted
from safetensors.torch import save_file
from unit.nnunet.folders import checkpoint


class Calls:
    """Pickled, it calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def _saved(path: Path, content, **options) -> Path:
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize("old_format", [False, True])
def test_a_published_checkpoint_is_read_with_the_numbers_of_its_log(tmp_path, old_format):
    weights = OrderedDict({"module.a.weight": torch.ones(2, 3)})
    path = _saved(tmp_path / "c.pth", checkpoint(network_weights=weights),
                  _use_new_zipfile_serialization=not old_format)  # fmt: skip
    assert read_untrusted(path)["_best_ema"] == 0.5
    fold = read_fold(path)
    assert fold.configuration == "3d_fullres"
    assert fold.mirror_axes == (0, 1, 2)
    assert fold.weights["a.weight"].tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("where", ["network_weights", "logging", "init_args", "extra"])
def test_a_hostile_checkpoint_executes_nothing_and_is_refused_by_name(tmp_path, where, old_format):
    marker = tmp_path / "executed"
    evil = Calls(os.system, f"touch {marker}")
    path = _saved(tmp_path / "c.pth", checkpoint(**{where: {"a": [evil]}}),
                  _use_new_zipfile_serialization=not old_format)  # fmt: skip
    with pytest.raises(ConfigError, match=r"posix\.system.*never run"):
        read_fold(path)
    assert not marker.exists()
    function, arguments = evil.__reduce__()  # what a loader that runs code would call: it is armed
    function(*arguments)
    assert marker.exists()


@pytest.mark.parametrize(
    ("evil", "named"),
    [
        (Calls(eval, "1+1"), r"builtins\.eval"),
        (Calls(Path.touch, Path("x")), "pathlib"),
        (Calls(partial, os.getcwd), "functools.partial|posix.getcwd"),
        (Calls(np.load, "x.npy", None, True), "numpy"),
        (Calls(torch.load, "x.pth"), r"torch\.serialization\.load"),
    ],
)
def test_other_names_than_those_on_the_list_are_refused(tmp_path, evil, named):
    path = _saved(tmp_path / "c.pth", checkpoint(extra=evil))
    with pytest.raises(ConfigError, match=named):
        read_fold(path)


def test_numpy_arrays_of_objects_are_refused(tmp_path):
    evil = np.array([Calls(os.getcwd)], dtype=object)
    with pytest.raises(ConfigError, match="_reconstruct"):
        read_fold(_saved(tmp_path / "c.pth", checkpoint(extra=evil)))


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"not a checkpoint", pickle.dumps([1, 2]), b"\x80\x02."]
)
def test_a_file_that_is_no_checkpoint_is_refused_with_a_way_out(tmp_path, content):
    path = tmp_path / "c.pth"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="fetch the model again"):
        read_fold(path)


@pytest.mark.parametrize(
    "change",
    [
        {"network_weights": None}, {"init_args": None}, {"network_weights": {"a": [1.0]}},
        {"inference_allowed_mirroring_axes": (0, 7)}, {"inference_allowed_mirroring_axes": "all"},
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_form_is_refused(tmp_path, change):
    with pytest.raises(ConfigError, match=r"c\.pth"):
        read_fold(_saved(tmp_path / "c.pth", checkpoint(**change)))


def test_our_own_weights_come_back_with_shared_tensors(tmp_path):
    path = tmp_path / "w.safetensors"
    about = {"configuration": "2d", "mirror_axes": "0,1", "same": '{"b": "a"}'}
    save_file({"a": torch.arange(3.0)}, str(path), metadata=about)
    fold = read_fold(path)
    assert (fold.configuration, fold.mirror_axes) == ("2d", (0, 1))
    assert fold.weights["b"].tolist() == [0.0, 1.0, 2.0]
    path.write_bytes(b"\0" * 20)
    with pytest.raises(ConfigError, match="fetch the model again"):
        read_fold(path)
