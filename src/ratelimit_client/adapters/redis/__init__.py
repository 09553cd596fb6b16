"""
One budget for many processes, kept in a Redis or Valkey.

    from ratelimit_client.adapters.redis import RedisStore
"""

from __future__ import annotations

from .store import RedisStore

__all__ = ["RedisStore"]
