"""The script that makes the pictures of the docs; they take a minute and tmux, so no test makes them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from tests.programs import ROOT

SCRIPT = ROOT / "scripts" / "pictures.py"


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
