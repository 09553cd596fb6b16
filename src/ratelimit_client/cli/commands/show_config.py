"""
``--show-config``: what every option is, and where that is from.

Law of this file: a flag counts more than the environment, the environment more
than the default; keys, and what may be one, are masked.
"""

from __future__ import annotations

import os
from typing import Any

from ...adapters.aiohttp.url import OPENAI
from ...runtime.secret import mask
from ..args import Request, Setting
from ..options import url_shown
from ..report import show
from ..voice import Voice

_NAMES = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID")


def main(request: Request, voice: Voice) -> int:
    """Show it."""
    table = [_line(setting) for setting in request.options["settings"]]
    if request.options["of"] not in ("simulate", "demo"):
        table += [_variable("OPENAI_API_KEY", mask), *(_variable(name, str) for name in _NAMES)]
    width = max((len(value) for _, value, _ in table), default=0)
    show((label, f"{value:<{min(width, 48)}}  {origin}") for label, value, origin in table)
    return 0


def _line(setting: Setting) -> tuple[str, str, str]:
    option = setting.option
    if option.flag == "--base-url" and setting.texts is None:
        given = os.environ.get("OPENAI_BASE_URL")
        return option.flag, url_shown(given or OPENAI), "OPENAI_BASE_URL" if given else "default"
    if setting.texts is None:
        return option.flag, _plain(option.default), setting.origin
    return option.flag, "; ".join(map(option.shown, setting.texts)), setting.origin


def _plain(default: Any) -> str:
    if default is None:
        return "-"
    if isinstance(default, bool):
        return "1" if default else "0"
    return f"{default:g}" if isinstance(default, float) else str(default)


def _variable(name: str, shown: Any) -> tuple[str, str, str]:
    value = os.environ.get(name)
    return name, shown(value) if value else "-", "environment" if value else "default"
