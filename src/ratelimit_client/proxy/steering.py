"""
The headers by which a caller steers its call.

Law of this file: they are for the proxy and go no further; one that says nothing that can
be done is refused, for whoever wrote it meant something.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

PREFIX: Final = "x-ratelimit-client-"
"""Of all headers that are ours, in requests and in answers."""

_PRIORITY: Final = re.compile(r"[+-]?[0-2]")
_SECONDS: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,9})?")
_TOKENS: Final = re.compile(r"[0-9]{1,9}")
_NAME: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?")


class BadSteering(ValueError):
    """
    A header that steers says nothing that can be done.

    Args:
        header: its name.
    """

    def __init__(self, header: str, want: str) -> None:
        super().__init__(f"the header {header} is {want}")
        self.header = header


@attrs.frozen
class Steering:
    """
    What a caller wants of the queue; see ``Client.request``.

    Args:
        deadline_s: seconds until the answer begins.
        key: whose budget it is charged to.
        tokens: what it costs.
    """

    priority: int = 0
    tenant: str | None = None
    deadline_s: float | None = None
    key: str | None = None
    tokens: int | None = None


UNSTEERED: Final = Steering()


def steering_of(headers: Mapping[str, str]) -> Steering:
    """
    What *headers* ask of the queue.

    Raises:
        BadSteering: a value is none.
    """
    values = {}
    for name, value in headers.items():
        lowered = name.lower()
        if lowered.startswith(PREFIX):
            if lowered in values:
                raise BadSteering(lowered, "there twice")
            if lowered not in _READ:
                raise BadSteering(lowered, f"unknown: there are {', '.join(_READ)}")
            values[lowered] = value.strip()
    if not values:
        return UNSTEERED
    given = {}
    for name, value in values.items():
        field, form, make, want = _READ[name]
        if not form.fullmatch(value) or (field == "deadline_s" and not float(value)):
            raise BadSteering(name, f"not {want}")
        given[field] = make(value)
    return Steering(**given)


_READ: Final = {
    PREFIX + "priority": ("priority", _PRIORITY, int, "a whole number from -2 (first) to 2 (last)"),
    PREFIX + "tenant": ("tenant", _NAME, str, "a name of at most 128 printable ASCII characters"),
    PREFIX + "deadline": ("deadline_s", _SECONDS, float, "a number of seconds above 0, such as 30 or 2.5"),
    PREFIX + "key": ("key", _NAME, str, "a name of at most 128 printable ASCII characters"),
    PREFIX + "tokens": ("tokens", _TOKENS, int, "a whole number of tokens"),
}
