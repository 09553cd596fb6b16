"""
A browser without a window, and what it finds when it looks at a page as people do.

Law of this file: what is asked is what can be computed: sizes, colours, names, the order of
headings. ``audit.js`` says what is wrong, in words, and nothing when nothing is.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from tests.deploying import program

AUDIT: Final = Path(__file__).with_name("audit.js").read_text()
PATIENCE_S: Final = 60.0
# No sandbox: the machine that tests may be a container, and be root in it.
_ARGUMENTS: Final = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en")

for _talker in ("selenium", "urllib3"):
    logging.getLogger(_talker).setLevel(logging.INFO)  # each look is a dozen lines


class Browser:
    """One, and its only window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def looks(self, *, width: int = 1280, height: int = 900, dark: bool = False, still: bool = False) -> None:
        """From now on it is so large, in such light."""
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def open(self, url: str, *, drawn: bool = True) -> None:
        """Go there, and wait until it is drawn."""
        self.driver.get(url)
        if drawn:
            self.until("return document.documentElement.dataset.drawn !== undefined")

    def run(self, script: str, *args: Any) -> Any:
        """What a script returns there."""
        return self.driver.execute_script(script, *args)

    def until(self, script: str, right: Callable[[Any], bool] = bool) -> Any:
        """Ask until it is so."""
        found: list[Any] = [None]

        def ask(_: object) -> bool:
            found[0] = self.run(script)
            return right(found[0])

        WebDriverWait(self.driver, PATIENCE_S, 0.1).until(ask, f"{script} stays otherwise")
        return found[0]

    def text(self, selector: str) -> str:
        """What stands in one element."""
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))

    def texts(self, selector: str) -> list[str]:
        """What stands in each of them."""
        return list(self.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector))

    def audit(self) -> list[str]:
        """What is wrong with it."""
        return list(self.run(AUDIT))

    def complaints(self) -> list[str]:
        """What its console says since it was asked last."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """A browser of Debian's, with its driver; it is gone afterwards."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
