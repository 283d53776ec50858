"""Threads and devices: what they may change, and what not."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from cordcohort.errors import ConfigError
from cordcohort.segmentation.device import choose_device
from cordcohort.segmentation.infer import segment_volume
from cordcohort.segmentation.registry import load_model

# Stated in docs/integrity.md. A GPU adds the terms of a convolution in another order, which moves
# soft values at the edge of the cord past one half in few voxels. Both bounds are of the cord's own
# voxels: background that both call background says nothing. n other voxels in masks of v voxels
# are a Dice of 1 - n / 2v, so that 0.998 is the same bound as 4 voxels in 1,000 of the cord.
LEAST_DICE = 0.998
MOST_OTHER_AREA = 5e-3
MOST_OTHER_OF_CORD = 1e-3  # between numbers of threads

COUNT = """
import numpy, torch
from threadpoolctl import threadpool_info
print(torch.get_num_threads(), *{pool["num_threads"] for pool in threadpool_info()})
"""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that this test can see")
def test_a_gpu_draws_the_mask_of_the_cpu_within_the_stated_bounds(model, draw):
    image, _ = draw()
    cpu = segment_volume(model, image).mask.astype(bool)
    gpu = segment_volume(load_model("cord-v1", torch.device("cuda")), image).mask.astype(bool)
    assert cpu.any()
    assert 2 * np.count_nonzero(cpu & gpu) >= LEAST_DICE * (cpu.sum() + gpu.sum())
    areas = [mask.sum(axis=(0, 1)).mean() for mask in (cpu, gpu)]
    assert areas[1] == pytest.approx(areas[0], rel=MOST_OTHER_AREA)


def test_a_job_without_a_gpu_says_which_key_of_the_profile_to_change(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"set-resources: gpu: 1, or gres: 'gpu:1'") as error:
        choose_device("cuda")
    assert "segmentation.device" in str(error.value)
    assert choose_device("auto").type == "cpu"


def test_one_and_two_threads_draw_the_same_mask(model, draw):
    image, _ = draw()
    before = torch.get_num_threads()
    masks = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            masks.append(segment_volume(model, image).mask)
    finally:
        torch.set_num_threads(before)
    assert masks[0].any()
    other = np.count_nonzero(masks[0] != masks[1])
    assert other <= MOST_OTHER_OF_CORD * np.count_nonzero(masks[0])


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_variables_that_the_engine_sets_fix_the_threads_of_all_libraries(threads):
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    environment = os.environ | {f"{name}_NUM_THREADS": threads for name in names}
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == {threads}
