"""
How much of something a server allows in a window of time, as a person writes it.

Law of this file: a quota is a fact typed by a human or shown by a server, so it
is checked here, once, and everything below may trust it. What is wrong is said
with what was read, what is allowed and an example.

The text form reads what people write ("500 requests/min", "200k TPM", "3 per
10 s") and writes one form, which it reads back to the same quota.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from ..errors import InvalidQuota
from .units import MAX_AMOUNT, NS, to_ns, to_s, unit_name, whole

_MINUTE_NS, _HOUR_NS, _DAY_NS = 60 * NS, 3600 * NS, 86_400 * NS
_MIN_WINDOW_NS = NS // 1000
_MAX_WINDOW_NS = 3660 * _DAY_NS

_WINDOWS = {
    word: window_ns
    for words, window_ns in (
        ("ms msec millisecond milliseconds", NS // 1000),
        ("s sec secs second seconds", NS),
        ("m min mins minute minutes", _MINUTE_NS),
        ("h hr hrs hour hours", _HOUR_NS),
        ("d day days", _DAY_NS),
        ("w week weeks", 7 * _DAY_NS),
    )
    for word in words.split()
}
_NAMED = {NS: "s", _MINUTE_NS: "min", _HOUR_NS: "hour", _DAY_NS: "day"}
_MULTIPLIERS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}

_TEXT = re.compile(
    r"""
    (?P<amount> \d+(?:[_,]\d{3})*(?:\.\d+)? ) (?P<multiplier>[kmgb])?  # the multiplier touches its number
    (?: \s+ (?P<unit>[a-z][a-z0-9_.-]*) )??  # the unit does not: 1e3 is no number of e3s
    (?: \s* / \s* | \s+ (?:per|a|an|each|every|in) \s+ )
    (?: (?P<count>\d+(?:\.\d+)?) \s* )?
    (?P<window>[a-z]+)
    """,
    re.VERBOSE | re.ASCII,
)
_SHORTHAND = re.compile(
    r"(?P<amount>\d+(?:[_,]\d{3})*(?:\.\d+)?)(?P<multiplier>[kmgb])?\s*(?P<unit>[rti])p(?P<window>[smhd])", re.ASCII
)
_SHORT_UNITS = {"r": "requests", "t": "tokens", "i": "images"}
_TEXT_MAX_CHARS = 128

_ALLOWED = (
    "an amount (500, 10_000, 200k, 1.5M), a unit (requests when none is named, tokens, images, ...), "
    "'/' or 'per', and a window (s, min, hour, day, week, or a number of them); "
    "RPM, TPM, RPD and the like are understood. Examples: "
    "'500 requests/min', '200k tokens per minute', '3 requests per 10 s', '1/s'"
)


@attrs.frozen(init=False, repr=False)
class Quota:
    """
    So many units of something in every window of time.

    >>> Quota("tokens", 200_000)
    Quota.parse('200000 tokens/min')

    Args:
        unit: lower-case name of what is counted ("requests", "tokens").
        amount: units in a full window, 1 to 10^15; 2e5 counts as 200 000.
        window_s: seconds, from a millisecond to ten years.

    Raises:
        InvalidQuota: one of them is out of its range.
    """

    unit: str
    amount: int
    window_ns: int

    def __init__(self, unit: str, amount: int, window_s: float = 60.0) -> None:
        try:
            window_ns = to_ns(window_s)
        except (TypeError, ValueError) as error:
            message = f"{window_s!r} is no window of a quota: give seconds, such as 60"
            raise InvalidQuota(message) from error
        self._fill(unit, amount, window_ns)

    @classmethod
    def from_ns(cls, unit: str, amount: int, window_ns: int) -> Quota:
        """The same from a window in nanoseconds."""
        quota = cls.__new__(cls)
        quota._fill(unit, amount, window_ns)
        return quota

    @classmethod
    def parse(cls, text: str) -> Quota:
        """
        The quota a person wrote.

        >>> Quota.parse("200k tokens per minute")
        Quota.parse('200000 tokens/min')

        Raises:
            InvalidQuota: it cannot be read; the message says what can be.
        """
        line = " ".join(text.lower().split()) if len(text) <= _TEXT_MAX_CHARS else ""
        if short := _SHORTHAND.fullmatch(line):
            amount = _exact(text, short["amount"], _MULTIPLIERS[short["multiplier"] or ""])
            return cls.from_ns(_SHORT_UNITS[short["unit"]], amount, _WINDOWS[short["window"]])

        parts = _TEXT.fullmatch(line)
        if parts is None or parts["window"] not in _WINDOWS:
            message = f"cannot read {_cut(text)} as a quota. A quota is {_ALLOWED}"
            raise InvalidQuota(message)

        amount = _exact(text, parts["amount"], _MULTIPLIERS[parts["multiplier"] or ""])
        window_ns = _exact(text, parts["count"] or "1", _WINDOWS[parts["window"]])
        return cls.from_ns(parts["unit"] or "requests", amount, window_ns)

    def _fill(self, unit: str, amount: object, window_ns: int) -> None:
        """Check all three and become them."""
        try:
            name = unit_name(unit)
        except (TypeError, ValueError) as error:
            raise InvalidQuota(str(error)) from error
        number = whole(amount)
        if number is None or not 1 <= number <= MAX_AMOUNT:
            message = (
                f"a quota of {_cut(amount)} {name} is none: give a whole number from 1 to {MAX_AMOUNT:,}, such as 500"
            )
            raise InvalidQuota(message)
        if not _MIN_WINDOW_NS <= window_ns <= _MAX_WINDOW_NS:
            message = (
                f"a window of {to_s(window_ns):g} s is outside what a quota may have: "
                "from 0.001 s to ten years, such as 60 s"
            )
            raise InvalidQuota(message)

        object.__setattr__(self, "unit", name)
        object.__setattr__(self, "amount", number)
        object.__setattr__(self, "window_ns", window_ns)

    @property
    def window_s(self) -> float:
        """The window in seconds."""
        return to_s(self.window_ns)

    def __add__(self, other: Quota | Iterable[Quota]) -> Quotas:
        return Quotas((self,)) + other

    def __radd__(self, other: Any) -> Quotas:
        return Quotas((self,)).__radd__(other)

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}/{_written(self.window_ns)}"

    def __repr__(self) -> str:
        return f"Quota.parse({str(self)!r})"


class Quotas(tuple[Quota, ...]):
    """
    Quotas that hold together; a call must fit in every one.

    They add with ``+``. Two different amounts of one unit in the same window
    contradict each other and are refused; the same quota twice is once.

    Raises:
        InvalidQuota: two of them contradict each other.
    """

    __slots__ = ()

    def __new__(cls, quotas: Iterable[Quota] = ()) -> Quotas:
        seen: dict[tuple[str, int], Quota] = {}
        for quota in quotas:
            first = seen.setdefault((quota.unit, quota.window_ns), quota)
            if first.amount != quota.amount:
                message = f"{first} and {quota} contradict each other: keep the one that holds"
                raise InvalidQuota(message)
        return super().__new__(cls, seen.values())

    @classmethod
    def of(cls, value: Quota | str | Iterable[Quota | str] | None) -> Quotas:
        """Whatever a caller gave for quotas: one, many, as text, or none."""
        if value is None:
            return cls()
        if isinstance(value, Quota):
            return cls((value,))
        if isinstance(value, str):
            return cls((Quota.parse(value),))
        return cls(Quota.parse(each) if isinstance(each, str) else each for each in value)

    def __add__(self, other: Any) -> Quotas:
        if isinstance(other, Quota):
            return Quotas((*self, other))
        return Quotas((*self, *other)) if isinstance(other, Iterable) else NotImplemented

    def __radd__(self, other: Any) -> Quotas:
        if other == 0:  # what sum() starts from
            return self
        return Quotas((*other, *self)) if isinstance(other, Iterable) else NotImplemented

    def __str__(self) -> str:
        return " + ".join(map(str, self)) or "no quotas"

    def __repr__(self) -> str:
        return f"<Quotas {self}>"


def per_second(**amounts: int) -> Quotas:
    """Quotas of one second: ``per_second(requests=10)``."""
    return _per(NS, amounts)


def per_minute(**amounts: int) -> Quotas:
    """Quotas of one minute: ``per_minute(requests=500, tokens=200_000)``."""
    return _per(_MINUTE_NS, amounts)


def per_hour(**amounts: int) -> Quotas:
    """Quotas of one hour: ``per_hour(requests=5000)``."""
    return _per(_HOUR_NS, amounts)


def per_day(**amounts: int) -> Quotas:
    """Quotas of one day: ``per_day(requests=10_000)``."""
    return _per(_DAY_NS, amounts)


def quotas_by_key(quotas: Quotas | Iterable[Quota] | Mapping[str, Quotas]) -> dict[str, Quotas]:
    """Quotas for all keys, or by key, as a mapping with "*" for the rest."""
    by_key = quotas if isinstance(quotas, Mapping) else {"*": Quotas(quotas)}
    return {key: Quotas.of(each) for key, each in by_key.items()}


def _per(window_ns: int, amounts: dict[str, int]) -> Quotas:
    return Quotas(Quota.from_ns(unit, amount, window_ns) for unit, amount in amounts.items())


def _exact(text: str, digits: str, scale: int) -> int:
    """*digits* times *scale*, which must come out whole."""
    head, _, tail = digits.replace("_", "").replace(",", "").partition(".")
    number, rest = divmod(int(head + tail) * scale, int("1" + "0" * len(tail)))
    if rest:
        message = f"{digits} in {_cut(text)} makes no whole number; write it out, such as '1500 tokens/min'"
        raise InvalidQuota(message)
    return number


def _written(window_ns: int) -> str:
    """A window as ``parse`` reads it back, to the nanosecond."""
    if window_ns in _NAMED:
        return _NAMED[window_ns]
    seconds, rest = divmod(window_ns, NS)
    return f"{seconds}.{rest:09d}".rstrip("0").rstrip(".") + " s"


def _cut(value: object) -> str:
    """Enough of what was read to recognise it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
