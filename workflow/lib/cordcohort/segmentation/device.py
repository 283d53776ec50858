"""Where a network runs, and what it does when there is no room."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import torch

from cordcohort.errors import ConfigError, GpuFullError

SMALLEST_BATCH = 1
Result = TypeVar("Result")


def choose_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device that is really there.

    Raises
    ------
    ConfigError
        If ``cuda`` is asked for and this machine shows no GPU.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "segmentation.device", name, "a GPU that this job can see",
            "ask for one in the profile (set-resources: gpu: 1, or gres: 'gpu:1'), or use cpu",
        )  # fmt: skip
    return torch.device(name)


def halving(work: Callable[[int], Result], batch_size: int) -> Result:
    """Work with batches of a size, and with half of it each time the GPU's memory is full.

    To a cluster a job without GPU memory is an ordinary failure, which a second attempt would only
    repeat; so the job helps itself.

    Parameters
    ----------
    work : callable
        From the number of slices a network call to the result; called anew after a failure.
    batch_size : int
        Slices per network call to begin with, >= 1.

    Raises
    ------
    GpuFullError
        If not even one slice fits.

    Examples
    --------
    >>> def small_gpu(size):
    ...     if size > 3:
    ...         raise torch.cuda.OutOfMemoryError
    ...     return size
    >>> halving(small_gpu, 32)
    2
    """
    while True:
        try:
            return work(batch_size)
        except torch.cuda.OutOfMemoryError as error:
            if batch_size <= SMALLEST_BATCH:
                raise _full("one slice", "segment", error) from error
        # Only here, after the failure and what it held are forgotten, is there memory to free.
        batch_size //= 2
        torch.cuda.empty_cache()


@contextmanager
def room_for(batch: str, stage: str) -> Generator[None]:
    """Tell in one line that a GPU is full where nothing smaller can be done.

    Parameters
    ----------
    batch : str
        What did not fit.
    stage : str
        Key of ``set-resources`` in the profile.

    Raises
    ------
    GpuFullError
        If the GPU's memory is full.

    Examples
    --------
    >>> with room_for("a batch of 32", "train"):
    ...     raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
    Traceback (most recent call last):
    ...
    cordcohort.errors.GpuFullError: device: expected a GPU with room for a batch of 32, got ...
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise _full(batch, stage, error) from error


def _full(batch: str, stage: str, error: BaseException) -> GpuFullError:
    came = " ".join(str(error).split()).partition(". ")[0] or "out of memory"
    return GpuFullError(
        f"device: expected a GPU with room for {batch}, got a full one ({came}); ask for a larger "
        f"one in the profile (set-resources.{stage}: slurm_partition, or gres: 'gpu:TYPE:1'), "
        "or use cpu"
    )
