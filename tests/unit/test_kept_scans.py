"""A scan is kept only if nothing differs of what it is made from and of what was made of it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from cordcohort import kept_scans
from cordcohort.batch_record import withdraw_other_batchings
from cordcohort.batches import Batch, batches
from cordcohort.errors import DamagedError
from cordcohort.files import write_record
from cordcohort.kept_scans import files_of_each, finish, share_made, start, state_of, works_of
from cordcohort.scan import scan_id, session_id

CONTRASTS = ("T1w", "T2w", "dwi")


def _row(subject: str, contrast: str) -> dict:
    stem = f"sub-{subject}_{contrast}"
    return {
        "dataset": "d", "folder": f"sub-{subject}/anat", "stem": stem, "subject": subject,
        "session": "", "status": "ok", "reason": "", "masks": "[]", "image": f"{stem}.nii.gz",
    }  # fmt: skip


def _made(row) -> list[str]:
    return [f"results/{row['stem']}_{name}.json" for name in ("cord", "lesion")]


def _mask(record: str) -> Path:
    return Path(record).with_suffix(".nii.gz")


class Study:
    """One batch of a stage: two people, three scans each, a network of one file."""

    def __init__(self) -> None:
        self.rows = [_row(subject, contrast) for subject in ("01", "02") for contrast in CONTRASTS]
        for row in self.rows:
            Path(row["image"]).write_text("image")
        for name in ("weights", "atlas"):
            Path(name).write_text(name)
        self.params = {"use": {"task": "lesion"}, "device": "cpu", "mirror": False,
                       "science": "aa", "left_out": {}}  # fmt: skip
        self.tools = "tools"
        self.asked = {}

    def works(self):
        (batch,) = batches("net", self.rows, 100, lambda row: [row["image"], "atlas"], _made)
        order = {scan_id(row): row for row in self.rows}
        self.list = batch.kept
        params = self.params | {
            "scans": batch.scans, "files": batch.outputs, "identity": batch.identity,
            "each": batch.each_scan() | {"tools": self.tools},
        }  # fmt: skip
        return works_of([order[name] for name in batch.scans], params, ["weights"], **self.asked)

    def begin(self):
        works = self.works()
        return works, start(self.list, works)

    def make(self, works, names) -> None:
        for work in works:
            for record in work.made if work.name in names else ():
                _mask(record).parent.mkdir(exist_ok=True)
                _mask(record).write_text(f"mask {work.name}")
                write_record(record, {"schema": 1, "mask": _mask(record).name})

    def run(self) -> set[str]:
        """Stems of the scans that a job makes."""
        works, names = self.begin()
        self.make(works, names)
        finish(self.list, works, names)
        return {Path(name).name for name in names}


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Study()
    assert len(made.run()) == len(made.rows)
    return made


ALL = {f"sub-{subject}_{contrast}" for subject in ("01", "02") for contrast in CONTRASTS}
ONE = "sub-01_T2w"


def test_a_second_job_makes_nothing_and_touches_no_file(study):
    before = {p: p.stat().st_mtime_ns for p in Path("results").glob("*")}
    assert study.run() == set()
    assert {p: p.stat().st_mtime_ns for p in Path("results").glob("*")} == before


def _rewrite(path):
    Path(path).write_text("other")


def _touch(path):
    found = Path(path).stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


def _same_size(path):
    """Other bytes of the same number, as a damaged or exchanged file has."""
    Path(path).write_bytes(Path(path).read_bytes().replace(b"m", b"n"))


@pytest.mark.parametrize("change", [_rewrite, _touch, _same_size, Path.unlink])
@pytest.mark.parametrize(
    "file",
    [
        "{one}.nii.gz",
        "results/{one}_cord.json",
        "results/{one}_lesion.json",
        "results/{one}_lesion.nii.gz",
    ],
)
def test_a_changed_file_of_a_scan_makes_this_scan_anew(study, change, file):
    path = Path(file.format(one=ONE))
    change(path)
    made = study.run()
    assert made == {ONE}
    # What a scan is made from must be there again before it is kept.
    assert study.run() == ({ONE} if not path.exists() else set())


@pytest.mark.parametrize(
    ("column", "value"),
    [("status", "failed"), ("reason", "[x] y"), ("masks", '[{"method": "manual"}]'), ("site", "x")],
)
def test_what_the_index_says_of_a_scan_is_part_of_it(study, column, value):
    row = next(row for row in study.rows if row["stem"] == ONE)
    row[column] = value
    assert study.run() == {ONE}
    assert study.run() == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("use", {"task": "cord"}),
        ("device", "cuda"),
        ("mirror", True),
        ("science", "bb"),
        ("new", 1),
    ],
)
def test_a_changed_parameter_makes_every_scan_anew(study, name, value):
    study.params[name] = value
    assert study.run() == ALL


def test_a_parameter_of_one_scan_makes_this_one_anew(study):
    study.params["left_out"] = {f"d/sub-01/anat/{ONE}": "moved"}
    assert study.run() == {ONE}
    study.params["left_out"] = {}
    assert study.run() == {ONE}


def test_other_weights_tools_or_packages_make_every_scan_anew(study, monkeypatch):
    _touch("weights")
    assert study.run() == ALL
    study.tools = "other environment or adapter"
    assert study.run() == ALL
    monkeypatch.setattr(kept_scans, "installed_packages", lambda: ["torch-9.9.dist-info"])
    assert study.run() == ALL
    _touch("atlas")  # every scan names it
    assert study.run() == ALL
    Path("weights").unlink()
    assert study.run() == study.run() == ALL


def test_what_a_job_made_of_a_scan_goes_before_it_makes_it_anew(study):
    """A picture of a mask that was withdrawn is not drawn again."""
    neighbours = [path for path in Path("results").glob("*.nii.gz") if ONE not in path.name]
    _rewrite(f"{ONE}.nii.gz")
    works, names = study.begin()
    assert sorted(Path("results").glob("*.nii.gz")) == sorted(neighbours)
    study.make(works, names)
    finish(study.list, works, names)
    assert study.run() == set()


def test_what_a_job_reads_beside_its_scan_is_part_of_it(study):
    before = {"sub-01_T2w": 1}
    study.asked = {"also": lambda row: before.get(row["stem"])}
    assert study.run() == {ONE}
    before["sub-01_T2w"] = 2
    assert study.run() == {ONE}


def test_scans_of_a_session_are_made_together(study):
    study.asked = {"unit": session_id}
    assert study.run() == ALL  # what is made together is now part of every scan
    _rewrite(f"{ONE}.nii.gz")
    assert study.run() == {f"sub-01_{contrast}" for contrast in CONTRASTS}
    assert study.run() == set()


@pytest.mark.parametrize("unit", [session_id, lambda row: row["subject"]])
def test_a_scan_that_leaves_its_session_or_person_makes_the_others_anew(study, unit):
    study.asked = {"unit": unit}
    assert study.run() == ALL
    gone = study.rows.pop(0)
    rest = {f"sub-01_{contrast}" for contrast in CONTRASTS if contrast not in gone["stem"]}
    assert study.run() == rest
    assert study.run() == set()
    study.rows.insert(0, gone)
    assert study.run() == {*rest, gone["stem"]}
    study.rows = study.rows[1:2]  # one is left
    assert study.run() == {study.rows[0]["stem"]}


def test_a_killed_job_made_nothing_of_a_session_that_a_scan_has_left_since(study):
    study.asked = {"unit": session_id}
    works, names = study.begin()
    study.make(works, names)
    gone = study.rows.pop(0)
    assert study.run() == {f"sub-01_{c}" for c in CONTRASTS if c not in gone["stem"]}


def test_a_job_of_a_stopped_run_and_one_of_the_next_never_take_each_other_s_work_for_theirs(study):
    record = Path(study.list.replace(".scans", ""))
    old, of_old = study.begin()
    study.params["mirror"] = True
    for row in study.rows:
        _touch(row["image"])
    new, of_new = study.begin()
    study.make(new, of_new)
    study.make(old, of_old)  # the last to write
    record.write_text("{}")
    with pytest.raises(DamagedError, match="of another job") as late:
        finish(study.list, old, of_old, record)
    assert set(late.value.stale) == {Path(study.list), record}
    for path in late.value.stale:  # as the job does
        path.unlink()
    with pytest.raises(DamagedError, match="got none"):
        finish(study.list, new, of_new, record)
    assert study.run() == ALL


def test_a_second_attempt_at_the_same_work_takes_what_the_first_one_still_makes(study):
    for row in study.rows:
        _touch(row["image"])
    first, of_first = study.begin()
    second, of_second = study.begin()
    study.make(first, of_first)
    finish(study.list, first, of_first)
    finish(study.list, second, of_second)
    assert study.run() == set()


def test_the_list_alone_decides_nothing_when_it_is_damaged_empty_or_of_another_schema(study):
    path = Path(study.list)
    good = path.read_text()
    content = json.loads(good)
    content.pop("record_sha256")
    bent = [{**content, "schema": n} for n in (0, 2)]
    bent += [{**content, "scans": []}, {**content, "scans": dict.fromkeys(content["scans"])}, [], 3]
    texts = ["", "{", good[:-40], good.replace("results/", "resultz/"), *map(json.dumps, bent)]
    for text in texts:
        path.write_text(text)
        assert study.run() == ALL, text[:60]
    path.unlink()
    assert study.run() == ALL


def test_a_scan_that_left_the_batch_leaves_the_list_and_a_new_one_is_made(study):
    gone = study.rows.pop()
    assert study.run() == set()
    assert scan_id(gone) not in json.loads(Path(study.list).read_text())["scans"]
    study.rows.append(gone)
    assert study.run() == {gone["stem"]}


def test_a_batch_that_is_dealt_anew_is_made_anew(study):
    works = study.works()
    other = Path(study.list).with_name("d_0001of0002.scans.json")
    assert start(other, works) == {work.name for work in works}


def test_files_of_another_batching_are_not_those_of_a_job_that_was_killed(study):
    """Killed at one number of batches, made at another from other parameters, and back again."""
    for row in study.rows:
        _touch(row["image"])
    works, _ = study.begin()
    killed = Path(study.list)
    assert not killed.with_name(killed.name.replace(".scans", "")).exists()
    other = Path("results/batches/net/d_0000of0002.json")
    assert withdraw_other_batchings([Batch("", [], [], [], str(other))]) == [killed]
    study.make(works, {work.name for work in works})  # by jobs with another key
    assert study.run() == ALL


def test_a_scan_that_had_no_room_is_tried_again_and_one_that_failed_is_not(study):
    _touch(f"{ONE}.nii.gz")
    for reason, again in (("[memory] expected a scan for which ...", {ONE}), ("[no_cord]", set())):
        works, names = study.begin()
        study.make(works, names)
        write_record(f"results/{ONE}_lesion.json", {"schema": 1, "reason": reason})
        finish(study.list, works, names)
        assert study.begin()[1] == {f"d/sub-01/anat/{name}" for name in again}


def test_a_killed_job_goes_on_with_what_it_had_not_finished(study):
    for row in study.rows:
        _touch(row["image"])
    works, names = study.begin()
    assert len(names) == len(study.rows)
    assert not any(Path(record).exists() for work in works for record in work.made)
    finished, half = works[0], works[1]
    study.make(works, {finished.name})
    study.make([replace(half, made=half.made[:1])], {half.name})
    assert study.run() == ALL - {Path(finished.name).name}
    assert study.run() == set()


def test_a_killed_job_counts_nothing_as_finished_that_was_there_before(study):
    """A disk may bring a removed file back after a power cut; a mask may be lost meanwhile."""
    _touch(f"{ONE}.nii.gz")
    old = {path: path.read_bytes() for path in Path("results").glob(f"{ONE}_*.json")}
    times = {path: path.stat().st_mtime_ns for path in old}
    study.begin()
    for path, content in old.items():
        path.write_bytes(content)
        os.utime(path, ns=(times[path], times[path]))
    works, names = study.begin()
    assert {Path(name).name for name in names} == {ONE}
    study.make(works, names)
    Path(f"results/{ONE}_cord.nii.gz").unlink()
    assert study.run() == {ONE}


def test_a_killed_job_made_nothing_of_an_image_that_changed_since(study):
    _touch(f"{ONE}.nii.gz")
    works, names = study.begin()
    study.make(works, names)
    _touch(f"{ONE}.nii.gz")
    assert study.run() == {ONE}


def test_the_list_tells_which_share_of_its_batch_a_job_made(study):
    assert share_made(study.list) == 1
    _touch(f"{ONE}.nii.gz")
    study.begin()
    assert share_made(study.list) == 1  # nothing tells
    study.run()
    assert share_made(study.list) == pytest.approx(1 / len(study.rows))
    study.run()
    assert share_made(study.list) == 0
    assert share_made("nowhere.json") == 1


def test_every_scan_of_a_batch_has_its_own_files(study):
    (batch,) = batches("net", study.rows, 100, lambda row: [row["image"], "atlas"], _made)
    files = files_of_each(batch.each_scan(), batch.outputs)
    order = {scan_id(row): row for row in study.rows}
    expected = [([order[n]["image"], "atlas"], _made(order[n])) for n in batch.scans]
    assert [(read, list(made)) for read, made in files] == expected


def test_scans_without_any_file_have_none(study):
    (batch,) = batches("pictures", study.rows, 100, lambda row: [], lambda row: [])
    assert files_of_each(batch.each_scan(), []) == [([], [])] * len(study.rows)


def test_a_pipe_is_no_file_and_nothing_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert state_of(tmp_path / "pipe") == ""
    assert state_of(tmp_path) == ""
    assert state_of(tmp_path / "nothing") == ""
