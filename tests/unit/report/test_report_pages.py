"""What the pages promise: every scan, escaped text, nothing from elsewhere, the same bytes."""

from __future__ import annotations

import hashlib
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cordcohort.files import read_json
from cordcohort.report.build import build_index_page, build_report, build_subject_pages
from cordcohort.report.inputs import records
from cordcohort.report.links import picture_record, subject_link
from cordcohort.table import read_parquet, write_parquet
from unit.report.small_study import NO_CORD, SUSPICIOUS, Wanted, make_study

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "{{7*7}}{% raw %}",
    '" onmouseover="alert(3)',
    "=HYPERLINK('http://evil.example/x')",
    r"$\frac{$",
)


class Tags(HTMLParser):
    """Collects tags with their attributes, and the text."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [str(a[attribute]) for _, a in self.tags if attribute in a]


def pages(report: Path) -> list[Path]:
    return sorted(report.rglob("*.html"))


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_every_failed_scan_is_listed_with_its_reason(study: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = study
    scans = pd.read_parquet(folder / "results/cohort/scans.parquet")
    failed = scans[scans["status"] == "failed"]
    html = (folder / "results/report/index.html").read_text()
    attention = html[html.index('id="attention"') : html.index('id="cohort"')]
    assert len(failed) > 0
    assert NO_CORD in attention
    assert attention.count("<li>") == len(failed)
    for scan in records(failed):
        name = f"{scan['dataset']} sub-{scan['subject']}</a> ses-{scan['session']}"
        assert f"{name} {scan['contrast']}" in attention


def test_each_scan_is_a_row_of_the_list(study: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = study
    scans = pd.read_parquet(folder / "results/cohort/scans.parquet")
    html = (folder / "results/report/index.html").read_text()
    table = html[html.index('id="scan-table"') : html.index('id="methods"')]
    assert table.count("<tr>") == len(scans) + 1


def test_the_same_label_in_two_data_sets_has_two_pages(report: Path) -> None:
    assert (report / "subjects/alpha/sub-01.html").is_file()
    assert (report / "subjects/beta/sub-01.html").is_file()


def test_every_link_inside_the_report_leads_somewhere(report: Path) -> None:
    for page in pages(report):
        tags = Tags(page)
        anchors = {page.name: set(tags.values("id"))}
        for link in [*tags.values("href"), *tags.values("src")]:
            if link.startswith("https://doi.org/"):
                continue
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            assert target.is_file(), f"{page.name}: {link}"
            assert target.is_relative_to(report)
            if anchor and not file:
                assert anchor in anchors[page.name]


def test_nothing_is_loaded_from_elsewhere_and_no_script_is_inline(report: Path) -> None:
    for page in pages(report):
        tags = Tags(page)
        assert all(not re.match(r"\w+:|//", s) for s in tags.values("src"))
        assert all("style" not in a for _, a in tags.tags)
        assert all(not key.startswith("on") for _, a in tags.tags for key in a)
        scripts = [a for tag, a in tags.tags if tag == "script"]
        files = [Path(str(a["src"])).name for a in scripts if "src" in a]
        assert set(files) < {"report.js", "review.js", "slices.js"}
        # What is not a file is data, which no browser runs.
        assert {a.get("type") for a in scripts if "src" not in a} <= {"application/json"}
        policy = [a["content"] for _, a in tags.tags if "Content-Security-Policy" in a.values()]
        assert str(policy[0]).startswith("default-src 'none'")


def test_pages_can_be_read_aloud_and_by_keyboard(report: Path) -> None:
    for page in pages(report):
        tags = Tags(page)
        assert all(a.get("alt") for tag, a in tags.tags if tag == "img")
        assert all(a.get("loading") == "lazy" for tag, a in tags.tags if tag == "img")
        assert all(a.get("scope") == "col" for tag, a in tags.tags if tag == "th")
        levels = [int(tag[1]) for tag, _ in tags.tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
        assert ("html", {"lang": "en"}) in tags.tags


def test_no_folder_user_or_field_outside_the_allow_list_is_shown(
    study: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = study
    report = folder / "results/report"
    for file in report.rglob("*"):
        if file.is_file() and file.suffix in (".html", ".json", ".tsv", ".svg", ".bib"):
            text = file.read_text(encoding="utf-8")
            assert str(folder) not in text, file.name
            assert str(Path.home()) + "/" not in text
            for secret in ("Jane Roe", "HYPERLINK", "JohnDoe"):
                assert secret not in text, file.name


def test_ages_above_89_are_drawn_together(tmp_path: Path) -> None:
    config = make_study(tmp_path, Wanted(n_subjects=3, age="97"))
    build_report(tmp_path, config)
    for page in pages(tmp_path / "results/report"):
        assert "97" not in re.sub(r"<[^>]*>|[\d.]*97[\d.]+|[\d.]+97", "", page.read_text())
    assert "90+" in (tmp_path / "results/report/index.html").read_text()
    assert "90+" in (tmp_path / "results/report/subjects/alpha/sub-01.html").read_text()


def test_hostile_text_is_shown_and_never_executed(tmp_path: Path) -> None:
    everything = " ".join(HOSTILE)
    wanted = Wanted(
        n_subjects=len(HOSTILE), failed_share=1.0, sites={t: t for t in HOSTILE},
        reason=everything, title=everything,
    )  # fmt: skip
    index = build_report(tmp_path, make_study(tmp_path, wanted))
    for page in pages(index.parent):
        tags = Tags(page)
        assert everything in " ".join(tags.text.split()), page.name
        assert all(not key.startswith("on") for _, a in tags.tags for key in a)
        assert all(tag != "img" or a["src"] != "x" for tag, a in tags.tags)
        scripts = [a for tag, a in tags.tags if tag == "script"]
        assert len([a for a in scripts if a.get("type") != "application/json"]) == 1
        assert "evil.example" not in str(tags.values("href") + tags.values("src"))
    for table in (index.parent / "tables").glob("*.tsv"):
        cells = re.split(r"[\t\n]", table.read_text())
        assert not [c for c in cells if c.startswith(("=", "@"))], table.name


def test_the_same_study_gives_the_same_bytes(
    study: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, config = study
    before = hashes(folder / "results/report")
    build_report(folder, config)
    assert hashes(folder / "results/report") == before
    other = make_study(tmp_path, Wanted(with_images=True, n_subjects=6))
    build_report(tmp_path, other)
    assert hashes(tmp_path / "results/report") == before


def test_a_third_of_all_scans_failed(tmp_path: Path) -> None:
    config = make_study(tmp_path, Wanted(n_subjects=10, failed_share=0.3))
    html = build_report(tmp_path, config).read_text()
    assert '<span class="big">12</span> failed' in html
    assert "distribution_cord_csa_mm2_T1w.svg" in html


def test_one_subject(tmp_path: Path) -> None:
    config = make_study(tmp_path, Wanted(n_subjects=1, failed_share=0.0))
    html = build_report(tmp_path, config).read_text()
    assert "4 scans of 1 subject at 1 site." in html
    assert 'id="attention"' not in html


@pytest.mark.parametrize("tables", [True, False])
def test_an_empty_cohort_has_a_page_that_says_so(tmp_path: Path, tables: bool) -> None:
    wanted = Wanted(n_subjects=0, with_statistics=False)
    config = make_study(tmp_path, wanted) if tables else {"study": {"name": "nothing"}}
    index = build_report(tmp_path, config)
    assert "The study holds no scan yet." in index.read_text()


def test_a_study_without_an_analysis_has_no_statistics(tmp_path: Path) -> None:
    config = make_study(tmp_path, Wanted(n_subjects=3, with_statistics=False))
    assert 'id="statistics"' not in build_report(tmp_path, config).read_text()


def test_statistics_are_shown_with_counts_and_copied(report: Path) -> None:
    html = (report / "index.html").read_text()
    assert "Area against manual" in html
    assert "Bland-Altman agreement over scans" in html
    assert "&lt; 0.001" in html
    assert "2 complete pairs: needs 4" in html
    assert (report / "tables/csa_agreement.counts.tsv").is_file()


def test_a_subject_page_says_which_mask_was_used(report: Path) -> None:
    text = re.sub(r"<[^>]*>", "|", (report / "subjects/alpha/sub-01.html").read_text())
    row = r"\|manual\|\|spinal cord\|\|mask\|\|measures, reference\|"
    assert re.search(row, text)
    assert "cord-v1||spinal cord||mask||measures" in text


def test_pages_of_chosen_subjects_only(tmp_path: Path) -> None:
    config = make_study(tmp_path, Wanted(n_subjects=4))
    made = build_subject_pages(tmp_path, config, [("beta", "01")])
    assert [p.relative_to(tmp_path).as_posix() for p in made] == [
        f"results/report/{subject_link('beta', '01')}"
    ]
    assert pages(tmp_path / "results/report") == made


def test_the_index_page_needs_no_pictures(tmp_path: Path) -> None:
    config = make_study(tmp_path, Wanted(n_subjects=2))
    assert build_index_page(tmp_path, config).is_file()


def test_a_scan_without_image_has_a_record_with_the_reason(tmp_path: Path) -> None:
    config = make_study(tmp_path, Wanted(n_subjects=1))
    build_report(tmp_path, config)
    scan = records(pd.read_parquet(tmp_path / "results/bids/index.parquet"))[0]
    record = read_json(tmp_path / "results/report" / picture_record(scan))
    assert record["pictures"] == []
    assert "expected an image or a mask" in record["reason"]
    page = (tmp_path / "results/report/subjects/alpha/sub-01.html").read_text()
    assert "No picture: [no_image]" in page


def test_a_suspicious_mask_is_flagged_in_the_list_of_scans_and_can_be_filtered(
    tmp_path: Path,
) -> None:
    config = make_study(tmp_path)
    page = Tags(build_index_page(tmp_path, config))
    scans = pd.read_parquet(tmp_path / "results" / "cohort" / "scans.parquet")
    n_suspicious = int((scans["warning"] != "").sum())
    assert n_suspicious > 3
    assert page.text.count(SUSPICIOUS) == n_suspicious
    assert page.values("class").count("state state-warning") == n_suspicious
    assert "warning" in re.findall(
        r"<option>(\w+)</option>", (tmp_path / "results/report/index.html").read_text()
    )


def test_a_measured_scan_on_which_a_method_failed_says_so(tmp_path: Path) -> None:
    config = make_study(tmp_path, Wanted(n_subjects=4, failed_share=0.0))
    path = tmp_path / "results/cohort/scans.parquet"
    scans = read_parquet(path)
    scans.loc[0, "failures"] = "own-phase1 (seed 7; cord): too unsure"
    write_parquet(path, scans)
    html = build_report(tmp_path, config).read_text()
    row = html[html.index('id="scan-table"') :].split("</tr>")[1]
    assert "a method failed" in row
    assert "own-phase1 (seed 7; cord): too unsure" in row
    assert ">measured</span>" in row
    one = scans.iloc[0]
    page = tmp_path / "results/report" / subject_link(one["dataset"], one["subject"])
    assert "Methods that failed on this scan: own-phase1 (seed 7; cord)" in page.read_text()
