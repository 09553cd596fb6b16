"""
Numbers, times and names as people read them.

Law of this file: words only; what they are about is decided elsewhere.
"""

from __future__ import annotations


def shown(text: str) -> str:
    """Text from a file or a server, fit for a terminal."""
    plain = text if text.isprintable() else repr(text)[1:-1]
    return plain if len(plain) <= 128 else plain[:125] + "..."


def number(amount: int) -> str:
    """A number for people: 1 000 000."""
    return f"{amount:,}".replace(",", " ")


def window(seconds: float) -> str:
    """A window of time in words."""
    for name, unit in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0)):
        if seconds >= unit and seconds % unit == 0:
            return name if seconds == unit else f"{seconds / unit:g} {name}s"
    return f"{seconds:g} s"


def duration(seconds: float) -> str:
    """A span of time for people."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def brief(seconds: float) -> str:
    """A span of time in three digits, however short: "3.5 ms", "2.16 s", "5 min", "1.4 h"."""
    if seconds < 1:
        return f"{three(seconds * 1000)} ms"
    name, unit = ("h", 3600.0) if seconds >= 3600 else ("min", 60.0) if seconds >= 120 else ("s", 1.0)
    return f"{three(seconds / unit)} {name}"


def three(value: float) -> str:
    """Three digits, as far as they tell anything."""
    return f"{float(f'{value:.3g}'):g}"
