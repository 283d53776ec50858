"""nnU-Net's own trainer with a recipe's numbers, a seed, and checkpoints that execute nothing."""

# nnU-Net is in an environment of its own, which type checks do not see.
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from cordcohort.files import atomic_path, read_json
from cordcohort.nnunet.checkpoint import read_untrusted
from cordcohort.nnunet.paths import dataset_name
from cordcohort.nnunet.prepare import FOLDERS, PLANS_NAME, use_folders
from cordcohort.nnunet.quiet import printed_to
from cordcohort.nnunet.recipe import NnunetRecipe

LATEST, FINAL = "checkpoint_latest.pth", "checkpoint_final.pth"


class SeededTrainer(nnUNetTrainer):
    """nnU-Net's trainer; losses, optimiser, schedule and augmentation are its own."""

    smooth = True

    def _build_loss(self) -> Any:
        """Dice and cross-entropy of each region, with or without smoothing of the Dice."""
        loss = super()._build_loss()
        if not self.smooth:
            (loss.loss if hasattr(loss, "loss") else loss).dc.smooth = 0
        return loss

    def save_checkpoint(self, filename: str) -> None:
        """As nnU-Net, but a run that is killed meanwhile leaves the checkpoint before."""
        with atomic_path(filename) as temporary:
            super().save_checkpoint(str(temporary))

    def load_checkpoint(self, filename_or_checkpoint: Any) -> None:
        """Go on from a checkpoint, read as tensors and plain values only."""
        if not self.was_initialized:
            self.initialize()
        kept = read_untrusted(Path(filename_or_checkpoint))
        self.my_init_kwargs = kept["init_args"]
        self.current_epoch = kept["current_epoch"]
        self.logger.load_checkpoint(kept["logging"])
        self._best_ema = kept["_best_ema"]
        self.inference_allowed_mirroring_axes = kept["inference_allowed_mirroring_axes"]
        self.network.load_state_dict(kept["network_weights"])
        self.optimizer.load_state_dict(kept["optimizer_state"])
        if self.grad_scaler is not None and kept["grad_scaler_state"] is not None:
            self.grad_scaler.load_state_dict(kept["grad_scaler_state"])


# Checkpoints carry the stock trainer's name, so that nnU-Net's own tools read them: the network is
# the same, and what differs concerns training alone.
SeededTrainer.__name__ = nnUNetTrainer.__name__


def train_fold(
    recipe: NnunetRecipe, fold: int, work: Path, device: torch.device, *,
    threads: int = 1, name: str = "", stop_after: int = 0,
) -> Path:  # fmt: skip
    """Train one fold, or go on where it was stopped.

    Parameters
    ----------
    recipe
        Of the whole training.
    fold
        Its number in ``splits_final.json``.
    work
        Folder that :func:`cordcohort.nnunet.prepare.plan_and_preprocess` has filled.
    device
        Where it trains.
    threads
        One trains, the others augment; with more than one the order of batches is not repeatable.
    name
        Of the declared training; by default the recipe's.
    stop_after
        End after this many epochs, as if it were killed then; 0 for all.

    Returns
    -------
    Path
        ``checkpoint_final.pth``, or ``checkpoint_latest.pth`` of a run that was stopped.
    """
    use_folders(work, threads - 1)
    dataset = work / FOLDERS["nnUNet_preprocessed"] / dataset_name(name or recipe.name)
    with printed_to(work / f"fold_{fold}.log"):
        trainer = _trainer(recipe, fold, dataset, device)
        folder = Path(str(trainer.output_folder))
        if (folder / FINAL).is_file():
            return folder / FINAL
        if (folder / LATEST).is_file():
            trainer.load_checkpoint(str(folder / LATEST))
        _seed(recipe.seed + fold + trainer.current_epoch)
        if stop_after:
            return _train_some(trainer, stop_after, folder)
        trainer.run_training()
    return folder / FINAL


def _trainer(recipe: NnunetRecipe, fold: int, dataset: Path, device: torch.device) -> SeededTrainer:
    plans = read_json(dataset / f"{PLANS_NAME}.json")
    _seed(recipe.seed + fold)  # before the weights are drawn
    trainer = SeededTrainer(
        {**plans, "continue_training": True}, recipe.configuration, fold,
        json.loads((dataset / "dataset.json").read_text(encoding="utf-8")), device,
    )  # fmt: skip
    options: Mapping[str, Any] = recipe.trainer
    trainer.num_epochs = int(options["epochs"])
    trainer.num_iterations_per_epoch = int(options["iterations"])
    trainer.num_val_iterations_per_epoch = int(options["validation_iterations"])
    trainer.initial_lr = float(options["learning_rate"])
    trainer.save_every = int(options["checkpoint_every"])
    trainer.smooth = options["loss"] == "dice_ce"
    trainer.initialize()
    return trainer


def _train_some(trainer: SeededTrainer, epochs: int, folder: Path) -> Path:
    """Train some epochs of the whole and leave the checkpoint of a run that was stopped."""

    def stop() -> None:
        trainer.current_epoch -= 1  # the last epoch has been counted; a checkpoint counts it again
        trainer.save_checkpoint(str(folder / LATEST))

    trainer.num_epochs, trainer.on_train_end = trainer.current_epoch + epochs, stop
    trainer.run_training()
    return folder / LATEST


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
