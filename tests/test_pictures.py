"""The script that makes the pictures of the docs; they take a minute and tmux, so no test makes them."""

from __future__ import annotations

import importlib.util
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from tests.programs import ROOT

SCRIPT = ROOT / "scripts" / "pictures.py"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPT.with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    return loaded("pictures")


@pytest.fixture
def live_pictures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return loaded("live_pictures")


def run(*words: str, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False, env={"PATH": path}
    )


def test_every_picture_is_there(pictures: ModuleType) -> None:
    """
    And none that the script does not make, but for the plots, which are drawn of numbers.
    """
    names = {path.stem for path in (ROOT / "docs").rglob("*.svg") if path.parent.name != "plots"}

    assert names == set(pictures.PICTURES)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    """
    Without tmux there is no terminal to look at.
    """
    done = run("running", path=str(tmp_path))

    assert (done.returncode, done.stderr) == (
        2,
        "pictures: tmux is missing: install it with the packages of your system\n",
    )


def test_a_picture_that_there_is_not_is_refused(tmp_path: Path) -> None:
    """
    With the names of those there are.
    """
    done = run("moon", path=str(tmp_path))

    assert done.returncode == 2
    assert "there is no picture moon; there are running, wide," in done.stderr


def test_a_picture_is_an_svg_with_the_text_where_it_stood(pictures: ModuleType) -> None:
    """
    Blanks before a text move it; the font is one that the reader has.
    """
    pytest.importorskip("rich")
    drawn = pictures.svg("moon", ["\x1b[1mrows\x1b[0m   12 of 40"], 40, light=False)
    found = (element for element in ElementTree.fromstring(drawn).iter() if element.tag.endswith("}text"))
    texts = {"".join(element.itertext()): element for element in found}

    assert float(texts["12\xa0of\xa040"].attrib["x"]) == pytest.approx(7 * pictures.CELL)
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")


def test_the_pictures_of_the_live_page_are_there(live_pictures: ModuleType) -> None:
    """
    As many as the script makes, of the width that it says, and each small enough for a README.
    """
    there = (ROOT / "docs" / "pictures").glob("live-*.png")
    found = {path.stem.removeprefix("live-"): path.read_bytes() for path in there}

    assert set(found) == set(live_pictures.SIZES)
    for name, png in found.items():
        width, _, pixels = live_pictures.SIZES[name]
        assert struct.unpack_from(">I", png, 16) == (width * pixels,)
        assert len(png) < 150_000


def test_a_picture_gets_smaller_and_stays_the_same(live_pictures: ModuleType) -> None:
    """
    Whichever of PNG's filters its rows have, they are as they were, and none has one any more.
    """
    rows = [bytes((3 * x * y + x) % 256 for x in range(24)) for y in range(5)]
    pairs = list(zip(rows, [bytes(24), *rows], strict=False))
    packed = b"".join(bytes([kind]) + filtered(kind, row, above) for kind, (row, above) in enumerate(pairs))
    head = struct.pack(">IIBBBBB", 8, 5, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"tEXt", b"x"), (b"IDAT", zlib.compress(packed)), (b"IEND", b"")]
    png = live_pictures._PNG + b"".join(live_pictures._chunk(*chunk) for chunk in chunks)

    made = live_pictures.smaller(png)

    assert list(live_pictures.unfiltered(packed, 5, 24, 3)) == rows
    assert zlib.decompress(made[made.index(b"IDAT") + 4 :]) == b"".join(b"\0" + row for row in rows)


def filtered(kind: int, row: bytes, above: bytes) -> bytes:
    """What PNG's filter of this kind makes of a row."""
    made = bytearray()
    for x, value in enumerate(row):
        left, up, corner = (row[x - 3], above[x], above[x - 3]) if x >= 3 else (0, above[x], 0)
        near = min((left, up, corner), key=lambda each: abs(left + up - corner - each))
        made.append((value - (0, left, up, (left + up) // 2, near)[kind]) % 256)
    return bytes(made)


def test_what_the_live_page_needs_is_said(tmp_path: Path) -> None:
    """
    Without a browser there is no picture of it.
    """
    words = [sys.executable, SCRIPT.with_name("live_pictures.py")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)})

    assert done.returncode == 2
    assert done.stderr.startswith("live_pictures: chromium is missing")
