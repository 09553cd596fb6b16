"""Tokens of pictures, held against the numbers of the documents."""

from __future__ import annotations

from typing import Any

import pytest

from ratelimit_client.dialects.pictures import tokens_given, tokens_made

SQUARE, UPRIGHT, LYING = "1024x1024", "1024x1536", "1536x1024"
TABLE = [
    ("low", SQUARE, 272),
    ("low", UPRIGHT, 408),
    ("low", LYING, 400),
    ("medium", SQUARE, 1056),
    ("medium", UPRIGHT, 1584),
    ("medium", LYING, 1568),
    ("high", SQUARE, 4160),
    ("high", UPRIGHT, 6240),
    ("high", LYING, 6208),
]


@pytest.mark.parametrize("model", ["gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "chatgpt-image-latest"])
@pytest.mark.parametrize(("quality", "size", "tokens"), TABLE)
def test_the_table_of_the_guide(model: str, quality: str, size: str, tokens: int):
    """By quality and shape, for the models before the second."""
    assert tokens_made({"model": model, "quality": quality, "size": size}) == tokens


# Dollars a picture as the guide lists them for gpt-image-2, at 30 dollars a million tokens of output.
@pytest.mark.parametrize(
    ("quality", "size", "dollars"),
    [
        ("low", SQUARE, 0.006),
        ("low", UPRIGHT, 0.005),
        ("low", LYING, 0.005),
        ("medium", SQUARE, 0.053),
        ("medium", UPRIGHT, 0.041),
        ("medium", LYING, 0.041),
        ("high", SQUARE, 0.211),
        ("high", UPRIGHT, 0.165),
        ("high", LYING, 0.165),
    ],
)
def test_the_second_model_costs_what_the_guide_says(quality: str, size: str, dollars: float):
    """Its prices are given to a tenth of a cent."""
    tokens = tokens_made({"model": "gpt-image-2-2026-04-21", "quality": quality, "size": size})
    assert round(tokens * 30 / 1_000_000, 3) == dollars


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"size": "1792x1024"}, 5063),
        ({"size": "3584x2048"}, 12_329),
        ({"size": "auto"}, 7024),
        ({"size": "9999x1"}, 7024),
        ({"size": "00x00"}, 7024),
        ({"quality": "auto"}, 7024),
        ({"partial_images": 3, "quality": "low"}, 496),
    ],
)
def test_what_the_second_model_makes_of_other_sizes(body: dict[str, Any], tokens: int):
    """As its calculator says; what is left to it is a square of high quality."""
    assert tokens_made({"model": "gpt-image-2", **body}) == tokens


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({}, 6240),
        ({"quality": "auto", "size": "auto"}, 6240),
        ({"quality": ["low"], "size": 7}, 6240),
        ({"quality": "low", "size": "5000x5000"}, 408),
        ({"quality": "low", "size": "512x512"}, 272),
        ({"quality": "low", "size": SQUARE, "partial_images": 2}, 472),
        ({"quality": "low", "size": SQUARE, "partial_images": 10**9}, 272),
        ({"quality": "low", "size": SQUARE, "partial_images": "2"}, 272),
    ],
)
def test_what_is_left_to_the_server_is_taken_at_its_dearest(body: dict[str, Any], tokens: int):
    """High quality and an upright picture; previews as far as there are any."""
    assert tokens_made({"model": "gpt-image-1", **body}) == tokens


@pytest.mark.parametrize("model", ["dall-e-3", "flux", "", None, 5])
def test_other_models_count_no_tokens(model: object):
    """They are paid by the picture."""
    assert tokens_made({"model": model, "quality": "high"}) == 0
    assert tokens_given({"model": model, "input_fidelity": "high"}) == 0


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"model": "gpt-image-1"}, 323),
        ({"model": "gpt-image-1", "input_fidelity": "low"}, 323),
        ({"model": "gpt-image-1", "input_fidelity": "high"}, 6563),
        ({"model": "gpt-image-2"}, 6563),
    ],
)
def test_a_picture_that_is_given_is_read_more_or_less_closely(body: dict[str, Any], tokens: int):
    """Two tiles of it, and with high fidelity as much as a picture of high quality."""
    assert tokens_given(body) == tokens
