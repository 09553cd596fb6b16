from __future__ import annotations

import pytest

from ratelimit_client.testing import Ask, by_characters, by_characters_and_output, by_the_larger, exactly


@pytest.mark.parametrize(
    ("ask", "tokens"),
    [
        (Ask("m", chars=23, max_tokens=16_384), 8),  # recorded in 2025: max_tokens costs nothing
        (Ask("m", chars=8043, max_tokens=100, texts=3), 2015),
        (Ask("m", chars=400, n=3), 104),
        (Ask("m", chars=0, texts=50), 4),
        (Ask("m", chars=40, images=2), 1542),
        (Ask("m", chars=400, endpoint="responses"), 120),
        (Ask("m", chars=400, endpoint="embeddings", texts=9), 100),
        (Ask("m", tokens=77, endpoint="embeddings"), 77),
        (Ask("m", chars=40, endpoint="completions"), 11),
    ],
)
def test_the_charge_of_today(ask: Ask, tokens: int) -> None:
    """A quarter of the characters and a few more, nothing for what is wanted back."""
    assert by_characters(ask) == tokens


@pytest.mark.parametrize(
    ("ask", "tokens"),
    [
        (Ask("m", chars=5468, max_tokens=400, endpoint="completions"), 1768),  # recorded with davinci-002
        (Ask("m", chars=34), 27),  # no max_tokens counts as 16
        (Ask("m", chars=400, max_tokens=50, n=4), 302),
        (Ask("m", chars=400, endpoint="embeddings"), 100),
    ],
)
def test_the_charge_of_old(ask: Ask, tokens: int) -> None:
    """A quarter of the characters and all that is wanted back."""
    assert by_characters_and_output(ask) == tokens


def test_the_charge_of_the_documents() -> None:
    """The larger of a quarter of the characters and max_tokens; nothing is free."""
    assert by_the_larger(Ask("m", chars=400, max_tokens=50)) == 100
    assert by_the_larger(Ask("m", chars=400, max_tokens=500)) == 500
    assert by_the_larger(Ask("m")) == 1


def test_the_charge_of_a_model_of_the_scheduler() -> None:
    """Exactly the tokens of the prompt, for simulations that count in whole tokens."""
    assert exactly(Ask("m", tokens=1500)) == 1500
