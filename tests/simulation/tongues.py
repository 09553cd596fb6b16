"""
What one server says in the words of several vendors.

Law of this file: a tongue is a function from an answer and the server's own date to
header fields; what is said is the same, as far as the vendor has words for it.
"""

from __future__ import annotations

import datetime
import email.utils
from collections.abc import Callable

from ratelimit_client.core.units import NS
from ratelimit_client.testing import Answer

Tongue = Callable[[Answer, int], dict[str, str]]
"""(answer, nanoseconds since 1970) -> header fields."""


def _rest(answer: Answer, wall_ns: int) -> dict[str, str]:
    """What every server says, whatever its words for limits."""
    rest = {name: value for name, value in answer.headers.items() if "ratelimit" not in name and "retry" not in name}
    return {**rest, "date": email.utils.formatdate(wall_ns / NS, usegmt=True)}


def _stamp(wall_ns: int) -> str:
    return datetime.datetime.fromtimestamp(-(-wall_ns // NS), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _wait(answer: Answer) -> int | None:
    return None if answer.wait_s is None or not answer.retry_headers else int(answer.wait_s) + 1


def openai(answer: Answer, wall_ns: int) -> dict[str, str]:
    """As the model server writes them, lies included."""
    return {**answer.headers, "date": email.utils.formatdate(wall_ns / NS, usegmt=True)}


def anthropic(answer: Answer, wall_ns: int) -> dict[str, str]:
    """Resets are instants of the server's own clock, to the second."""
    said = _rest(answer, wall_ns)
    for each in answer.shown:
        name = f"anthropic-ratelimit-{each.unit}"
        said[f"{name}-limit"] = str(each.limit)
        said[f"{name}-remaining"] = str(each.remaining)
        said[f"{name}-reset"] = _stamp(wall_ns + each.reset_ns)
    if (wait_s := _wait(answer)) is not None:
        said["retry-after"] = str(wait_s)
    return said


def ietf(answer: Answer, wall_ns: int) -> dict[str, str]:
    """One policy for each unit, its reset in seconds."""
    said = _rest(answer, wall_ns)
    if answer.shown:
        said["ratelimit-policy"] = ", ".join(
            f'"{each.unit}";q={each.limit};w={each.window_ns // NS}' for each in answer.shown
        )
        said["ratelimit"] = ", ".join(
            f'"{each.unit}";r={each.remaining};t={-(-each.reset_ns // NS)}' for each in answer.shown
        )
    if (wait_s := _wait(answer)) is not None:
        said["retry-after"] = str(wait_s)
    return said


def seconds(answer: Answer, wall_ns: int) -> dict[str, str]:
    """The ordinary fields of nobody in particular; a wait is told as a date."""
    said = _rest(answer, wall_ns)
    for each in answer.shown:
        if each.unit == "requests":
            said["x-ratelimit-limit"] = str(each.limit)
            said["x-ratelimit-remaining"] = str(each.remaining)
            said["x-ratelimit-reset"] = str(-(-each.reset_ns // NS))
    if (wait_s := _wait(answer)) is not None:
        said["retry-after"] = email.utils.formatdate(wall_ns // NS + wait_s, usegmt=True)
    return said


def epochs(answer: Answer, wall_ns: int) -> dict[str, str]:
    """The same with resets as seconds since 1970, by the server's own clock."""
    said = seconds(answer, wall_ns)
    for each in answer.shown:
        if each.unit == "requests":
            said["x-ratelimit-reset"] = str(-(-(wall_ns + each.reset_ns) // NS))
    return said


TONGUES: dict[str, Tongue] = {each.__name__: each for each in (openai, anthropic, ietf, seconds, epochs)}
