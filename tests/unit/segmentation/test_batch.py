"""Batches: one bad scan never costs its neighbours; every scan ends in a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from cordcohort.errors import GpuFullError
from cordcohort.fault_codes import codes_of
from cordcohort.files import read_record, sha256_of
from cordcohort.measures.shape import measure_shape
from cordcohort.nifti import Image, read_image, write_image
from cordcohort.segmentation import infer
from cordcohort.segmentation.batch import Output, Task, segment_batch
from cordcohort.segmentation.draw import Drawn, segment_image
from cordcohort.segmentation.registry import Model, Stage, list_models, load_model
from cordcohort.segmentation.rootlet_block import BLOCK
from cordcohort.segmentation.scans import segment_scans
from cordcohort.spinal_names import ROOTLET_CODES
from cordcohort.table import SCAN_KEY

Draw = Callable[..., tuple[Image, np.ndarray]]


def task(folder: Path, name: str) -> Task:
    return Task(folder / f"{name}.nii.gz", (Output(folder / "out" / f"{name}_label-SC_seg"),))


def test_failures_become_records_and_their_neighbours_are_segmented(
    model: Model, draw: Draw, tmp_path: Path
) -> None:
    image, _ = draw()
    write_image(tmp_path / "good.nii.gz", image.data, image.affine, dtype=np.float32)
    raw = (tmp_path / "good.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(raw[: len(raw) // 2])
    bad = image.data.copy()
    bad[0, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(bad, image.affine), tmp_path / "nan.nii.gz")
    nib.save(nib.Nifti1Image(np.stack([image.data] * 2, -1), image.affine), tmp_path / "4d.nii.gz")
    write_image(tmp_path / "empty.nii.gz", image.data * 0, image.affine, dtype=np.float32)
    names = ["cut", "nan", "4d", "missing", "empty", "good"]
    records = segment_batch([task(tmp_path, n) for n in names], model)
    assert [r["status"] for r in records] == ["failed"] * 4 + ["no_cord", "ok"]
    assert all(r["reason"] for r in records[:-1])
    for name, record in zip(names, records, strict=True):
        assert read_record(task(tmp_path, name).outputs[0].record, 1) == record
        assert task(tmp_path, name).outputs[0].mask.exists() == (record["status"] == "ok")


def test_masks_lie_on_the_grid_of_their_image_to_the_bit(
    model: Model, draw: Draw, tmp_path: Path
) -> None:
    image, _ = draw()
    affine = image.affine.copy()
    affine[:3, 0] *= -1
    affine[:3, :3] *= 1.0000137
    header = nib.Nifti1Image(image.data, affine)
    header.set_sform(affine, 2)
    header.set_qform(affine, 1)
    nib.save(header, tmp_path / "scan.nii.gz")
    one = task(tmp_path, "scan")
    record = segment_batch([one], model)[0]
    given = nib.load(tmp_path / "scan.nii.gz").header
    for path in (one.outputs[0].mask, one.outputs[0].soft):
        made = nib.load(path).header
        assert np.array_equal(made.get_best_affine(), given.get_best_affine())
        assert made["sform_code"] == given["sform_code"]
    assert nib.load(one.outputs[0].mask).get_data_dtype() == np.uint8
    assert nib.load(one.outputs[0].soft).get_data_dtype() == np.float32
    assert record["mask_sha256"] == sha256_of(one.outputs[0].mask)
    mask = read_image(one.outputs[0].mask)
    assert record["volume_mm3"] > 0
    assert abs(record["volume_mm3"] - mask.data.sum() * mask.voxel_mm3) < 0.01


def test_a_mask_of_an_earlier_run_does_not_outlive_a_failure(model: Model, tmp_path: Path) -> None:
    one = task(tmp_path, "gone")
    one.outputs[0].mask.parent.mkdir(parents=True)
    one.outputs[0].mask.write_bytes(b"old")
    assert segment_batch([one], model)[0]["status"] == "failed"
    assert not one.outputs[0].mask.exists()


def test_the_same_scan_gives_the_same_bytes(model: Model, draw: Draw, tmp_path: Path) -> None:
    image, _ = draw()
    write_image(tmp_path / "scan.nii.gz", image.data, image.affine, dtype=np.float32)
    one = task(tmp_path, "scan")
    first = segment_batch([one], model)[0]["mask_sha256"]
    assert segment_batch([one], model)[0]["mask_sha256"] == first


def _gpu_of(model: Model, most: int) -> list[int]:
    """Let every network of a model take so many slices at one time; sizes of all calls come in."""
    seen: list[int] = []

    def forward_begins(_network: object, given: tuple[torch.Tensor, ...]) -> None:
        seen.append(len(given[0]))
        if len(given[0]) > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB. GPU 0")

    for stage in model.stages.values():
        stage.network.register_forward_pre_hook(forward_begins)
    return seen


class Constant(torch.nn.Module):
    """Stands for a trained network: the same everywhere in all of its outputs."""

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.n_outputs = n_outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.new_ones((len(x), self.n_outputs, *x.shape[2:]))


def _of_task(task: str) -> Model:
    """Give a model of a task whose localiser is the shipped one and whose network is constant."""
    base = load_model("cord-v1")
    stage = {
        "lesion": Stage(Constant(2), 0.5, 64, 2.0, "sigmoid"),
        "rootlets": Stage(
            Constant(len(ROOTLET_CODES) + 1), 1.5, max(BLOCK), 0.0, "sigmoid", 0.0, BLOCK
        ),
    }[task]
    stages = {"localiser": base.stages["localiser"], task: stage}
    return replace(base, card={**base.card, "task": task}, stages=stages)


_DRAWING = sorted(n for n, entry in list_models().items() if entry.get("task") != "discs")
MODELS = {name: partial(load_model, name) for name in _DRAWING if name != "classical"} | {
    f"a model of {task}": partial(_of_task, task) for task in ("lesion", "rootlets")
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_halves_its_batch_when_the_gpu_is_full(name: str, draw: Draw) -> None:
    image, _ = draw((64, 64, 10))
    expected = segment_image(MODELS[name](), image)
    model = MODELS[name]()
    sizes = _gpu_of(model, 3)
    found = segment_image(model, image, batch_size=8)
    assert 8 in sizes
    assert {s: one.status for s, one in found.items()} == {
        s: one.status for s, one in expected.items()
    }
    for structure, one in found.items():
        assert np.array_equal(one.mask, expected[structure].mask), structure


def _small_and_large(draw: Draw, folder: Path) -> list[Task]:
    """Two small scans with one between them that has more pixels a slice."""
    for name, shape in {"a": (64, 64, 10), "large": (200, 200, 10), "z": (64, 64, 10)}.items():
        image, _ = draw(shape)
        write_image(folder / f"{name}.nii.gz", image.data, image.affine, dtype=np.float32)
    return [task(folder, name) for name in ("a", "large", "z")]


def _full_above(model: Model, pixels: int, fill: Callable[[], object]) -> list[int]:
    """Let the localiser have room for slices of so many pixels; sizes of all calls come in."""
    seen: list[int] = []

    def forward_begins(_network: object, given: tuple[torch.Tensor, ...]) -> None:
        if given[0][0, 0].numel() > pixels:
            seen.append(len(given[0]))
            fill()

    model.stages["localiser"].network.register_forward_pre_hook(forward_begins)
    return seen


def _cuda_is_full() -> None:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB. GPU 0")


@pytest.mark.parametrize(
    ("fill", "sizes", "words"),
    [
        (_cuda_is_full, [4, 2, 1], ("GPU", "CUDA out of memory", "set-resources.segment")),
        (lambda: torch.empty(1 << 55), [4], ("this machine", "can't allocate", "mem_mb")),
        (lambda: np.empty(1 << 55), [4], ("this machine", "Unable to allocate", "mem_mb")),
    ],
)
def test_a_scan_for_which_memory_has_no_room_fails_alone(
    draw: Draw, tmp_path: Path, fill: Callable[[], object], sizes: list[int], words: tuple[str, ...]
) -> None:
    tasks, model = _small_and_large(draw, tmp_path), load_model("cord-v1")
    seen = _full_above(model, 96 * 96, fill)
    records = segment_batch(tasks, model, batch_size=4)
    assert [r["status"] for r in records] == ["ok", "failed", "ok"]
    reason = records[1]["reason"]
    assert codes_of(reason) == ("memory",)
    assert all(word in reason for word in words), reason
    assert "\n" not in reason
    assert seen == sizes
    assert read_record(tasks[1].outputs[0].record, 1)["status"] == "failed"


def test_a_network_whose_cost_does_not_depend_on_the_batch_is_not_repeated(
    draw: Draw, tmp_path: Path
) -> None:
    image, _ = draw((64, 64, 10))
    write_image(tmp_path / "scan.nii.gz", image.data, image.affine, dtype=np.float32)
    model = _of_task("rootlets")
    calls: list[str] = []
    for name, stage in model.stages.items():
        stage.network.register_forward_pre_hook(lambda *_, name=name: calls.append(name))
    model.stages["rootlets"].network.register_forward_pre_hook(lambda *_: _cuda_is_full())
    outputs = (Output(tmp_path / "scan_label-rootlets_dseg", "rootlets"),)
    record = segment_batch([Task(tmp_path / "scan.nii.gz", outputs)], model, batch_size=64)[0]
    assert record["status"] == "failed"
    assert calls == ["localiser", "rootlets"]


def test_a_gpu_that_other_programs_fill_stops_the_job_and_leaves_no_record(
    draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _ = draw()
    write_image(tmp_path / "scan.nii.gz", image.data, image.affine, dtype=np.float32)
    model = load_model("cord-v1")
    _gpu_of(model, 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1 << 30, 10 << 30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 1 << 30)
    with pytest.raises(GpuFullError, match=r"other programs hold 80%.*set-resources\.segment"):
        segment_batch([task(tmp_path, "scan")], model, batch_size=4)
    assert not list(tmp_path.rglob("*.json"))  # no record that would keep it from being tried again


def test_the_classical_baseline_leaves_the_same_records_as_a_network(
    draw: Draw, tmp_path: Path
) -> None:
    image, truth = draw((64, 64, 16), (1.0, 1.0, 4.0))
    write_image(tmp_path / "good.nii.gz", image.data, image.affine, dtype=np.float32)
    noise = np.random.default_rng(1).rayleigh(100, image.data.shape).astype(np.float32)
    write_image(tmp_path / "noise.nii.gz", noise, image.affine, dtype=np.float32)
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "good.nii.gz").read_bytes()[:1000])
    tasks = [task(tmp_path, n) for n in ("good", "noise", "cut")]
    found = segment_batch(tasks, load_model("classical"))
    assert [r["status"] for r in found] == ["ok", "no_cord", "failed"]
    assert {r["method"] for r in found} == {"classical"}
    assert all(r["reason"] for r in found[1:])
    assert found[0]["mask"]
    assert not found[0]["soft"]
    assert not any(one.outputs[0].soft.exists() for one in tasks)
    assert [one.outputs[0].mask.exists() for one in tasks] == [True, False, False]
    mask = read_image(tasks[0].outputs[0].mask).data > 0
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.8
    assert found[0]["n_slices"] == mask.any((0, 1)).sum()


def test_a_suspicious_mask_is_flagged_in_its_record_and_in_the_long_table(
    model: Model, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _ = draw()
    write_image(tmp_path / "scan.nii.gz", image.data, image.affine, dtype=np.float32)
    one = task(tmp_path, "scan")
    whole = segment_batch([one], model)[0]
    assert whole["warnings"] == []

    def with_gap(*arguments: object, **options: object) -> Drawn:
        found = infer.segment_volume(model, image)
        found.mask[:, :, 5] = 0
        return {"cord": found}

    monkeypatch.setattr("cordcohort.segmentation.batch.segment_image", with_gap)
    record = segment_batch([one], model)[0]
    assert record["status"] == "ok"
    assert "slices between its ends is empty" in record["warnings"][0]
    assert record["quality"]["n_empty_between"] == 1
    mask = {
        "method": "cord-v1", "structure": "cord", "kind": "seg", "status": "ok", "reason": "",
        "path": str(one.outputs[0].mask), "warning": "; ".join(record["warnings"]),
    }  # fmt: skip
    scan = dict.fromkeys(SCAN_KEY, "")
    table = measure_shape(scan, [mask], image=str(tmp_path / "scan.nii.gz"))
    area = table[(table["measure"] == "csa_mm2") & (table["statistic"] == "mean")]
    assert area["flag"].tolist() == ["warning"]
    assert record["warnings"][0] in area["reason"].iloc[0]
    assert np.isfinite(area["value"].iloc[0])


def test_the_key_mirror_reaches_the_network(
    model: Model, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    image, _ = draw()
    write_image(tmp_path / "scan.nii.gz", image.data, image.affine, dtype=np.float32)
    row = dict.fromkeys(SCAN_KEY, "") | {
        "dataset": "d", "folder": "anat", "stem": "scan", "status": "ok", "datatype": "anat",
        "image": str(tmp_path / "scan.nii.gz"), "reason": "", "bval": "", "bvec": "",
    }  # fmt: skip
    sums = [segment_scans([row], model, mirror=mirror)[0]["mask_sha256"] for mirror in (0, 1, 0)]
    assert sums[0] == sums[2] != sums[1]
    expected = infer.segment_volume(model, read_image(row["image"]), mirror=True).mask
    segment_scans([row], model, mirror=True)
    made = read_image("results/segmentation/d/cord-v1/anat/scan_label-SC_seg.nii.gz")
    assert np.array_equal(made.data, expected)


def test_each_structure_of_a_scan_gets_its_own_mask_and_record_and_an_empty_lesion_is_no_fault(
    model: Model, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, truth = draw()
    write_image(tmp_path / "scan.nii.gz", image.data, image.affine, dtype=np.float32)
    stems = {"cord": "label-SC_seg", "lesion": "label-lesion_seg", "regions": "label-regions_dseg"}
    outputs = tuple(Output(tmp_path / f"scan_{stem}", name) for name, stem in stems.items())
    one = Task(tmp_path / "scan.nii.gz", outputs)
    whole = truth.astype(np.uint8)
    shares = np.repeat(truth[..., None] / 8, 8, axis=-1).astype(np.float32)
    drawn = {
        "cord": infer.Segmentation(whole.astype(np.float32), whole, "ok", "", 12),
        "lesion": infer.Segmentation(None, 0 * whole, "ok", "", 0),
        "regions": infer.Segmentation(shares, 3 * whole, "ok", "", 12),
    }
    monkeypatch.setattr("cordcohort.segmentation.batch.segment_image", lambda *a, **b: drawn)
    found = segment_batch([one], model)
    assert [r["structure"] for r in found] == list(stems)
    assert [r["status"] for r in found] == ["ok"] * 3
    assert [r["volume_mm3"] > 0 for r in found] == [True, False, True]
    assert [r["soft"] for r in found] == [
        "scan_label-SC_softseg.nii.gz", "", "scan_label-regions_probseg.nii.gz",
    ]  # fmt: skip
    assert [read_record(o.record, 1) for o in outputs] == found
    assert read_image(outputs[2].soft, ndim=4).data.shape == (*truth.shape, 8)
    write_image(tmp_path / "scan.nii.gz", image.data * np.nan, image.affine, dtype=np.float32)
    assert {r["status"] for r in segment_batch([one], model)} == {"failed"}
    assert not any(file.exists() for o in outputs for file in (o.mask, o.soft))
