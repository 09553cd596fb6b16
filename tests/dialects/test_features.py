from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_client.core.estimate import Features
from ratelimit_client.dialects.features import features_of, model_of, tokens_used

PART = {"type": "text", "text": "12345"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:..."}}


@pytest.mark.parametrize(
    ("body", "chars", "output", "fixed"),
    [
        ({"messages": [{"role": "user", "content": "12345"}, {"role": "system", "content": "678"}]}, 8, 0, 0),
        ({"messages": [{"role": "user", "content": [PART, IMAGE, PART]}]}, 10, 0, 765),
        ({"messages": [{"role": "user", "content": [PART, "67", IMAGE, IMAGE]}], "max_tokens": 9}, 7, 9, 1530),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": []}]}, 0, 0, 0),
        ({"messages": [], "tools": [{"type": "function", "function": {"description": "x" * 999}}]}, 0, 0, 0),
        ({"messages": [], "max_completion_tokens": 7, "n": 3}, 0, 21, 0),
        ({"prompt": "12345", "max_tokens": 7, "best_of": 2, "n": 1}, 5, 14, 0),
        ({"prompt": ["12", "345"]}, 5, 0, 0),
        ({"prompt": [1, 2, 3]}, 12, 0, 0),
        ({"prompt": [[1, 2], [3]]}, 12, 0, 0),
        ({"input": "12345", "instructions": "678", "max_output_tokens": 4}, 8, 4, 0),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "123"}, {"type": "input_image"}]}]},
            3,
            0,
            765,
        ),
        ({"input": ["12", "345"], "dimensions": 256}, 5, 0, 0),
        ({"input": []}, 0, 0, 0),
        ({"max_tokens": -5, "n": "many"}, 0, 0, 0),
        ({"max_tokens": 10**18}, 0, 0, 0),
        ({"max_tokens": True}, 0, 0, 0),
        ({"messages": {"role": "user"}, "prompt": 5, "input": b"bytes"}, 0, 0, 0),
        ([1, 2], 0, 0, 0),
        (None, 0, 0, 0),
    ],
)
def test_what_a_body_shows(body: Any, chars: int, output: int, fixed: int):
    """
    Characters of the text, the most output over all answers, images at their flat price; the rest shows nothing.
    """
    assert features_of(body, "/v1/x") == Features(chars=chars, max_output=output, fixed=fixed, endpoint="/v1/x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["content", "text", "type", "role", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = ("messages", "input", "prompt", "instructions", "max_tokens", "max_output_tokens", "n", "best_of", "model")


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_no_body_is_an_error(body: dict[str, Any]):
    """
    Whatever a caller wrote, it has features that are whole and not negative, a key, and no exception.
    """
    features = features_of(body)
    assert min(features.chars, features.max_output, features.fixed) >= 0
    assert model_of(body)


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        ({"total_tokens": 7, "prompt_tokens": 3}, 7),
        ({"prompt_tokens": 3, "completion_tokens": 4}, 7),
        ({"input_tokens": 3, "output_tokens": 4}, 7),
        ({"prompt_tokens": 3}, 3),
        ({"total_tokens": 0}, 0),
        ({"total_tokens": -1}, None),
        ({"total_tokens": 10**18}, None),
        ({"total_tokens": "7"}, None),
        ({"total_tokens": 7.0}, None),
        ({"total_tokens": True}, None),
        ({"input_tokens": "3", "output_tokens": 4}, None),
        ({}, None),
        (None, None),
        ([7], None),
    ],
)
def test_what_an_answer_used(usage: Any, total: int | None):
    """
    A total that can be one, or none.
    """
    assert tokens_used(usage) == total


def test_what_is_no_part_of_a_message_counts_nothing():
    """A number among the parts, or in place of them."""
    body = {"messages": [{"content": [5, "four"]}, {"content": 5}]}
    assert features_of(body).chars == 4
