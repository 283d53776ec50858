"""Where a network runs, and what it does when there is no room."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

from cordcohort.errors import ConfigError, GpuFullError, ImageError

SMALLEST_BATCH = 1
MOST_HELD_BY_OTHERS = 0.25  # of a GPU; the context of our own process takes a few percent
CPU_FULL = "DefaultCPUAllocator"  # torch has no class of errors for it
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


def in_batches(work: Callable[[slice], Result], n: int, batch_size: int) -> list[Result]:
    """Work on slices of a scan in batches, with half a batch each time the GPU's memory is full.

    To a cluster a job without GPU memory is an ordinary failure, which a second attempt would only
    repeat; so the job helps itself. What is done is not done again.

    Parameters
    ----------
    work : callable
        From the part of the slices that goes through the network at one time to what it gives;
        called anew with half of it after a failure.
    n : int
        Slices.
    batch_size : int
        Slices at one time to begin with, >= 1.

    Raises
    ------
    torch.cuda.OutOfMemoryError
        If not even one slice fits.

    Examples
    --------
    >>> def small_gpu(part):
    ...     if part.stop - part.start > 3:
    ...         raise torch.cuda.OutOfMemoryError
    ...     return part.stop
    >>> in_batches(small_gpu, 5, 8)
    [2, 4, 5]
    """
    found: list[Result] = []
    start = 0
    while start < n:
        stop = min(start + batch_size, n)
        try:
            found.append(work(slice(start, stop)))
        except torch.cuda.OutOfMemoryError:
            if stop - start <= SMALLEST_BATCH:
                raise
        else:
            start = stop
            continue
        # Only here, after the failure and what it held are forgotten, is there memory to free.
        batch_size = (stop - start) // 2
        torch.cuda.empty_cache()
    return found


@contextmanager
def room_for_scan(image: Path | str, stage: str) -> Generator[None]:
    """Make a scan that does not fit into memory a fault of the scan, not of its batch.

    Parameters
    ----------
    image : path
        The scan.
    stage : str
        Key of ``set-resources`` in the profile.

    Raises
    ------
    ImageError
        If the memory of the GPU, or of the machine, has no room for the scan.
    GpuFullError
        If other programs hold the GPU's memory, which says nothing about the scan.

    Examples
    --------
    >>> with room_for_scan("a.nii.gz", "segment"):
    ...     raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
    Traceback (most recent call last):
    ...
    cordcohort.errors.ImageError: a.nii.gz: [memory] expected a scan for which the GPU has room, ...
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        share = _held_by_others()
        if share > MOST_HELD_BY_OTHERS:
            raise _full(f"a scan while other programs hold {share:.0%}", stage, error) from error
        raise ImageError(
            image, "memory", "a scan for which the GPU has room", _words(error),
            f"ask for a larger GPU in the profile (set-resources.{stage}), remove the scan's "
            "record and run again, or use device: cpu",
        ) from error  # fmt: skip
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or CPU_FULL in str(error)):
            raise
        raise ImageError(
            image, "memory", "a scan for which this machine's memory has room", _words(error),
            f"ask for more in the profile (set-resources.{stage}: mem_mb), remove the scan's "
            "record and run again",
        ) from error  # fmt: skip


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


def _held_by_others() -> float:
    """Share of the GPU's memory that neither is free nor ours."""
    if not torch.cuda.is_available():
        return 0.0
    free, total = torch.cuda.mem_get_info()
    return (total - free - torch.cuda.memory_reserved()) / total


def _words(error: BaseException) -> str:
    """First sentences of an error of torch, without where in its source it was raised."""
    text = " ".join(str(error).split()).rpartition("err == 0. ")[2]
    return text.partition(". ")[0] or "out of memory"


def _full(batch: str, stage: str, error: BaseException) -> GpuFullError:
    return GpuFullError(
        f"device: expected a GPU with room for {batch}, got a full one ({_words(error)}); ask for "
        f"a larger one in the profile (set-resources.{stage}: slurm_partition, or "
        "gres: 'gpu:TYPE:1'), or use cpu"
    )
