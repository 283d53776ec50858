"""An installed Chromium driven by Playwright, for tests and benchmarks of the report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Request, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = ["--disable-gpu", "--disable-quic", "--host-resolver-rules=MAP * ~NOTFOUND"]
WAIT_MS = 120_000  # a shared machine is slow at times


class Browser:
    """One page of a headless Chromium that finds no other machine, and what happened on it."""

    def __init__(self) -> None:
        self._playwright = sync_playwright().start()
        # Where tests run as root, in a container, Chromium's own sandbox is not to be had.
        self._browser = self._playwright.chromium.launch(
            executable_path=CHROMIUM, chromium_sandbox=False, args=FLAGS, timeout=WAIT_MS
        )
        self.page = self._browser.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", self._requested)
        self.page.on("console", self._told)
        self.page.on("pageerror", self._failed)

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)

    def _told(self, message: ConsoleMessage) -> None:
        self.complaints.append(message.text)

    def _failed(self, error: Error) -> None:
        self.complaints.append(str(error))

    def open(self, page: Path, width: int = 1280) -> None:
        """Open a page in a window so wide, and forget what happened before."""
        self.requests.clear()
        self.complaints.clear()
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.goto(page.as_uri())

    def run(self, script: str) -> Any:
        """Value of an expression in the page."""
        return self.page.evaluate(script)

    def press(self, key: str) -> None:
        """One key, as a person presses it, on whatever has the focus."""
        self.page.keyboard.press(key)

    def close(self) -> None:
        """End the browser."""
        self._browser.close()
        self._playwright.stop()
