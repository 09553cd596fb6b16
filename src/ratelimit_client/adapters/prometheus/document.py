"""
The live page as one document, and the policy under which a browser shows it.

Law of this file: the page is whole, it loads nothing. Style and script are named by their hash,
so a browser runs these and no others, whatever a name that is drawn may hold.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Final

import attrs

_FOLDER: Final = "assets"
_RULES: Final = {
    "default-src": "'none'",
    "connect-src": "'self'",
    "img-src": "data:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}


@attrs.frozen
class Document:
    """
    Args:
        body: HTML.
        policy: its Content-Security-Policy.
    """

    body: bytes
    policy: str


@cache
def document() -> Document:
    """The page, read once."""
    style, script, html = (_read(f"live.{kind}") for kind in ("css", "js", "html"))
    rules = {**_RULES, "style-src": _hash(style), "script-src": _hash(script)}
    body = html.replace("{{style}}", style).replace("{{script}}", script)
    return Document(body.encode(), "; ".join(f"{name} {value}" for name, value in rules.items()))


def _read(name: str) -> str:
    return (resources.files(__package__) / _FOLDER / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
