"""An nnU-Net model in memory, and what it draws on a scan.

nnU-Net's own ``initialize_from_trained_model_folder`` unpickles checkpoints without restraint and
imports whatever class the plans name. Here plans are checked first, weights are read as tensors
only, and nnU-Net gets the finished network.
"""

# nnU-Net is in an environment of its own, which type checks do not see.
# pyright: reportMissingImports=false

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from cordcohort.errors import ConfigError
from cordcohort.files import read_yaml
from cordcohort.model_uses import POINT, STRUCTURES
from cordcohort.nifti import Image
from cordcohort.nnunet.checkpoint import Fold, read_fold
from cordcohort.nnunet.folder import checked_folder, checkpoints_of
from cordcohort.nnunet.labels import CODES, Labels, fraction_of, mask_of
from cordcohort.nnunet.orientation import turned, turned_back
from cordcohort.nnunet.paths import NNUNET
from cordcohort.segmentation.infer import Segmentation
from cordcohort.segmentation.registry import CARD, Model

CORD = "cord"
TILE_STEP = 0.5  # of a patch, as published


@dataclass(frozen=True)
class Drawer:
    """A loaded nnU-Net with what its outputs mean.

    Attributes
    ----------
    task
        Key of :data:`cordcohort.model_uses.STRUCTURES`.
    predictor
        nnU-Net's, with its networks' weights.
    labels, structures
        See :mod:`cordcohort.nnunet.labels`.
    orientation
        Code of the axes on which it was trained.
    """

    task: str
    predictor: Any
    labels: Labels
    structures: Mapping[str, Mapping[int, tuple[str, ...]]]
    orientation: str

    def __call__(self, image: Image, mirror: bool) -> dict[str, Segmentation]:
        """Masks of one scan, on its own axes.

        Parameters
        ----------
        image
            3-D, of any orientation.
        mirror
            Average over the mirrored axes that the training allowed (up to eight times the time);
            off, as published.
        """
        if not np.ptp(image.data):
            return self._nothing(image, "the image is constant")
        data, (x, y, z) = turned(image, self.orientation)
        self.predictor.use_mirroring = mirror
        array = np.ascontiguousarray(np.asarray(data, np.float32).transpose(2, 1, 0))[None]
        drawn, probabilities = self.predictor.predict_single_npy_array(
            array, {"spacing": [z, y, x]}, None, None, True
        )
        found = {s: self._structure(image, s, drawn, probabilities) for s in self.structures}
        if CORD in found and not found[CORD].mask.any():
            return self._nothing(image, "no voxel was drawn as cord")
        if POINT in STRUCTURES[self.task]:
            empty = np.zeros(image.data.shape, np.uint8)
            found[POINT] = Segmentation(None, empty, "no_pmj", "the model draws no PMJ", 0)
        return found

    def _structure(self, image: Image, name: str, drawn: Any, outputs: Any) -> Segmentation:
        made_of = self.structures[name]
        mask = turned_back(image, mask_of(drawn, made_of, self.labels).T, self.orientation)
        soft = None
        if name != "rootlets":
            parts = [fraction_of(outputs, n, self.labels).T for n in made_of.values()]
            stacked = np.stack(parts, axis=-1) if name in CODES else parts[0]
            soft = turned_back(image, stacked, self.orientation)
        canonical = replace(image, data=mask).canonical().data
        n_slices = int(np.count_nonzero(canonical.any(axis=(0, 1))))
        return Segmentation(soft, mask, "ok", "", n_slices)

    def _nothing(self, image: Image, reason: str) -> dict[str, Segmentation]:
        empty = np.zeros(image.data.shape, np.uint8)
        return {
            name: Segmentation(None, empty, "no_cord", reason, 0)
            for name in {*STRUCTURES[self.task], *self.structures}
        }


