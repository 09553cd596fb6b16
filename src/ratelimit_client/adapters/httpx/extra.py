"""What has to be installed beside, and how."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ...errors import ConfigurationError

_INSTALL = {
    "httpx": "pip install 'ratelimit-client[httpx]'",
    "openai": "pip install 'ratelimit-client[openai]'",
    "anthropic": "pip install anthropic",
}


def needed(name: str) -> Any:
    """
    The module *name*.

    Raises:
        ConfigurationError: it is not installed; the message says how it comes to be.
    """
    try:
        return import_module(name)
    except ImportError as error:
        if error.name != name:
            raise
    raise ConfigurationError(f"{name} is not installed: {_INSTALL[name]}")
