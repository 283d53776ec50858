"""What nnU-Net prints, which is much, goes to a log."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def printed_to(path: Path) -> Generator[None]:
    """Add what is printed meanwhile to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        yield
