"""How many scans a run has worked out anew and how many it kept, from the lists of kept scans.

A changed image starts whole batches, whose jobs leave its neighbours as they are
(:mod:`cordcohort.kept_scans`); of that the engine knows nothing, so the lists are asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cordcohort.kept_scans import entries_of, state_of
from cordcohort.progress import ScanCounts
from cordcohort.scan import RESULTS, Row, masks_of, scan_id

LISTS = "*.scans.json"
MEASURED = "shape"
"""The stage whose table every scan gets, measured or failed."""
Made = int | dict[str, str] | None
Listed = tuple[int, dict[str, Made]]
"""When a list was written, and of each scan when it was made; a study has a hundred thousand."""


@dataclass
class RunCount:
    """Scans that a run makes anew, and those that it keeps.

    Parameters
    ----------
    study : Path
    changed_ns : mapping
        Every scan of the study (:func:`cordcohort.scan.scan_id`), and when its image or one of its
        masks was written last.
    begun_ns : int
        When the run began, by the clock of the study's disk.
    """

    study: Path
    changed_ns: Mapping[str, int]
    begun_ns: int
    _seen: dict[Path, Listed] = field(default_factory=dict)

    def measured(self) -> ScanCounts:
        """Scans whose table of areas is there, made by this run or as it was before."""
        lists = (self.study / RESULTS / "batches" / MEASURED).glob(LISTS)
        return self._counts(self._read_once(path) for path in lists)

    def worked_out(self) -> ScanCounts:
        """Scans of which this run made anything, from images to measures, and all others."""
        lists = (self.study / RESULTS / "batches").glob(f"*/{LISTS}")
        return self._counts(_read(path, _written_ns(path)) for path in lists)

    def _counts(self, lists: Iterable[Listed]) -> ScanCounts:
        anew: set[str] = set()
        kept: set[str] = set()
        for written_ns, entries in lists:
            for name, made in entries.items():
                made_ns = _made_since(made, self.study) if isinstance(made, dict) else made
                if name not in self.changed_ns or made_ns is None:
                    continue
                if made_ns >= self.begun_ns:
                    anew.add(name)
                elif written_ns >= self.changed_ns[name]:
                    kept.add(name)
        return ScanCounts(len(anew), len(kept - anew), len(self.changed_ns))

    def _read_once(self, path: Path) -> Listed:
        """A list, which is read again only where it was written again."""
        written_ns = _written_ns(path)
        if self._seen.get(path, (0, {}))[0] != written_ns:
            self._seen[path] = _read(path, written_ns)
        return self._seen[path]


def begin_count(study: Path, rows: Iterable[Row], log: Path) -> RunCount:
    """Start to count what a run makes of the scans of its index.

    Parameters
    ----------
    study : Path
    rows : iterable of index rows
    log : Path
        A file of the study that is begun with the run: its time is the run's beginning, as nodes
        and file servers may have other clocks than this machine.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    return RunCount(study, {scan_id(row): _changed_ns(row) for row in rows}, log.stat().st_mtime_ns)


def kept_line(counts: ScanCounts) -> str:
    """What a person should read at the end of a run that kept scans; else empty.

    Examples
    --------
    >>> kept_line(ScanCounts(1, 17, 18))
    '1 scan worked out anew, 17 kept as they were'
    >>> kept_line(ScanCounts(0, 18, 18)), kept_line(ScanCounts(18, 0, 18))
    ('no scan worked out anew, 18 kept as they were', '')
    """
    if not counts.kept:
        return ""
    n = counts.anew
    return (
        f"{n or 'no'} scan{'s' if n > 1 else ''} worked out anew, "
        f"{counts.kept} kept as {'they were' if counts.kept > 1 else 'it was'}"
    )


def _changed_ns(row: Row) -> int:
    times = [row.get("image_mtime_ns"), *[mask.get("mtime_ns") for mask in masks_of(row)]]
    return max((int(time) for time in times if time), default=0)


def _written_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # another number of batches
        return 0


def _read(path: Path, written_ns: int) -> Listed:
    return written_ns, {name: _made(entry) for name, entry in entries_of(path).items()}


def _made(entry: Mapping[str, Any]) -> Made:
    """Of a finished scan the time of its last file, of one at work the files that it had before."""
    before, files = entry.get("before"), entry.get("files")
    if isinstance(before, dict):
        return before
    return _newest_ns(files) if isinstance(files, dict) and files else None


def _made_since(before: Mapping[str, str], study: Path) -> int | None:
    """When the last file of a scan at work was made; None while one is missing or the old one."""
    files = {name: state_of(study / name) for name in before}
    if not files or any(not state or state == before[name] for name, state in files.items()):
        return None
    return _newest_ns(files)


def _newest_ns(files: Mapping[str, str]) -> int:
    return max(int(str(state).rpartition(":")[2]) for state in files.values())
