"""The one training loop: recipe in, model weights, log and curve out; resumable to the bit.

Batch number ``k`` depends on the seed and ``k`` alone, so a run that was interrupted goes on as if
nothing had happened.
"""

from __future__ import annotations

import csv
import ctypes
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from cordcohort.errors import ConfigError
from cordcohort.files import atomic_path, write_json
from cordcohort.segmentation.device import choose_device
from cordcohort.segmentation.networks import build_network
from cordcohort.training.disc_painter import DISCS, DiscPainter, disc_batches
from cordcohort.training.load import load_sources
from cordcohort.training.losses import LINEAR_LOSSES, make_loss
from cordcohort.training.painter import Painter
from cordcohort.training.recipe import Recipe, read_recipe
from cordcohort.training.sources import CordStack
from cordcohort.training.state import load_state, save_state, save_tensors

VALIDATION_SEED_SHIFT = 1_000_003
LOG_COLUMNS = (
    "step",
    "samples",
    "seconds",
    "learning_rate",
    "train_loss",
    "loss",
    "dice",
    "volume_ratio",
)
WORST_LOSS = 1e30
HALF = 0.5
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
    resume: bool = True, device: str = "auto", threads: int = 2,
) -> Path:  # fmt: skip
    """Train as a recipe says.

    Parameters
    ----------
    recipe_path
        YAML file of ``config/training``.
    out_dir
        Gets ``weights.safetensors`` (best averaged weights), ``log.csv``, ``curve.png``,
        ``recipe.yaml``, ``summary.json`` and the checkpoint.
    roots
        Folder of each key that the recipe's ``sources`` name.
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
    run = _start(recipe, out_dir, choose_device(device), resume)
    if recipe.task == DISCS:
        painter, checks = disc_batches(recipe, VALIDATION_SEED_SHIFT)
    else:
        stacks = load_sources(recipe.sources, roots)
        painter = _painter(recipe, stacks, run.device, validation=False)
        checks = _validation_set(recipe, stacks, run.device)
    _loop(run, painter, checks)
    return out_dir / "weights.safetensors"


def _painter(
    recipe: Recipe, stacks: list[CordStack], device: torch.device, validation: bool
) -> Painter:
    """Painter of the training or the held-out shapes."""
    held = set(recipe.sources["validation"])
    chosen = [s for s in stacks if (s.name in held) == validation]
    if not chosen:
        raise ConfigError("sources", dict(recipe.sources), "at least one cord shape to paint",
                          "name an atlas, masks or phantom source")  # fmt: skip
    table = recipe.sources["weights"]
    weights = [_weight(table, s.name) for s in chosen]
    seed = recipe.seed + VALIDATION_SEED_SHIFT * validation
    return Painter(chosen, weights, recipe.painting, seed, device)


def _weight(table: Mapping[str, Any], name: str) -> float:
    """Weight of a shape: by its name, by the part before the first ``-``, or the default."""
    kind = name.partition("-")[0]
    return float(table.get(name, table.get(kind, table.get("default", 1.0))))


def _validation_set(
    recipe: Recipe, stacks: list[CordStack], device: torch.device
) -> list[tuple[Tensor, Tensor]]:
    """Fixed batches painted on held-out shapes (on all shapes if none is held out)."""
    held = bool(set(recipe.sources["validation"]) & {s.name for s in stacks})
    painter = _painter(recipe, stacks, device, validation=held)
    painter.seed = recipe.seed + VALIDATION_SEED_SHIFT
    size = int(recipe.schedule["batch_size"])
    count = max(1, int(recipe.validation["samples"]) // size)
    return [painter.batch(i, size) for i in range(count)]


def _start(recipe: Recipe, folder: Path, device: torch.device, resume: bool) -> Run:
    """New run, or the one of the checkpoint."""
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.network["name"], recipe.network["options"]).to(device)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.optimiser["learning_rate"],
        weight_decay=recipe.optimiser["weight_decay"],
    )  # fmt: skip
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
    _trim_log(folder / "log.csv", int(numbers["step"]))
    return Run(recipe, network, optimiser, average, numbers, device, folder)


def _loop(run: Run, painter: Painter | DiscPainter, checks: list[tuple[Tensor, Tensor]]) -> None:
    """Train until the last step or until validation stops improving."""
    schedule, recipe = run.recipe.schedule, run.recipe
    loss_of = make_loss(recipe.loss["name"], recipe.loss["options"])
    size = int(schedule["batch_size"])
    began = time.monotonic() - float(run.numbers["seconds"])
    total, counted = 0.0, 0
    run.network.train()
    last = int(schedule["stop_after"] or schedule["steps"])
    batches = _batches(painter, int(run.numbers["step"]), last, size)
    while run.numbers["step"] < last and not run.numbers["stopped"]:
        step = int(run.numbers["step"])
        image, target = next(batches)
        rate = learning_rate(step, recipe)
        total += _step(run, loss_of, image, target, rate)
        counted += 1
        run.numbers["step"] = step + 1
        run.numbers["seconds"] = time.monotonic() - began
        if _is_due(step + 1, recipe.validation["every"], last):
            _validate(run, loss_of, checks, total / counted, rate)
            total, counted = 0.0, 0
        if _is_due(step + 1, recipe.checkpoint["every"], last) or run.numbers["stopped"]:
            save_state(run.folder, run.network, run.average, run.optimiser, run.numbers)
    write_json(run.folder / "summary.json", {**run.numbers, "samples": run.numbers["step"] * size})


def _batches(
    painter: Painter | DiscPainter, first: int, last: int, size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches from ``first``; the next is painted while the network works on this one."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(painter.batch, first, size)
        for step in range(first + 1, last + 1):
            ready = waiting.result()
            waiting = pool.submit(painter.batch, step, size)
            yield ready


def _is_due(step: int, every: int, last: int) -> bool:
    """Whether something that happens every few steps, and at the end, happens now."""
    return step % int(every) == 0 or step == int(last)


def learning_rate(step: int, recipe: Recipe) -> float:
    """Warm-up, plateau, then a cosine to zero over the last part of the run.

    Examples
    --------
    >>> from cordcohort.training.recipe import parse_recipe
    >>> schedule = {"steps": 10, "warmup": 2}
    >>> r = parse_recipe({"name": "a", "task": "cord", "seed": 1, "schedule": schedule})
    >>> learning_rate(0, r) < learning_rate(5, r) and learning_rate(9, r) < learning_rate(5, r)
    True
    """
    schedule = recipe.schedule
    peak = float(recipe.optimiser["learning_rate"])
    if step < schedule["warmup"]:
        return peak * (step + 1) / schedule["warmup"]
    start = float(schedule["decay_from"]) * schedule["steps"]
    if step < start:
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * (step - start) / max(schedule["steps"] - start, 1)))


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
    nn.utils.clip_grad_norm_(run.network.parameters(), float(run.recipe.optimiser["clip_norm"]))
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
    linear = run.recipe.loss["name"] in LINEAR_LOSSES
    loss, both, found, true = 0.0, 0.0, 0.0, 0.0
    with torch.no_grad():
        for image, target in checks:
            output = run.network(image)
            loss += float(loss_of(output, target)) / len(checks)
            mask = (output > (HALF if linear else 0.0)).float()
            hard = (target > HALF).float()
            both, found, true = (
                both + float((mask * hard).sum()),
                found + float(mask.sum()),
                true + float(hard.sum()),
            )
    run.network.load_state_dict(own)
    run.network.train()
    dice = 2 * both / max(found + true, 1.0)
    step = int(run.numbers["step"])
    row = (step, step * int(run.recipe.schedule["batch_size"]), round(run.numbers["seconds"], 1),
           rate, train_loss, loss, dice, found / max(true, 1.0))  # fmt: skip
    _log(run.folder, row)
    _remember_best(run, loss)


def _remember_best(run: Run, loss: float) -> None:
    """Write the averaged weights when they are the best; count towards early stopping."""
    if loss < run.numbers["best"]:
        run.numbers.update(best=loss, since_best=0, best_step=run.numbers["step"])
        save_tensors(run.folder / "weights.safetensors", run.average)
    else:
        run.numbers["since_best"] += 1
    run.numbers["stopped"] = run.numbers["since_best"] >= run.recipe.validation["patience"]


def _log(folder: Path, row: tuple[float, ...]) -> None:
    """Append a row to log.csv and draw the curve again."""
    path = folder / "log.csv"
    fresh = not path.exists()
    with path.open("a", newline="") as handle:
        writer = csv.writer(handle)
        if fresh:
            writer.writerow(LOG_COLUMNS)
        writer.writerow([f"{v:.6g}" for v in row])
    draw_curve(path, folder / "curve.png")


def _trim_log(path: Path, step: int) -> None:
    """Drop rows after the checkpoint's step, so that a resumed run logs each step once."""
    if not path.exists():
        return
    with path.open(newline="") as handle:
        rows = list(csv.reader(handle))
    kept = [r for r in rows[1:] if int(float(r[0])) <= step]
    if not kept:
        path.unlink()
        return
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([rows[0], *kept])


def draw_curve(log: Path, picture: Path) -> None:
    """Loss and Dice against samples."""
    with log.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    samples = [float(r["samples"]) for r in rows]
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for key, label in (("train_loss", "training"), ("loss", "validation")):
        left.plot(samples, [float(r[key]) for r in rows], label=label)
    left.set(xlabel="painted samples", ylabel="loss")
    left.legend(frameon=False)
    right.plot(samples, [float(r["dice"]) for r in rows])
    right.set(xlabel="painted samples", ylabel="validation Dice", ylim=(0, 1))
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
