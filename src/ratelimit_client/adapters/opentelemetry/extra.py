"""What has to be installed beside, and how."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ...errors import ConfigurationError


def needed(name: str) -> Any:
    """
    The module *name* of opentelemetry-api.

    Raises:
        ConfigurationError: it is not installed; the message says how it comes to be.
    """
    try:
        return import_module(name)
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] != "opentelemetry":
            raise
    raise ConfigurationError("traces need opentelemetry-api: pip install 'ratelimit-client[otel]'")