def load_nnunet(source: Mapping[str, Any] | str | Path, device: str | torch.device) -> Model:
    """Load a published model folder, or one that the study has trained.

    Parameters
    ----------
    source
        Entry of ``segmentation.external_models`` with its folder resolved, or the folder of a
        trained model, whose card holds the same keys.
    device
        ``cpu`` or ``cuda``.

    Raises
    ------
    ConfigError
        As :func:`cordcohort.nnunet.folder.checked_folder` and
        :func:`cordcohort.nnunet.checkpoint.read_fold`; folds of different shape or configuration; a
        configuration that the plans do not have, or that continues another one.
    """
    entry = source if isinstance(source, Mapping) else trained_entry(Path(source))
    key = f"external_models.{entry['name']}"
    device = torch.device(device)
    known = checked_folder(entry, key)
    files = checkpoints_of(entry, key)
    folds = {file: read_fold(Path(str(entry["folder"])) / file) for file in files}
    plans = PlansManager(known["plans"])
    configuration = _configuration(plans, folds, key)
    labels: Labels = known["labels"]
    network = _network(configuration, len(labels.channels) + (not labels.regions), key)
    for file, fold in folds.items():
        _check_tensors(network, fold, f"{key}: {file}")
    predictor = nnUNetPredictor(
        tile_step_size=TILE_STEP, use_gaussian=True, use_mirroring=False,
        perform_everything_on_device=device.type == "cuda", device=device, allow_tqdm=False,
    )  # fmt: skip
    first = next(iter(folds.values()))
    network.load_state_dict(first.weights)
    predictor.manual_initialization(
        network.to(device).eval(), plans, configuration, [f.weights for f in folds.values()],
        known["dataset"], "nnUNetTrainer", first.mirror_axes or None,
    )  # fmt: skip
    drawer = Drawer(
        str(entry["task"]), predictor, labels, known["structures"], str(entry["orientation"])
    )
    digest = hashlib.sha256("".join(entry["sha256"][f] for f in files).encode()).hexdigest()
    card = {"name": entry["name"], "task": entry["task"], "backend": NNUNET}
    return Model(str(entry["name"]), card, {}, digest, device, NNUNET, drawer)


def trained_entry(folder: Path) -> dict[str, Any]:
    """Entry of a model that a study has trained, from its card.

    Raises
    ------
    ConfigError
        No card, or one of another backend.
    """
    path = folder / CARD
    card = read_yaml(path) if path.is_file() else None
    if not isinstance(card, dict) or card.get("backend") != NNUNET:
        raise ConfigError("segmentation.models", str(folder), f"a folder with {CARD} of nnU-Net",
                          "train the model again")  # fmt: skip
    return {**card, "folder": str(folder)}


def _configuration(
    plans: PlansManager, folds: Mapping[str, Fold], key: str
) -> ConfigurationManager:
    names = {fold.configuration for fold in folds.values()}
    if len(names) != 1:
        raise ConfigError(key, sorted(names), "folds of one configuration",
                          "declare each configuration as a model of its own")  # fmt: skip
    (name,) = names
    if name not in plans.available_configurations:
        raise ConfigError(key, name, "one of " + ", ".join(plans.available_configurations),
                          "the checkpoint is of other plans: fetch the model again")  # fmt: skip
    try:
        found = plans.get_configuration(name)
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise ConfigError(f"{key}: plans.json", str(error), f"a complete configuration {name}",
                          "fetch the model again") from error  # fmt: skip
    if found.previous_stage_name is not None:
        raise ConfigError(key, name, "a configuration of one stage",
                          "cascades are not loaded: use 3d_fullres or 2d")  # fmt: skip
    return found


def _network(configuration: ConfigurationManager, n_outputs: int, key: str) -> nn.Module:
    """Network of checked plans, without deep supervision."""
    try:
        return get_network_from_plans(
            configuration.network_arch_class_name, configuration.network_arch_init_kwargs,
            configuration.network_arch_init_kwargs_req_import, 1, n_outputs,
            allow_init=False, deep_supervision=False,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, RuntimeError, AssertionError, ImportError) as error:
        came = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{key}: plans.json", came, "a network that can be built",
                          "fetch the model again") from error  # fmt: skip


def _check_tensors(network: nn.Module, fold: Fold, where: str) -> None:
    """Refuse a fold whose tensors are not those of the network, naming the first."""
    wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in fold.weights.items()}
    for name in [*wanted, *found]:
        if wanted.get(name) != found.get(name):
            raise ConfigError(
                f"{where}: {name}", found.get(name, "no such tensor"),
                f"shape {wanted[name]}" if name in wanted else "no such tensor",
                "the fold is of another network than the plans: fetch the model again",
            )  # fmt: skip
