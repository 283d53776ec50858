"""Which scans take part in the soft ground truth of their session, and from which files.

What is asked here of a scan can be told of its own row: a job that knows the rows of its own batch
only must get the same answer as the main process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cordcohort import scan as paths
from cordcohort.config import Config

RULE = "soft_truth"


def takes_part(row: paths.Row, config: Config, models: Iterable[str]) -> bool:
    """Whether a scan has, or may get, a cord mask that the average takes.

    Parameters
    ----------
    row : mapping
        Row of the index.
    config : Config
    models : iterable of str
        Models that segment this scan.
    """
    return config.images.soft_truth.make and bool(mask_files(row, config, models))


def mask_files(row: paths.Row, config: Config, models: Iterable[str]) -> list[str]:
    """Files that the cord mask of a scan may come from: masks of the index, records of models."""
    drawing = set(models)
    given = [
        str(mask["path"])
        for mask in paths.masks_of(row)
        if mask["structure"] == "cord" and mask["status"] == "ok"
        and mask["method"] in config.images.soft_truth.masks
    ]  # fmt: skip
    chosen = [m for m in config.images.soft_truth.masks if m in drawing]
    return given + [paths.mask_record(row, model) for model in chosen]


def registered_images(row: paths.Row, config: Config) -> list[str]:
    """Image that a rigid registration looks at; none where masks alone decide."""
    if config.images.soft_truth.alignment != "rigid" or row["status"] != "ok":
        return []
    return [paths.image_record(row, "b0") if paths.is_series(row) else str(row["image"])]


def withdraw(rows: Iterable[paths.Row]) -> None:
    """Remove the soft ground truth of scans that take part in none any more.

    Pictures, trainings and whoever else looks beside a scan would take an average that its session
    has no more. The record goes first: one without files would be a damaged one.

    Parameters
    ----------
    rows : iterable of index rows
        Scans whose mask was withdrawn, or that no model segments any more.
    """
    for row in rows:
        record = Path(paths.soft_truth_record(row))
        if record.exists():
            with contextlib.suppress(OSError):  # of a study that cannot be written to
                for path in (record, *paths.soft_truth_files(row).values()):
                    Path(path).unlink(missing_ok=True)


def options(config: Config) -> dict[str, Any]:
    """The section ``images.soft_truth``, less what changes no number."""
    section = dict(config.as_dict()["images"]["soft_truth"])
    section.pop("make")
    return section


def left_out(config: Config, rows: Iterable[paths.Row]) -> dict[str, str]:
    """Scans that the exclusion list keeps out of the average, with their reasons."""
    if not config.exclusions:
        return {}
    from cordcohort.cohort.exclusion import left_out_of, read_entries  # noqa: PLC0415 - slow

    return left_out_of(RULE, read_entries(config.exclusions), rows)
