"""What has to be installed beside, and how."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ...errors import ConfigurationError


def needed(name: str) -> Any:
    """
    The module *name* of Ray.

    Raises:
        ConfigurationError: it is not installed, or what it needs is not; says how it comes to be.
    """
    try:
        return import_module(name)
    except ImportError as error:
        missing = error.name or name
    raise ConfigurationError(
        f"{missing} is not installed: pip install 'ratelimit-client[ray]', here and on every node of the cluster"
    )
