"""Where the workflow's own files lie: a checkout, or the copy inside an installed package."""

from __future__ import annotations

from pathlib import Path

from cordcohort.errors import CordcohortError

_PACKAGE = Path(__file__).resolve().parent


def workflow_root() -> Path:
    """Folder with ``Snakefile``, ``workflow/schemas``, ``config`` and ``models``.

    Raises
    ------
    CordcohortError
        If the package was taken out of its checkout.

    Examples
    --------
    >>> (workflow_root() / "workflow" / "schemas").is_dir()
    True
    """
    for folder in (_PACKAGE / "_study", *_PACKAGE.parents[2:3]):
        if (folder / "workflow" / "schemas").is_dir():
            return folder
    raise CordcohortError(
        f"expected the workflow's files beside {_PACKAGE}, found none; "
        "install cordcohort with pip or run it from a checkout"
    )
