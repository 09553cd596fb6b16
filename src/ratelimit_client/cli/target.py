"""
Where a command sends its calls.

Law of this file: a flag, else the environment, else OpenAI's own address; in the
one spelling that is compared.
"""

from __future__ import annotations

import os

from ..adapters.aiohttp.url import OPENAI


def base_url(given: str | None) -> str:
    """The base URL, without a slash at its end."""
    return str(given or os.environ.get("OPENAI_BASE_URL") or OPENAI).strip().rstrip("/")
