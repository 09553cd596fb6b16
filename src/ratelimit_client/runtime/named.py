"""
Named tuples where each call makes one.

Law of this file: it says what the class says, sooner.
"""

from __future__ import annotations

from typing import Final

made: Final = tuple.__new__
"""``made(Kind, terms)`` is ``Kind(*terms)`` without the call of a function in between, and asks for all its terms."""
