"""What the engine says, kept in a log; on a disk that is full the end of it is kept in memory."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Self, TextIO

_MAX_LINES = 5000


class Kept:
    """A log that never stops the run it is about.

    Parameters
    ----------
    path : Path
        The log, which is begun anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: deque[str] = deque(maxlen=_MAX_LINES)
        self._whole = True
        self._file: TextIO = path.open("w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        except OSError:  # what was still in the buffer did not fit
            self._whole = False

    def write(self, text: str) -> None:
        """Keep one line."""
        self._last.append(text.rstrip("\n"))
        if not self._whole:
            return
        try:
            self._file.write(text)
        except OSError:
            self._whole = False

    def lines(self) -> list[str]:
        """All lines where the log could be written, else the last ones; asked after its end."""
        if self._whole:
            return self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        return list(self._last)
