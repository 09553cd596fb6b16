"""
Make the pictures of the live page: scripts/live_pictures.py [--into FOLDER].

Law of this file: a picture is what a real browser drew of a real run. A model server is
``ratelimit-client simulate``, the job is ``ratelimit-client run --metrics``; nothing is drawn
by hand.

It needs chromium, its driver and selenium, takes two minutes, and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import re
import shutil
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pictures import DOCS, LARGE, MINI, PATIENCE_S, Stage, stage

DONE: Final = 640

SIZES: Final = {"light": (1160, 0, 1), "dark": (1160, 0, 1), "phone": (375, 760, 2)}
"""Width, height (0: down to what is counted), pixels of a point."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_BYTES: Final = {2: 3, 6: 4}
"""Of a pixel, by the type of its colour: without and with alpha."""


@contextlib.contextmanager
def job(at: Stage) -> Iterator[str]:
    """A job of two models that runs; where it can be watched."""
    at.rows(1300, (MINI, MINI, LARGE))
    at.server(
        "--limit", f"{MINI}=180 requests/min", "--limit", f"{MINI}=30000 tokens/min",
        "--limit", f"{LARGE}=120 requests/min", "--latency", "0.8", "--server-errors", "0.02",
    )
    words = [sys.executable, "-m", "ratelimit_client", "run", "prompts.jsonl", "-o", "answers.jsonl", "--metrics", "0"]
    environment = {"OPENAI_BASE_URL": at.url, "OPENAI_API_KEY": "sk-picture", "HOME": str(at.home)}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=at.home, env=environment)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"watch it on (\S+)", line):
                break
        else:
            raise SystemExit("live_pictures: ratelimit-client run did not say where to watch")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found[1]
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """One without a window."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--lang=en"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        yield driver
    finally:
        driver.quit()


def wait(driver: Any, script: str) -> Any:
    """Until a script has something to say."""
    until = time.monotonic() + PATIENCE_S
    while not (found := driver.execute_script(f"return {script}")):
        if time.monotonic() > until:
            raise SystemExit(f"live_pictures: waited {PATIENCE_S:g} s for {script}")
        time.sleep(0.2)
    return found


def take(driver: Any, name: str, folder: Path) -> Path:
    """One picture, written."""
    width, height, pixels = SIZES[name]
    dark = {"name": "prefers-color-scheme", "value": "dark" if name == "dark" else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [dark]})
    size = {"width": width, "height": height or 1000, "deviceScaleFactor": pixels, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    if not height:
        size["height"] = driver.execute_script("return document.querySelector('#counts').offsetTop - 8")
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    else:
        driver.execute_script("document.querySelector('#clients').scrollIntoView(); scrollBy(0, -70)")
    drawn = driver.execute_script("return document.documentElement.dataset.drawn")
    wait(driver, f"document.documentElement.dataset.drawn !== '{drawn}'")
    time.sleep(0.6)  # the bars have moved
    path = folder / f"live-{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(smaller(driver.get_screenshot_as_png()))
    return path


def smaller(png: bytes) -> bytes:
    """The same picture of 8-bit colours in fewer bytes: flat areas pack best as they are, without PNG's filters."""
    chunks, at = [], len(_PNG)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        chunks.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    head = dict(chunks)[b"IHDR"]
    width, height, _, colours = struct.unpack_from(">IIBB", head)
    packed = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    rows = unfiltered(packed, height, width * _BYTES[colours], _BYTES[colours])
    made = [(b"IHDR", head), (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 9)), (b"IEND", b"")]
    return _PNG + b"".join(_chunk(kind, data) for kind, data in made)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def unfiltered(packed: bytes, height: int, width: int, pixel: int) -> Iterator[bytes]:
    """
    Rows as they are. Source: PNG, section 9.2.

    Args:
        width: bytes of a row.
        pixel: bytes of a pixel.
    """
    above = bytes(pixel + width)
    for start in range(0, height * (width + 1), width + 1):
        kind, row = packed[start], bytearray(pixel) + packed[start + 1 : start + 1 + width]
        for x in range(pixel, pixel + width) if kind else ():
            left, up, corner = row[x - pixel], above[x], above[x - pixel]
            row[x] = (row[x] + (left, up, (left + up) // 2, _nearest(left, up, corner))[kind - 1]) & 255
        above = bytes(row)
        yield above[pixel:]


def _nearest(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda each: abs(guess - each))


def missing() -> str | None:
    """What it needs and does not find."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is missing: install it with the packages of your system"
    if importlib.util.find_spec("selenium") is None:
        return "selenium is missing: it is in the group test"
    return None


def main(words: Sequence[str]) -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="scripts/live_pictures.py", description="Make the pictures of the live page.")
    parser.add_argument("--into", type=Path, default=DOCS / "pictures", metavar="FOLDER", help="(docs/pictures)")
    given = parser.parse_args(words)
    if (what := missing()) is not None:
        sys.stderr.write(f"live_pictures: {what}\n")
        return 2
    with stage() as at, job(at) as url, browser() as driver:
        driver.get(url)
        wait(driver, f"Number(document.querySelector('[data-field=done]')?.textContent.replace(',', '')) > {DONE}")
        for name in SIZES:
            sys.stdout.write(f"{take(driver, name, given.into)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
