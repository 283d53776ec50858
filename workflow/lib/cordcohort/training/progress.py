"""What a training run tells: a row of numbers at each validation, and their curve."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from cordcohort.files import atomic_path

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


def add_row(folder: Path, row: tuple[float, ...], further: Sequence[str] = ()) -> None:
    """Append a row to log.csv and draw the curve again.

    ``dice`` and ``volume_ratio`` are those of the first output; each ``further`` region that the
    network draws has two columns more.
    """
    path = folder / "log.csv"
    fresh = not path.exists()
    with path.open("a", newline="") as handle:
        writer = csv.writer(handle)
        if fresh:
            more = (f"{kind}_{name}" for name in further for kind in ("dice", "volume_ratio"))
            writer.writerow((*LOG_COLUMNS, *more))
        writer.writerow([f"{v:.6g}" for v in row])
    draw_curve(path, folder / "curve.png")


def drop_rows_after(path: Path, step: int) -> None:
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
    left.set(xlabel="samples", ylabel="loss")
    left.legend(frameon=False)
    named = [key for key in rows[0] if key == "dice" or key.startswith("dice_")]
    for key in named:
        right.plot(samples, [float(r[key]) for r in rows], label=key.removeprefix("dice_"))
    if len(named) > 1:
        right.legend(frameon=False)
    right.set(xlabel="samples", ylabel="validation Dice", ylim=(0, 1))
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
