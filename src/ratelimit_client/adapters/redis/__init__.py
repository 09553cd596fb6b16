"""One budget for many processes, kept in a Redis or Valkey."""

from __future__ import annotations
