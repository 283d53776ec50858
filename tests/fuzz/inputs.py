"""Hostile sheets, sidecars, gradient files, configurations and names, and who reads them."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cordcohort.bids.names import NameFaultError, parse_name, scan_name, valid_label
from cordcohort.bids.sheets import Columns, read_sheets
from cordcohort.bids.sidecars import manufacturer
from cordcohort.cohort.external import external_scores, read_external
from cordcohort.config import load_config, make_config, read_exclusions
from cordcohort.images.gradients import read_gradients
from cordcohort.statistics.catalogue import kinds
from hypothesis import strategies as st

HOSTILE = (
    "", " ", "01", "1e5", "no", "n/a", "NaN", "inf", "-", "=1+1", "../x", "/etc/passwd", "'", '"',
    "a;touch x", "$(id)", "`id`", "<script>", "{{7*7}}", "{x}", "%s", "\x00", "\ufeff", "\u202e",
    "\ud7ff", "\t", "\n", "\r\n", "&a", "*a", "!!python/object/apply:os.system [id]", "sub-01",
    "ses-1", "9" * 400, "x" * 300, "1" + "0" * 30, "0x1F", "1_000", "2024-01-01", "~", "[]", "{}",
    "-1",
)  # fmt: skip
CELLS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=12))
NUMBERS = st.one_of(
    st.floats(width=32).map(str), st.integers(-(10**20), 10**20).map(str), st.sampled_from(HOSTILE)
)
HEADINGS = st.one_of(
    st.sampled_from(
        ("participant_id", "site", "vendor", "person_id", "split", "age", "session_id")
    ),
    CELLS,
)


@dataclass(frozen=True)
class Target:
    """A reader and the files that it is given.

    Attributes
    ----------
    name : str
        What is read.
    files : strategy
        File name to bytes.
    read : callable
        Reads them from a folder.
    """

    name: str
    files: st.SearchStrategy[dict[str, bytes]]
    read: Callable[[Path], Any]


def _encoded(text: str, how: str) -> bytes:
    return text.encode(how, errors="replace")


ENCODINGS = st.sampled_from(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))


@st.composite
def tables(draw: st.DrawFn, first: str = "participant_id") -> bytes:
    """A sheet: mostly a table, with odd cells, encodings, lengths of lines; sometimes any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    names = [first, *draw(st.lists(HEADINGS, max_size=4))]
    rows = draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=5))
    if rows and draw(st.booleans()):
        rows[0] = rows[0][: draw(st.integers(0, len(names)))]
    end = draw(st.sampled_from(("\n", "\r\n", "\r")))
    text = end.join("\t".join(row) for row in [names, *rows])
    return _encoded(text + draw(st.sampled_from(("", end))), draw(ENCODINGS))


N_VOLUMES = 9
_ANGLES = [0.0, *(2.4 * i for i in range(N_VOLUMES - 1))]  # of a spiral on the sphere
_HEIGHTS = [0.0, *(1 - 2 * (i + 0.5) / (N_VOLUMES - 1) for i in range(N_VOLUMES - 1))]
_RADII = [0.0, *(math.sqrt(1 - z * z) for z in _HEIGHTS[1:])]
DIRECTIONS = (
    [r * math.cos(a) for r, a in zip(_RADII, _ANGLES, strict=True)],
    [r * math.sin(a) for r, a in zip(_RADII, _ANGLES, strict=True)],
    _HEIGHTS,
)


@st.composite
def gradients(draw: st.DrawFn) -> dict[str, bytes]:
    """b-values and b-vectors, some good, some of any text."""
    n = draw(st.one_of(st.just(N_VOLUMES), st.integers(0, 9)))
    separator = draw(st.sampled_from((" ", "\t", ",", ";", "  ", "\n")))
    values = ["0", *("800" for _ in range(n - 1))]
    rows = [[f"{v:.6f}" for v in row[:n]] for row in DIRECTIONS]
    for line in draw(st.lists(st.sampled_from((values, *rows)), max_size=3)):
        if line:
            line[draw(st.integers(0, len(line) - 1))] = draw(NUMBERS)
    files = {
        "x.bval": _encoded(separator.join(values), draw(ENCODINGS)),
        "x.bvec": _encoded("\n".join(separator.join(row) for row in rows), draw(ENCODINGS)),
    }
    if draw(st.integers(0, 4)) == 0:
        files[draw(st.sampled_from(sorted(files)))] = draw(st.binary(max_size=100))
    return files


JSONS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), CELLS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(("Manufacturer", "Manual")), CELLS), inner,
                        max_size=4),
    ),
    max_leaves=12,
)  # fmt: skip


@st.composite
def measures(draw: st.DrawFn) -> bytes:
    """A table of areas from elsewhere, one cell of which may be anything."""
    if draw(st.integers(0, 3)) == 0:
        return draw(tables("id"))
    cells = [["id", "c", "age"], ["01", "70.5", "44"], ["02", "65", "n/a"]]
    for row in draw(st.lists(st.sampled_from(cells), max_size=3)):
        row[draw(st.integers(0, len(row) - 1))] = draw(NUMBERS)
    return _encoded("\n".join("\t".join(row) for row in cells), draw(ENCODINGS))


@st.composite
def sidecars(draw: st.DrawFn) -> dict[str, bytes]:
    """A JSON sidecar, or what was left of one."""
    content = json.dumps(draw(JSONS)).encode()
    how = draw(st.integers(0, 5))
    if how == 0:
        content = draw(st.binary(max_size=80))
    elif how == 1:
        content = content[: draw(st.integers(0, len(content)))]
    elif how == 2:
        content = b"[" * draw(st.integers(1, 200_000))
    return {"x.json": content}


