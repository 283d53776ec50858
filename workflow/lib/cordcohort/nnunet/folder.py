"""Published nnU-Net v2 model folders: what a study says of them, checked before any job.

``plans.json`` names classes and functions that nnU-Net imports and calls. Here each must be on a
list, so that a folder from elsewhere decides on sizes and numbers only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cordcohort.errors import ConfigError
from cordcohort.files import sha256_of
from cordcohort.nnunet.labels import check_structures, read_labels
from cordcohort.nnunet.orientation import axes_of
from cordcohort.nnunet.paths import DATASET, PLANS

MAX_JSON_BYTES = 50_000_000
REORIENTING_READER, ITS_ORIENTATION = "NibabelIOWithReorient", "LPI"
_UNET = "dynamic_network_architectures.architectures"
NETWORKS = frozenset({
    f"{_UNET}.unet.PlainConvUNet", f"{_UNET}.unet.ResidualEncoderUNet",
    f"{_UNET}.residual_unet.ResidualEncoderUNet", "PlainConvUNet", "ResidualEncoderUNet",
})  # fmt: skip
_PART = re.compile(
    r"torch\.nn\.(modules\.\w+\.)?(Conv|InstanceNorm|BatchNorm|Dropout)[23]d"
    r"|torch\.nn\.(modules\.\w+\.)?(LeakyReLU|ReLU|GELU|SiLU|Dropout)"
)
_ALLOWED: Mapping[str, frozenset[str]] = {
    "image_reader_writer": frozenset({"SimpleITKIO", "NibabelIO", REORIENTING_READER}),
    "label_manager": frozenset({"LabelManager"}),
    "preprocessor_name": frozenset({"DefaultPreprocessor"}),
    "normalization_schemes": frozenset({
        "ZScoreNormalization", "CTNormalization", "NoNormalization", "RescaleTo01Normalization",
    }),
    "resampling_fn_data": frozenset({"resample_data_or_seg_to_shape", "resample_torch_fornnunet"}),
    "resampling_fn_seg": frozenset({"resample_data_or_seg_to_shape", "resample_torch_fornnunet"}),
    "resampling_fn_probabilities": frozenset({
        "resample_data_or_seg_to_shape", "resample_torch_fornnunet",
    }),
    "network_class_name": NETWORKS,
    "UNet_class_name": NETWORKS,
}  # fmt: skip
_LARGEST = 4096
_DEEPEST = 8


def checked_folder(entry: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Check all of a declared folder that can be seen without a network library.

    Parameters
    ----------
    entry
        ``name, folder, sha256, task, structures, orientation, folds, checkpoint`` of the config,
        the folder resolved.
    key
        Of the entry, for messages.

    Returns
    -------
    dict
        ``plans``, ``dataset``, ``labels`` and ``structures`` as read.

    Raises
    ------
    ConfigError
        A file that is not there, not listed or has another sha256; plans that name code which is
        not on the list; labels that do not fit the structures; an orientation that is none.
    """
    folder = Path(str(entry["folder"]))
    if not folder.is_dir():
        raise ConfigError(f"{key}.folder", str(folder), "a folder that exists", "mend the path")
    for file in (PLANS, DATASET, *checkpoints_of(entry, key)):
        _check_file(folder / file, file, entry["sha256"], f"{key}.sha256")
    axes_of(str(entry["orientation"]), f"{key}.orientation")
    plans, dataset = (_read_json(folder / file) for file in (PLANS, DATASET))
    check_plans(plans, str(folder / PLANS))
    _check_reader(plans, entry, key)
    labels = read_labels(dataset, str(folder / DATASET))
    _check_channels(dataset, str(folder / DATASET))
    structures = check_structures(entry["task"], entry["structures"], labels, f"{key}.structures")
    return {"plans": plans, "dataset": dataset, "labels": labels, "structures": structures}


