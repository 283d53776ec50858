"""What a run tells of scans that it worked out anew, and of those that it left as they were."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cordcohort.files import write_record
from cordcohort.kept_scans import Work, finish, start, state_of
from cordcohort.run_count import begin_count, kept_line
from cordcohort.scan import scan_id

LOG = Path("results/logs/run.log")
STAGES = ("segment_net", "shape")


def _row(subject: str) -> dict:
    stem = f"sub-{subject}_T2w"
    mask = f"{stem}_seg.nii.gz"
    for path in (Path(f"{stem}.nii.gz"), Path(mask)):
        if not path.exists():
            path.write_text("data")
    masks = json.dumps([{"path": mask, "mtime_ns": Path(mask).stat().st_mtime_ns}])
    image_ns = Path(f"{stem}.nii.gz").stat().st_mtime_ns
    return {"dataset": "d", "folder": f"sub-{subject}/anat", "stem": stem, "masks": masks,
            "image_mtime_ns": image_ns}  # fmt: skip


class Study:
    """Three scans in one batch of two stages."""

    def rows(self) -> list[dict]:
        return [_row(subject) for subject in ("01", "02", "03")]

    def begin(self):
        """A run begins, a moment after all that was written."""
        count = begin_count(Path.cwd(), self.rows(), LOG)
        written = [path.stat().st_mtime_ns for path in Path.cwd().rglob("*") if path != LOG]
        os.utime(LOG, ns=(max(written) + 1_000_000,) * 2)
        self.now = LOG.stat().st_mtime_ns
        count.begun_ns = self.now
        return count

    def batch(self, stage: str) -> tuple[Path, list[Work]]:
        path = Path("results/batches") / stage / "d_0000of0001.scans.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        works = []
        for row in self.rows():
            made = f"results/{stage}/{row['stem']}.json"
            Path(made).parent.mkdir(parents=True, exist_ok=True)
            state = state_of(f"{row['stem']}.nii.gz") + state_of(f"{row['stem']}_seg.nii.gz")
            works.append(Work(scan_id(row), state, (made,), scan_id(row)))
        return path, works

    def start(self, stage: str) -> set[str]:
        path, works = self.batch(stage)
        names = start(path, works)
        self._later(path)
        return names

    def make(self, stage: str, names: set[str]) -> None:
        for work in self.batch(stage)[1]:
            if work.name in names:
                write_record(work.made[0], {"schema": 1})
                self._later(Path(work.made[0]))

    def finish(self, stage: str, names: set[str]) -> None:
        path, works = self.batch(stage)
        finish(path, works, names)
        self._later(path)

    def job(self, stage: str) -> None:
        names = self.start(stage)
        self.make(stage, names)
        self.finish(stage, names)

    def run(self) -> None:
        for stage in STAGES:
            self.job(stage)

    def _later(self, path: Path) -> None:
        """Written in the run, whatever the resolution of the disk's clock."""
        self.now += 1_000_000
        os.utime(path, ns=(self.now, self.now))

    def change(self, name: str) -> None:
        found = Path(name).stat().st_mtime_ns
        os.utime(name, ns=(0, max(found, self.now) + 1_000_000))


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Study()


def test_in_a_first_run_scans_are_done_one_after_the_other_and_nothing_is_kept(study):
    count = study.begin()
    assert count.measured().text() == "scans done 0/3"
    study.job("segment_net")
    assert count.measured().text() == "scans done 0/3"
    names = study.start("shape")
    study.make("shape", set(sorted(names)[:2]))
    assert count.measured() == (2, 0, 3)
    study.make("shape", names)
    study.finish("shape", names)
    assert count.measured().text() == "scans done 3/3"
    assert kept_line(count.worked_out()) == ""


@pytest.mark.parametrize("file", ["sub-02_T2w.nii.gz", "sub-02_T2w_seg.nii.gz"])
def test_a_changed_file_is_not_done_until_it_is_measured_and_its_neighbours_are_kept(study, file):
    study.begin()
    study.run()
    study.change(file)
    count = study.begin()
    assert count.measured() == (0, 2, 3)
    study.job("segment_net")
    assert count.measured() == (0, 2, 3)
    names = study.start("shape")
    assert count.measured() == (0, 2, 3)
    study.make("shape", names)
    assert count.measured() == (1, 2, 3)
    study.finish("shape", names)
    assert count.measured().text() == "scans 1 anew + 2 as before, of 3"
    assert kept_line(count.worked_out()) == "1 scan worked out anew, 2 kept as they were"


def test_a_run_that_finds_nothing_to_do_says_that_all_scans_were_kept(study):
    study.begin()
    study.run()
    count = study.begin()
    assert kept_line(count.worked_out()) == "no scan worked out anew, 3 kept as they were"
    study.run()  # jobs that were started for nothing
    assert count.worked_out() == (0, 3, 3)


def test_a_scan_of_which_one_stage_alone_is_made_again_counts_as_anew(study):
    study.begin()
    study.run()
    Path("results/segment_net/sub-03_T2w.json").unlink()
    count = study.begin()
    study.run()
    assert count.measured() == (0, 3, 3)
    assert count.worked_out() == (1, 2, 3)


def test_what_a_killed_run_had_finished_is_kept_by_the_next_one(study):
    study.begin()
    study.job("segment_net")
    study.make("shape", set(sorted(study.start("shape"))[:1]))
    count = study.begin()
    assert count.measured() == (0, 1, 3)
    study.run()
    assert kept_line(count.measured()) == "2 scans worked out anew, 1 kept as it was"


@pytest.mark.parametrize("content", [b"", b"{}", b'{"schema": 1, "scans": 3}', b"\xff"])
def test_a_damaged_list_counts_nothing_and_a_scan_that_left_is_nobody_s(study, content):
    study.begin()
    study.run()
    count = begin_count(Path.cwd(), study.rows()[:2], LOG)
    assert sum(count.measured()) == 2 + 2
    study.batch("shape")[0].write_bytes(content)
    assert count.measured() == (0, 0, 2)