LAB = {
    "name": "lab", "file": "lab.tsv", "layout": "wide", "columns": {"subject": "id"},
    "constants": {"contrast": "T2w"}, "measures": {"csa_mm2": {"column": "c", "unit": "mm2"}},
    "scores": {"age": "age"},
}  # fmt: skip
GOOD_CONFIG: dict[str, Any] = {
    "study": {"name": "a", "title": "", "authors": ["b"]},
    "datasets": [{"name": "north", "path": "data", "labels": "derivatives/labels"}],
    "contrasts": ["T2w"],
    "segmentation": {"models": [], "device": "cpu", "batch_size": 4, "use_manual": ["T2w"]},
    "images": {"b0_threshold_s_per_mm2": 50, "tensor_fit": "WLS", "dilate_mm": 2.0},
    "measures": {"reference": "manual", "batch_size": 8, "levels": "auto", "min_voxels": 5},
    "exclude": "exclude.yaml",
    "external_measures": [LAB],
    "analyses": [
        {"name": "x", "kind": "variability", "over": "site", "select": {"measure": "csa_mm2"}},
        {"name": "y", "kind": "agreement", "reference": "manual", "select": {"measure": "dice"}},
    ],
    "report": {"pictures": False},
}


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[Any, ...]] = []
    for key, inner in items:
        found.append((*path, key))
        if isinstance(inner, (dict, list)):
            found += _places(inner, (*path, key))
    return found


PLACES = _places(GOOD_CONFIG)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, bytes]:
    """A good configuration in which something is replaced, added or taken away; or any text."""
    if draw(st.integers(0, 9)) == 0:
        text = draw(st.one_of(st.text(max_size=200), CELLS)).encode("utf-8", "replace")
        return {"config/config.yaml": text}
    content = copy.deepcopy(GOOD_CONFIG)
    for place in draw(st.lists(st.sampled_from(PLACES), max_size=3)):
        holder: Any = content
        try:
            for key in place[:-1]:
                holder = holder[key]
            how = draw(st.integers(0, 4))
            if how == 0:
                del holder[place[-1]]
            elif how == 1 and isinstance(holder, dict):
                holder[draw(CELLS)] = holder.pop(place[-1])
            elif how == 2 and place[-1] == "kind":
                holder["kind"] = draw(st.sampled_from(sorted(kinds())))
            else:
                holder[place[-1]] = draw(JSONS)
        except (KeyError, IndexError, TypeError):
            continue
    text = yaml.safe_dump(content, allow_unicode=True, default_flow_style=draw(st.booleans()))
    return {"config/config.yaml": text.encode("utf-8", "replace"), "lab.tsv": draw(measures()),
            "config/exclude.yaml": b"[]\n", "data/sub-01/anat/sub-01_T2w.nii.gz": b""}  # fmt: skip


@st.composite
def exclusions(draw: st.DrawFn) -> dict[str, bytes]:
    """An exclusion list."""
    keys = st.one_of(st.sampled_from(("dataset", "subject", "reason", "measure", "by")), CELLS)
    entries = draw(st.one_of(st.lists(st.dictionaries(keys, JSONS, max_size=4), max_size=3), JSONS))
    text = yaml.safe_dump(entries, allow_unicode=True)
    return {"exclude.yaml": text.encode("utf-8", "replace")}


def _read_names(folder: Path) -> list[Any]:
    """Names of files: a label that is accepted holds nothing that a path or a shell reads."""
    seen = []
    for name in (folder / "names").read_text(encoding="utf-8").split("\n"):
        try:
            found = scan_name(parse_name(name))
        except NameFaultError:
            continue
        seen.append(found)
        for label in (found.subject, found.session, found.run):
            if label and not valid_label(label):
                raise AssertionError(f"label {label!r} was accepted")
    return seen


def _external(folder: Path) -> Any:
    content = {key: GOOD_CONFIG[key] for key in ("study", "datasets")} | {
        "external_measures": [LAB]
    }
    table = make_config(content, folder, check=False).external_measures[0]
    return read_external(table), external_scores(table)


_PARTS = st.one_of(
    st.builds("{}-{}".format, st.sampled_from(("sub", "ses", "run", "acq", "x")), CELLS),
    st.sampled_from(("T2w", "dwi", "label-SC", "seg")), CELLS,
)  # fmt: skip
_NAMES = st.lists(_PARTS, min_size=1, max_size=5).map("_".join)
TARGETS = (
    Target("sheets", st.fixed_dictionaries({
        "participants.tsv": tables(), "phenotype/a.tsv": tables(),
        "sub-01/sub-01_sessions.tsv": tables("session_id"),
    }), lambda folder: read_sheets(folder, Columns())),
    Target("gradients", gradients(),
           lambda folder: read_gradients(folder / "x.bval", folder / "x.bvec", N_VOLUMES)),
    Target("sidecars", sidecars(), lambda folder: manufacturer(str(folder / "x.json"))),
    Target("configs", configs(), lambda folder: load_config(folder / "config" / "config.yaml")),
    Target("exclusions", exclusions(), lambda folder: read_exclusions(folder / "exclude.yaml")),
    Target("outside tables", st.fixed_dictionaries({"lab.tsv": measures()}), _external),
    Target("names", st.lists(_NAMES, max_size=8).map(
        lambda names: {"names": "\n".join(names).encode("utf-8", "replace")}), _read_names),
)  # fmt: skip
