"""Flow charts: scans found, excluded, failed and used, of the study and of each analysis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cordcohort.files import write_text
from cordcohort.report.inputs import Analysis
from cordcohort.report.links import FIGURES
from cordcohort.report.pages import environment
from cordcohort.report.privacy import public_text, safe_name
from cordcohort.table import SCAN_KEY

FLOW_FILE = f"{FIGURES}/flow.svg"
BOX_WIDTH, BOX_HEIGHT, GAP = 230, 46, 26
SIDE_LEFT = 330
WIDTH = SIDE_LEFT + BOX_WIDTH + 10
MAX_CHARACTERS = 34
END_CHARACTERS = 64
CHARACTER_WIDTH = 8.8  # of the last box's letters, at most on average
SPLITS = ("train", "validation", "test", "external")
# What leaves the count at each step, in the order in which a scan is judged.
STUDY_STEPS = (
    ("excluded", "excluded"), ("failed", "failed"), ("no_image", "without an image"),
    ("not_measured", "not measured"),
)  # fmt: skip
ANALYSIS_STEPS = (
    ("n_excluded", "excluded"), ("n_failed", "failed"), ("n_undefined", "undefined"),
    ("n_unpaired", "without a partner"),
)  # fmt: skip


def write_study_flow(scans: pd.DataFrame, report: Path) -> dict[str, str | int]:
    """Draw what became of all scans of the study.

    Parameters
    ----------
    scans : DataFrame
        One row a scan with ``state``.
    report : Path
        The report's folder.

    Returns
    -------
    dict
        ``file``, ``alt`` and ``height`` of the figure.
    """
    lost = [(text, int((scans["state"] == state).sum())) for state, text in STUDY_STEPS]
    return _write(report / FLOW_FILE, ("scans found", "measured"), len(scans), lost)


def write_split_flows(
    scans: pd.DataFrame, measures: pd.DataFrame, report: Path
) -> list[dict[str, str | int]]:
    """Draw, for every method that was trained on people of the study, who trained and tested it.

    Parameters
    ----------
    scans : DataFrame
        One row a scan with ``state``.
    measures : DataFrame
        Long table, whose ``split`` says for a model's rows what the person was to it. Scans on
        which the method failed are counted so, whatever others made of them.
    report : Path
        The report's folder.

    Returns
    -------
    list of dict
        As :func:`write_study_flow`, with ``title``. Of a method with several seeds the first one is
        drawn: each draws its own persons.
    """
    trained = measures.loc[measures["split"] == "train", "method"]
    known = measures[measures["method"].isin(trained) & (measures["method"] != "")]
    flows: list[dict[str, str | int]] = []
    for method, seeds in known.groupby("method", sort=True):
        seed = str(min(seeds["seed"], key=by_value))
        # Against a reference a mask that failed has a score, too: that of an empty one.
        own = seeds[(seeds["seed"] == seed) & (seeds["reference"] == "")]
        given = own[own["flag"].isin(["", "warning", "undefined"])].drop_duplicates(SCAN_KEY)
        counts = given["split"].value_counts()
        if not {"train", "test"} <= set(counts.index):
            continue
        words = [f"{counts[s]} {s}" for s in SPLITS if s in counts]
        told = ", ".join([*words, *([f"{counts['']} unseen"] if "" in counts else [])])
        name = f"flow_split_{safe_name(str(method))}.svg"
        flow = _write(report / FIGURES / name, ("scans found", told), len(scans),
                      _lost_to(own, given, scans))  # fmt: skip
        about = f"{method}, seed {seed}" if seed else str(method)
        flows.append(flow | {"title": public_text(about)})
    return flows


def _lost_to(own: pd.DataFrame, given: pd.DataFrame, scans: pd.DataFrame) -> list[tuple[str, int]]:
    """Scans that gave one method nothing: excluded, failed, or without a row of it."""
    parts = {"given": given, "excluded": own[own["flag"] == "excluded"],
             "failed": own[own["flag"] == "failed"]}  # fmt: skip
    scans = scans[[*SCAN_KEY, "state"]]
    for name, rows in parts.items():
        keys = rows[SCAN_KEY].drop_duplicates().assign(**{name: True})
        scans = scans.merge(keys, on=SCAN_KEY, how="left")
    told = {name: scans[name].eq(other=True) | (scans["state"] == name) for name in parts}
    left = ~scans["given"].eq(other=True)
    n_excluded = int((left & told["excluded"]).sum())
    n_failed = int((left & ~told["excluded"] & told["failed"]).sum())
    n_others = int(left.sum()) - n_excluded - n_failed
    return [("excluded", n_excluded), ("failed", n_failed), ("not run", n_others)]


def by_value(seed: str) -> tuple[int, str]:
    """Order of seeds: as numbers."""
    return int(seed) if seed.isdigit() else 0, seed


def write_analysis_flow(analysis: Analysis, report: Path) -> dict[str, str | int] | None:
    """Draw the scans of one analysis; ``None`` where it has no counts.

    A scan that is counted in several groups of the analysis (contrasts, methods, measures) is
    counted in each: the boxes count values looked for, and say so.
    """
    counts = analysis.counts
    if counts.empty or "n_found" not in counts:
        return None
    total = {c: int(pd.to_numeric(counts[c], errors="coerce").sum())
             for c in counts.columns if c.startswith("n_")}  # fmt: skip
    lost = [(text, total.get(column, 0)) for column, text in ANALYSIS_STEPS]
    file = f"{FIGURES}/flow_{safe_name(analysis.name)}.svg"
    return _write(report / file, ("values looked for", "used"), total["n_found"], lost)


def _write(
    path: Path, ends: tuple[str, str], n_found: int, lost: Sequence[tuple[str, int]]
) -> dict[str, str | int]:
    start, end = ends
    steps = [(text, n) for text, n in lost if n]
    n_left = n_found - sum(n for _, n in steps)
    pitch = BOX_HEIGHT + GAP
    sides = [
        {"text": public_text(f"{n} {text}", MAX_CHARACTERS), "y": BOX_HEIGHT + GAP // 2 + i * pitch}
        for i, (text, n) in enumerate(steps)
    ]
    last = BOX_HEIGHT + max(len(steps), 1) * pitch
    height = last + BOX_HEIGHT + 4
    alt = f"{n_found} {start}; " + "".join(f"{n} {text}; " for text, n in steps)
    ended = public_text(end if end[:1].isdigit() else f"{n_left} {end}", END_CHARACTERS)
    end_width = max(BOX_WIDTH, min(round(CHARACTER_WIDTH * len(ended)) + 16, WIDTH - 4))
    alt += ended
    text = environment().get_template("flow.svg").render(
        width=WIDTH, height=height, box_width=BOX_WIDTH, box_height=BOX_HEIGHT, side=SIDE_LEFT,
        start=f"{n_found} {start}",
        end=ended, end_width=end_width, sides=sides, last=last, alt=alt,
    )  # fmt: skip
    write_text(path, text)
    return {
        "file": f"{FIGURES}/{path.name}",
        "alt": f"Flow chart: {alt}",
        "height": height,
        "width": WIDTH,
    }
