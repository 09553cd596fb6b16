from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ratelimit_client.adapters.tiktoken import counting


class Words:
    """An encoding whose tokens are words."""

    def encode_ordinary(self, text: str, /) -> list[int]:
        return [len(word) for word in text.split()]


def test_a_given_encoding_counts_for_all_models():
    """No tiktoken is needed for one of your own."""
    counter = counting(Words())
    assert [counter("one two three", "a"), counter("", "b")] == [3, 0]


WITHOUT = """
import sys
sys.modules["tiktoken"] = None
from ratelimit_client import ConfigurationError
from ratelimit_client.adapters.tiktoken import counting
try:
    counting()
except ConfigurationError as error:
    print(error)
"""


def test_without_the_extra_the_install_line_is_said():
    """At once, not at the first call."""
    assert said(WITHOUT) == "counting tokens needs tiktoken: pip install 'ratelimit-client[tokens]'"


STAND_IN = """
class Characters:
    def encode_ordinary(self, text):
        return list(text)

class Bytes:
    def encode_ordinary(self, text):
        return list(text.encode())

def encoding_name_for_model(model):
    return {"gpt-4o": "characters"}[model]

def get_encoding(name):
    print("loads", name)
    return {"o200k_base": Bytes(), "characters": Characters()}[name]
"""
CUT_OFF = """
def encoding_name_for_model(model):
    return "o200k_base"

def get_encoding(name):
    raise ConnectionError("no network")
"""
DAMAGED = CUT_OFF.replace("ConnectionError", "ValueError")
SILENT = CUT_OFF.replace('raise ConnectionError("no network")', "import threading; threading.Event().wait()")


def test_each_model_has_its_encoding_and_others_the_newest(tmp_path: Path):
    """As a module of the name and the functions of tiktoken knows them; each is loaded once."""
    program = 'counter = counting(); print(counter("né", "gpt-4o"), counter("né", "llama"), counter("né", ""))'
    assert with_stand_in(tmp_path, STAND_IN, program) == "loads characters\nloads o200k_base\n2 3 3"


def test_any_number_of_models_is_counted(tmp_path: Path):
    """Names come from users: beyond 64 they are looked up each time, and none is loaded again."""
    program = 'counter = counting(); print(sum(counter("ab", f"model-{n}") for n in range(200)))'
    assert with_stand_in(tmp_path, STAND_IN, program) == "loads o200k_base\n400"


@pytest.mark.parametrize(
    ("stand_in", "why"),
    [
        (CUT_OFF, "ConnectionError"),
        (DAMAGED, "ValueError"),
        (SILENT, "nothing came within 0.05 s"),
    ],
    ids=["cut off", "damaged", "silent"],
)
def test_an_encoding_that_cannot_be_loaded_is_an_error_of_ours(tmp_path: Path, stand_in: str, why: str):
    """It names the model and what to do, at the first call that needs it; the program ends though a thread waits."""
    program = (
        "try:\n    counting(patience_s=0.05)('text', 'gpt-4o')\nexcept ConfigurationError as error:\n    print(error)\n"
    )
    assert with_stand_in(tmp_path, stand_in, program) == (
        f"tiktoken cannot load its encoding o200k_base for 'gpt-4o': {why}; "
        "let it load once with a network, or set TIKTOKEN_CACHE_DIR to where its file is"
    )


def test_long_texts_are_counted_in_pieces():
    """tiktoken overflows its stack on a million spaces: what it gets at once is bounded, and nothing is left out."""
    asked: list[int] = []

    class Sizes:
        def encode_ordinary(self, text: str, /) -> list[int]:
            asked.append(len(text))
            return [0] * len(text)

    assert counting(Sizes())(" " * 1_000_001, "m") == 1_000_001
    assert max(asked) == 20_000


def with_stand_in(folder: Path, stand_in: str, program: str) -> str:
    """What a program prints where a module of ours is found as tiktoken."""
    (folder / "tiktoken.py").write_text(stand_in)
    return said(
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        "from ratelimit_client import ConfigurationError\n"
        "from ratelimit_client.adapters.tiktoken import counting\n"
        f"{program}"
    )


def said(program: str) -> str:
    """What a program prints."""
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()
