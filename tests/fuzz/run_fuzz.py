"""Fuzz the readers and print what happened.

    python tests/fuzz/run_fuzz.py --mutations 12000 --examples 400 --guided-seconds 120 --seed 0

Every call may take 10 s, and the whole process 1 GiB; it may end well or with one of the
product's named errors; it may not touch a file outside of its folder. Of a NIfTI file the numbers
and the affine must be those of the file it was made from, or, where the damage makes another valid
file, the numbers those that a second, plain reader finds in it.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from cordcohort.nifti import read_image
from guided import guided
from hypothesis import HealthCheck, configuration, given, settings
from hypothesis import seed as seeded
from inputs import TARGETS, Target
from mutate import Mutation, mutations, plain_affine, plain_numbers
from watch import MEMORY_BYTES, Acts, Tally

sys.dont_write_bytecode = True  # the interpreter's own files beside the code are no act of ours


def judge(mutation: Mutation, folder: Path, tally: Tally) -> None:
    """Read one mutated image and compare its numbers."""
    path = folder / mutation.name
    path.write_bytes(mutation.content)
    image = tally.call(mutation.what, lambda: read_image(path, ndim=None))
    if image is None:
        return
    packed = mutation.content[:2] == b"\x1f\x8b"
    source = mutation.seed.packed if mutation.same else mutation.content
    packed = mutation.seed.name.endswith(".gz") if mutation.same else packed
    wanted = plain_numbers(source, packed=packed)
    same = wanted is not None and wanted.shape == image.data.shape
    if not same or not np.allclose(image.data, wanted, rtol=1e-6, atol=0, equal_nan=True):
        tally.outcomes["accepted"] -= 1
        tally.outcomes["WRONG NUMBERS"] += 1
        tally.wrong.append(f"{mutation.what} of {mutation.name}: other numbers")
    elif mutation.same and not np.array_equal(image.affine, plain_affine(mutation.seed.raw)):
        tally.outcomes["accepted"] -= 1
        tally.outcomes["WRONG AFFINE"] += 1
        tally.wrong.append(f"{mutation.what} of {mutation.name}: another affine")
    elif mutation.same:
        tally.outcomes["accepted"] -= 1
        tally.outcomes["accepted: the very numbers of the good file"] += 1
    else:
        tally.outcomes["accepted"] -= 1
        tally.outcomes["accepted: the numbers that a second reader finds in the file"] += 1


def fuzz_images(count: int, seed: int, folder: Path) -> Tally:
    """Mutate images."""
    tally = Tally()
    for start in range(0, count, 500):
        for mutation in mutations(seed + start, min(500, count - start)):
            judge(mutation, folder, tally)
    return tally


def fuzz_inputs(target: Target, examples: int, seed: int, folder: Path) -> Tally:
    """Give arbitrary files to one reader."""
    tally = Tally()

    @seeded(seed)
    @settings(max_examples=examples, database=None, deadline=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(target.files)
    def once(files: dict[str, bytes]) -> None:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        tally.call(f"{target.name} {str(files)[:200]}", lambda: target.read(folder))

    once()
    return tally


def main() -> int:
    """Fuzz all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=12000)
    parser.add_argument("--examples", type=int, default=400)
    parser.add_argument("--guided-seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    logging.disable()  # nibabel tells of every header that it mends
    warnings.simplefilter("ignore")
    options = parser.parse_args()
    n_wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        configuration.set_hypothesis_home_dir(folder / "hypothesis")
        acts = Acts(folder)
        parts = {f"{options.mutations} NIfTI mutations":
                 fuzz_images(options.mutations, options.seed, folder)}  # fmt: skip
        for target in TARGETS:
            home = folder / target.name
            home.mkdir()
            parts[target.name] = fuzz_inputs(target, options.examples, options.seed, home)
        parts["image reader, led by coverage"] = guided(
            options.guided_seconds, options.seed, folder
        )
        acts.watching = False
    for part, tally in parts.items():
        print("\n".join([part, *tally.lines()]))
        n_wrong += len(tally.wrong)
    if tally.peak_bytes > MEMORY_BYTES:
        n_wrong += 1
        print(f"WRONG: more than {MEMORY_BYTES} bytes of memory")
    for act in acts.seen[:20]:
        print(f"outside of its folder: {act}")
    print(f"{n_wrong} wrong; {len(acts.seen)} acts outside of the folder")
    return int(bool(n_wrong or acts.seen))


if __name__ == "__main__":
    sys.exit(main())
