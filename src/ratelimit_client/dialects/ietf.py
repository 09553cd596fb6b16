"""
The limits of the IETF's ``RateLimit`` and ``RateLimit-Policy`` fields, all drafts.

Law of this file: a field is a dictionary (draft 7), a list of names with ``r`` and
``t`` (drafts 8 to 10), or, in the policy of drafts 4 to 6, a list of amounts with ``w``.
A field that is not by the grammar is read loosely, and then in doubt.

    RateLimit: limit=100, remaining=50, reset=44          -07
    RateLimit-Policy: 100;w=60                            -04..-06
    RateLimit-Policy: "burst";q=100;w=60, "daily";q=1000  -08..-10
    RateLimit: "burst";r=50;t=30                          -08..-10

Theory: draft 10 tells a client to ignore a malformed field as a whole. Its own
example breaks its grammar, and so do servers in the field, so the loose reader keeps
what plainly says a name and numbers. ``t`` is the time until the window steps; it
need not be the time to full. A policy may have any name, and every call pays a request
in each, also in one of which no level is shown; a policy of calls at once (``qu``) is no rate
and is left out. The plain ``RateLimit-Limit`` of drafts 1 to 6 is read
by the common patterns.

Source: draft-ietf-httpapi-ratelimit-headers-01 to -10.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeGuard

import attrs

from ..core.profile import EveryDimension, Refill, ServerProfile
from ..core.signals import Reason
from .dialect import UNNAMED, Dialect, Field
from .signs import signs
from .structured import Bare, Malformed, Token, loose_members, parse_dictionary, parse_list
from .unread import NO_LIMIT, NOT_A_NUMBER, NOT_THE_GRAMMAR

IETF = Dialect(
    **signs("ietf"),
    profile=ServerProfile(
        pays=EveryDimension("requests", {"requests": "requests", "default": "requests"}),
        refill=Refill.WINDOW,
        grain_s=1.0,
    ),
    codes={
        "quota-exceeded": Reason.RATE_LIMITED,
        "abnormal-usage-detected": Reason.RATE_LIMITED,
        "temporary-reduced-capacity": Reason.OVERLOADED,
    },
)

_A_DICTIONARY = re.compile(r"[^\"]*\b(?:limit|remaining|reset)\s*=", re.ASCII)
_LOOSE_PAIR = re.compile(r"\b(limit|remaining|reset)\s*=\s*\"?([0-9]{1,15})(?![0-9])", re.ASCII)

# parameter of a member -> field of a reading
_OF_A_LIMIT = {"r": "remaining", "t": "reset_s"}
_OF_A_POLICY = {"q": "limit", "w": "window_s"}
_OF_A_DICTIONARY = {"limit": "limit", "remaining": "remaining", "reset": "reset_s"}

_AT_ONCE = "concurrent-requests"
"""The unit of a policy that counts calls under way; every other counts what a window admits."""

Level = dict[str, float]


@attrs.define
class Fields:
    """
    What the two fields say.

    Attributes:
        levels: policy name as written -> field of a reading -> its number.
        quotas: (amount, seconds) of the policies that have no name.
        doubtful: something was not by the grammar.
        ignored: names of policies that limit no rate.
        faults: which of the two fields said something in vain, and what is wrong with it.
    """

    levels: dict[str, Level] = attrs.field(factory=dict)
    quotas: list[tuple[float, float]] = attrs.field(factory=list)
    doubtful: bool = False
    ignored: set[str] = attrs.field(factory=set)
    faults: list[tuple[Field, str]] = attrs.field(factory=list)

    def policy(self, text: str) -> None:
        """Take the value of ``RateLimit-Policy``; several lines are joined with a comma first."""
        for item, parameters in self._members(text, Field.POLICY):
            window = parameters.get("w")
            if parameters.get("qu") == _AT_ONCE:
                self.ignored.add(str(item))
            elif isinstance(item, str):
                self._keep(item, parameters, _OF_A_POLICY, Field.POLICY)
            elif _is_amount(item) and _is_amount(window) and item and window:
                self.quotas.append((float(item), float(window)))
            elif item != 0:
                self.faults.append((Field.POLICY, NO_LIMIT))

    def limit(self, text: str) -> None:
        """Take the value of ``RateLimit``."""
        if _A_DICTIONARY.match(text):
            self._keep(UNNAMED, self._dictionary(text), _OF_A_DICTIONARY, Field.RATELIMIT)
            return
        for item, parameters in self._members(text, Field.RATELIMIT):
            if not isinstance(item, str):
                self.faults.append((Field.RATELIMIT, NO_LIMIT))
            elif item not in self.ignored:
                self._keep(item, parameters, _OF_A_LIMIT, Field.RATELIMIT)

    def _members(self, text: str, whose: Field) -> Iterable[tuple[Bare, Mapping[str, Bare]]]:
        try:
            members = parse_list(text)
        except Malformed:
            self.doubtful = True
            found = loose_members(text)
            if not found:
                self.faults.append((whose, NOT_THE_GRAMMAR))
            return found
        self.doubtful |= any(isinstance(item, Token) for item, _ in members)
        return members

    def _dictionary(self, text: str) -> Mapping[str, Bare]:
        try:
            return parse_dictionary(text)
        except Malformed:
            self.doubtful = True
            return {name: int(number) for name, number in _LOOSE_PAIR.findall(text)}

    def _keep(self, name: str, parameters: Mapping[str, Bare], fields: Mapping[str, str], whose: Field) -> None:
        if parameters.keys().isdisjoint(fields):
            self.faults.append((whose, NO_LIMIT))
        for parameter, field in fields.items():
            number = parameters.get(parameter)
            if not _is_amount(number):
                if number is not None and number != -1:
                    self.faults.append((whose, NOT_A_NUMBER))
                continue
            level = self.levels.setdefault(name, {})
            # One name may stand for several partitions: the emptiest one holds.
            if field == "remaining" and field in level:
                level[field] = min(level[field], float(number))
            else:
                level.setdefault(field, float(number))


def _is_amount(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
