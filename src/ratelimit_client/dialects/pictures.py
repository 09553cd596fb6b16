"""
Tokens of pictures that are to be made, and of those that are given to be changed.

Law of this file: what a body leaves to the server is taken at its dearest, and a model
whose pictures are not counted in tokens costs none.

Theory. A picture is a number of image tokens that follows from its size and quality;
a preview on the way is a hundred more. Answers of these endpoints show no limits, so
nothing but a refusal that names its charge can correct what is said here.

Source: the table and the previews are of the guide to image generation,
https://developers.openai.com/api/docs/guides/image-generation#cost-and-latency
For gpt-image-2 the guide has a calculator instead of a table; its formula was found by
https://community.openai.com/t/gpt-image-2-output-pricing-calculator-online-and-in-your-code/1382699
and gives the guide's prices for the sizes that it lists. Pictures given to be changed:
https://developers.openai.com/api/docs/guides/images-vision#calculating-costs
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

# Squares, upright and lying ones, by quality.
_TABLE: Final = {"low": (272, 408, 400), "medium": (1056, 1584, 1568), "high": (4160, 6240, 6208)}
_UPRIGHT: Final = (1024, 1536)
_PREVIEW: Final = 100
_MOST_PREVIEWS: Final = 3

# Of gpt-image-2: patches along the longer side, by quality, and what the area adds.
_PATCHES: Final = {"low": 16, "medium": 48, "high": 96}
_SQUARE: Final = (1024, 1024)
_AREA: Final = 2_000_000
_LONGEST: Final = 3840

# 65 and 129 for each of two tiles; with high fidelity as much more as a picture of high quality.
_GIVEN: Final = 65 + 2 * 129
_FAITHFUL: Final = 6240

_SIZE: Final = re.compile(r"([0-9]{2,4})x([0-9]{2,4})")


def tokens_made(body: Mapping[str, Any]) -> int:
    """Tokens of one picture that *body* asks for."""
    model = body.get("model")
    if not _counts(model):
        return 0
    quality = body.get("quality")
    if not isinstance(quality, str) or quality not in _TABLE:
        quality = "high"
    size = _size(body.get("size"))
    previews = body.get("partial_images")
    more = _PREVIEW * previews if type(previews) is int and 0 <= previews <= _MOST_PREVIEWS else 0
    return more + (_of_the_second(quality, size or _SQUARE) if _is_second(model) else _of_the_table(quality, size))


def tokens_given(body: Mapping[str, Any]) -> int:
    """Tokens of one picture that *body* gives to be changed."""
    model = body.get("model")
    if not _counts(model):
        return 0
    # The second always looks as closely as it can.
    return _GIVEN + (_FAITHFUL if body.get("input_fidelity") == "high" or _is_second(model) else 0)


def _counts(model: object) -> bool:
    return isinstance(model, str) and "gpt-image" in model


def _is_second(model: object) -> bool:
    return isinstance(model, str) and "gpt-image-2" in model


def _size(size: object) -> tuple[int, int] | None:
    """Width and height; None where the server chooses."""
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if found is None:
        return None
    width, height = int(found[1]), int(found[2])
    return (width, height) if 0 < width <= _LONGEST and 0 < height <= _LONGEST else None


def _of_the_table(quality: str, size: tuple[int, int] | None) -> int:
    width, height = size or _UPRIGHT
    return _TABLE[quality][0 if width == height else 1 if width < height else 2]


def _of_the_second(quality: str, size: tuple[int, int]) -> int:
    longer, shorter = max(size), min(size)
    along = _PATCHES[quality]
    across = (2 * along * shorter + longer) // (2 * longer)
    return -(-along * across * (_AREA + longer * shorter) // (2 * _AREA))
