"""The one training loop: recipe in, model weights, log and curve out; resumable to the bit.

Batch number ``k`` depends on the seed and ``k`` alone, so a run that was interrupted goes on as if
nothing had happened.
"""

from __future__ import annotations

import ctypes
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from cordcohort.errors import ConfigError
from cordcohort.files import read_json, write_json
from cordcohort.scan import Row
from cordcohort.segmentation.device import choose_device, room_for
from cordcohort.segmentation.networks import build_network
from cordcohort.training.heat_maps import best_thresholds
from cordcohort.training.losses import make_loss
from cordcohort.training.optimiser import (
    learning_rate,
    make_optimiser,
    start_weights,
)
from cordcohort.training.progress import add_row, drop_rows_after
from cordcohort.training.recipe import Recipe, in_steps, read_recipe
from cordcohort.training.scores import score
from cordcohort.training.state import STATE_NUMBERS, load_state, save_state, save_tensors
from cordcohort.training.supply import VOLUMES, Batches, make_supply

WORST_LOSS = 1e30
HALF = 0.5
HEAT_MAPS = "heat_map_distance"
SUMMARY = "summary.json"
LARGEST_MMAP_THRESHOLD_BYTES = 32 << 20  # glibc refuses more
TOP_PAD_BYTES = 256 << 20
TRIM_BYTES = (1 << 31) - 1
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


@dataclass
class Run:
    """What a training run carries from step to step."""

    recipe: Recipe
    network: nn.Module
    optimiser: torch.optim.Optimizer
    average: dict[str, Tensor]
    numbers: dict[str, Any]
    device: torch.device
    folder: Path


