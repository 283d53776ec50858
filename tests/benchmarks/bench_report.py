"""Size and first paint of the report of 1,000 subjects, opened from disk in Chromium.

Makes the tables of a study (two sessions, two contrasts, two methods: 4,000 scans), its report, and
prints CPU seconds, sizes, and the time to the first contentful paint of the index, the review page
and a subject's page, with their ratio to the budget. Pictures are not drawn. Never fails.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow" / "lib"), str(ROOT / "tests")]

from chromium import CHROMIUM, Browser  # noqa: E402
from cordcohort.report.build import build_index_page, build_subject_pages  # noqa: E402
from unit.report.small_study import Wanted, make_study  # noqa: E402

BUDGET_PAINT_S = 2.0
BUDGET_INDEX_MB = 3.0
N_OPENED = 5
PAGES = ("index.html", "review.html", "subjects/alpha/sub-01.html")
PAINT = "(performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime || 0"


def first_paint_s(browser: Browser, page: Path) -> float:
    """Median over some openings of the time to the first contentful paint, in seconds."""
    times: list[float] = []
    for _ in range(N_OPENED):
        browser.open(page)
        end = time.monotonic() + 30
        while not browser.run(PAINT) and time.monotonic() < end:
            time.sleep(0.05)
        times.append(browser.run(PAINT) / 1000)
    return statistics.median(times)


def main() -> None:
    """Make the report, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=1000)
    n_subjects = parser.parse_args().subjects
    with tempfile.TemporaryDirectory() as folder:
        config = make_study(Path(folder), Wanted(n_subjects=n_subjects))
        start = time.process_time()
        index = build_index_page(folder, config)
        middle = time.process_time()
        build_subject_pages(folder, config)
        pages_s = time.process_time() - middle
        print(f"{n_subjects} subjects: index and figures {middle - start:.1f} CPU s, "
              f"pages of subjects {pages_s:.1f} CPU s")  # fmt: skip
        size = index.stat().st_size / 1e6
        print(f"index.html {size:.2f} MB, ratio to budget {size / BUDGET_INDEX_MB:.2f}")
        if CHROMIUM is None:
            print("Chromium is not installed: no first paint")
            return
        browser = Browser()
        for name in PAGES:
            paint = first_paint_s(browser, index.parent / name)
            print(f"{name}: first paint {paint:.2f} s, ratio {paint / BUDGET_PAINT_S:.2f}")
        browser.close()


if __name__ == "__main__":
    main()