def checkpoints_of(entry: Mapping[str, Any], key: str) -> list[str]:
    """Checkpoint of each fold, relative to the folder.

    Raises
    ------
    ConfigError
        A fold without a sha256, or none at all.

    Examples
    --------
    >>> entry = {"folds": [], "checkpoint": "checkpoint_final.pth",
    ...          "sha256": {"plans.json": "..", "fold_1/checkpoint_final.pth": ".."}}
    >>> checkpoints_of(entry, "external_models[0]")
    ['fold_1/checkpoint_final.pth']
    """
    ending = f"/{entry['checkpoint']}"
    listed = sorted(file for file in entry["sha256"] if file.endswith(ending))
    wanted = [f"fold_{fold}{ending}" for fold in entry["folds"]] or listed
    for file in wanted:
        if file not in listed:
            raise ConfigError(f"{key}.sha256", sorted(entry["sha256"]), file,
                              "add the sha256 of the fold's checkpoint")  # fmt: skip
    if not wanted:
        raise ConfigError(f"{key}.sha256", sorted(entry["sha256"]), f"a file fold_*{ending}",
                          "list the checkpoints with their sha256")  # fmt: skip
    return wanted


def _check_file(path: Path, name: str, listed: Mapping[str, str], key: str) -> None:
    if not path.is_file():
        raise ConfigError(key, name, "a file of the folder", f"fetch it (looked for {path})")
    if name not in listed:
        raise ConfigError(
            key, sorted(listed), f"the sha256 of {name}", f"add it (sha256sum {path})"
        )
    found = sha256_of(path)
    if found != listed[name].lower():
        raise ConfigError(f"{key}.{name}", found, listed[name],
                          "the file was changed or damaged: fetch the model again")  # fmt: skip


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes()[:MAX_JSON_BYTES])
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            "content", str(error), "JSON", "fetch the model again", str(path)
        ) from error
    if not isinstance(content, dict):
        raise ConfigError("content", type(content).__name__, "a JSON object",
                          "fetch the model again", str(path))  # fmt: skip
    return content


def check_plans(plans: Mapping[str, Any], where: str) -> None:
    """Refuse plans that name code beyond the list, or sizes that no such network has.

    Raises
    ------
    ConfigError
        Naming the key.
    """
    configurations = plans.get("configurations")
    if not isinstance(configurations, Mapping) or not configurations:
        raise ConfigError("configurations", configurations, "a block of configurations",
                          "fetch the model again", where)  # fmt: skip
    for path, value in _leaves(plans, ()):
        dotted = ".".join(path)
        if isinstance(value, str):
            _check_word(path, value, dotted, where)
        elif "architecture" in path and isinstance(value, (int, float)):
            if abs(value) > _LARGEST:
                raise ConfigError(dotted, value, f"at most {_LARGEST}", "use another model", where)
        if len(path) > _DEEPEST:
            raise ConfigError(dotted, "nested", f"at most {_DEEPEST} levels", "use another", where)


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Values of nested objects and lists with their keys; entries of a list have the list's key."""
    if len(path) > _DEEPEST:
        yield path, None
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, path) if not isinstance(inner, list) else _flat(inner, path)
    else:
        yield path, value


def _flat(value: list[Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for inner in value:
        if isinstance(inner, (list, Mapping)):
            yield (*path, *["[]"] * _DEEPEST), None
        else:
            yield path, inner


def _check_word(path: tuple[str, ...], value: str, dotted: str, where: str) -> None:
    """Text that nnU-Net turns into code must be on the list."""
    allowed = _ALLOWED.get(path[-1])
    if allowed is not None:
        if value not in allowed:
            raise ConfigError(dotted, value, "one of " + ", ".join(sorted(allowed)),
                              "use a model of nnU-Net's own parts", where)  # fmt: skip
    elif "arch_kwargs" in path and not _PART.fullmatch(value):
        raise ConfigError(dotted, value, "a convolution, normalisation, dropout or activation of "
                          "torch.nn", "use a model of nnU-Net's own networks", where)  # fmt: skip


def _check_reader(plans: Mapping[str, Any], entry: Mapping[str, Any], key: str) -> None:
    if plans.get("image_reader_writer") == REORIENTING_READER:
        if entry["orientation"] != ITS_ORIENTATION:
            raise ConfigError(
                f"{key}.orientation", entry["orientation"], f"{ITS_ORIENTATION}, to which this "
                f"model's reader {REORIENTING_READER} turns every image", "correct it",
            )  # fmt: skip


def _check_channels(dataset: Mapping[str, Any], where: str) -> None:
    channels = dataset.get("channel_names", dataset.get("modality"))
    if not isinstance(channels, Mapping) or len(channels) != 1:
        raise ConfigError("channel_names", channels, "one input channel",
                          "use a model that sees the scan alone", where)  # fmt: skip