def keep_memory() -> None:
    """Let the C library keep freed memory: fresh pages cost the painter more than its work."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)
        libc.mallopt(M_TOP_PAD, TOP_PAD_BYTES)
    except (OSError, AttributeError):
        return


def train(
    recipe_path: Path, out_dir: Path, roots: Mapping[str, Path], *,
    rows: Mapping[str, Sequence[Row]] | None = None, resume: bool = True, device: str = "auto",
    threads: int = 2,
) -> Path:  # fmt: skip
    """Train as a recipe says.

    Parameters
    ----------
    recipe_path
        YAML file of ``config/training``.
    out_dir
        Gets ``weights.safetensors`` (best averaged weights), ``log.csv``, ``curve.png``,
        ``recipe.yaml``, ``summary.json`` and the checkpoint; of a cohort also ``split.tsv`` and
        ``scans.tsv``.
    roots
        Folder of each key that the recipe's ``sources`` name.
    rows
        Rows of the index for the key of each cohort source
        (:func:`cordcohort.bids.single.rows_of_folders`).
    resume
        Go on from the checkpoint in ``out_dir``.

    Returns
    -------
    Path
        The weights.
    """
    recipe = read_recipe(recipe_path)
    torch.set_num_threads(threads)
    keep_memory()
    out_dir.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(recipe_path, out_dir / "recipe.yaml")
    resume = resume and (out_dir / STATE_NUMBERS).is_file()
    place = choose_device(device)

    def find_rows(key: str) -> Sequence[Row]:
        if not rows or key not in rows:
            raise ConfigError("sources.cohort", key, f"the scans of '{key}'",
                              f"add --source {key}=FOLDER", "recipe")  # fmt: skip
        return rows[key]

    supply = make_supply(recipe, roots, find_rows, place, out_dir, resume=resume)
    run = _start(in_steps(recipe, supply.epoch_samples), out_dir, place, resume)
    run.numbers["validated_on"] = "held out" if supply.unseen else "training"
    # Half a batch would train another model, so a full GPU stops the training.
    with room_for(f"a batch of {recipe.schedule['batch_size']}", "train"):
        _loop(run, supply.train, supply.checks)
    if run.recipe.loss["name"] == HEAT_MAPS:
        _choose_thresholds(run, supply.checks)
    shutil.rmtree(out_dir / VOLUMES, ignore_errors=True)
    return out_dir / "weights.safetensors"


def _choose_thresholds(run: Run, checks: list[tuple[Tensor, Tensor]]) -> None:
    """Threshold of each region for the kept weights, on what validates; into the summary."""
    run.network.load_state_dict(load_file(str(run.folder / "weights.safetensors")))
    run.network.eval()
    with torch.no_grad():
        outputs = [run.network(image.to(run.device)).float().cpu() for image, _ in checks]
    true = torch.cat([target[:, 1:] > HALF for _, target in checks]).cpu().numpy()
    found = best_thresholds(torch.cat(outputs).numpy(), true)
    summary = run.folder / SUMMARY
    write_json(summary, {**read_json(summary), "thresholds": found})


def _start(recipe: Recipe, folder: Path, device: torch.device, resume: bool) -> Run:
    """New run, or the one of the checkpoint."""
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.network["name"], recipe.network["options"]).to(device)
    if recipe.network["start_from"] and not resume:
        start_weights(network, str(recipe.network["start_from"]), recipe.name)
    optimiser = make_optimiser(network, recipe)
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    numbers: dict[str, Any] = {
        "step": 0,
        "best": WORST_LOSS,
        "since_best": 0,
        "seconds": 0.0,
        "stopped": False,
    }
    found = load_state(folder, network, optimiser) if resume else None
    if found is not None:
        average = {k: v.to(device) for k, v in found[0].items()}
        numbers = found[1]
    drop_rows_after(folder / "log.csv", int(numbers["step"]))
    return Run(recipe, network, optimiser, average, numbers, device, folder)


def _loop(run: Run, supply: Batches, checks: list[tuple[Tensor, Tensor]]) -> None:
    """Train until the last step or until validation stops improving."""
    schedule, recipe = run.recipe.schedule, run.recipe
    loss_of = make_loss(recipe.loss["name"], recipe.loss["options"])
    size = int(schedule["batch_size"])
    began = time.monotonic() - float(run.numbers["seconds"])
    total, counted = 0.0, 0
    run.network.train()
    last = int(schedule["stop_after"] or schedule["steps"])
    batches = _batches(supply, int(run.numbers["step"]), last, size)
    while run.numbers["step"] < last and not run.numbers["stopped"]:
        step = int(run.numbers["step"])
        image, target = next(batches)
        rate = learning_rate(step, recipe)
        if schedule["skip_empty"] and not bool((target > 0).any()):
            run.numbers["skipped"] = run.numbers.get("skipped", 0) + 1
        else:
            total += _step(run, loss_of, image, target, rate)
            counted += 1
        run.numbers["step"] = step + 1
        run.numbers["seconds"] = time.monotonic() - began
        if _is_due(step + 1, recipe.validation["every"], last):
            _validate(run, loss_of, checks, total / max(counted, 1), rate)
            total, counted = 0.0, 0
        if _is_due(step + 1, recipe.checkpoint["every"], last) or run.numbers["stopped"]:
            save_state(run.folder, run.network, run.average, run.optimiser, run.numbers)
    write_json(run.folder / SUMMARY, {**run.numbers, "samples": run.numbers["step"] * size})


def _batches(supply: Batches, first: int, last: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches from ``first``; the next is made while the network works on this one."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(supply.batch, first, size)
        for step in range(first + 1, last + 1):
            ready = waiting.result()
            waiting = pool.submit(supply.batch, step, size)
            yield ready


def _is_due(step: int, every: int, last: int) -> bool:
    """Whether something that happens every few steps, and at the end, happens now."""
    return step % int(every) == 0 or step == int(last)


def _autocast(run: Run) -> AbstractContextManager[Any]:
    """bfloat16 arithmetic where the recipe asks for it."""
    wanted = run.recipe.precision["autocast"] == "bfloat16"
    return torch.autocast(run.device.type, torch.bfloat16, enabled=wanted)


def _step(run: Run, loss_of: Any, image: Tensor, target: Tensor, rate: float) -> float:
    """One optimiser step and one step of the weights' moving average."""
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    with _autocast(run):
        output = run.network(image)
    loss = loss_of(output, target)
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    clip_norm = float(run.recipe.optimiser["clip_norm"])
    if clip_norm:
        nn.utils.clip_grad_norm_(run.network.parameters(), clip_norm)
    run.optimiser.step()
    # A young average must forget the start quickly: its memory grows with the number of steps.
    step = int(run.numbers["step"])
    keep = min(float(run.recipe.optimiser["ema"]), (1 + step) / (10 + step))
    with torch.no_grad():
        for name, value in run.network.state_dict().items():
            run.average[name].lerp_(value, 1 - keep)
    return float(loss.detach())


def _validate(
    run: Run, loss_of: Any, checks: list[tuple[Tensor, Tensor]], train_loss: float, rate: float
) -> None:
    """Loss, Dice and volume ratio of the averaged weights; keep them if the loss is the best."""
    own = {k: v.detach().clone() for k, v in run.network.state_dict().items()}
    run.network.load_state_dict(run.average)
    run.network.eval()
    names = run.recipe.regions
    name = run.recipe.loss["name"]
    found = score(run.network, loss_of, checks, loss_name=name, pooled=len(names) == 1)
    run.network.load_state_dict(own)
    run.network.train()
    step = int(run.numbers["step"])
    row = (step, step * int(run.recipe.schedule["batch_size"]), round(run.numbers["seconds"], 1),
           rate, train_loss, *found.columns())  # fmt: skip
    add_row(run.folder, row, names[1:])
    _remember_best(run, found.loss)


def _remember_best(run: Run, loss: float) -> None:
    """Write the averaged weights when they are the best; count towards early stopping."""
    if loss < run.numbers["best"]:
        run.numbers.update(best=loss, since_best=0, best_step=run.numbers["step"])
        save_tensors(run.folder / "weights.safetensors", run.average)
    else:
        run.numbers["since_best"] += 1
    run.numbers["stopped"] = run.numbers["since_best"] >= run.recipe.validation["patience"]
