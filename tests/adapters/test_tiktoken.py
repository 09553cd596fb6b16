from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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

def encoding_for_model(model):
    return {"gpt-4o": Characters()}[model]

def get_encoding(name):
    return {"o200k_base": Bytes()}[name]
"""
CUT_OFF = """
def encoding_for_model(model):
    raise ConnectionError("no network")
"""
EACH = """
from ratelimit_client.adapters.tiktoken import counting
counter = counting()
print(counter("né", "gpt-4o"), counter("né", "llama"), counter("né", ""))
"""


def test_each_model_has_its_encoding_and_others_the_newest(tmp_path: Path):
    """As a module of the name and the functions of tiktoken knows them."""
    (tmp_path / "tiktoken.py").write_text(STAND_IN)
    assert said(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{EACH}") == "2 3 3"


def test_an_encoding_that_cannot_be_loaded_is_an_error_of_ours(tmp_path: Path):
    """It names the model and what to do, at the first call that needs it."""
    (tmp_path / "tiktoken.py").write_text(CUT_OFF)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from ratelimit_client import ConfigurationError\n"
        "from ratelimit_client.adapters.tiktoken import counting\n"
        "try:\n    counting()('text', 'gpt-4o')\n"
        "except ConfigurationError as error:\n    print(error)\n"
    )
    assert said(program) == (
        "tiktoken cannot load its encoding for 'gpt-4o': ConnectionError; "
        "give counting() one, or let it load once with a network"
    )


def said(program: str) -> str:
    """What a program prints."""
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()
