"""The pages: templates filled with text that was made public before, and escaped here."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from cordcohort import __version__
from cordcohort.files import write_bytes, write_text
from cordcohort.report.links import INDEX_PAGE, REVIEW_SCRIPT, SCRIPT, SLICES_SCRIPT, STYLE

ASSETS = {
    STYLE: "report.css", SCRIPT: "report.js", REVIEW_SCRIPT: "review.js",
    SLICES_SCRIPT: "slices.js",
}  # fmt: skip


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Templates with autoescape always on; a missing value is an error, never an empty text."""
    return Environment(
        loader=PackageLoader("cordcohort.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write_page(path: Path, template: str, root: str, **content: Any) -> None:
    """Fill a template and write the page.

    Parameters
    ----------
    path : Path
        The page.
    template : str
        Name of the template.
    root : str
        From the page's folder to the report's folder: empty or ``../../``.
    **content : object
        What the template shows.
    """
    text = (
        environment()
        .get_template(template)
        .render(
            root=root,
            version=__version__,
            style=STYLE,
            script=SCRIPT,
            slices_script=SLICES_SCRIPT,
            index_page=INDEX_PAGE,
            **content,
        )
    )
    write_text(path, text)


def write_assets(report: Path) -> None:
    """Put the style sheet and the script beside the pages."""
    folder = files("cordcohort.report") / "templates"
    for target, name in ASSETS.items():
        write_bytes(report / target, (folder / name).read_bytes())
