"""The report in a real browser: filters, sorting, widths, nothing executed, nothing fetched."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from chromium import CHROMIUM, Browser
from cordcohort.cohort.exclusion import check_entries, read_entries
from cordcohort.exclusion_files import read_exclusions
from cordcohort.report.build import build_index_page, build_report
from cordcohort.table import SCAN_KEY, read_parquet
from unit.report.small_study import Wanted, make_study

HOSTILE = "<img src=http://evil.example/x.png onerror=document.title='pwned'></script>{{7*7}}"
WIDTHS = (1280, 390)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)"),
    pytest.mark.xdist_group("chromium"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    sites = {"montreal": "Siemens", HOSTILE: "Philips", "tokyo": "GE"}
    wanted = Wanted(n_subjects=6, with_images=True, sites=sites, reason=HOSTILE, title=HOSTILE)
    return build_report(folder, make_study(folder, wanted)).parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


def shown_rows(browser: Browser) -> int:
    return browser.run("document.querySelectorAll('#scan-table tbody tr:not([hidden])').length")


def choose(browser: Browser, title: str, value: str) -> None:
    browser.run(
        "(() => { const s = [...document.querySelectorAll('#filters label')]"
        f".find(l => l.textContent.trim().startsWith('{title}')).querySelector('select');"
        f"s.value = '{value}'; s.dispatchEvent(new Event('change')); }})()"
    )


def column(browser: Browser, title: str) -> list[str]:
    script = (
        "(() => { const t = document.getElementById('scan-table');"
        f"const c = [...t.tHead.rows[0].cells].findIndex(h => h.textContent.startsWith('{title}'));"
        "return [...t.tBodies[0].rows].map(r => r.cells[c].textContent.trim()); })()"
    )
    return browser.run(script)


def click_head(browser: Browser, title: str) -> None:
    browser.run(
        "[...document.querySelectorAll('#scan-table th button')]"
        f".find(b => b.textContent.startsWith('{title}')).click()"
    )


def test_filters_choose_scans(browser: Browser, report: Path) -> None:
    browser.open(report / "index.html")
    assert shown_rows(browser) == 24
    choose(browser, "Contrast", "T1w")
    assert shown_rows(browser) == 12
    choose(browser, "Site", "tokyo")
    assert shown_rows(browser) == 4
    assert browser.run("document.getElementById('shown').textContent") == "4 of 24 scans"
    browser.run("document.getElementById('clear').click()")
    assert shown_rows(browser) == 24
    choose(browser, "State", "failed")
    assert shown_rows(browser) == 2


def test_heads_sort_numbers_as_numbers_and_empty_cells_last(browser: Browser, report: Path) -> None:
    browser.open(report / "index.html")
    click_head(browser, "CSA cord-v1")
    cells = column(browser, "CSA cord-v1")
    numbers = [float(c) for c in cells if c]
    assert cells[len(numbers) :] == [""] * (24 - len(numbers))
    assert numbers == sorted(numbers)
    click_head(browser, "CSA cord-v1")
    again = column(browser, "CSA cord-v1")
    assert [float(c) for c in again if c] == sorted(numbers, reverse=True)
    assert again[-1] == ""


def test_a_head_is_reached_and_used_by_keyboard(browser: Browser, report: Path) -> None:
    browser.open(report / "index.html")
    browser.run("document.querySelector('#scan-table th button').focus()")
    browser.press("Enter")
    head = "document.querySelector('#scan-table th').getAttribute('aria-sort')"
    assert browser.run(head) == "ascending"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", ["index.html", "review.html", "subjects/alpha/sub-01.html"])
def test_no_page_is_wider_than_its_window(
    browser: Browser, report: Path, page: str, width: int
) -> None:
    browser.open(report / page, width)
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_nothing_from_a_sheet_is_executed_and_nothing_is_fetched(
    browser: Browser, report: Path
) -> None:
    pages = sorted(report.rglob("*.html"))
    assert len(pages) == 8
    for page in pages:
        browser.open(page)
        browser.run("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
        browser.run("window.scrollTo(0, document.body.scrollHeight)")
        time.sleep(0.2)
        assert "pwned" not in browser.run("document.title").replace(HOSTILE, "")
        assert browser.run("document.querySelectorAll('[onerror]').length") == 0
        assert HOSTILE in browser.run("document.body.textContent")
        assert all(url.startswith(report.as_uri()) for url in browser.requests)
        assert browser.complaints == []


def cards(browser: Browser) -> list[str]:
    return browser.run("[...document.querySelectorAll('.review')].map(c => c.ariaLabel)")


def saved_list(browser: Browser, folder: Path) -> Path:
    with browser.page.expect_download() as download:
        browser.page.locator("#save").click()
    assert download.value.suggested_filename == "qc_decisions.yaml"
    path = folder / "qc_decisions.yaml"
    download.value.save_as(path)
    return path


def test_the_review_shows_failed_scans_first_and_then_the_most_unusual(
    browser: Browser, report: Path
) -> None:
    browser.open(report / "review.html")
    scans = browser.run("JSON.parse(document.getElementById('scans').textContent)")
    assert [c["state"] for c in scans] == ["failed"] * 2 + ["measured"] * 22
    assert cards(browser) == [c["name"] for c in scans]
    choose(browser, "Contrast", "T1w")
    assert cards(browser) == [c["name"] for c in scans if c["key"][5] == "T1w"]
    browser.run(
        "(() => { const s = document.getElementById('search'); s.value = '02';"
        "s.dispatchEvent(new Event('input')); })()"
    )
    assert browser.run("document.getElementById('shown').textContent") == "4 of 24 scans"


def test_decisions_by_keyboard_are_saved_as_a_list_that_the_workflow_reads(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    browser.open(report / "review.html")
    browser.run("document.getElementById('by').value = 'J: \\'Roe\\''")
    keys = [c["key"] for c in browser.run("JSON.parse(document.getElementById('scans').text)")]
    reason = "- motion: 'low\" slices # {7}"
    browser.press("j")
    browser.press("f")
    for letter in reason:
        browser.press(letter)
    browser.press("Escape")
    browser.press("j")
    browser.press("p")
    browser.press("j")
    browser.press("f")  # without a reason it is told, and nothing is saved
    browser.press("Escape")
    told = "document.getElementById('decided').textContent"
    assert browser.run(told) == "2 failed, 1 passed, 1 without a reason"
    choose(browser, "State", "failed")  # hides the scan in question
    browser.run("document.getElementById('save').click()")
    open_scan = browser.run("JSON.parse(document.getElementById('scans').text)[2].name")
    assert browser.run(told) == f"Not saved: 1 failed without a reason; write why for {open_scan}"
    card = browser.run("document.activeElement.closest('article').ariaLabel")
    assert (card, browser.run("document.activeElement.ariaLabel")) == (open_scan, "Reason")
    browser.press("Escape")
    browser.press("u")
    path = saved_list(browser, tmp_path)
    (entry,) = read_exclusions(path)
    assert entry.pop("date").count("-") == 2
    assert entry == {k: v for k, v in zip(SCAN_KEY, keys[0], strict=True) if v} | {
        "reason": reason, "by": "J: 'Roe'",
    }  # fmt: skip
    check_entries(read_entries([entry]), pd.DataFrame(keys, columns=SCAN_KEY))
    assert "# passed" in path.read_text()


def test_one_mask_of_a_scan_can_fail_alone(browser: Browser, report: Path, tmp_path: Path) -> None:
    browser.open(report / "review.html")
    browser.run(
        "(() => { const c = document.querySelectorAll('.review')[5];"
        "c.querySelectorAll('.verdict button')[1].click();"
        "const s = c.querySelector('select'); s.value = 'cord-v1';"
        "s.dispatchEvent(new Event('change'));"
        "const i = c.querySelector('.verdict input'); i.value = 'leaks into the canal';"
        "i.dispatchEvent(new Event('input')); })()"
    )
    (entry,) = read_exclusions(saved_list(browser, tmp_path))
    assert entry["method"] == "cord-v1"
    assert entry["reason"] == "leaks into the canal"


def test_a_second_review_keeps_the_decisions_of_the_first(browser: Browser, tmp_path: Path) -> None:
    config = make_study(tmp_path, Wanted(n_subjects=2, title="again"))
    scans = read_parquet(tmp_path / "results" / "cohort" / "scans.parquet")[SCAN_KEY]
    first, second = ({k: v for k, v in row.items() if v} for row in scans[:2].to_dict("records"))
    told = {"reason": "motion", "by": "JR", "date": "2025-01-31"}
    lists = [first | {"method": m} | told for m in ("cord-v1", "manual")]
    lists += [{"measure": "csa_mm2", "reason": "stays where it is"}]
    browser.open(build_index_page(tmp_path, config, lists).with_name("review.html"))
    names = browser.run("JSON.parse(document.getElementById('scans').text).map(s => s.key)")
    place = [names.index([str(v) for v in row]) for row in scans[:2].to_numpy()][1]
    browser.run(
        f"(() => {{ const c = document.querySelectorAll('.review')[{place}];"
        "c.querySelectorAll('.verdict button')[1].click();"
        "const i = c.querySelector('.verdict input'); i.value = 'new one';"
        "i.dispatchEvent(new Event('input')); })()"
    )
    saved = read_exclusions(saved_list(browser, tmp_path))
    assert saved[:2] == lists[:2]
    assert saved[2] == second | {"reason": "new one", "date": saved[2]["date"]}
    assert saved[2]["date"] != told["date"]


def test_pictures_of_the_review_wait_until_they_are_near(browser: Browser, report: Path) -> None:
    browser.open(report / "review.html", 390)
    n_images = browser.run("document.images.length")
    n_loaded = len([url for url in browser.requests if url.endswith(".png")])
    assert n_images > 20
    assert n_loaded < n_images


def test_the_slider_shows_one_slice_after_the_other(browser: Browser, report: Path) -> None:
    browser.open(report / "subjects/alpha/sub-01.html")
    browser.run("document.querySelector('details.slices').open = true")
    first = browser.run("document.querySelector('.viewer img').style.transform")
    browser.run("document.querySelector('.viewer input').focus()")
    browser.press("ArrowRight")
    assert browser.run("document.querySelector('.viewer input').value") == "1"
    assert browser.run("document.querySelector('.viewer img').style.transform") != first
    shown = browser.run("document.querySelector('.viewer output').textContent")
    slices = browser.run("document.querySelector('.viewer').dataset.slices").split()
    assert shown == f"slice {slices[1]}"


def test_style_script_and_pictures_load_from_a_folder(browser: Browser, report: Path) -> None:
    for page in ("index.html", "subjects/beta/sub-01.html"):
        browser.open(report / page)
        browser.run("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
        end = time.monotonic() + 20
        waiting = "[...document.images].filter(i => !i.complete || i.naturalWidth === 0).length"
        while browser.run(waiting) and time.monotonic() < end:
            time.sleep(0.05)
        assert browser.run("document.images.length") > 0
        assert browser.run(waiting) == 0
        assert browser.run("getComputedStyle(document.body).margin") == "0px"


def test_a_moved_picture_folder_leaves_a_readable_page(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "report"
    shutil.copytree(report, moved)
    shutil.rmtree(moved / "pictures")
    browser.open(moved / "subjects/alpha/sub-01.html")
    alts = browser.run("[...document.images].map(i => i.alt)")
    assert alts
    assert all("axial slices with outlines" in alt for alt in alts)
