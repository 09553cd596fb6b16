"""
Headers that tell something else than the truth, now and then or always.

Law of this file: a lie changes what an answer says of its limits and nothing else. The
server decides, charges and waits as if it were honest, and its tally knows the truth.

Seen in the field: caches that repeat an old answer, load balancers whose answers overtake
each other, gateways that drop headers or show the limit of another plan, and numbers that
are none ("-1", "inf", a date where seconds belong).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import attrs

HOSTILE = (
    "",
    "-1",
    "0",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "1_000",
    "0x10",
    "١٢",
    "99999999999999999999",
    "9" * 5000,
    "1.5.2",
    "60, 60",
    "6m0s",
    "-1s",
    "soon",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "2026-13-45T99:99:99Z",
    "\u00a012",
)
"""Values that no field about limits should have, each of which some server has sent or a test has thought of."""

_TOLD = ("ratelimit", "retry-after")
_FACTORS = (0.01, 0.1, 0.5, 2, 10, 1000)


@attrs.frozen(kw_only=True)
class Lies:
    """
    What is told instead of the truth, each with its probability.

    Args:
        dropped: nothing about limits.
        late: what the answer before this one told.
        frozen: what the first answer told.
        wrong_limit: a limit that is a hundredth to a thousand times of the true one.
        full: as much remaining as the limit.
        hostile: one field has a value from `HOSTILE`.
        from_s, until_s: when, in seconds after the first call.
    """

    dropped: float = 0.0
    late: float = 0.0
    frozen: float = 0.0
    wrong_limit: float = 0.0
    full: float = 0.0
    hostile: float = 0.0
    from_s: float = 0.0
    until_s: float = math.inf

    def __attrs_post_init__(self) -> None:
        chances = (self.dropped, self.late, self.frozen, self.wrong_limit, self.full, self.hostile)
        if min(chances) < 0 or sum(chances) > 1 + 1e-9:
            raise ValueError(f"probabilities lie between 0 and 1 and add up to at most 1, not {sum(chances):g}")

    def draw(self, dice: random.Random) -> str | None:
        """The name of the lie that is told now, or None."""
        chance = dice.random()
        for name in ("dropped", "late", "frozen", "wrong_limit", "full", "hostile"):
            chance -= getattr(self, name)
            if chance < 0:
                return name
        return None


class Liar:
    """Tells lies of one kind for one account, and remembers what it has told."""

    def __init__(self, lies: Lies, dice: random.Random) -> None:
        self._lies = lies
        self._dice = dice
        self._first: dict[str, str] | None = None
        self._last: dict[str, str] | None = None

    def tell(self, headers: Mapping[str, str], *, elapsed_s: float) -> dict[str, str]:
        """What an answer says in the place of *headers*."""
        told = {name: value for name, value in headers.items() if any(word in name for word in _TOLD)}
        rest = {name: value for name, value in headers.items() if name not in told}
        first, last, self._last = self._first or told, self._last or told, told
        self._first = first
        if not (self._lies.from_s <= elapsed_s < self._lies.until_s):
            return {**rest, **told}
        match self._lies.draw(self._dice):
            case "dropped":
                told = {}
            case "late":
                told = last
            case "frozen":
                told = first
            case "wrong_limit":
                told = self._with_wrong_limit(told)
            case "full":
                told = _full(told)
            case "hostile" if told:
                told = {**told, self._dice.choice(list(told)): self._dice.choice(HOSTILE)}
            case _:
                pass
        return {**rest, **told}

    def _with_wrong_limit(self, told: Mapping[str, str]) -> dict[str, str]:
        factor = self._dice.choice(_FACTORS)
        return {
            name: str(max(1, int(int(value) * factor))) if "-limit" in name and value.isdecimal() else value
            for name, value in told.items()
        }


def _full(told: Mapping[str, str]) -> dict[str, str]:
    """As much remaining as the limit."""
    return {
        name: told.get(name.replace("-remaining", "-limit"), value) if "-remaining" in name else value
        for name, value in told.items()
    }
