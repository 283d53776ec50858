"""A model folder as nnU-Net publishes it, with a network of a few numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from cordcohort.files import sha256_of

UNET = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
PLANS = {
    "dataset_name": "Dataset001_a", "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager",
    "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
    "configurations": {
        "3d_fullres": {
            "preprocessor_name": "DefaultPreprocessor", "patch_size": [16, 16, 16],
            "spacing": [1.0, 1.0, 1.0], "normalization_schemes": ["ZScoreNormalization"],
            "resampling_fn_data": "resample_data_or_seg_to_shape",
            "architecture": {
                "network_class_name": UNET,
                "arch_kwargs": {
                    "n_stages": 2, "features_per_stage": [4, 8],
                    "conv_op": "torch.nn.modules.conv.Conv3d",
                    "kernel_sizes": [[3, 3, 3], [3, 3, 3]], "strides": [[1, 1, 1], [2, 2, 2]],
                    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                    "nonlin": "torch.nn.LeakyReLU", "dropout_op": None,
                },
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            },
        }
    },
}  # fmt: skip
DATASET = {
    "channel_names": {"0": "T2w"},
    "labels": {"background": 0, "sc": [1, 2], "lesion": [2]},
    "regions_class_order": [1, 2], "numTraining": 3, "file_ending": ".nii.gz",
}  # fmt: skip


def checkpoint(**changes) -> dict:
    """What nnU-Net saves, numpy numbers of its log included."""
    content = {
        "network_weights": {"a.weight": torch.ones(2, 3)},
        "optimizer_state": {"state": {}, "param_groups": []}, "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5), np.float32(0.25)], "epoch": [np.int64(3)]},
        "_best_ema": np.float64(0.5), "current_epoch": 3,
        "init_args": {"configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer", "inference_allowed_mirroring_axes": (0, 1, 2),
    }  # fmt: skip
    return content | changes


def write_folder(folder: Path, plans=None, dataset=None, folds=(0,)) -> dict:
    """Write the folder; returns its entry of ``segmentation.external_models``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans or PLANS))
    (folder / "dataset.json").write_text(json.dumps(dataset or DATASET))
    files = ["plans.json", "dataset.json"]
    for fold in folds:
        files.append(f"fold_{fold}/checkpoint_final.pth")
        (folder / files[-1]).parent.mkdir(exist_ok=True)
        torch.save(checkpoint(), folder / files[-1])
    return {
        "name": "published", "folder": str(folder), "task": "lesion", "orientation": "RPI",
        "sha256": {file: sha256_of(folder / file) for file in files},
        "structures": {"cord": "sc", "lesion": ["lesion"]}, "folds": [], "contrasts": [],
        "checkpoint": "checkpoint_final.pth",
    }  # fmt: skip
